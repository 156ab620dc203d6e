//! The peers have closed their connections, but the program has not.

use std::collections::BTreeMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity, Subject};
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::Tally;
use crate::model::conn::Conn;
use crate::model::ident::{Ident, Owner};
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["close-wait"],
    looks_at: "connections in CLOSE_WAIT, by process; those that no process has accepted, by \
               listener",
    refuted_by: "a connection that has been in CLOSE_WAIT for a short time only",
    alike: "a program that answers very slowly after the peer has closed its side",
    remedy: "make the program close; no setting helps",
    limits: &[COUNT, CRITICAL, AGE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 100,
    range: (1, 100_000_000),
    unit: "connections of one process",
    why: "a tenth of the 1,024 descriptors that a process may have by default",
};
const CRITICAL: Limit = Limit {
    key: "critical",
    default: 1_000,
    range: (1, 100_000_000),
    unit: "connections of one process",
    why: "the 1,024 descriptors that a process may have by default are about used up",
};
const AGE: Limit = Limit {
    key: "age-s",
    default: 60,
    range: (0, 86_400),
    unit: "seconds in CLOSE_WAIT, at least",
    why: "a program that is only slow finishes its answer within a minute",
};

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The program does not close connections.
    NotClosed {
        /// The process that owns them.
        owner: Option<Owner>,
        /// Number of connections.
        connections: u64,
    },
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Fix the program.
    FindLeak,
    /// No setting solves the problem; settings only hide it.
    NoSetting,
}

/// Owner of the connections: a process, or a listener whose program did not accept them.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Process(u32, u32),
    Service(Service),
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let mut held: BTreeMap<Holder, Vec<(Service, &Conn)>> = BTreeMap::new();
    for (service, conns) in facts.in_state(&[State::CLOSE_WAIT], limits.get(&AGE) * 1_000) {
        for conn in conns {
            let holder = match conn.who.owner {
                Some(owner) => Holder::Process(conn.who.netns, owner.pid),
                None => Holder::Service(service),
            };
            held.entry(holder).or_default().push((service, conn));
        }
    }
    held.retain(|_, conns| conns.len() as u64 >= limits.get(&COUNT));
    let finding = |conns: &Vec<_>| finding(facts, limits, conns);
    held.values().filter_map(finding).collect()
}

fn finding(facts: &Facts, limits: &Bound, conns: &[(Service, &Conn)]) -> Option<Finding> {
    let size = conns.len() as u64;
    let subject = subject(facts, conns)?;
    let severity = match size >= limits.get(&CRITICAL) {
        true => Severity::Critical,
        false => Severity::Warning,
    };
    let problem = Problem::NotClosed {
        owner: subject.owner,
        connections: size,
    };
    let ages = conns.iter().map(|(_, c)| facts.age_ms(c));
    let unread = |c: &Conn| c.meters.is_some_and(|m| m.rcvbuf_used > 0);
    let used = conns.iter().filter_map(|(_, c)| c.meters);
    let descriptors = subject.owner.and_then(|o| facts.descriptors(o.pid));
    let finding = Finding::new("close-wait", severity, problem, subject)
        .number("connections", size)
        .number("oldest_s", ages.max().unwrap_or(0) / 1_000)
        .number(
            "unread",
            conns.iter().filter(|(_, c)| unread(c)).count() as u64,
        )
        .number(
            "rcvbuf_used",
            used.map(|m| u64::from(m.rcvbuf_used)).sum::<u64>(),
        )
        .number_if("descriptors", descriptors.map(|d| d.open))
        .number_if("descriptors_limit", descriptors.and_then(|d| d.limit))
        .remedy(Action::FindLeak)
        .remedy(Action::NoSetting);
    Some(finding)
}

/// The process with its peers, and the listener or destination if all connections share one.
fn subject(facts: &Facts, conns: &[(Service, &Conn)]) -> Option<Subject> {
    let whos = conns.iter().map(|(_, c)| &c.who);
    let (first, _) = conns.first()?;
    let of_one = conns.iter().all(|(service, _)| service == first);
    let mut subject = match of_one {
        true => facts.subject(first, whos.clone()),
        false => facts.owners(first.netns, whos.clone()),
    };
    if !of_one || first.side == Side::Client {
        let remotes = whos.map(Ident::peer);
        facts.set_peers(&mut subject, &Tally::of(remotes));
    }
    Some(subject)
}
