//! Established connections wait in the accept queue because the program does not accept them.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::message::SocketAddress;
use crate::diagnose::rules::endpoint::{Endpoint, endpoints};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::tally::sum;
use crate::fmt::text::words;
use crate::host::Descriptors;
use crate::model::alarm::AlarmKind;
use crate::model::ident::Owner;
use crate::model::listener::Listener;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["accept-queue-full"],
    looks_at: words!(
        "a listener's accept queue, which is full above its limit, and the descriptors of \
               the process that has it; if none is full now, drops since the activation are \
               information",
        "监听端的全连接队列（超过上限即为满），以及持有它的进程的文件描述符；若现在没有队列已满，则激活以来的丢弃只作为提示"
    ),
    refuted_by: words!(
        "a queue that has room now (then earlier drops are information); of a longer queue \
                 as a remedy: a process without a free descriptor",
        "队列现在未满（则以前的丢弃只作为提示）；进程没有空闲的文件描述符（则不建议加长队列）"
    ),
    alike: words!(
        "a program that is too slow, and one that is stopped",
        "程序过慢，与程序被停止"
    ),
    remedy: words!(
        "find out why the program does not accept (RLIMIT_NOFILE, if its descriptors are used \
             up); a longer queue only buys time",
        "查明程序为什么不调用 accept()（若文件描述符用尽，则是 RLIMIT_NOFILE）；加长队列只能争取时间"
    ),
    limits: &[],
    find,
};

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
        /// Descriptors of the process, if none is free.
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
    /// The limit (`RLIMIT_NOFILE`).
    pub limit: u64,
}

impl UsedUp {
    fn of(descriptors: Descriptors) -> Option<Self> {
        let Descriptors { open, limit } = descriptors;
        let limit = limit.filter(|limit| open >= *limit)?;
        Some(Self { open, limit })
    }
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// accept() finds no free descriptor.
    RaiseNofile,
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

fn find(facts: &Facts, _: &Bound) -> Vec<Finding> {
    let endpoints = endpoints(facts);
    endpoints.iter().filter_map(|e| look(facts, e)).collect()
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

fn look(facts: &Facts, endpoint: &Endpoint) -> Option<Finding> {
    // Each of the listeners that share a port has its own queue.
    let over = |l: &Listener| {
        let queue = l.accept_queue;
        (u64::from(queue.length) + 1_000_000).saturating_sub(queue.limit.into())
    };
    let fullest = endpoint.most(over)?;
    let turned_away = TurnedAway::of(endpoint);
    if is_full(endpoint) {
        return Some(full(facts, endpoint, fullest, &turned_away));
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
) -> Finding {
    let subject = facts.subject(&endpoint.service, [&fullest.who]);
    let descriptors = subject.owner.and_then(|o| facts.descriptors(o.pid));
    let used_up = descriptors.and_then(UsedUp::of);
    let severity = match turned_away.any() || turned_away.drops > 0 || used_up.is_some() {
        true => Severity::Critical,
        false => Severity::Warning,
    };
    let problem = Problem::Full {
        owner: subject.owner,
        listener: facts.at(&endpoint.service),
        waiting: fullest.accept_queue.length,
        limit: fullest.accept_queue.limit,
        used_up,
    };
    let finding = Finding::new("accept-queue-full", severity, problem, subject);
    let finding = numbers(facts, endpoint, fullest, turned_away, finding)
        .number_if("descriptors", descriptors.map(|d| d.open))
        .number_if("descriptors_limit", descriptors.and_then(|d| d.limit));
    match used_up {
        // However long the queue, nothing leaves it.
        Some(_) => finding.remedy(Action::RaiseNofile),
        None => settings(facts, endpoint, fullest, finding),
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
