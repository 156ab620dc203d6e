//! Number of transitions between two states, and the time spent in the first.

use crate::abi;
use crate::model::histogram::BUCKETS;
use crate::model::state::State;

/// The transitions from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransitionCount {
    /// Old state.
    pub old: State,
    /// New state.
    pub new: State,
    /// Number of transitions.
    pub count: u64,
    /// Number of those with an exact time in the old state; the values below cover only these.
    pub timed: u64,
    /// Sum of the times in nanoseconds.
    pub total_ns: u64,
    /// Longest time in nanoseconds.
    pub max_ns: u64,
    /// Histogram of the times; all 0 if the module has none.
    pub hist: [u64; BUCKETS],
}

impl TransitionCount {
    /// A count of zero.
    pub fn new(old: State, new: State) -> Self {
        Self {
            old,
            new,
            count: 0,
            timed: 0,
            total_ns: 0,
            max_ns: 0,
            hist: [0; BUCKETS],
        }
    }

    /// Converts from the ABI structure.
    pub fn from_abi(raw: &abi::TransitionCount) -> Self {
        Self {
            count: raw.count,
            timed: raw.timed,
            total_ns: raw.total_ns,
            max_ns: raw.max_ns,
            hist: raw.hist,
            ..Self::new(State(raw.old_state), State(raw.new_state))
        }
    }

    /// Whether the module keeps a histogram of these transitions: it keeps none for transitions
    /// that the kernel is not known to make.
    fn has_histogram(&self) -> bool {
        self.timed == 0 || self.hist.iter().any(|count| *count > 0)
    }

    /// Adds the counts of others.
    pub fn add(&mut self, others: &Self) {
        // A histogram of only some of them would give wrong percentiles.
        let is_whole = self.has_histogram() && others.has_histogram();
        self.count = self.count.saturating_add(others.count);
        self.timed = self.timed.saturating_add(others.timed);
        self.total_ns = self.total_ns.saturating_add(others.total_ns);
        self.max_ns = self.max_ns.max(others.max_ns);
        for (sum, count) in self.hist.iter_mut().zip(&others.hist) {
            *sum = match is_whole {
                true => sum.saturating_add(*count),
                false => 0,
            };
        }
    }
}
