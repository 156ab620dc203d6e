//! The filter of a report.

use crate::model::alarm::Alarm;
use crate::model::conn::Conn;
use crate::model::filter::{Filter, Rules};
use crate::model::listener::Listener;
use crate::model::reason::Reason;
use crate::model::state::State;
use crate::model::transition::Transition;

/// The filter of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Show {
    /// Connections to print.
    pub filter: Filter,
    /// States to print.
    pub states: Rules<State>,
    /// Reasons to print.
    pub reasons: Rules<Reason>,
    /// Minimum time in the (old) state in nanoseconds. An unknown time is never too short, as in
    /// the module.
    pub min_ns: u64,
}

impl Show {
    /// Whether a transition is printed.
    pub fn transition(&self, event: &Transition) -> bool {
        event.in_old.ns().is_none_or(|ns| ns >= self.min_ns)
            && self.states.matches(&[event.old, event.new])
            && self.reasons.matches(event.reason)
            && self.filter.matches(&event.who)
    }

    /// Whether a live connection is printed, at `now_ns` (monotonic).
    pub fn connection(&self, conn: &Conn, now_ns: u64) -> bool {
        conn.age(now_ns).ns().is_none_or(|ns| ns >= self.min_ns)
            && self.states.matches(&[conn.state])
            && self.reasons.matches(conn.reason)
            && self.filter.matches(&conn.who)
    }

    /// Whether an alarm is printed: an alarm has no state, reason or time in a state.
    pub fn alarm(&self, alarm: &Alarm) -> bool {
        match alarm.is_pair() {
            true => self.filter.matches_pair(&alarm.who),
            false => self.filter.matches_listener(&alarm.who),
        }
    }

    /// Whether a listener is printed, at `now_ns` (monotonic).
    pub fn listener(&self, listener: &Listener, now_ns: u64) -> bool {
        listener.age(now_ns).ns().is_none_or(|ns| ns >= self.min_ns)
            && self.states.matches(&[State::LISTEN])
            && self.reasons.matches(Reason::NONE)
            && self.filter.matches_listener(&listener.who)
    }
}
