//! The kernel ends connections because a limit of the kernel is reached. Neither a program nor a
//! peer does it.

use std::collections::BTreeMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity, Subject};
use crate::diagnose::identity::About;
use crate::diagnose::limits::Limit;
use crate::diagnose::message::SocketAddress;
use crate::diagnose::recent::{StepKey, Steps};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::Service;
use crate::diagnose::tally::{Tally, sum};
use crate::fmt::text::words;
use crate::host::netns::{Namespace, SOCKSTAT};
use crate::model::ident::{Ident, Owner};
use crate::model::reason::Reason;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["kernel-limits"],
    looks_at: words!(
        "connections that the kernel ended in the last minute because of tcp_max_tw_buckets \
               (out_of_timewait), tcp_max_orphans (out_of_orphans) or tcp_mem (out_of_memory), the \
               kernel's counters of them, and the usage now; if none ended in the last minute, \
               those since the activation are information",
        "最近一分钟内核因 tcp_max_tw_buckets（out_of_timewait）、tcp_max_orphans（out_of_orphans）或 tcp_mem（out_of_memory）而结束的连接、内核的相应计数和现在的用量；若最近一分钟没有，则激活以来的只作为提示"
    ),
    refuted_by: words!(
        "a counter of the namespace (TCPTimeWaitOverflow, TCPAbortOnMemory) that is 0",
        "该命名空间的计数（TCPTimeWaitOverflow、TCPAbortOnMemory）为 0"
    ),
    alike: words!(
        "a limit that is too low, and connections that live too long: orphans of clients that \
            do not read, buffers that are too large",
        "上限过低，与连接存活过久：不读取数据的客户端留下的孤儿连接、过大的缓冲区"
    ),
    remedy: words!(
        "raise the limit, or find out which connections reach it; the programs and the peers \
             have not reset them",
        "调大上限，或查明是哪些连接达到了上限；程序和对端都没有复位它们"
    ),
    limits: &[COUNT],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 1,
    range: (1, 100_000_000),
    unit: words!(
        "connections that the kernel ended for one limit in the last minute",
        "最近一分钟内核因一个上限而结束的连接数"
    ),
    why: words!(
        "the kernel does so only above a limit, and warns in its log",
        "内核只在超过上限时这样做，并在日志中警告"
    ),
};

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The kernel has ended connections in the last minute.
    Reached {
        /// The limit.
        limit: Kind,
        /// Number of connections.
        ended: u64,
        /// The value of the limit; `None`: it could not be read.
        allowed: Option<u64>,
        /// The usage now; `None`: it could not be read.
        used: Option<u64>,
    },
    /// It has done so since the activation, but not in the last minute.
    WasReached {
        /// The limit.
        limit: Kind,
        /// Number of connections.
        ended: u64,
    },
}

/// A limit of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Connections in TIME_WAIT of a namespace.
    TimeWait,
    /// Connections that no process holds, of the whole host.
    Orphans,
    /// Pages of memory that TCP uses, on the whole host.
    Memory,
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Raise the limit.
    Raise(Kind),
    /// Orphans are given up earlier.
    OrphanRetries,
    /// The listener or destination with the most of the connections.
    Most {
        /// Its process.
        owner: Option<Owner>,
        /// Its address.
        at: SocketAddress,
        /// Number of its connections.
        connections: u64,
    },
}

impl Kind {
    const ALL: [Self; 3] = [Self::TimeWait, Self::Orphans, Self::Memory];

    fn reason(self) -> Reason {
        match self {
            Self::TimeWait => Reason::OUT_OF_TIMEWAIT,
            Self::Orphans => Reason::OUT_OF_ORPHANS,
            Self::Memory => Reason::OUT_OF_MEMORY,
        }
    }

    fn of(reason: Reason) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.reason() == reason)
    }

    /// The kernel's counter.
    fn counter(self) -> &'static str {
        match self {
            Self::TimeWait => "TcpExtTCPTimeWaitOverflow",
            Self::Orphans | Self::Memory => "TcpExtTCPAbortOnMemory",
        }
    }

    fn setting(self) -> &'static str {
        match self {
            Self::TimeWait => "net.ipv4.tcp_max_tw_buckets",
            Self::Orphans => "net.ipv4.tcp_max_orphans",
            Self::Memory => "net.ipv4.tcp_mem",
        }
    }

    /// Its name in the ids of findings.
    fn name(self) -> &'static str {
        match self {
            Self::TimeWait => "timewait",
            Self::Orphans => "orphans",
            Self::Memory => "memory",
        }
    }

    /// Names of the limit and of the usage in a finding.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::TimeWait => ("tcp_max_tw_buckets", "timewait"),
            Self::Orphans => ("tcp_max_orphans", "orphans"),
            Self::Memory => ("tcp_mem_max_pages", "mem_pages"),
        }
    }

    fn allowed(self, namespace: &Namespace) -> Option<u64> {
        // The last of three numbers is the limit of memory.
        namespace.last_number(self.setting())
    }

    fn used(self, namespace: &Namespace) -> Option<u64> {
        let [timewait, orphans, memory] = SOCKSTAT;
        namespace.counter(match self {
            Self::TimeWait => timewait,
            Self::Orphans => orphans,
            Self::Memory => memory,
        })
    }

    fn severity(self) -> Severity {
        match self {
            // The connection had ended, except for delayed packets.
            Self::TimeWait => Severity::Warning,
            // Data is lost.
            Self::Orphans | Self::Memory => Severity::Critical,
        }
    }
}

