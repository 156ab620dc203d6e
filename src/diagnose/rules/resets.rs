//! Connections that ended without FINs.

use std::collections::BTreeMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::{SocketAddress, Sources};
use crate::diagnose::recent::{StepKey, Steps};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::percent;
use crate::model::ident::Owner;
use crate::model::reason::Reason;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["resets"],
    looks_at: "connections that ended by a reset in the last minute, by listener or destination \
               and by sender: a warning if most connections end so and it continues, else \
               information",
    refuted_by: "connections that end well in the same minute (their share); resets that have \
                 stopped; a service that is served again",
    alike: "a peer's program that resets, and a middlebox that does so in its name",
    remedy: "depends on the sender: start the service, make the program read all data, compare \
             time-outs",
    limits: &[COUNT, SHARE, SECONDS, RECENT],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 50,
    range: (1, 100_000_000),
    unit: "resets of one kind in the last minute",
    why: "about one a second: browsers that leave a page cause fewer",
};
const SHARE: Limit = Limit {
    key: "share",
    default: 50,
    range: (1, 100),
    unit: "percent of the connections that ended, resets of all kinds together",
    why: "below half, most clients are served",
};
const SECONDS: Limit = Limit {
    key: "seconds",
    default: 5,
    range: (1, 60),
    unit: "different seconds of the last minute in which there were any",
    why: "a program that ends resets all its connections at one moment",
};

const RECENT: Limit = Limit {
    key: "recent-s",
    default: 10,
    range: (1, 60),
    unit: "seconds since the last one, at most",
    why: "resets that have stopped need nobody at night: a server was restarted",
};

/// The kernel's counters of resets.
const COUNTERS: [&str; 7] = [
    "TcpOutRsts",
    "TcpEstabResets",
    "TcpAttemptFails",
    "TcpExtTCPAbortOnData",
    "TcpExtTCPAbortOnClose",
    "TcpExtTCPAbortOnTimeout",
    "TcpExtTCPAbortOnMemory",
];

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Who sends the resets, and why.
    pub kind: Kind,
    /// The local process; `None`: unknown.
    pub owner: Option<Owner>,
    /// The listener or destination.
    pub at: SocketAddress,
    /// The clients of a listener; `None` for a destination.
    pub sources: Option<Sources>,
    /// Number of resets in the last minute.
    pub resets: u64,
    /// The state in which most of the resets occurred.
    pub state: State,
}

/// Who sends the resets, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The local process resets.
    Sent,
    /// The peer resets.
    Received,
    /// No socket listens on the port.
    Refused,
    /// The local process closes with unread data.
    UnreadData,
    /// The kernel resets because the accept queue is full.
    AcceptQueueFull,
}

impl Kind {
    /// The kind of reset for this reason; `None`: it is not a reset.
    fn of(reason: Reason) -> Option<Self> {
        match reason {
            Reason::REFUSED => Some(Self::Refused),
            Reason::UNREAD_DATA => Some(Self::UnreadData),
            Reason::RESET_SENT => Some(Self::Sent),
            Reason::RESET_RECEIVED => Some(Self::Received),
            Reason::ACCEPT_QUEUE_FULL => Some(Self::AcceptQueueFull),
            _ => None,
        }
    }
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start the service, or correct the address.
    StartService,
    /// Make the program read all data.
    ReadAll,
    /// Find out why the program resets.
    SeeProgram,
    /// Make the program accept faster.
    AcceptFaster,
    /// Compare the time-outs of the clients.
    CompareTimeouts,
    /// Check the destination.
    SeeDestination,
    /// Effect of resetting clients.
    AbortOnOverflow,
}

/// Resets of one kind, with counts of the states in which they occurred.
struct Resets {
    steps: Steps,
    states: BTreeMap<State, u64>,
}

impl Resets {
    /// The state in which most of the resets occurred.
    fn most(&self) -> State {
        let most = self.states.iter().max_by_key(|(_, n)| **n);
        most.map_or(State::CLOSE, |(state, _)| *state)
    }
}

