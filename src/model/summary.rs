//! The totals: the last part of every report.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::event::{Progress, RingState};
use crate::model::handshakes::{self, Counter};
use crate::model::histogram::percentile;
use crate::model::hook::Hook;
use crate::model::lives::{InCgroup, Lives};
use crate::model::state::State;
use crate::model::stats::Stats;
use crate::model::transition_count::TransitionCount;

/// Counts of one report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThisReport {
    /// Transitions that were read.
    pub transitions: u64,
    /// Transitions that were printed; the others did not match the keys.
    pub shown: u64,
    /// Alarms that were read.
    pub alarms: u64,
    /// Alarms that were printed.
    pub alarms_shown: u64,
    /// Ended connections that were printed.
    pub lives: u64,
    /// Live connections that were printed.
    pub connections: u64,
    /// Listeners that were printed.
    pub listeners: u64,
    /// Records that were overwritten before this report could read them.
    pub overwritten: u64,
    /// Records of an unknown type.
    pub unknown_records: u64,
}

impl ThisReport {
    /// Adds the progress of reading the rings.
    pub fn add(&mut self, progress: &[Progress]) {
        let add = |to: &mut u64, number| *to = to.saturating_add(number);
        for ring in progress {
            let read = (ring.to - ring.from).saturating_sub(ring.overwritten);
            let others = ring.unknown.saturating_add(ring.alarms);
            add(&mut self.transitions, read.saturating_sub(others));
            add(&mut self.alarms, ring.alarms);
            add(&mut self.overwritten, ring.overwritten);
            add(&mut self.unknown_records, ring.unknown);
        }
    }
}

/// Totals of one kind of transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitionTotal {
    /// Old state.
    pub old: State,
    /// New state.
    pub new: State,
    /// Number of transitions.
    pub count: u64,
    /// Number of those with an exact time; the times below cover only these.
    pub timed: u64,
    /// Sum of the times in the old state, in nanoseconds.
    pub total_ns: u64,
    /// Longest time in nanoseconds; `None` if no time is exact.
    pub max_ns: Option<u64>,
    /// Median and 99th percentile in nanoseconds; `None` also if the module has no histogram.
    pub percentiles: Option<[u64; 2]>,
}

impl TransitionTotal {
    fn new(transition: &TransitionCount) -> Self {
        let part = |percent| percentile(&transition.hist, transition.max_ns, percent);
        let percentiles = part(50).zip(part(99));
        Self {
            old: transition.old,
            new: transition.new,
            count: transition.count,
            timed: transition.timed,
            total_ns: transition.total_ns,
            max_ns: (transition.timed > 0).then_some(transition.max_ns),
            percentiles: percentiles.map(|(p50, p99)| [p50, p99]),
        }
    }
}

/// Merges transition counts by displayed state, so that no pair of names occurs twice.
fn merged(transitions: &[TransitionCount]) -> Vec<TransitionTotal> {
    let mut known: BTreeMap<(State, State), TransitionCount> = BTreeMap::new();
    for transition in transitions {
        let (old, new) = (transition.old.known_as(), transition.new.known_as());
        let sum = known.entry((old, new));
        sum.or_insert_with(|| TransitionCount::new(old, new))
            .add(transition);
    }
    known.values().map(TransitionTotal::new).collect()
}

/// The totals since the activation, and the counts of this report.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Counters of the module.
    pub stats: Stats,
    /// Transition counts by old and new state.
    pub transition_counts: Vec<TransitionTotal>,
    /// Outcome of the SYNs that listeners received.
    pub handshakes: Vec<Counter>,
    /// Connections that have ended.
    pub lives: Lives,
    /// Live connections by cgroup; empty if not requested.
    pub cgroups: Vec<InCgroup>,
    /// Records that were overwritten before any report could read them.
    pub overwritten: u64,
    /// Records that the next report will print.
    pub pending: u64,
    /// Counts of this report.
    pub this_report: ThisReport,
    /// Findings of a diagnosis, if one was run.
    pub findings: Option<FindingCounts>,
}

impl Summary {
    /// Creates totals that balance: recorded = reported + overwritten + pending.
    ///
    /// `unconsumed` is the number of records that are overwritten but that no report has consumed
    /// yet.
    pub fn new(
        stats: Stats,
        (transitions, lives): (&[TransitionCount], Lives),
        hooks: &[Hook],
        unconsumed: u64,
        this_report: ThisReport,
    ) -> Self {
        let overwritten = stats.overwritten.saturating_add(unconsumed);
        let gone = stats.reported.saturating_add(overwritten);
        Self {
            stats,
            transition_counts: merged(transitions),
            handshakes: handshakes::counters(&stats.handshakes, hooks),
            lives,
            cgroups: Vec::new(),
            overwritten,
            pending: stats.recorded.saturating_sub(gone),
            this_report,
            findings: None,
        }
    }
}

