//! Calls that nobody answers: many to one destination, or one process that
//! calls everywhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Peer, Severity, Subject};
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::words::{count, who};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::{Service, Side};
use crate::model::ident::{Ident, Remote};
use crate::model::reason::Reason;
use crate::model::state::State;

/// One destination.
pub static SYN_SENT: Rule = Rule {
    names: &["syn-sent"],
    looks_at: "connections in SYN_SENT to one destination, with those that timed out or were \
               unreachable in the last minute",
    limits: &[COUNT, AGE],
    find: find_unanswered,
};

/// Many destinations.
pub static SCANNER: Rule = Rule {
    names: &["scanner"],
    looks_at: "the destinations that one process calls without success: those in SYN_SENT, and \
               those that refused, timed out or were unreachable in the last minute",
    limits: &[DESTINATIONS],
    find: find_scanners,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 20,
    range: (1, 100_000_000),
    unit: "connections to one destination",
    why: "more than the retries of a few programs",
};
const AGE: Limit = Limit {
    key: "age-s",
    default: 3,
    range: (0, 86_400),
    unit: "seconds in SYN_SENT, at least",
    why: "the SYN was sent again after 1 and 3 seconds, and none was answered",
};
const DESTINATIONS: Limit = Limit {
    key: "destinations",
    default: 100,
    range: (1, 100_000_000),
    unit: "different addresses and ports",
    why: "a crawler or a monitor that fails so often in a minute is broken, and worms do it",
};

const UNANSWERED: [Reason; 2] = [Reason::TIMEOUT_SYN, Reason::UNREACHABLE];
const FAILED: [Reason; 3] = [Reason::REFUSED, UNANSWERED[0], UNANSWERED[1]];

fn find_unanswered(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let calls = facts.in_state(&[State::SYN_SENT], limits.get(&AGE) * 1_000);
    let mut ended: BTreeMap<Service, (u64, Ident)> = BTreeMap::new();
    for (key, steps) in &facts.recent.steps {
        let is_call = key.service.side == Side::Client && key.old == State::SYN_SENT;
        if is_call && UNANSWERED.contains(&key.reason()) {
            let known = ended.entry(key.service).or_insert((0, steps.example));
            known.0 += steps.count;
        }
    }
    let services: BTreeSet<_> = calls.keys().chain(ended.keys()).copied().collect();
    let finding = |service: Service| {
        let waiting = calls.get(&service).map_or(&[][..], |c| c);
        let (failed, example) = ended
            .get(&service)
            .map_or((0, None), |(n, who)| (*n, Some(who)));
        let all = waiting.len() as u64 + failed;
        if service.side != Side::Client || all < limits.get(&COUNT) {
            return None;
        }
        let whos = waiting.iter().map(|c| &c.who).chain(example);
        let subject = facts.subject(&service, whos);
        let summary = format!(
            "{} of {} to {} without an answer",
            count(all, "call"),
            who(&subject),
            facts.at(&service),
        );
        let oldest = waiting.iter().map(|c| facts.age_ms(c)).max();
        let finding = Finding::new("syn-sent", Severity::Warning, summary, subject)
            .number("syn_sent", waiting.len() as u64)
            .number("failed_last_minute", failed)
            .number("oldest_s", oldest.unwrap_or(0) / 1_000)
            .advise(
                "the destination is down, unreachable, or a firewall on the way drops the SYNs: \
                 try it from here and from elsewhere, and look at the route and at the firewall \
                 of both ends",
            )
            .advise_setting(facts.advice(
                service.netns,
                "net.ipv4.tcp_syn_retries",
                "6 lets connect() wait for some 2 minutes, and a lower number for less; better is a \
                 time-out in the program",
            ));
        Some(finding)
    };
    services.into_iter().filter_map(finding).collect()
}

/// What one process has called in vain.
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
        let remote = Remote {
            addr: service.addr,
            ifindex: service.ifindex,
        };
        let destination = (remote, service.port);
        *self.destinations.entry(destination).or_default() += count;
        match reason {
            Reason::NONE => self.waiting += count,
            Reason::REFUSED => self.refused += count,
            _ => self.unanswered += count,
        }
    }
}

fn find_scanners(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let waiting = facts.conns.iter().filter(|c| c.state == State::SYN_SENT);
    let waiting = waiting.map(|c| (facts.service(&c.who), &c.who, Reason::NONE, 1));
    let steps = facts.recent.steps.iter();
    let failed =
        steps.filter(|(key, _)| key.old == State::SYN_SENT && FAILED.contains(&key.reason()));
    let failed =
        failed.map(|(key, steps)| (key.service, &steps.example, key.reason(), steps.count));
    let mut by_process: BTreeMap<(u32, Option<u32>), Calls> = BTreeMap::new();
    for (service, who, reason, count) in waiting.chain(failed) {
        if service.side == Side::Client {
            let process = (service.netns, who.owner.map(|o| o.pid));
            let calls = by_process.entry(process).or_default();
            calls.add(&service, who, reason, count);
        }
    }
    by_process.retain(|_, calls| calls.destinations.len() as u64 >= limits.get(&DESTINATIONS));
    let found = by_process
        .iter()
        .map(|((netns, _), calls)| scanner(facts, *netns, calls));
    found.collect()
}

fn scanner(facts: &Facts, netns: u32, calls: &Calls) -> Finding {
    let mut subject = facts.owners(netns, calls.who.iter());
    set_destinations(facts, &mut subject, &calls.destinations);
    let addresses: BTreeSet<_> = calls.destinations.keys().map(|(addr, _)| addr).collect();
    let ports: BTreeSet<_> = calls.destinations.keys().map(|(_, port)| port).collect();
    let summary = format!(
        "{} calls {} ({}, {}) in vain: a scanner, a worm, or a broken monitor",
        who(&subject),
        count(calls.destinations.len() as u64, "destination"),
        match addresses.len() {
            1 => "1 address".to_owned(),
            n => format!("{n} addresses"),
        },
        count(ports.len() as u64, "port"),
    );
    Finding::new("scanner", Severity::Warning, summary, subject)
        .number("destinations", calls.destinations.len() as u64)
        .number("addresses", addresses.len() as u64)
        .number("ports", ports.len() as u64)
        .number("syn_sent", calls.waiting)
        .number("refused_last_minute", calls.refused)
        .number("unanswered_last_minute", calls.unanswered)
        .advise(
            "find out what the process is, who started it and from which file (`ls -l \
             /proc/PID/exe`); if nobody knows it, treat the host as broken into, and cut it off",
        )
}

fn set_destinations(
    facts: &Facts,
    subject: &mut Subject,
    destinations: &BTreeMap<(Remote, u16), u64>,
) {
    let mut most: Vec<_> = destinations.iter().collect();
    most.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let peer = |((remote, port), count): (&_, &u64)| -> Peer {
        facts.peer(subject, *remote, Some(*port), *count)
    };
    let peers: Vec<_> = most
        .into_iter()
        .take(Subject::PEERS)
        .map(|(d, n)| peer((d, n)))
        .collect();
    subject.peers = peers;
    subject.peer_count = destinations.len() as u64;
}
