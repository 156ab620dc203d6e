//! Connections that did not end by FINs.

use std::collections::BTreeMap;

use crate::diagnose::facts::{Facts, process};
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::recent::{StepKey, Steps};
use crate::diagnose::rules::words::{count, percent, sources};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::{Service, Side};
use crate::model::reason::Reason;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["resets"],
    looks_at: "ends of the last minute by a reset, by listener or destination and by who sent it: a \
               warning when most connections end so and it goes on, else information",
    limits: &[COUNT, SHARE, SECONDS, RECENT],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 50,
    range: (1, 100_000_000),
    unit: "resets of one kind in the last minute",
    why: "about one a second: browsers that go elsewhere cause fewer",
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
    why: "a program that ends and drops what it has does so at one moment",
};

const RECENT: Limit = Limit {
    key: "recent-s",
    default: 10,
    range: (1, 60),
    unit: "seconds since the last one, at most",
    why: "what has stopped is not worth a night's sleep: a server was restarted",
};

/// Who resets, and why.
const KINDS: [Reason; 5] = [
    Reason::REFUSED,
    Reason::UNREAD_DATA,
    Reason::RESET_SENT,
    Reason::RESET_RECEIVED,
    Reason::ACCEPT_QUEUE_FULL,
];

/// Resets of one kind, and the states in which they came.
struct Kind {
    steps: Steps,
    states: BTreeMap<State, u64>,
}

/// How many connections of a service have ended.
#[derive(Clone, Copy, Default)]
struct Ends {
    all: u64,
    by_reset: u64,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let mut ends: BTreeMap<Service, Ends> = BTreeMap::new();
    let mut kinds: BTreeMap<(Service, u16), Kind> = BTreeMap::new();
    for (key, steps) in facts.recent.steps.iter().filter(|(key, _)| is_end(key)) {
        let of_service = ends.entry(key.service).or_default();
        of_service.all += steps.count;
        if KINDS.contains(&key.reason()) {
            of_service.by_reset += steps.count;
            let kind = kinds
                .entry((key.service, key.reason))
                .and_modify(|kind| kind.steps.merge(steps))
                .or_insert_with(|| Kind {
                    steps: steps.clone(),
                    states: BTreeMap::new(),
                });
            *kind.states.entry(key.old.known_as()).or_default() += steps.count;
        }
    }
    kinds.retain(|_, kind| kind.steps.count >= limits.get(&COUNT));
    let found = kinds.iter().map(|((service, reason), kind)| {
        let ends = ends.get(service).copied().unwrap_or_default();
        finding(facts, limits, service, Reason(*reason), kind, ends)
    });
    found.collect()
}

/// Half-open requests count where a reset ends them for want of room.
fn is_end(key: &StepKey) -> bool {
    let refused = key.new == State::CLOSE && key.reason() == Reason::ACCEPT_QUEUE_FULL;
    key.is_end() || refused
}

fn finding(
    facts: &Facts,
    limits: &Bound,
    service: &Service,
    reason: Reason,
    kind: &Kind,
    ends: Ends,
) -> Finding {
    let steps = &kind.steps;
    let share = percent(ends.by_reset, ends.all);
    let ago = facts.seconds_since(steps.last_ns);
    // One that refused and serves now has been restarted.
    let is_back = reason == Reason::REFUSED && facts.live(service).established > 0;
    let goes_on = steps.seconds() >= limits.get(&SECONDS) && ago <= limits.get(&RECENT) && !is_back;
    let severity = match goes_on && share >= limits.get(&SHARE) {
        true => Severity::Warning,
        false => Severity::Info,
    };
    let mut subject = facts.subject(service, [&steps.example]);
    if service.side == Side::Server {
        facts.set_peers(&mut subject, &steps.peers);
    }
    let (state, _) = kind
        .states
        .iter()
        .max_by_key(|(_, n)| **n)
        .map_or((State::CLOSE, 0), |(s, n)| (*s, *n));
    let here = subject
        .owner
        .as_ref()
        .map_or("this host".to_owned(), process);
    let there = match service.side {
        Side::Server => sources(&subject),
        Side::Client => facts.at(service),
    };
    let place = facts.at(service);
    let what = match reason {
        Reason::REFUSED => format!("{place} refuses the calls of {here}"),
        Reason::UNREAD_DATA => {
            format!("{here} closes before it has read all, so that {there} gets a reset")
        }
        Reason::RESET_SENT => format!("{here} resets its connections with {there}"),
        Reason::ACCEPT_QUEUE_FULL => {
            format!("the accept queue of {place} is full, and {there} gets resets")
        }
        _ => format!("{there} resets its connections with {here}"),
    };
    let summary = format!(
        "{what}: {} in the last minute, most in {}",
        count(steps.count, "reset"),
        state.name(),
    );
    let namespace = facts.namespace(service.netns);
    let finding = Finding::new("resets", severity, summary, subject)
        .number("resets", steps.count)
        .number("ends", ends.all)
        .number("percent", share)
        .number("seconds", steps.seconds())
        .number("seconds_ago", ago)
        .number("established", facts.live(service).established);
    let finding = [
        "TcpOutRsts",
        "TcpEstabResets",
        "TcpAttemptFails",
        "TcpExtTCPAbortOnData",
        "TcpExtTCPAbortOnClose",
        "TcpExtTCPAbortOnTimeout",
        "TcpExtTCPAbortOnMemory",
    ]
    .into_iter()
    .fold(finding, |f, name| {
        f.number_if(name, namespace.counter(name))
    });
    let finding = finding.advise(advice(reason, service.side));
    match reason {
        Reason::ACCEPT_QUEUE_FULL => finding.advise_setting(facts.advice(
            service.netns,
            "net.ipv4.tcp_abort_on_overflow",
            "1 resets clients that find the queue full, 0 lets them try again",
        )),
        _ => finding,
    }
}

fn advice(reason: Reason, side: Side) -> &'static str {
    match (reason, side) {
        (Reason::REFUSED, _) => {
            "nothing listens there, or a firewall answers for it: start the service, or correct \
             the address and port that the program calls"
        }
        (Reason::UNREAD_DATA, _) => {
            "let the program read to the end before close(): an answer on its way is lost with \
             the reset (nginx lingering_close does so)"
        }
        (Reason::RESET_SENT, _) => {
            "the program asks for it (SO_LINGER of 0), or data came after its close(): fine for \
             a balancer that drops clients, else a fault of the program"
        }
        (Reason::ACCEPT_QUEUE_FULL, _) => {
            "the program does not accept fast enough: see accept-queue-full"
        }
        (_, Side::Server) => {
            "the clients, or a balancer or firewall between, abort: compare with their time-outs, \
             and with how long the answers take"
        }
        (_, Side::Client) => {
            "the other end, or a balancer or firewall between, aborts: see its log and its limits, \
             and whether idle connections outlive its time-out"
        }
    }
}
