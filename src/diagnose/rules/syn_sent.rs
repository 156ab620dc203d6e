//! Connection attempts without an answer: many to one destination, or one process that tries many
//! destinations.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::identity::About;
use crate::diagnose::limits::Limit;
use crate::diagnose::message::SocketAddress;
use crate::diagnose::recent::{StepKey, Steps};
use crate::diagnose::rules::conntrack_full::{self, Table};
use crate::diagnose::rules::endpoint::{Endpoint, endpoints};
use crate::diagnose::rules::{Bound, Rule, accept_queue_full};
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::{Tally, percent};
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::ident::{Ident, Owner, Remote};
use crate::model::reason::Reason;
use crate::model::state::State;

/// The rule for one destination.
pub static SYN_SENT: Rule = Rule {
    names: &["syn-sent"],
    looks_at: words!(
        "connections in SYN_SENT to one destination, and those that timed out, were \
               unreachable, or were given up by the program after half a second or more, in the \
               last minute; the error of an ICMP message; whether the destination is a listener \
               of this host whose accept queue is full; the table of tracked connections",
        "到一个目的地的处于 SYN_SENT 的连接，以及最近一分钟超时、不可达或半秒以后被程序放弃的连接；ICMP 消息的错误；目的地是否是本机全连接队列已满的监听端；连接跟踪表"
    ),
    refuted_by: words!(
        "attempts that are younger than the first retransmissions; a reset, which is an \
                 answer (see `resets`); attempts that are given up at once, as by a client that \
                 calls two addresses; most calls in the last minute that were answered \
                 (information); a full table of tracked connections, which drops the SYNs itself",
        "还没有到首次重传时间的尝试；复位也是一种应答（参见 `resets`）；立即放弃的尝试，例如同时连接两个地址的客户端；最近一分钟的多数连接请求得到应答（提示）；已满的连接跟踪表，它自己丢弃 SYN"
    ),
    alike: words!(
        "a host that is down, and a firewall that drops the SYN or its answer",
        "主机宕机，与防火墙丢弃 SYN 或其应答"
    ),
    remedy: words!(
        "test the destination from here, check the path",
        "从本机测试目的地，检查路径"
    ),
    limits: &[COUNT, AGE, SHARE],
    find: find_unanswered,
};

/// The rule for many destinations.
pub static SCANNER: Rule = Rule {
    names: &["scanner"],
    looks_at: words!(
        "destinations to which one process cannot connect: those in SYN_SENT for longer than \
               `age-s` of `syn-sent`, and those that refused, timed out or were unreachable in the \
               last minute",
        "一个进程无法连接的目的地：处于 SYN_SENT 的时间超过 `syn-sent` 的 `age-s`，以及最近一分钟拒绝、超时或不可达的"
    ),
    refuted_by: words!(
        "destinations that answer; calls that are too young to be unanswered",
        "有应答的目的地；时间太短、还不能算没有应答的连接请求"
    ),
    alike: words!(
        "a crawler or a monitor whose targets are down, and malware",
        "目标宕机的爬虫或监控程序，与恶意软件"
    ),
    remedy: words!(
        "identify the process and what it does",
        "查明该进程及其行为"
    ),
    limits: &[DESTINATIONS],
    find: find_scanners,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 20,
    range: (1, 100_000_000),
    unit: words!("connections to one destination", "到一个目的地的连接数"),
    why: words!(
        "more than the retries of a few programs",
        "多于少数程序的重试"
    ),
};
const AGE: Limit = Limit {
    key: "age-s",
    default: 3,
    range: (0, 86_400),
    unit: words!("seconds in SYN_SENT, at least", "处于 SYN_SENT 的最少秒数"),
    why: words!(
        "the SYN was sent again after 1 and 3 seconds, and none was answered",
        "SYN 在 1 秒和 3 秒后重发过，均没有应答"
    ),
};
const SHARE: Limit = Limit {
    key: "share",
    default: 10,
    range: (0, 100),
    unit: words!(
        "percent of the calls of the last minute that had no answer: below it, information",
        "最近一分钟没有应答的连接请求所占的百分比：低于此值则为提示"
    ),
    why: words!(
        "a destination that answers nine of ten calls is neither down nor cut off",
        "十次连接请求应答九次的目的地既没有宕机也没有断网"
    ),
};
const DESTINATIONS: Limit = Limit {
    key: "destinations",
    default: 100,
    range: (1, 100_000_000),
    unit: words!("different addresses and ports", "不同的地址和端口数"),
    why: words!(
        "a crawler or a monitor that fails so often in a minute is broken; worms do it, too",
        "一分钟内失败这么多次的爬虫或监控程序已出故障；蠕虫也会这样"
    ),
};

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// One destination does not answer.
    Unanswered {
        /// The process that connects.
        owner: Option<Owner>,
        /// The destination.
        destination: SocketAddress,
        /// Number of attempts.
        calls: u64,
        /// Where the SYNs are lost, if that is known.
        cause: Option<Cause>,
    },
    /// One process connects to many destinations without an answer.
    Scanner {
        /// The process.
        owner: Option<Owner>,
        /// Number of destinations.
        destinations: u64,
        /// Number of distinct addresses of the destinations.
        addresses: u64,
        /// Number of distinct ports.
        ports: u64,
    },
}

