//! Established connections wait in the accept queue because the program does not accept them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::SocketAddress;
use crate::diagnose::rules::endpoint::{Endpoint, endpoints};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::sum;
use crate::host::Descriptors;
use crate::host::netns::{FILES, FILES_MAX};
use crate::model::alarm::AlarmKind;
use crate::model::conn::Conn;
use crate::model::ident::Owner;
use crate::model::listener::Listener;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["accept-queue-full"],
    looks_at: "a listener's accept queue, which is full above its limit; connections that have \
               waited in it for long, whether or not it is full; the descriptors of the process \
               that has it, and the open files of the host; if neither, drops since the activation \
               are information",
    refuted_by: "a queue that has room now, or whose connections have just come (then earlier drops \
                 are information); of a longer queue as a remedy: a process without a free \
                 descriptor, and a queue that has room",
    alike: "a program that is too slow, and one that is stopped",
    remedy: "find out why the program does not accept (RLIMIT_NOFILE, if its descriptors are used \
             up); a longer queue only buys time",
    limits: &[WAITING, AGE],
    find,
};

const WAITING: Limit = Limit {
    key: "waiting",
    default: 10,
    range: (1, 100_000_000),
    unit: "connections that wait for accept() for long, in a queue that need not be full",
    why: "a program may let a few wait while it is busy",
};
const AGE: Limit = Limit {
    key: "age-s",
    default: 5,
    range: (1, 86_400),
    unit: "seconds for which they have waited, at least",
    why: "a program that works accepts within a second",
};
/// A program whose full queue has only connections that are younger than this accepts them.
const FAST_MS: u64 = 1_000;

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The queue is full.
    Full {
        /// The process that has the listener open.
        owner: Option<Owner>,
        /// Address of the listener.
        listener: SocketAddress,
        /// Connections in the queue.
        waiting: u32,
        /// The queue is full above this length.
        limit: u32,
        /// The descriptors, if none is free.
        used_up: Option<UsedUp>,
        /// The program accepts connections, but not as fast as they come.
        is_moving: bool,
    },
    /// The queue has room, but the program has accepted nothing for long.
    Waiting {
        /// The process that has the listener open.
        owner: Option<Owner>,
        /// Address of the listener.
        listener: SocketAddress,
        /// Connections that have waited for long.
        waiting: u64,
        /// For how long the first of them has waited.
        oldest: Duration,
        /// The queue is full above this length.
        limit: u32,
        /// The descriptors, if none is free.
        used_up: Option<UsedUp>,
    },
    /// The queue was full, but is not full now.
    WasFull {
        /// Address of the listener.
        listener: SocketAddress,
    },
}

/// Descriptors of a process that can open no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedUp {
    /// Number of open files: more than the limit if that was lowered.
    pub open: u64,
    /// The limit: `RLIMIT_NOFILE`, or `fs.file-max`.
    pub limit: u64,
    /// The open files are those of the whole host.
    pub of_host: bool,
}

/// Open files, as far as they bound accept().
struct Files {
    descriptors: Option<Descriptors>,
    used_up: Option<UsedUp>,
}

impl Files {
    /// Those of the process that has a listener open in a namespace.
    fn of(facts: &Facts, netns: u32, owner: Option<Owner>) -> Self {
        let descriptors = owner.and_then(|o| facts.descriptors(o.pid));
        let of = |open: Option<u64>, limit: Option<u64>, of_host| {
            let (open, limit) = (open?, limit?);
            let used_up = UsedUp {
                open,
                limit,
                of_host,
            };
            (open >= limit).then_some(used_up)
        };
        let namespace = facts.namespace(netns);
        let own = of(
            descriptors.map(|d| d.open),
            descriptors.and_then(|d| d.limit),
            false,
        );
        let of_host = || of(namespace.counter(FILES), namespace.number(FILES_MAX), true);
        Self {
            descriptors,
            used_up: own.or_else(of_host),
        }
    }