/// Number of connections of a service that have ended.
#[derive(Clone, Copy, Default)]
struct Ends {
    all: u64,
    by_reset: u64,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let mut ends: BTreeMap<Service, Ends> = BTreeMap::new();
    let mut kinds: BTreeMap<(Service, Kind), Resets> = BTreeMap::new();
    for (key, steps) in facts.recent.steps.iter().filter(|(key, _)| is_end(key)) {
        let of_service = ends.entry(key.service).or_default();
        of_service.all += steps.count;
        if let Some(kind) = Kind::of(key.reason()) {
            of_service.by_reset += steps.count;
            let resets = kinds
                .entry((key.service, kind))
                .and_modify(|resets| resets.steps.merge(steps))
                .or_insert_with(|| Resets {
                    steps: steps.clone(),
                    states: BTreeMap::new(),
                });
            *resets.states.entry(key.old.known_as()).or_default() += steps.count;
        }
    }
    kinds.retain(|_, resets| resets.steps.count >= limits.get(&COUNT));
    let found = kinds.iter().map(|((service, kind), resets)| {
        let ends = ends.get(service).copied().unwrap_or_default();
        finding(facts, limits, (service, *kind), resets, ends)
    });
    found.collect()
}

/// A half-open request counts if a reset ended it because the accept queue was full.
fn is_end(key: &StepKey) -> bool {
    let refused = key.new == State::CLOSE && key.reason() == Reason::ACCEPT_QUEUE_FULL;
    key.is_end() || refused
}

fn finding(
    facts: &Facts,
    limits: &Bound,
    (service, kind): (&Service, Kind),
    resets: &Resets,
    ends: Ends,
) -> Finding {
    let steps = &resets.steps;
    let share = percent(ends.by_reset, ends.all);
    let ago = facts.seconds_since(steps.last_ns);
    // A service that refused connections but serves them now was restarted.
    let is_back = kind == Kind::Refused && facts.live(service).established > 0;
    let goes_on = steps.seconds() >= limits.get(&SECONDS) && ago <= limits.get(&RECENT) && !is_back;
    let severity = match goes_on && share >= limits.get(&SHARE) {
        true => Severity::Warning,
        false => Severity::Info,
    };
    let mut subject = facts.subject(service, [&steps.example]);
    if service.side == Side::Server {
        facts.set_peers(&mut subject, &steps.peers);
    }
    let problem = Problem {
        kind,
        owner: subject.owner,
        at: facts.at(service),
        sources: (service.side == Side::Server).then(|| subject.sources()),
        resets: steps.count,
        state: resets.most(),
    };
    let finding = Finding::new("resets", severity, problem, subject)
        .number("resets", steps.count)
        .number("ends", ends.all)
        .number("percent", share)
        .number("seconds", steps.seconds())
        .number("seconds_ago", ago)
        .number("established", facts.live(service).established)
        .counters(&facts.namespace(service.netns), &COUNTERS);
    remedies(facts, service, kind, finding)
}

fn remedies(facts: &Facts, service: &Service, kind: Kind, finding: Finding) -> Finding {
    let finding = finding.remedy(match (kind, service.side) {
        (Kind::Refused, _) => Action::StartService,
        (Kind::UnreadData, _) => Action::ReadAll,
        (Kind::Sent, _) => Action::SeeProgram,
        (Kind::AcceptQueueFull, _) => Action::AcceptFaster,
        (Kind::Received, Side::Server) => Action::CompareTimeouts,
        (Kind::Received, Side::Client) => Action::SeeDestination,
    });
    match kind {
        Kind::AcceptQueueFull => finding.remedy_if(facts.remedy(
            service.netns,
            "net.ipv4.tcp_abort_on_overflow",
            Action::AbortOnOverflow,
        )),
        _ => finding,
    }
}
