//! The totals: the last thing that a report says, and always there.

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

/// What one report did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThisReport {
    /// Transitions read.
    pub transitions: u64,
    /// Transitions printed: the rest did not pass the keys.
    pub shown: u64,
    /// Alarms read.
    pub alarms: u64,
    /// Alarms printed.
    pub alarms_shown: u64,
    /// Live connections printed.
    pub connections: u64,
    /// Listeners printed.
    pub listeners: u64,
    /// Records overwritten before this report could read them.
    pub overwritten: u64,
    /// Records of a type that this controller does not know.
    pub unknown_records: u64,
}

impl ThisReport {
    /// Adds what reading the rings came to.
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

/// One kind of transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitionTotal {
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
    /// Nanoseconds: the longest; `None` without a timed one.
    pub max_ns: Option<u64>,
    /// Nanoseconds: median and 99th percentile; `None` as well where the module keeps no histogram.
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

/// The kinds of transitions by the states that people know: no pair of names comes twice.
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

/// The totals since the activation, and what this report did.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What the module counted.
    pub stats: Stats,
    /// The kinds of transitions, by old and new state.
    pub transition_counts: Vec<TransitionTotal>,
    /// What became of the SYNs that listeners got.
    pub handshakes: Vec<Counter>,
    /// Connections that have ended.
    pub lives: Lives,
    /// Where the live connections are; none where it was not asked for.
    pub cgroups: Vec<InCgroup>,
    /// Records that were overwritten before any report could read them.
    pub overwritten: u64,
    /// Records that the next report will give.
    pub pending: u64,
    /// What this report did.
    pub this_report: ThisReport,
    /// What a diagnosis found, when there was one.
    pub findings: Option<FindingCounts>,
}

impl Summary {
    /// Makes the totals balance: recorded = reported + overwritten + pending.
    ///
    /// `unconsumed` are records that are known to be overwritten, but that no
    /// report has consumed yet.
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

/// Records of rings that were overwritten since the last report consumed any.
pub fn unconsumed_of(rings: &[RingState], ring_records: u32) -> u64 {
    let gone = |ring: &RingState| {
        let oldest = ring.head.saturating_sub(ring_records.into());
        oldest.saturating_sub(ring.consumed)
    };
    rings.iter().map(gone).fold(0, u64::saturating_add)
}

/// How many findings there are of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FindingCounts {
    /// Critical ones.
    pub critical: u64,
    /// Warnings.
    pub warning: u64,
    /// The rest.
    pub info: u64,
}

impl FindingCounts {
    /// Those that are at least warnings.
    pub fn bad(self) -> u64 {
        self.critical + self.warning
    }

    /// All of them.
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
