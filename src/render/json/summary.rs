//! The totals as a JSON line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use crate::fmt::json;
use crate::host::names::Names;
use crate::model::handshakes::Counter;
use crate::model::lives::{Durations, Ended, InCgroup, Which, reason_name};
use crate::model::stats::Stats;
use crate::model::summary::{FindingCounts, Summary, ThisReport, TransitionTotal};
use crate::render::time::Clock;

#[derive(Serialize)]
struct SummaryJson<'a> {
    r#type: &'static str,
    ts: String,
    since: String,
    active_ns: u64,
    #[serde(serialize_with = "states")]
    states: &'a Stats,
    transitions: Vec<TransitionTotalJson>,
    handshakes: Counts<'a>,
    tracked: u64,
    untracked: u64,
    pairs: u64,
    listeners: u64,
    lost: CausesJson,
    unmatched: u64,
    seeded: u64,
    seen: u64,
    alarms: u64,
    filtered: u64,
    too_short: u64,
    recorded: u64,
    reported: u64,
    pending: u64,
    this_report: ThisReportJson,
    ends: Ends<'a>,
    lives: LifeOf<'a>,
    accept_wait: DurationsJson,
    cgroups: Vec<CgroupJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<FindingCounts>,
}

/// Causes of missing transitions, ends of connections, and counts of pairs and listeners.
#[derive(Serialize)]
pub struct CausesJson {
    pub overwritten: u64,
    pub kprobe_missed: u64,
    pub ringless: u64,
    pub stale: u64,
    pub evicted: u64,
    pub uncounted: u64,
    pub unlisted: u64,
}

#[derive(Serialize)]
struct ThisReportJson {
    transitions: u64,
    shown: u64,
    alarms: u64,
    alarms_shown: u64,
    connections: u64,
    listeners: u64,
    overwritten: u64,
    unknown_records: u64,
    lives: u64,
}

#[derive(Serialize)]
struct TransitionTotalJson {
    old: Cow<'static, str>,
    new: Cow<'static, str>,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ns: Option<u64>,
    timed: u64,
}

/// Role names, each with the counts by reason.
struct Ends<'a>(&'a [Ended]);

/// Counts by reason of one role.
struct EndsOf<'a>(&'a Ended);

/// Role names, each with the lifetimes of its connections.
struct LifeOf<'a>(&'a [Ended]);

impl Serialize for Ends<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let counted = self.0.iter().filter(|e| !e.ends.is_empty());
        to.collect_map(counted.map(|e| (e.role_name(), EndsOf(e))))
    }
}

impl Serialize for EndsOf<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(
            self.0
                .ends
                .iter()
                .map(|(reason, n)| (reason_name(*reason), n)),
        )
    }
}

impl Serialize for LifeOf<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let lived = self.0.iter().filter(|e| e.life.count > 0);
        to.collect_map(lived.map(|e| (e.role_name(), DurationsJson::new(&e.life))))
    }
}

#[derive(Serialize)]
struct DurationsJson {
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ns: Option<u64>,
}

impl DurationsJson {
    fn new(durations: &Durations) -> Self {
        let times = durations.times;
        Self {
            count: durations.count,
            total_ns: times.map(|_| durations.total_ns),
            p50_ns: times.map(|t| t[0]),
            p99_ns: times.map(|t| t[1]),
            max_ns: times.map(|t| t[2]),
        }
    }
}

/// An entry without an id and `others` is for connections whose cgroup is unknown.
#[derive(Serialize)]
struct CgroupJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    others: Option<bool>,
    connections: u64,
    states: BTreeMap<Cow<'static, str>, u64>,
}

impl CgroupJson {
    fn new(of: &InCgroup, names: &mut Names) -> Self {
        let id = match of.cgroup {
            Which::Id(id) => Some(id),
            Which::Unknown | Which::Others => None,
        };
        let named = id.and_then(|id| names.cgroup(id));
        Self {
            cgroup: named.as_ref().map(|c| c.path.clone()),
            cgroup_id: id,
            container: named.as_ref().and_then(|c| c.container.clone()),
            others: (of.cgroup == Which::Others).then_some(true),
            connections: of.total,
            states: of.states.iter().map(|(s, n)| (s.name(), *n)).collect(),
        }
    }
}

fn states<S: Serializer>(stats: &&Stats, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(stats.by_state().map(|(state, n)| (state.name(), n)))
}

/// Counters by name.
pub struct Counts<'a>(pub &'a [Counter]);

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().filter_map(|c| Some((c.name, c.count?))))
    }
}

impl TransitionTotalJson {
    fn new(transition: &TransitionTotal) -> Self {
        Self {
            old: transition.old.name(),
            new: transition.new.name(),
            count: transition.count,
            total_ns: transition.max_ns.map(|_| transition.total_ns),
            p50_ns: transition.percentiles.map(|t| t[0]),
            p99_ns: transition.percentiles.map(|t| t[1]),
            max_ns: transition.max_ns,
            timed: transition.timed,
        }
    }
}

impl ThisReportJson {
    fn new(this: &ThisReport) -> Self {
        Self {
            transitions: this.transitions,
            shown: this.shown,
            alarms: this.alarms,
            alarms_shown: this.alarms_shown,
            connections: this.connections,
            listeners: this.listeners,
            overwritten: this.overwritten,
            unknown_records: this.unknown_records,
            lives: this.lives,
        }
    }
}

/// Writes the totals.
pub fn write(
    out: &mut dyn Write,
    clock: &Clock,
    names: &mut Names,
    summary: &Summary,
) -> io::Result<()> {
    let stats = &summary.stats;
    let object = SummaryJson {
        r#type: "summary",
        ts: clock.rfc3339(stats.now_ns),
        since: clock.rfc3339(stats.activated_ns),
        active_ns: stats.active_ns(),
        states: stats,
        transitions: summary
            .transition_counts
            .iter()
            .map(TransitionTotalJson::new)
            .collect(),
        handshakes: Counts(&summary.handshakes),
        tracked: stats.tracked,
        untracked: stats.untracked,
        pairs: stats.pairs,
        listeners: stats.listeners,
        lost: CausesJson {
            overwritten: summary.overwritten,
            kprobe_missed: stats.kprobe_missed,
            ringless: stats.ringless,
            stale: stats.stale,
            evicted: stats.evicted,
            uncounted: stats.uncounted,
            unlisted: stats.unlisted,
        },
        unmatched: stats.unmatched,
        seeded: stats.seeded,
        seen: stats.seen,
        alarms: stats.alarms,
        filtered: stats.filtered,
        too_short: stats.too_short,
        recorded: stats.recorded,
        reported: stats.reported,
        pending: summary.pending,
        this_report: ThisReportJson::new(&summary.this_report),
        ends: Ends(&summary.lives.ended),
        lives: LifeOf(&summary.lives.ended),
        accept_wait: DurationsJson::new(&summary.lives.accept_wait),
        cgroups: summary
            .cgroups
            .iter()
            .map(|of| CgroupJson::new(of, names))
            .collect(),
        findings: summary.findings,
    };
    json::line(out, &object)
}
