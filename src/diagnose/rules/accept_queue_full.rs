//! Connections that are complete wait for a program that does not accept them.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::rules::endpoint::{Endpoint, endpoints};
use crate::diagnose::rules::words::who;
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::Service;
use crate::diagnose::tally::sum;
use crate::model::alarm::AlarmKind;
use crate::model::listener::Listener;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["accept-queue-full"],
    looks_at: "a listener's accept queue, which is full above its limit; without one that is full \
               now, drops since the activation are information",
    limits: &[],
    find,
};

fn find(facts: &Facts, _: &Bound) -> Vec<Finding> {
    let endpoints = endpoints(facts);
    endpoints.iter().filter_map(|e| look(facts, e)).collect()
}

/// Whether one of its listeners is full, or was a moment ago: the alarm is cleared when there is
/// room again.
pub fn is_full(endpoint: &Endpoint) -> bool {
    let full = |l: &&Listener| l.accept_queue.length > l.accept_queue.limit;
    endpoint.has_alarm(AlarmKind::ACCEPT_QUEUE) || endpoint.listeners.iter().any(full)
}

fn look(facts: &Facts, endpoint: &Endpoint) -> Option<Finding> {
    // Listeners that share a port are full one by one.
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
        // The kernel's own count is older than the activation, and for other causes as well.
        false if turned_away > 0 => Severity::Info,
        false => return None,
    };
    let subject = facts.subject(&endpoint.service, endpoint.whos());
    let place = facts.at(&endpoint.service);
    let summary = match now {
        true => format!(
            "{} does not accept: the accept queue of {place} is full ({} waiting, limit {})",
            who(&subject),
            queue.length,
            queue.limit,
        ),
        false => format!("the accept queue of {place} was full, and is not now"),
    };
    let namespace = facts.namespace(endpoint.service.netns);
    let finding = Finding::new("accept-queue-full", severity, summary, subject)
        .number("accept_queue", queue.length)
        .number("accept_queue_peak", queue.max)
        .number("accept_queue_limit", queue.limit)
        .number("listeners", endpoint.listeners.len() as u64)
        .number("syns_dropped", syns)
        .number("last_acks_dropped", acks)
        .number("handshakes_ended", ended)
        .number("drops", drops)
        .number_if(
            "TcpExtListenOverflows",
            namespace.counter("TcpExtListenOverflows"),
        )
        .number_if("TcpExtListenDrops", namespace.counter("TcpExtListenDrops"))
        .advise(
            "see what keeps the program from accept(): it is stopped, overloaded, has no free \
             worker or no free descriptor; a longer queue only helps against short bursts",
        );
    Some(settings(
        facts,
        &endpoint.service,
        queue.limit.into(),
        finding,
    ))
}

fn settings(facts: &Facts, service: &Service, limit: u64, finding: Finding) -> Finding {
    let namespace = facts.namespace(service.netns);
    let somaxconn = namespace.number("net.core.somaxconn");
    finding
        .advise_setting(facts.advice(
            service.netns,
            "net.core.somaxconn",
            match somaxconn {
                Some(most) if limit < most => format!(
                    "it does not bound this queue: the program asks listen() for a backlog of \
                     {limit} only, let it ask for more and restart it"
                ),
                _ => "it bounds this queue: raise it, and restart the program, which takes it at \
                      listen(); check that it asks for as much"
                    .into(),
            },
        ))
        .advise_setting(facts.advice(
            service.netns,
            "net.ipv4.tcp_abort_on_overflow",
            match namespace.number("net.ipv4.tcp_abort_on_overflow") {
                Some(0) => {
                    "clients whose last ACK is dropped believe that they are connected, and \
                     wait; with 1 they get a reset at once: better for a balancer that can go \
                     elsewhere, worse for a short burst"
                }
                _ => {
                    "clients get a reset at once; with 0 their last ACK is dropped, they try \
                     again, and a short burst is survived"
                }
            },
        ))
}
