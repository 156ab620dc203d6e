//! Established connections wait in the accept queue because the program does not accept them.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::message::SocketAddress;
use crate::diagnose::rules::endpoint::{Endpoint, endpoints};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::Service;
use crate::diagnose::tally::sum;
use crate::model::alarm::AlarmKind;
use crate::model::ident::Owner;
use crate::model::listener::{Listener, Queue};

/// The rule.
pub static RULE: Rule = Rule {
    names: &["accept-queue-full"],
    looks_at: "a listener's accept queue, which is full above its limit; if none is full now, \
               drops since the activation are information",
    refuted_by: "a queue that has room now (then earlier drops are information)",
    alike: "a program that is too slow, and one that is stopped",
    remedy: "find out why the program does not accept; a longer queue only buys time",
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
    },
    /// The queue was full, but is not full now.
    WasFull {
        /// Address of the listener.
        listener: SocketAddress,
    },
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
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

fn look(facts: &Facts, endpoint: &Endpoint) -> Option<Finding> {
    // Each of the listeners that share a port has its own queue.
    let over = |l: &Listener| {
        let queue = l.accept_queue;
        (u64::from(queue.length) + 1_000_000).saturating_sub(queue.limit.into())
    };
    let fullest = endpoint.most(over)?;
    let queue = fullest.accept_queue;
    let now = is_full(endpoint);
    let syns = endpoint.handshakes(|h| h.syn_accept_queue_full);
    let acks = endpoint.handshakes(|h| h.ack_accept_queue_full);
    let ended = endpoint.handshakes(|h| h.accept_queue_full);
    let drops = endpoint.sum(|l| l.drops);
    let turned_away = sum([syns, acks, ended]);
    let severity = match now {
        true if turned_away > 0 || drops > 0 => Severity::Critical,
        true => Severity::Warning,
        // The kernel's own counter includes other causes, and the time before the activation.
        false if turned_away > 0 => Severity::Info,
        false => return None,
    };
    let subject = facts.subject(&endpoint.service, [&fullest.who]);
    let problem = problem(
        facts.at(&endpoint.service),
        subject.owner,
        now.then_some(queue),
    );
    let namespace = facts.namespace(endpoint.service.netns);
    let finding = Finding::new("accept-queue-full", severity, problem, subject)
        .number("accept_queue", queue.length)
        .number("accept_queue_peak", queue.max)
        .number("accept_queue_limit", queue.limit)
        .number("listeners", endpoint.listeners.len() as u64)
        .number("syns_dropped", syns)
        .number("last_acks_dropped", acks)
        .number("handshakes_ended", ended)
        .number("drops", drops)
        .counters(&namespace, &["TcpExtListenOverflows", "TcpExtListenDrops"])
        .remedy(Action::SeeProgram);
    Some(settings(
        facts,
        &endpoint.service,
        queue.limit.into(),
        finding,
    ))
}

/// The problem of a queue that is or was full.
fn problem(listener: SocketAddress, owner: Option<Owner>, full: Option<Queue>) -> Problem {
    match full {
        Some(queue) => Problem::Full {
            owner,
            listener,
            waiting: queue.length,
            limit: queue.limit,
        },
        None => Problem::WasFull { listener },
    }
}

fn settings(facts: &Facts, service: &Service, backlog: u64, finding: Finding) -> Finding {
    let namespace = facts.namespace(service.netns);
    let somaxconn = namespace.number("net.core.somaxconn");
    finding
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
