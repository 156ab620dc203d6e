//! How often connections went from one state to another, and how long they were in the first.

use crate::abi;
use crate::model::histogram::BUCKETS;
use crate::model::state::State;

/// The transitions from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransitionCount {
    /// State before.
    pub old: State,
    /// State after.
    pub new: State,
    /// How many.
    pub count: u64,
    /// How many of them have an exact time in the old state; the rest is of these.
    pub timed: u64,
    /// Nanoseconds, together.
    pub total_ns: u64,
    /// Nanoseconds, the longest.
    pub max_ns: u64,
    /// Their histogram; all 0 where the module keeps none.
    pub hist: [u64; BUCKETS],
}

impl TransitionCount {
    /// None yet.
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

    /// From the form of the ABI.
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

    /// Whether the module keeps a histogram of them: it keeps none of a transition that the kernel
    /// is not known to make.
    fn has_histogram(&self) -> bool {
        self.timed == 0 || self.hist.iter().any(|count| *count > 0)
    }

    /// Adds others.
    pub fn add(&mut self, others: &Self) {
        // A percentile of a part would be taken for one of all.
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
