//! The totals: the last thing that a report says, and always there.

use crate::abi::{self, Edge, Stats};
use crate::error::Result;
use crate::hist::percentile;
use crate::merge::Progress;
use crate::recorder::Recorder;
use crate::state::State;

/// What one report did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThisReport {
    /// Transitions read.
    pub transitions: u64,
    /// Transitions printed: the rest did not pass the keys.
    pub shown: u64,
    /// Live connections printed.
    pub connections: u64,
    /// Transitions overwritten before this report could read them.
    pub overwritten: u64,
    /// Records of a type that this controller does not know.
    pub unknown_records: u64,
}

impl ThisReport {
    /// Adds what reading the rings came to.
    pub fn add(&mut self, progress: &[Progress]) {
        for ring in progress {
            let read = (ring.to - ring.from).saturating_sub(ring.overwritten);
            self.transitions += read.saturating_sub(ring.unknown);
            self.overwritten += ring.overwritten;
            self.unknown_records += ring.unknown;
        }
    }
}

/// One kind of transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeTotal {
    /// State before.
    pub old: State,
    /// State after.
    pub new: State,
    /// How many.
    pub count: u64,
    /// How many of them have an exact time; the times below are of these.
    pub timed: u64,
    /// Nanoseconds in the old state, together.
    pub total_ns: u64,
    /// Nanoseconds: median, 99th percentile and longest; `None` without a timed one.
    pub times: Option<[u64; 3]>,
}

impl EdgeTotal {
    fn new(edge: &Edge) -> Self {
        let times = percentile(edge, 50).zip(percentile(edge, 99));
        Self {
            old: State(edge.old_state),
            new: State(edge.new_state),
            count: edge.count,
            timed: edge.timed,
            total_ns: edge.total_ns,
            times: times.map(|(p50, p99)| [p50, p99, edge.max_ns]),
        }
    }
}

/// The totals since the activation, and what this report did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What the module counted.
    pub stats: Counts,
    /// The kinds of transitions, by old and new state.
    pub edges: Vec<EdgeTotal>,
    /// Transitions that were overwritten before any report could read them.
    pub overwritten: u64,
    /// Transitions that the next report will give.
    pub pending: u64,
    /// What this report did.
    pub this_report: ThisReport,
}

/// The module's counters; see `struct tcpstates_stats`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in the header")]
pub struct Counts {
    pub now_ns: u64,
    pub activated_ns: u64,
    pub seen: u64,
    pub filtered: u64,
    pub too_short: u64,
    pub recorded: u64,
    pub reported: u64,
    pub kprobe_missed: u64,
    pub tracked: u64,
    pub untracked: u64,
    pub unmatched: u64,
    pub stale: u64,
    pub seeded: u64,
    pub states: Vec<(State, u64)>,
}

impl Counts {
    fn new(stats: &Stats) -> Self {
        let of = |state: State| stats.states.get(usize::from(state.0)).copied().unwrap_or(0);
        Self {
            now_ns: stats.now_ns,
            activated_ns: stats.activated_ns,
            seen: stats.seen,
            filtered: stats.filtered,
            too_short: stats.too_short,
            recorded: stats.recorded,
            reported: stats.reported,
            kprobe_missed: stats.kprobe_missed,
            tracked: stats.tracked,
            untracked: stats.untracked,
            unmatched: stats.unmatched,
            stale: stats.stale,
            seeded: stats.seeded,
            states: State::all().map(|s| (s, of(s))).collect(),
        }
    }

    /// Nanoseconds since the activation.
    pub fn active_ns(&self) -> u64 {
        self.now_ns.saturating_sub(self.activated_ns)
    }
}

impl Summary {
    /// Makes the books: recorded = reported + overwritten + pending.
    ///
    /// `unconsumed` are transitions that are known to be overwritten, but that no
    /// report has consumed yet.
    pub fn new(stats: &Stats, edges: &[Edge], unconsumed: u64, this_report: ThisReport) -> Self {
        let mut edges: Vec<_> = edges.iter().map(EdgeTotal::new).collect();
        edges.sort_by_key(|e| (e.old, e.new));
        let overwritten = stats.overwritten.saturating_add(unconsumed);
        let gone = stats.reported.saturating_add(overwritten);
        Self {
            stats: Counts::new(stats),
            edges,
            overwritten,
            pending: stats.recorded.saturating_sub(gone),
            this_report,
        }
    }
}

/// Transitions that were overwritten since the last report consumed any.
///
/// # Errors
/// Not active, or the calls fail.
pub fn unconsumed_overwritten(recorder: &impl Recorder, ring_records: u32) -> Result<u64> {
    let gone = |ring: &abi::RingState| {
        let oldest = ring.head.saturating_sub(ring_records.into());
        oldest.saturating_sub(ring.consumed)
    };
    Ok(recorder.rings()?.iter().map(gone).sum())
}
