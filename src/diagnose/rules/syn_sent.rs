//! Connection attempts without an answer: many to one destination, or one process that tries many
//! destinations.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Peer, Severity, Subject};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::SocketAddress;
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::{Service, Side};
use crate::model::ident::{Ident, Owner, Remote};
use crate::model::reason::Reason;
use crate::model::state::State;

/// The rule for one destination.
pub static SYN_SENT: Rule = Rule {
    names: &["syn-sent"],
    looks_at: "connections in SYN_SENT to one destination, and those that timed out or were \
               unreachable in the last minute",
    refuted_by: "attempts that are younger than the first retransmissions",
    alike: "a host that is down, and a firewall that drops the SYN or its answer",
    remedy: "test the destination from here, check the path",
    limits: &[COUNT, AGE],
    find: find_unanswered,
};

/// The rule for many destinations.
pub static SCANNER: Rule = Rule {
    names: &["scanner"],
    looks_at: "destinations to which one process cannot connect: those in SYN_SENT, and those that \
               refused, timed out or were unreachable in the last minute",
    refuted_by: "destinations that answer",
    alike: "a crawler or a monitor whose targets are down, and malware",
    remedy: "identify the process and what it does",
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
    why: "a crawler or a monitor that fails so often in a minute is broken; worms do it, too",
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

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Test the destination, and check the path.
    TryDestination,
    /// How long connect() waits.
    SynRetries,
    /// Identify the process.
    IdentifyProcess,
}

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
        let problem = Problem::Unanswered {
            owner: subject.owner,
            destination: facts.at(&service),
            calls: all,
        };
        let oldest = waiting.iter().map(|c| facts.age_ms(c)).max();
        let finding = Finding::new("syn-sent", Severity::Warning, problem, subject)
            .number("syn_sent", waiting.len() as u64)
            .number("failed_last_minute", failed)
            .number("oldest_s", oldest.unwrap_or(0) / 1_000)
            .remedy(Action::TryDestination)
            .remedy_if(facts.remedy(
                service.netns,
                "net.ipv4.tcp_syn_retries",
                Action::SynRetries,
            ));
        Some(finding)
    };
    services.into_iter().filter_map(finding).collect()
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
    let problem = Problem::Scanner {
        owner: subject.owner,
        destinations: calls.destinations.len() as u64,
        addresses: addresses.len() as u64,
        ports: ports.len() as u64,
    };
    Finding::new("scanner", Severity::Warning, problem, subject)
        .number("destinations", calls.destinations.len() as u64)
        .number("addresses", addresses.len() as u64)
        .number("ports", ports.len() as u64)
        .number("syn_sent", calls.waiting)
        .number("refused_last_minute", calls.refused)
        .number("unanswered_last_minute", calls.unanswered)
        .remedy(Action::IdentifyProcess)
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
