//! Connections that never transferred data.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::crowd::{self, Kind, crowds};
use crate::diagnose::rules::{Bound, Rule};
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["silent-connections"],
    looks_at: "ESTABLISHED connections of a listener without a byte in either direction",
    refuted_by: "a byte in either direction; a connection that is still young",
    alike: "a pool that a proxy keeps ready, port scanners that hold their connections",
    remedy: "let the server close what asks for nothing, limit connections per source",
    limits: &[
        crowd::ONE_SOURCE,
        crowd::MANY_SOURCES,
        crowd::SHARE,
        crowd::CRITICAL,
        AGE,
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

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the server close them.
    CloseSilent,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let is_silent = |conn: &Conn| {
        conn.state == State::ESTABLISHED
            && conn.meters.is_some_and(|m| m.bytes() == 0)
            && facts.age_ms(conn) >= limits.get(&AGE) * 1_000
    };
    let finding = |crowd: crowd::Crowd| {
        let age_ms = |conn: &Conn| facts.age_ms(conn);
        crowd
            .finding(facts, limits, "silent-connections", Kind::Silent, age_ms)
            .remedy(Action::CloseSilent)
    };
    let crowds = crowds(facts, limits, is_silent);
    crowds.into_iter().map(finding).collect()
}
