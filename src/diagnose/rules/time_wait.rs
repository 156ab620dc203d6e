//! Connections that this host closed first, kept for packets that are late.
//! On the side of a server they cost little; on the side of a client each
//! occupies a local port.

use std::collections::BTreeMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::local_ports::{self, destinations};
use crate::diagnose::rules::words::count;
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::{Service, Side};
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["time-wait"],
    looks_at: "connections in TIME_WAIT by listener or destination; with a destination, its share \
               of the local ports that connect() may choose from",
    limits: &[COUNT, local_ports::SHARE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 1_000,
    range: (1, 100_000_000),
    unit: "connections of one listener or destination: information",
    why: "worth knowing: 16 and more short connections a second, for a minute",
};

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let waiting = facts.in_state(&[State::TIME_WAIT], 0);
    let running_out = running_out(facts, limits);
    let many = waiting.iter().filter(|(service, conns)| {
        conns.len() as u64 >= limits.get(&COUNT) && !running_out.contains_key(service)
    });
    let infos = many.map(|(service, conns)| pile(facts, service, conns));
    infos.chain(running_out.values().cloned()).collect()
}

fn pile(facts: &Facts, service: &Service, conns: &[&Conn]) -> Finding {
    let (all, place) = (count(conns.len() as u64, "connection"), facts.at(service));
    let summary = match service.side {
        Side::Server => format!("{all} of {place} in TIME_WAIT: this server closes first"),
        Side::Client => format!("{all} to {place} in TIME_WAIT: this client closes first"),
    };
    let namespace = facts.namespace(service.netns);
    let whos = conns.iter().map(|c| &c.who);
    let finding = facts
        .finding("time-wait", Severity::Info, summary, service, whos)
        .number("timewait", conns.len() as u64)
        .number("live", facts.live(service).all)
        .number_if(
            "TcpExtTCPTimeWaitOverflow",
            namespace.counter("TcpExtTCPTimeWaitOverflow"),
        )
        .advise(match service.side {
            Side::Server => {
                "harmless as such: each costs 250 bytes, and a server's port is not used up; \
                 keep-alive would save the handshakes"
            }
            Side::Client => "keep connections and use them again (keep-alive, a pool)",
        });
    bucket_advice(facts, service, finding)
}

/// Destinations that TIME_WAIT keeps most of the local ports from.
fn running_out(facts: &Facts, limits: &Bound) -> BTreeMap<Service, Finding> {
    let mut found = BTreeMap::new();
    for used in destinations(facts) {
        if used.timewait * 2 < used.ports || used.share() < limits.get(&local_ports::SHARE) {
            continue;
        }
        let service = used.service;
        let summary = format!(
            "{} of the {} local ports for {} are used, {} of them by TIME_WAIT",
            used.ports,
            used.range.count,
            facts.at(&service),
            used.timewait,
        );
        // A port in TIME_WAIT is no obstacle where the kernel may use it again.
        let severity = match used.is_reused(facts) {
            true => Severity::Info,
            false => Severity::Warning,
        };
        let whos = used.conns.iter().map(|c| &c.who);
        let mut finding = used
            .numbers(facts.finding("time-wait", severity, summary, &service, whos))
            .advise("keep connections and use them again (keep-alive, a pool): it also saves handshakes");
        finding.subject.local = Some((used.local, None));
        let finding = local_ports::advice(facts, &used, finding);
        found.insert(service, bucket_advice(facts, &service, finding));
    }
    found
}

fn bucket_advice(facts: &Facts, service: &Service, finding: Finding) -> Finding {
    finding.advise_setting(facts.advice(
        service.netns,
        "net.ipv4.tcp_max_tw_buckets",
        "above it the kernel ends connections without TIME_WAIT and counts TCPTimeWaitOverflow: \
         lowering it is no remedy; TIME_WAIT itself always lasts 60 seconds",
    ))
}