/// Where the SYNs are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The table of tracked connections is full.
    Conntrack(Table),
    /// The destination is a listener of this host, and its accept queue is full.
    AcceptQueue,
    /// The network or a route has answered with this error.
    Error(u16),
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make room in the table of tracked connections.
    SeeConntrack,
    /// Make the listener of this host accept.
    SeeAcceptQueue,
    /// Test the destination, and check the path.
    TryDestination,
    /// How long connect() waits.
    SynRetries,
    /// Identify the process.
    IdentifyProcess,
}

const UNANSWERED: [Reason; 2] = [Reason::TIMEOUT_SYN, Reason::UNREACHABLE];
const FAILED: [Reason; 3] = [Reason::REFUSED, UNANSWERED[0], UNANSWERED[1]];

/// Calls to one destination in the last minute, by their end.
#[derive(Default)]
struct Ended<'a> {
    timed_out: u64,
    unreachable: u64,
    given_up: u64,
    refused: u64,
    answered: u64,
    /// Errors of those that were unreachable.
    errors: Tally<u16>,
    /// An unanswered one of each process.
    examples: BTreeMap<Option<u32>, &'a Ident>,
}

impl<'a> Ended<'a> {
    fn add(&mut self, key: &StepKey, steps: &'a Steps) {
        let unanswered = match (key.new, key.reason()) {
            (State::ESTABLISHED | State::SYN_RECV, _) => {
                self.answered += steps.count;
                0
            }
            (_, Reason::REFUSED) => {
                self.refused += steps.count;
                0
            }
            (_, Reason::TIMEOUT_SYN) => {
                self.timed_out += steps.count;
                steps.count
            }
            (_, Reason::CANCELLED) => {
                self.given_up += steps.long;
                steps.long
            }
            (_, Reason::UNREACHABLE) => {
                self.unreachable += steps.count;
                let errors = steps.errors.at_least(1).into_iter();
                errors.for_each(|(error, count)| self.errors.add(error, count));
                steps.count
            }
            _ => 0,
        };
        if unanswered > 0 {
            self.examples.entry(key.pid).or_insert(&steps.example);
        }
    }

    fn unanswered(&self) -> u64 {
        self.timed_out + self.unreachable + self.given_up
    }
}

fn find_unanswered(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let calls = facts.in_state(&[State::SYN_SENT], limits.get(&AGE) * 1_000);
    let mut ended: BTreeMap<Service, Ended> = BTreeMap::new();
    for (key, steps) in facts.recent.in_order() {
        if key.service.side == Side::Client && key.old == State::SYN_SENT {
            ended.entry(key.service).or_default().add(key, steps);
        }
    }
    let none = Ended::default();
    let services: BTreeSet<_> = calls.keys().chain(ended.keys()).copied().collect();
    let finding = |service: Service| {
        let waiting = calls.get(&service).map_or(&[][..], |c| c);
        let ended = ended.get(&service).unwrap_or(&none);
        let all = waiting.len() as u64 + ended.unanswered();
        let is_one = service.side == Side::Client && all >= limits.get(&COUNT);
        let share = percent(all, all + ended.answered + ended.refused);
        let severity = match share >= limits.get(&SHARE) {
            true => Severity::Warning,
            false => Severity::Info,
        };
        is_one.then(|| unanswered(facts, &service, severity, waiting, ended))
    };
    services.into_iter().filter_map(finding).collect()
}

fn unanswered(
    facts: &Facts,
    service: &Service,
    severity: Severity,
    waiting: &[&Conn],
    ended: &Ended,
) -> Finding {
    let whos = waiting.iter().map(|c| &c.who);
    let subject = facts.subject(service, whos.chain(ended.examples.values().copied()));
    let cause = cause(facts, service, ended);
    let action = match &cause {
        Some(Cause::Conntrack(_)) => Action::SeeConntrack,
        Some(Cause::AcceptQueue) => Action::SeeAcceptQueue,
        Some(Cause::Error(_)) | None => Action::TryDestination,
    };
    let problem = Problem::Unanswered {
        owner: subject.owner,
        destination: facts.at(service),
        calls: waiting.len() as u64 + ended.unanswered(),
        cause,
    };
    let oldest = waiting.iter().map(|c| facts.age_ms(c)).max();
    Finding::new("syn-sent", severity, problem, subject)
        .number("syn_sent", waiting.len() as u64)
        .number("failed_last_minute", ended.unanswered())
        .number("timed_out_last_minute", ended.timed_out)
        .number("unreachable_last_minute", ended.unreachable)
        .number("given_up_last_minute", ended.given_up)
        .number("refused_last_minute", ended.refused)
        .number("answered_last_minute", ended.answered)
        .number("oldest_s", oldest.unwrap_or(0) / 1_000)
        .remedy(action)
        .remedy_if(facts.remedy(
            service.netns,
            "net.ipv4.tcp_syn_retries",
            Action::SynRetries,
        ))
}

