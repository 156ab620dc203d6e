//! Connections that never transferred data.

use std::collections::HashSet;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::crowd::{self, Crowd, Kind, crowds};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::tally::percent;
use crate::model::conn::Conn;
use crate::model::ident::{Ident, Remote};
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["silent-connections"],
    looks_at: "ESTABLISHED connections of a listener without a byte in either direction",
    refuted_by: "a byte in either direction, also on another subflow of the same MPTCP connection; a \
                 connection that is still young; clients on this host, and a few clients that keep \
                 a pool: keepalive at either end, or other connections of the same client to this \
                 listener that are used (then it is information)",
    alike: "a pool that a proxy keeps ready without keepalive, port scanners that hold their \
            connections",
    remedy: "let the server close what asks for nothing, limit connections per source",
    limits: &[
        crowd::ONE_SOURCE,
        crowd::MANY_SOURCES,
        crowd::SHARE,
        crowd::CRITICAL,
        AGE,
        CLIENTS,
        USED,
    ],
    find,
};

const AGE: Limit = Limit {
    key: "age-s",
    default: 10,
    range: (1, 86_400),
    unit: "seconds in ESTABLISHED, at least",
    why: "a client that has something to ask does so at once",
};
const CLIENTS: Limit = Limit {
    key: "clients",
    default: 8,
    range: (0, 1_000_000),
    unit: "clients that keep a pool, at most",
    why: "the application servers of a database or cache",
};
const USED: Limit = Limit {
    key: "used",
    default: 5,
    range: (1, 100),
    unit: "percent of the clients' connections that are used: then the others are their pool",
    why: "a pool is filled for the highest load, an attacker has no use for its connections",
};
/// Percent of the connections that must have keepalive, or their other end on this host.
const MOST: u64 = 90;

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the server close them.
    CloseSilent,
    /// A pool may stay; otherwise make the server close it.
    KeepPool,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let is_silent = |conn: &Conn| {
        conn.state == State::ESTABLISHED
            && conn.meters.is_some_and(|m| m.bytes() == 0)
            && !facts.subflows().carry_for(conn)
            && facts.age_ms(conn) >= limits.get(&AGE) * 1_000
    };
    let crowds = crowds(facts, limits, is_silent);
    let found = crowds.iter().map(|crowd| finding(facts, limits, crowd));
    found.collect()
}

fn finding(facts: &Facts, limits: &Bound, crowd: &Crowd) -> Finding {
    let kept = crowd.whos().zip(&crowd.conns);
    let kept = kept.filter(|(who, conn)| has_keepalive(facts, who, conn));
    let kept = kept.count() as u64;
    let age_ms = |conn: &Conn| facts.age_ms(conn);
    let (name, kind) = ("silent-connections", Kind::Silent);
    let clients: HashSet<Remote> = crowd.whos().map(Ident::peer).collect();
    let used = used(facts, crowd, &clients);
    let has_pool = percent(kept, crowd.size()) >= MOST
        || percent(used, used + crowd.size()) >= limits.get(&USED);
    let here = crowd.whos().filter(|who| facts.other_end(who).is_some());
    let is_pool = percent(here.count() as u64, crowd.size()) >= MOST
        || clients.len() as u64 <= limits.get(&CLIENTS) && has_pool;
    let finding = match is_pool {
        true => {
            let mut finding = crowd.unjudged(facts, name, Kind::Pool, age_ms);
            finding.severity = Severity::Info;
            finding.remedy(Action::KeepPool)
        }
        false => crowd
            .finding(facts, limits, name, kind, age_ms)
            .remedy(Action::CloseSilent),
    };
    finding.number("with_keepalive", kept).number("used", used)
}

/// Whether either end has `SO_KEEPALIVE`; the other end is only known if it is on this host.
fn has_keepalive(facts: &Facts, who: &Ident, conn: &Conn) -> bool {
    let has = |conn: &Conn| conn.activity.is_some_and(|a| a.keepalive);
    has(conn) || facts.other_end(who).is_some_and(has)
}

/// Number of the clients' connections to the listener that have carried data.
fn used(facts: &Facts, crowd: &Crowd, clients: &HashSet<Remote>) -> u64 {
    let is_used = |c: &&Conn| {
        c.state == State::ESTABLISHED
            && c.meters
                .is_some_and(|m| m.bytes_sent > 0 && m.bytes_received > 0)
            && clients.contains(&c.who.peer())
            && facts.service(&c.who) == crowd.service
    };
    facts.conns.iter().filter(is_used).count() as u64
}
