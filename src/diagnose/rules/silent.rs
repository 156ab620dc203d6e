//! Connections on which nobody ever said a word.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::crowd::{self, crowds};
use crate::diagnose::rules::slow_request::source_advice;
use crate::diagnose::rules::words::{addresses, at, count, sources};
use crate::diagnose::rules::{Bound, Rule};
use crate::record::Conn;
use crate::state::State;

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
        let subject = facts.subject(&crowd.service, crowd.whos());
        let summary = format!(
            "{} from {} to {} on which nothing was ever sent",
            count(crowd.size(), "connection"),
            sources(&subject),
            at(&crowd.service),
        );
        let severity = match crowd.size() >= limits.get(&crowd::CRITICAL) {
            true => Severity::Critical,
            false => Severity::Warning,
        };
        let oldest = crowd.conns.iter().map(|c| facts.age_ms(c)).max();
        let advice = source_advice(&addresses(&subject));
        Finding::new("silent-connections", severity, summary, subject)
            .number("connections", crowd.size())
            .number("established", facts.live(&crowd.service).established)
            .number("oldest_s", oldest.unwrap_or(0) / 1_000)
            .advise(advice)
            .advise(
                "let the server close connections that ask nothing: nginx client_header_timeout, \
                 TCP_DEFER_ACCEPT, or the protocol's own time-out of logins",
            )
    };
    let crowds = crowds(facts, limits, is_silent);
    crowds.into_iter().map(finding).collect()
}
