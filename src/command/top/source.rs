//! Where the numbers of a live view come from: the activation, or a capture.

use rustc_hash::FxHashMap;

use crate::backend::session::Listeners;
use crate::command::top::people::People;
use crate::error::Result;
use crate::model::conn::Conn;
use crate::model::filter::Show;
use crate::model::reason::Reason;
use crate::model::state::State;
use crate::model::top::rates::{Rate, Sample};
use crate::model::transition::Transition;

/// A source.
pub trait Source {
    /// Looks at the counters; `None`: nothing is active.
    ///
    /// # Errors
    /// A call fails.
    fn look(&mut self, show: &Show, people: &mut People) -> Result<Option<Look>>;

    /// Passes each connection to `take`, and returns their moment in monotonic nanoseconds.
    ///
    /// # Errors
    /// Not active, or a call fails.
    fn connections(&self, take: &mut dyn FnMut(&Conn)) -> Result<u64>;

    /// The listeners.
    ///
    /// # Errors
    /// Not active, or a call fails.
    fn listeners(&self) -> Result<Listeners>;

    /// The recorded transitions of a connection, and whether earlier ones may be missing.
    ///
    /// # Errors
    /// Not active, or a call fails.
    fn steps(&mut self, conn: &Conn) -> Result<(Vec<Transition>, bool)>;
}

/// One look at the counters.
pub struct Look {
    /// The numbers.
    pub sample: Sample,
    /// What they were at the last looks.
    pub trends: Trends,
}

/// Numbers at the last looks, the latest last.
#[derive(Debug, Clone, Default)]
pub struct Trends {
    /// Transitions per second, in thousandths.
    pub changes: Vec<u64>,
    states: FxHashMap<u8, Vec<u64>>,
    reasons: FxHashMap<u16, Vec<u64>>,
}

/// Looks that are remembered.
pub const LOOKS: usize = 300;

impl Trends {
    /// Adds a look.
    pub fn add(&mut self, sample: &Sample) {
        let thousandths = |rate: Option<Rate>| rate.unwrap_or_default().0;
        push(&mut self.changes, thousandths(sample.changes));
        for row in &sample.states {
            push(self.states.entry(row.state.0).or_default(), row.count);
        }
        for row in &sample.reasons {
            let trend = self.reasons.entry(row.reason.0).or_default();
            push(trend, thousandths(row.rate));
        }
    }

    /// Connections in a state.
    pub fn state(&self, state: State) -> Vec<u64> {
        self.states.get(&state.0).cloned().unwrap_or_default()
    }

    /// Ends per second for a reason, in thousandths.
    pub fn reason(&self, reason: Reason) -> Vec<u64> {
        self.reasons.get(&reason.0).cloned().unwrap_or_default()
    }
}

fn push(values: &mut Vec<u64>, value: u64) {
    if values.len() >= LOOKS {
        values.remove(0);
    }
    values.push(value);
}