/// Where the SYNs are lost: on this host, or where an error came from.
fn cause(facts: &Facts, service: &Service, ended: &Ended) -> Option<Cause> {
    if has_full_queue(facts, service) {
        return Some(Cause::AcceptQueue);
    }
    if let Some(table) = conntrack_full::in_the_way(facts, service.netns) {
        return Some(Cause::Conntrack(table));
    }
    ended.errors.top().map(|(error, _)| Cause::Error(error))
}

/// Whether the destination is a listener in the same namespace that has no room in its queue.
fn has_full_queue(facts: &Facts, destination: &Service) -> bool {
    let is_it = |e: &Endpoint| {
        let (at, to) = (e.service, destination.canonical());
        at.netns == to.netns
            && at.port == to.port
            && (at.addr.to_canonical() == to.addr || at.addr.is_unspecified())
    };
    let endpoints = endpoints(facts);
    let mut here = endpoints.iter().filter(|e| is_it(e));
    here.any(accept_queue_full::is_full)
}

/// Unanswered connection attempts of one process.
#[derive(Default)]
struct Calls {
    who: Option<Ident>,
    destinations: BTreeMap<(Remote, u16), u64>,
    waiting: u64,
    refused: u64,
    unanswered: u64,
}

impl Calls {
    fn add(&mut self, service: &Service, who: &Ident, reason: Reason, count: u64) {
        self.who.get_or_insert(*who);
        *self.destinations.entry(service.destination()).or_default() += count;
        match reason {
            Reason::NONE => self.waiting += count,
            Reason::REFUSED => self.refused += count,
            _ => self.unanswered += count,
        }
    }
}

fn find_scanners(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    // A call that is younger may still be answered.
    let age_ms = limits.of(&SYN_SENT, &AGE) * 1_000;
    let is_unanswered = |c: &&Conn| c.state == State::SYN_SENT && facts.age_ms(c) >= age_ms;
    let waiting = facts.conns.iter().filter(is_unanswered);
    let waiting = waiting.map(|c| (facts.service(&c.who), &c.who, Reason::NONE, 1));
    let steps = facts.recent.in_order().into_iter();
    let failed =
        steps.filter(|(key, _)| key.old == State::SYN_SENT && FAILED.contains(&key.reason()));
    let failed =
        failed.map(|(key, steps)| (key.service, &steps.example, key.reason(), steps.count));
    let calls = waiting.chain(failed);
    let calls: Vec<_> = calls
        .filter(|(service, ..)| service.side == Side::Client)
        .collect();
    let destinations: BTreeSet<_> = calls.iter().map(|(service, ..)| service).collect();
    if (destinations.len() as u64) < limits.get(&DESTINATIONS) {
        return Vec::new();
    }
    let mut by_process: BTreeMap<(u32, Option<u32>), Calls> = BTreeMap::new();
    for (service, who, reason, count) in calls {
        let process = (service.netns, facts.holder(who).map(|o| o.pid));
        let calls = by_process.entry(process).or_default();
        calls.add(&service, who, reason, count);
    }
    by_process.retain(|_, calls| calls.destinations.len() as u64 >= limits.get(&DESTINATIONS));
    let found = by_process
        .iter()
        .map(|((netns, _), calls)| scanner(facts, *netns, calls));
    found.collect()
}

fn scanner(facts: &Facts, netns: u32, calls: &Calls) -> Finding {
    let mut subject = facts.owners(netns, calls.who.iter());
    facts.set_destinations(&mut subject, &calls.destinations);
    let addresses: BTreeSet<_> = calls.destinations.keys().map(|(addr, _)| addr).collect();
    let ports: BTreeSet<_> = calls.destinations.keys().map(|(_, port)| port).collect();
    let problem = Problem::Scanner {
        owner: subject.owner,
        destinations: calls.destinations.len() as u64,
        addresses: addresses.len() as u64,
        ports: ports.len() as u64,
    };
    Finding::new("scanner", Severity::Warning, problem, subject)
        .about(About::Process)
        .number("destinations", calls.destinations.len() as u64)
        .number("addresses", addresses.len() as u64)
        .number("ports", ports.len() as u64)
        .number("syn_sent", calls.waiting)
        .number("refused_last_minute", calls.refused)
        .number("unanswered_last_minute", calls.unanswered)
        .remedy(Action::IdentifyProcess)
}