/// Number of records that were overwritten since a report last consumed any.
pub fn unconsumed_of(rings: &[RingState], ring_records: u32) -> u64 {
    let gone = |ring: &RingState| {
        let oldest = ring.head.saturating_sub(ring_records.into());
        oldest.saturating_sub(ring.consumed)
    };
    rings.iter().map(gone).fold(0, u64::saturating_add)
}

/// Number of findings by severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FindingCounts {
    /// Number of critical findings.
    pub critical: u64,
    /// Number of warnings.
    pub warning: u64,
    /// Number of other findings.
    pub info: u64,
}

impl FindingCounts {
    /// Number of findings that are at least warnings.
    pub fn bad(self) -> u64 {
        self.critical + self.warning
    }

    /// Total number of findings.
    pub fn all(self) -> u64 {
        self.bad() + self.info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_that_make_no_sense_are_added_up() {
        let ring = RingState {
            head: u64::MAX,
            ..RingState::default()
        };
        assert_eq!(unconsumed_of(&[ring, ring], 64), u64::MAX);
        let progress = Progress {
            cpu: 0,
            from: 0,
            to: u64::MAX,
            overwritten: u64::MAX - 7,
            alarms: 3,
            unknown: 4,
        };
        let mut this = ThisReport::default();
        this.add(&[progress; 3]);
        assert_eq!((this.overwritten, this.transitions), (u64::MAX, 0));
        assert_eq!((this.alarms, this.unknown_records), (9, 12));
    }

    fn transition(old: u8, new: u8, bucket: usize, max_ns: u64) -> TransitionCount {
        let mut transition = TransitionCount {
            count: 3,
            timed: 1,
            total_ns: max_ns,
            max_ns,
            ..TransitionCount::new(State(old), State(new))
        };
        transition.hist[bucket] = 1;
        transition
    }

    #[test]
    fn a_pair_of_names_comes_once() {
        let transitions = [
            transition(12, 1, 0, 500),
            transition(0, 12, 0, 7),
            transition(3, 1, 100, 1 << 40),
            transition(1, 4, 0, 9),
        ];
        let rows = merged(&transitions);
        let pairs: Vec<_> = rows.iter().map(|e| (e.old.0, e.new.0)).collect();
        assert_eq!(pairs, [(0, 3), (1, 4), (3, 1)]);
        let both = &rows[2];
        assert_eq!((both.count, both.timed), (6, 2));
        assert_eq!(both.total_ns, 500 + (1 << 40));
        assert_eq!(both.max_ns, Some(1 << 40));
        let p99 = crate::model::histogram::upper_bound(100);
        assert_eq!(both.percentiles, Some([1024, p99]));
    }

    #[test]
    fn no_percentile_is_told_of_what_has_no_histogram() {
        let mut unknown = transition(12, 1, 0, 500);
        unknown.hist = [0; 160];
        let rows = merged(&[unknown]);
        assert_eq!((rows[0].max_ns, rows[0].percentiles), (Some(500), None));
        for transitions in [
            [unknown, transition(3, 1, 0, 7)],
            [transition(3, 1, 0, 7), unknown],
        ] {
            let rows = merged(&transitions);
            assert_eq!((rows.len(), rows[0].count, rows[0].timed), (1, 6, 2));
            assert_eq!((rows[0].max_ns, rows[0].percentiles), (Some(500), None));
        }
        let untimed = TransitionCount {
            timed: 0,
            max_ns: 0,
            ..unknown
        };
        let rows = merged(&[untimed, transition(3, 1, 0, 7)]);
        assert_eq!(rows[0].percentiles, Some([7, 7]));
    }

    #[test]
    fn absurd_counts_stay_at_their_most() {
        let mut most = transition(3, 1, 0, 1);
        (most.count, most.timed, most.total_ns) = (u64::MAX, u64::MAX, u64::MAX);
        most.hist = [u64::MAX; 160];
        let rows = merged(&[most, transition(12, 1, 0, 5)]);
        assert_eq!(
            (rows.len(), rows[0].count, rows[0].total_ns),
            (1, u64::MAX, u64::MAX)
        );
    }
}
