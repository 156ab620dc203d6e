//! The table of tracked connections (`nf_conntrack`) is full: the kernel drops the packets of new
//! connections.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::tally::percent;
use crate::fmt::text::words;
use crate::host::netns::{TRACKED, TRACKED_MAX};

/// The rule.
pub static RULE: Rule = Rule {
    names: &["conntrack-full"],
    looks_at: words!(
        "the number of connections that `nf_conntrack` tracks, where it is loaded, compared \
               with its maximum, in the 16 namespaces with the most connections",
        "在连接最多的 16 个命名空间中，`nf_conntrack`（若已加载）跟踪的连接数与其上限之比"
    ),
    refuted_by: words!(
        "a table that has room now: its counters of drops include the past",
        "表现在未满：其丢弃计数包含过去的丢弃"
    ),
    alike: words!(
        "a maximum that is too low, a flood of packets, and time-outs that keep entries of \
            connections that have ended",
        "上限过低、报文洪水，以及过长的超时使已结束连接的条目仍被保留"
    ),
    remedy: words!(
        "raise the maximum, shorten the time-outs, do not track what need not be tracked",
        "调大上限，缩短超时，不跟踪无需跟踪的流量"
    ),
    limits: &[PERCENT],
    find,
};

/// Share of the table from which on it counts as full.
pub const PERCENT: Limit = Limit {
    key: "percent",
    default: 95,
    range: (1, 100),
    unit: words!(
        "percent of nf_conntrack_max",
        "占 nf_conntrack_max 的百分比"
    ),
    why: words!(
        "leaves time to act; at the maximum, new connections are dropped",
        "留出处理的时间；达到上限时新的连接被丢弃"
    ),
};

/// Number of namespaces that are looked at.
const NAMESPACES: usize = 16;

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The table.
    pub table: Table,
}

/// A table of tracked connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Number of entries.
    pub entries: u64,
    /// Maximum number.
    pub max: u64,
}

impl Table {
    /// Whether a new connection finds no room.
    pub fn is_full(&self) -> bool {
        self.entries >= self.max
    }

    fn percent(&self) -> u64 {
        percent(self.entries, self.max)
    }
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Raise the maximum.
    RaiseMax,
}

/// The table of a namespace; `None`: it has none, or no limit.
fn table(facts: &Facts, netns: u32) -> Option<Table> {
    let namespace = facts.namespace(netns);
    Some(Table {
        entries: namespace.counter(TRACKED)?,
        max: namespace.number(TRACKED_MAX).filter(|max| *max > 0)?,
    })
}

/// The tables that are full, with their namespaces.
fn full_tables(facts: &Facts, least: u64) -> Vec<(u32, Table)> {
    if !facts.tracks_connections() {
        return Vec::new();
    }
    let namespaces = facts.largest_namespaces(NAMESPACES).into_iter();
    let tables = namespaces.filter_map(|netns| Some((netns, table(facts, netns)?)));
    tables
        .filter(|(_, table)| table.percent() >= least)
        .collect()
}

/// A table that connections of this namespace may find full: its own, or another one on their way
/// out of the host.
pub fn in_the_way(facts: &Facts, netns: u32) -> Option<Table> {
    if !facts.tracks_connections() {
        return None;
    }
    let least = PERCENT.default;
    let own = table(facts, netns).filter(|table| table.percent() >= least);
    let other = || full_tables(facts, least).first().map(|(_, table)| *table);
    own.or_else(other)
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let full = full_tables(facts, limits.get(&PERCENT));
    let finding = |(netns, table): (u32, Table)| {
        let severity = match table.is_full() {
            true => Severity::Critical,
            false => Severity::Warning,
        };
        let namespace = facts.namespace(netns);
        let subject = facts.nobody(netns);
        Finding::new("conntrack-full", severity, Problem { table }, subject)
            .number("nf_conntrack_count", table.entries)
            .number("nf_conntrack_max", table.max)
            .number("percent", table.percent())
            .counters(
                &namespace,
                &[
                    "nf_conntrack_drop",
                    "nf_conntrack_early_drop",
                    "nf_conntrack_insert_failed",
                ],
            )
            .remedy_if(facts.remedy(netns, TRACKED_MAX, Action::RaiseMax))
    };
    full.into_iter().map(finding).collect()
}
