//! The playback of a recording: from the live connections at its end, the states at an earlier
//! moment are found by undoing the recorded transitions, the latest first.
//!
//! Times are monotonic nanoseconds.

mod build;

use rustc_hash::{FxHashMap, FxHashSet};

pub use build::Builder;

use crate::abi;
use crate::model::alarm::Alarm;
use crate::model::conn::Conn;
use crate::model::ident::Ident;
use crate::model::reason::Reason;
use crate::model::span::Span;
use crate::model::state::State;
use crate::model::top::tally::Counted;
use crate::model::transition::Transition;

const STATES: usize = abi::TCPSTATES_NR_STATES as usize;
/// The counts are stored before every so many steps.
const MARK: usize = 1_024;

/// Number of connections by state number.
pub type Counts = [u64; STATES];

/// One recorded transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in a transition")]
pub struct Step {
    pub ts: u64,
    pub old: State,
    pub new: State,
    pub reason: Reason,
    pub in_old: Span,
    /// Index of its connection.
    who: u32,
    /// The state that followed: not `new` if a transition between the two is missing.
    after: State,
    /// Whether it was recorded; otherwise it is only known that the connection began then.
    recorded: bool,
}

/// Why the time before [`Playback::from_ns`] is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// The recording began then.
    Activation,
    /// So many earlier events are not in the rings any more.
    Overwritten(u64),
}

/// A recording.
#[derive(Debug)]
pub struct Playback {
    steps: Vec<Step>,
    idents: Vec<Ident>,
    alarms: Vec<Alarm>,
    /// The counts before the steps 0, [`MARK`], 2 × [`MARK`] …
    marks: Vec<Counts>,
    /// The counts after the last step.
    last: Counts,
    /// The first moment at which all states are known.
    pub from_ns: u64,
    /// Its last moment.
    pub end_ns: u64,
    /// Why it does not begin earlier.
    pub before: Before,
}

/// Whether a connection in this state exists: the module does not track closed ones.
fn exists(state: State) -> bool {
    ![State::NEW, State::CLOSE].contains(&state)
}

fn count(counts: &mut Counts, state: State, add: bool) {
    if !exists(state) {
        return;
    }
    if let Some(count) = counts.get_mut(usize::from(state.0)) {
        *count = match add {
            true => count.saturating_add(1),
            false => count.saturating_sub(1),
        };
    }
}

impl Playback {
    /// Number of the first step after `ns`.
    fn after(&self, ns: u64) -> usize {
        self.steps.partition_point(|step| step.ts <= ns)
    }

    /// The connections by state at a moment.
    pub fn counts_at(&self, ns: u64) -> Counts {
        let index = self.after(ns);
        let mark = index.div_ceil(MARK);
        let (mut counts, end) = match self.marks.get(mark) {
            Some(counts) => (*counts, mark * MARK),
            None => (self.last, self.steps.len()),
        };
        for step in self.steps[index..end.max(index)].iter().rev() {
            count(&mut counts, step.after, false);
            count(&mut counts, step.old, true);
        }
        counts
    }

    /// The recorded transitions after `from` and up to `to`.
    pub fn between(&self, from: u64, to: u64) -> impl DoubleEndedIterator<Item = &Step> {
        let (from, to) = (self.after(from), self.after(to));
        let steps = &self.steps[from.min(to)..to];
        steps.iter().filter(|step| step.recorded)
    }

    /// The alarms after `from` and up to `to`.
    pub fn alarms(&self, from: u64, to: u64) -> impl Iterator<Item = &Alarm> {
        let inside = move |alarm: &&Alarm| alarm.ts > from && alarm.ts <= to;
        self.alarms.iter().filter(inside)
    }

    /// The moment of the next recorded transition after `ns`, or of the last one before it.
    pub fn neighbour(&self, ns: u64, forwards: bool) -> Option<u64> {
        let step = match forwards {
            true => self.between(ns, u64::MAX).next(),
            false => self.between(0, ns.saturating_sub(1)).next_back(),
        };
        step.map(|step| step.ts)
    }

    /// The connection of a step.
    pub fn who(&self, step: &Step) -> &Ident {
        &self.idents[step.who as usize]
    }

    /// The recorded transitions of a connection, by the module's id.
    pub fn of_conn(&self, conn: u64) -> impl Iterator<Item = &Step> {
        let is_it = move |step: &&Step| step.recorded && self.who(step).conn == conn;
        self.steps.iter().filter(is_it)
    }

    /// The connections at a moment, as far as they have changed or ended since, by the module's
    /// id; `None`: it did not exist then. Their counters are unknown.
    pub fn changed_since(&self, ns: u64) -> FxHashMap<u64, Option<Conn>> {
        let mut changed = FxHashMap::default();
        let mut seen = FxHashSet::default();
        for step in &self.steps[self.after(ns)..] {
            if seen.insert(step.who) {
                let who = self.who(step);
                changed.insert(who.conn, exists(step.old).then(|| self.conn_before(step)));
            }
        }
        changed
    }

    /// A connection before a step.
    fn conn_before(&self, step: &Step) -> Conn {
        let start = |ns: u64| step.ts.saturating_sub(ns);
        let since = match step.in_old {
            Span::Unknown => Span::Unknown,
            Span::AtLeast(ns) => Span::AtLeast(start(ns)),
            Span::Exact(ns) => Span::Exact(start(ns)),
        };
        Conn {
            who: *self.who(step),
            state: step.old,
            since,
            first_seen_ns: since.ns().unwrap_or(self.from_ns),
            reason: Reason::NONE,
            synacks: None,
            meters: None,
            activity: None,
            recv_q: None,
        }
    }

    /// What is counted of a step.
    pub fn counted(&self, step: &Step) -> Counted {
        Counted {
            old: step.old,
            new: step.new,
            in_old: step.in_old,
            reason: step.reason,
            role: self.who(step).role,
        }
    }

    /// A step as a transition, for filters; its counters are unknown.
    pub fn transition(&self, step: &Step) -> Transition {
        Transition {
            ts: step.ts,
            in_old: step.in_old,
            old: step.old,
            new: step.new,
            reason: step.reason,
            error: 0,
            synacks: None,
            who: *self.who(step),
            meters: None,
        }
    }
}

#[cfg(test)]
mod tests;