    fn numbers(&self, finding: Finding) -> Finding {
        let of_host = self.used_up.filter(|u| u.of_host);
        finding
            .number_if("descriptors", self.descriptors.map(|d| d.open))
            .number_if("descriptors_limit", self.descriptors.and_then(|d| d.limit))
            .number_if("open_files", of_host.map(|u| u.open))
            .number_if("open_files_limit", of_host.map(|u| u.limit))
    }
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// accept() finds no free descriptor.
    RaiseNofile,
    /// The host has no free file.
    RaiseFileMax,
    /// Find out why the program does not accept.
    SeeProgram,
    /// The program limits the queue itself.
    AskForMore {
        /// Backlog of listen().
        backlog: u64,
    },
    /// The setting limits the queue.
    RaiseSomaxconn,
    /// Clients wait in vain: resetting them may be better.
    ConsiderResets,
    /// Clients are reset: letting them wait may be better.
    ConsiderWaiting,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let mut unaccepted: BTreeMap<Service, Vec<&Conn>> = BTreeMap::new();
    for conn in facts.conns.iter().filter(|c| c.is_unaccepted()) {
        let service = facts.service(&conn.who);
        if service.side == Side::Server {
            unaccepted.entry(service).or_default().push(conn);
        }
    }
    let endpoints = endpoints(facts);
    let waiting = |e: &Endpoint| unaccepted.get(&e.service).map_or(&[][..], |c| c);
    let found = endpoints
        .iter()
        .filter_map(|e| look(facts, limits, e, waiting(e)));
    found.collect()
}

/// Whether one of its listeners is full, or was recently: the alarm is cleared once there is room
/// again.
pub fn is_full(endpoint: &Endpoint) -> bool {
    let full = |l: &&Listener| l.accept_queue.length > l.accept_queue.limit;
    endpoint.has_alarm(AlarmKind::ACCEPT_QUEUE) || endpoint.listeners.iter().any(full)
}

/// Connections that the listeners of an endpoint have turned away since the activation.
struct TurnedAway {
    syns: u64,
    acks: u64,
    ended: u64,
    /// The kernel's own counter, which includes other causes and the time before the activation.
    drops: u64,
}

impl TurnedAway {
    fn of(endpoint: &Endpoint) -> Self {
        Self {
            syns: endpoint.handshakes(|h| h.syn_accept_queue_full),
            acks: endpoint.handshakes(|h| h.ack_accept_queue_full),
            ended: endpoint.handshakes(|h| h.accept_queue_full),
            drops: endpoint.sum(|l| l.drops),
        }
    }

    fn any(&self) -> bool {
        sum([self.syns, self.acks, self.ended]) > 0
    }
}

fn look(
    facts: &Facts,
    limits: &Bound,
    endpoint: &Endpoint,
    unaccepted: &[&Conn],
) -> Option<Finding> {
    // Each of the listeners that share a port has its own queue.
    let over = |l: &Listener| {
        let queue = l.accept_queue;
        (u64::from(queue.length) + 1_000_000).saturating_sub(queue.limit.into())
    };
    let fullest = endpoint.most(over)?;
    let turned_away = TurnedAway::of(endpoint);
    let waits_ms: Vec<_> = unaccepted.iter().map(|c| facts.lifetime_ms(c)).collect();
    if is_full(endpoint) {
        let is_moving = waits_ms.iter().max().is_some_and(|ms| *ms < FAST_MS);
        return Some(full(facts, endpoint, fullest, &turned_away, is_moving));
    }
    let age_ms = limits.get(&AGE) * 1_000;
    let late: Vec<_> = waits_ms.into_iter().filter(|ms| *ms >= age_ms).collect();
    if late.len() as u64 >= limits.get(&WAITING) {
        return Some(waiting(facts, endpoint, fullest, &turned_away, &late));
    }
    if !turned_away.any() {
        return None;
    }
    let listener = facts.at(&endpoint.service);
    let subject = facts.subject(&endpoint.service, [&fullest.who]);
    let problem = Problem::WasFull { listener };
    let finding = Finding::new("accept-queue-full", Severity::Info, problem, subject);
    let finding = numbers(facts, endpoint, fullest, &turned_away, finding);
    Some(settings(facts, endpoint, fullest, finding))
}

