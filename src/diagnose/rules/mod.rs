//! The rules: each looks at the facts for one situation.

mod accept_queue_full;
mod close_wait;
mod crowd;
mod dead_peers;
mod endpoint;
mod fin_wait1;
mod fin_wait2;
mod half_open_full;
mod last_ack;
mod local_ports;
mod pair_threshold;
mod pile;
mod port_exhaustion;
mod resets;
mod silent;
mod simultaneous;
mod slow_read;
mod slow_request;
mod syn_flood;
mod syn_sent;
mod time_wait;
mod words;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::{Limit, Limits};

/// All of them.
pub static RULES: &[&Rule] = &[
    &syn_flood::RULE,
    &slow_request::RULE,
    &slow_read::RULE,
    &silent::RULE,
    &pair_threshold::RULE,
    &accept_queue_full::RULE,
    &half_open_full::RULE,
    &close_wait::RULE,
    &time_wait::RULE,
    &port_exhaustion::RULE,
    &fin_wait1::RULE,
    &fin_wait2::RULE,
    &last_ack::RULE,
    &syn_sent::SYN_SENT,
    &syn_sent::SCANNER,
    &dead_peers::RULE,
    &resets::RULE,
    &simultaneous::RULE,
];

/// The names of all findings.
pub fn names() -> impl Iterator<Item = &'static str> {
    RULES.iter().flat_map(|rule| rule.names.iter().copied())
}

/// One situation that is looked for.
#[derive(Debug)]
pub struct Rule {
    /// Names that its findings may have. The first is that of its section in the file of limits.
    pub names: &'static [&'static str],
    /// What it looks at, for the documentation.
    pub looks_at: &'static str,
    /// From when on.
    pub limits: &'static [Limit],
    /// Looks.
    pub find: fn(&Facts, &Bound) -> Vec<Finding>,
}

impl Rule {
    /// The first name.
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

/// The limits of one rule.
pub struct Bound<'a> {
    rule: &'a Rule,
    limits: &'a Limits,
}

impl<'a> Bound<'a> {
    /// The limits of `rule`.
    pub fn new(rule: &'a Rule, limits: &'a Limits) -> Self {
        Self { rule, limits }
    }

    /// One of them.
    pub fn get(&self, limit: &Limit) -> u64 {
        self.limits.get(self.rule, limit)
    }
}
