//! The rules: each looks at the facts for one situation, and tells what it finds as data.
//!
//! A new rule is a file with its [`Rule`], and the `Problem` and `Action` that it tells; a line
//! in [`RULES`] and in the two enums below; and its sentences in each language of
//! `render::i18n::findings`, which do not compile before they are there.
//!
//! The texts of a rule and its [`Limit`]s are what documents the file of limits, in English as
//! all keys and errors.

pub mod accept_queue_full;
pub mod close_wait;
pub mod crowd;
pub mod dead_peers;
mod endpoint;
pub mod fin_wait1;
pub mod fin_wait2;
pub mod half_open_full;
pub mod last_ack;
pub mod local_ports;
pub mod pair_threshold;
pub mod pile;
pub mod port_exhaustion;
pub mod resets;
pub mod silent;
pub mod simultaneous;
pub mod slow_read;
pub mod slow_request;
pub mod syn_flood;
pub mod syn_sent;
pub mod time_wait;

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

/// One enum of what several rules tell, each in the type of this name in its file.
macro_rules! of_rules {
    ($(#[$doc:meta])* $name:ident { $($rule:ident($file:ident),)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is named after its file")]
        pub enum $name { $($rule($file::$name),)* }
        $(impl From<$file::$name> for $name {
            fn from(of_rule: $file::$name) -> Self {
                Self::$rule(of_rule)
            }
        })*
    };
}

of_rules! {
    /// What is wrong.
    Problem {
        AcceptQueueFull(accept_queue_full),
        CloseWait(close_wait),
        Crowd(crowd),
        HalfOpenFull(half_open_full),
        PairThreshold(pair_threshold),
        Pile(pile),
        PortExhaustion(port_exhaustion),
        Resets(resets),
        Simultaneous(simultaneous),
        SynFlood(syn_flood),
        SynSent(syn_sent),
        TimeWait(time_wait),
    }
}

of_rules! {
    /// What to do.
    Action {
        AcceptQueueFull(accept_queue_full),
        CloseWait(close_wait),
        Crowd(crowd),
        DeadPeers(dead_peers),
        FinWait1(fin_wait1),
        FinWait2(fin_wait2),
        HalfOpenFull(half_open_full),
        LastAck(last_ack),
        LocalPorts(local_ports),
        PairThreshold(pair_threshold),
        PortExhaustion(port_exhaustion),
        Resets(resets),
        Silent(silent),
        Simultaneous(simultaneous),
        SlowRead(slow_read),
        SlowRequest(slow_request),
        SynFlood(syn_flood),
        SynSent(syn_sent),
        TimeWait(time_wait),
    }
}

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
