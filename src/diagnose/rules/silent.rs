//! Connections on which nobody ever said a word.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::crowd::{self, crowds};
use crate::diagnose::rules::{Bound, Rule};
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["silent-connections"],
    looks_at: "ESTABLISHED connections of a listener without a byte in either direction",
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

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let is_silent = |conn: &Conn| {
        conn.state == State::ESTABLISHED
            && conn.meters.is_some_and(|m| m.bytes() == 0)
            && facts.age_ms(conn) >= limits.get(&AGE) * 1_000
    };
    let finding = |crowd: crowd::Crowd| {
        let what = crowd::Words {
            before: "",
            behind: "on which nothing was ever sent",
        };
        let age_ms = |conn: &Conn| facts.age_ms(conn);
        crowd
            .finding(facts, limits, "silent-connections", what, age_ms)
            .advise(
                "let the server close connections that ask nothing: nginx client_header_timeout, \
                 TCP_DEFER_ACCEPT, or the protocol's own time-out of logins",
            )
    };
    let crowds = crowds(facts, limits, is_silent);
    crowds.into_iter().map(finding).collect()
}