/// Connections that ended because of one limit.
#[derive(Default)]
struct Ended<'a> {
    count: u64,
    last_ns: u64,
    namespaces: Tally<u32>,
    services: Tally<Service>,
    examples: BTreeMap<Service, &'a Ident>,
}

impl<'a> Ended<'a> {
    fn add(&mut self, key: &StepKey, steps: &'a Steps) {
        self.count += steps.count;
        self.last_ns = self.last_ns.max(steps.last_ns);
        self.namespaces.add(key.service.netns, steps.count);
        self.services.add(key.service, steps.count);
        self.examples.entry(key.service).or_insert(&steps.example);
    }
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    // A limit of the whole host is one cause, whatever the namespace.
    let mut ended: BTreeMap<(Kind, Option<u32>), Ended> = BTreeMap::new();
    for (key, steps) in facts.recent.in_order() {
        let Some(kind) = Kind::of(key.reason()).filter(|_| key.new == State::CLOSE) else {
            continue;
        };
        let netns = key.service.netns;
        if facts.namespace(netns).counter(kind.counter()) != Some(0) {
            let of = (kind == Kind::TimeWait).then_some(netns);
            ended.entry((kind, of)).or_default().add(key, steps);
        }
    }
    ended.retain(|_, ended| ended.count >= limits.get(&COUNT));
    let reached = ended
        .iter()
        .map(|((kind, _), ended)| reached(facts, *kind, ended));
    let was_reached = Kind::ALL.into_iter().filter_map(|kind| {
        let is_now = ended.keys().any(|(of, _)| *of == kind);
        (!is_now).then(|| was_reached(facts, kind))?
    });
    reached.chain(was_reached).collect()
}

/// Connections of this host that the kernel ended for one of its limits in the last minute, by the
/// listener or destination: their peers get resets that no program has sent.
pub fn ended_here(facts: &Facts) -> BTreeMap<Service, u64> {
    let mut ended: BTreeMap<Service, u64> = BTreeMap::new();
    let steps = facts.recent.steps.iter();
    for (key, steps) in steps.filter(|(key, _)| key.new == State::CLOSE) {
        if Kind::of(key.reason()).is_some() {
            *ended.entry(key.service.canonical()).or_default() += steps.count;
        }
    }
    ended
}

fn reached(facts: &Facts, kind: Kind, ended: &Ended) -> Finding {
    let netns = ended.namespaces.top().map_or(0, |(netns, _)| netns);
    let namespace = facts.namespace(netns);
    let (allowed, used) = (kind.allowed(&namespace), kind.used(&namespace));
    let problem = Problem::Reached {
        limit: kind,
        ended: ended.count,
        allowed,
        used,
    };
    let (allowed_name, used_name) = kind.names();
    let finding = Finding::new(
        "kernel-limits",
        kind.severity(),
        problem,
        // Whoever owns the connections is not the cause.
        facts.nobody(netns),
    )
    .about(match kind {
        Kind::TimeWait => About::Namespace,
        Kind::Orphans | Kind::Memory => About::Host,
    })
    .variant(kind.name())
    .number("ended_last_minute", ended.count)
    .number("seconds_ago", facts.seconds_since(ended.last_ns))
    .number_if("since_activation", since_activation(facts, kind))
    .number("namespaces", ended.namespaces.kinds())
    .number_if(allowed_name, allowed)
    .number_if(used_name, used)
    .counters(&namespace, &[kind.counter()])
    .remedy_if(facts.remedy(netns, kind.setting(), Action::Raise(kind)));
    let finding = match kind {
        Kind::Orphans => finding.remedy_if(facts.remedy(
            netns,
            "net.ipv4.tcp_orphan_retries",
            Action::OrphanRetries,
        )),
        Kind::TimeWait | Kind::Memory => finding,
    };
    match most(facts, ended) {
        Some(action) => finding.remedy(action),
        None => finding,
    }
}

fn most(facts: &Facts, ended: &Ended) -> Option<Action> {
    let (service, connections) = ended.services.top()?;
    let example = ended.examples.get(&service)?;
    Some(Action::Most {
        owner: facts.subject(&service, [*example]).owner,
        at: facts.at(&service),
        connections,
    })
}

/// Connections of the whole host that ended for this reason; `None` if only some of the connections
/// are looked at.
fn since_activation(facts: &Facts, kind: Kind) -> Option<u64> {
    let ends = facts.lives.ended.iter().flat_map(|ended| &ended.ends);
    let of_kind = ends.filter(|(reason, _)| *reason == kind.reason());
    let total = sum(of_kind.map(|(_, count)| *count));
    (!facts.narrowed).then_some(total)
}

fn was_reached(facts: &Facts, kind: Kind) -> Option<Finding> {
    let ended = since_activation(facts, kind).filter(|ended| *ended > 0)?;
    let problem = Problem::WasReached { limit: kind, ended };
    let subject = Subject::default();
    let finding = Finding::new("kernel-limits", Severity::Info, problem, subject);
    let finding = finding.about(About::Host).variant(kind.name());
    Some(finding.number("since_activation", ended))
}