/// The queue of this listener is full.
fn full(
    facts: &Facts,
    endpoint: &Endpoint,
    fullest: &Listener,
    turned_away: &TurnedAway,
    is_moving: bool,
) -> Finding {
    let subject = facts.subject(&endpoint.service, [&fullest.who]);
    let files = Files::of(facts, endpoint.service.netns, subject.owner);
    let turns_away = turned_away.any() || turned_away.drops > 0;
    let severity = match turns_away || files.used_up.is_some() {
        true => Severity::Critical,
        false => Severity::Warning,
    };
    let problem = Problem::Full {
        owner: subject.owner,
        listener: facts.at(&endpoint.service),
        waiting: fullest.accept_queue.length,
        limit: fullest.accept_queue.limit,
        used_up: files.used_up,
        is_moving,
    };
    let finding = Finding::new("accept-queue-full", severity, problem, subject);
    let finding = numbers(facts, endpoint, fullest, turned_away, finding);
    let finding = files.numbers(finding);
    match files.used_up {
        // However long the queue, nothing leaves it.
        Some(used_up) => raise_files(facts, endpoint, used_up, finding),
        None => settings(facts, endpoint, fullest, finding),
    }
}

/// The queue has room, and connections have waited in it for these times.
fn waiting(
    facts: &Facts,
    endpoint: &Endpoint,
    fullest: &Listener,
    turned_away: &TurnedAway,
    late_ms: &[u64],
) -> Finding {
    let subject = facts.subject(&endpoint.service, [&fullest.who]);
    let files = Files::of(facts, endpoint.service.netns, subject.owner);
    let severity = match files.used_up {
        Some(_) => Severity::Critical,
        None => Severity::Warning,
    };
    let (count, oldest) = (late_ms.len() as u64, late_ms.iter().max());
    let oldest_s = oldest.unwrap_or(&0) / 1_000;
    let problem = Problem::Waiting {
        owner: subject.owner,
        listener: facts.at(&endpoint.service),
        waiting: count,
        oldest: Duration::from_secs(oldest_s),
        limit: fullest.accept_queue.limit,
        used_up: files.used_up,
    };
    let finding = Finding::new("accept-queue-full", severity, problem, subject)
        .number("waiting", count)
        .number("oldest_s", oldest_s);
    let finding = numbers(facts, endpoint, fullest, turned_away, finding);
    let finding = files.numbers(finding);
    match files.used_up {
        Some(used_up) => raise_files(facts, endpoint, used_up, finding),
        None => finding.remedy(Action::SeeProgram),
    }
}

fn raise_files(facts: &Facts, endpoint: &Endpoint, used_up: UsedUp, finding: Finding) -> Finding {
    match used_up.of_host {
        true => {
            finding.remedy_if(facts.remedy(endpoint.service.netns, FILES_MAX, Action::RaiseFileMax))
        }
        false => finding.remedy(Action::RaiseNofile),
    }
}

fn numbers(
    facts: &Facts,
    endpoint: &Endpoint,
    fullest: &Listener,
    turned_away: &TurnedAway,
    finding: Finding,
) -> Finding {
    let queue = fullest.accept_queue;
    let namespace = facts.namespace(endpoint.service.netns);
    finding
        .number("accept_queue", queue.length)
        .number("accept_queue_peak", queue.max)
        .number("accept_queue_limit", queue.limit)
        .number("listeners", endpoint.listeners.len() as u64)
        .number("syns_dropped", turned_away.syns)
        .number("last_acks_dropped", turned_away.acks)
        .number("handshakes_ended", turned_away.ended)
        .number("drops", turned_away.drops)
        .counters(&namespace, &["TcpExtListenOverflows", "TcpExtListenDrops"])
}

fn settings(facts: &Facts, endpoint: &Endpoint, fullest: &Listener, finding: Finding) -> Finding {
    let service = &endpoint.service;
    let backlog = u64::from(fullest.accept_queue.limit);
    let namespace = facts.namespace(service.netns);
    let somaxconn = namespace.number("net.core.somaxconn");
    finding
        .remedy(Action::SeeProgram)
        .remedy_if(facts.remedy(
            service.netns,
            "net.core.somaxconn",
            match somaxconn {
                Some(most) if backlog < most => Action::AskForMore { backlog },
                _ => Action::RaiseSomaxconn,
            },
        ))
        .remedy_if(facts.remedy(
            service.netns,
            "net.ipv4.tcp_abort_on_overflow",
            match namespace.number("net.ipv4.tcp_abort_on_overflow") {
                Some(0) => Action::ConsiderResets,
                _ => Action::ConsiderWaiting,
            },
        ))
}
