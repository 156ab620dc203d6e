//! The rules. Each checks the facts for one situation, and returns its findings as data.
//!
//! A new rule needs: a file with its [`Rule`], `Problem` and `Action`; a line in [`RULES`] and in
//! the two enums below; and its sentences in each language of `render::i18n::findings`, which does
//! not compile without them.
//!
//! A finding is identified by its rule and the addresses of its subject (`diagnose::identity`). A rule
//! says so if it is about a process or the host ([`Finding::about`]), or if it has several findings
//! about one subject ([`Finding::variant`]).
//!
//! The texts of a rule and its [`Limit`]s are the documentation of the file of limits. They are in
//! English, like all keys and errors.

pub mod accept_queue_full;
pub mod close_wait;
pub mod conntrack_full;
pub mod crowd;
pub mod dead_peers;
mod endpoint;
pub mod fin_wait1;
pub mod fin_wait2;
pub mod half_open_full;
mod held;
pub mod kernel_limits;
pub mod last_ack;
pub mod local_ports;
pub mod mtu_black_hole;
pub mod pair_threshold;
pub mod pile;
pub mod port_exhaustion;
pub mod resets;
pub mod self_connect;
pub mod silent;
pub mod simultaneous;
pub mod slow_read;
pub mod slow_request;
pub mod stuck_reader;
pub mod syn_flood;
pub mod syn_sent;
pub mod time_wait;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::{Limit, Limits};
use crate::fmt::text::Words;

/// All rules.
pub static RULES: &[&Rule] = &[
    &syn_flood::RULE,
    &stuck_reader::RULE,
    &slow_request::RULE,
    &slow_read::RULE,
    &silent::RULE,
    &pair_threshold::RULE,
    &accept_queue_full::RULE,
    &half_open_full::RULE,
    &close_wait::RULE,
    &time_wait::RULE,
    &port_exhaustion::RULE,
    &kernel_limits::RULE,
    &conntrack_full::RULE,
    &fin_wait1::RULE,
    &fin_wait2::RULE,
    &last_ack::RULE,
    &syn_sent::SYN_SENT,
    &syn_sent::SCANNER,
    &mtu_black_hole::RULE,
    &dead_peers::RULE,
    &resets::RULE,
    &self_connect::RULE,
    &simultaneous::RULE,
];

/// Defines an enum with one variant per rule, holding the type of this name in the rule's file.
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
    /// A problem.
    Problem {
        AcceptQueueFull(accept_queue_full),
        CloseWait(close_wait),
        ConntrackFull(conntrack_full),
        Crowd(crowd),
        HalfOpenFull(half_open_full),
        KernelLimits(kernel_limits),
        MtuBlackHole(mtu_black_hole),
        PairThreshold(pair_threshold),
        Pile(pile),
        PortExhaustion(port_exhaustion),
        Resets(resets),
        SelfConnect(self_connect),
        Simultaneous(simultaneous),
        StuckReader(stuck_reader),
        SynFlood(syn_flood),
        SynSent(syn_sent),
        TimeWait(time_wait),
    }
}

of_rules! {
    /// An action.
    Action {
        AcceptQueueFull(accept_queue_full),
        CloseWait(close_wait),
        ConntrackFull(conntrack_full),
        Crowd(crowd),
        DeadPeers(dead_peers),
        FinWait1(fin_wait1),
        FinWait2(fin_wait2),
        HalfOpenFull(half_open_full),
        KernelLimits(kernel_limits),
        LastAck(last_ack),
        LocalPorts(local_ports),
        MtuBlackHole(mtu_black_hole),
        PairThreshold(pair_threshold),
        PortExhaustion(port_exhaustion),
        Resets(resets),
        SelfConnect(self_connect),
        Silent(silent),
        Simultaneous(simultaneous),
        SlowRead(slow_read),
        SlowRequest(slow_request),
        StuckReader(stuck_reader),
        SynFlood(syn_flood),
        SynSent(syn_sent),
        TimeWait(time_wait),
    }
}

/// The names of all findings.
pub fn names() -> impl Iterator<Item = &'static str> {
    RULES.iter().flat_map(|rule| rule.names.iter().copied())
}

/// A rule that checks for one situation.
#[derive(Debug)]
pub struct Rule {
    /// Names of its findings. The first is also the name of its section in the file of limits.
    pub names: &'static [&'static str],
    /// The data that it checks, for the documentation.
    pub looks_at: Words,
    /// The facts that refute it, at which it looks, for the documentation.
    pub refuted_by: Words,
    /// What it cannot tell apart, for the documentation.
    pub alike: Words,
    /// The remedies in short, for the documentation.
    pub remedy: Words,
    /// The limits.
    pub limits: &'static [Limit],
    /// Checks the facts.
    pub find: fn(&Facts, &Bound) -> Vec<Finding>,
}

impl Rule {
    /// The first name, which identifies the rule.
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

    /// The value of a limit.
    pub fn get(&self, limit: &Limit) -> u64 {
        self.limits.get(self.rule, limit)
    }

    /// The value of a limit of another rule.
    pub fn of(&self, rule: &Rule, limit: &Limit) -> u64 {
        self.limits.get(rule, limit)
    }
}
