//! What a report shows.

use crate::model::alarm::Alarm;
use crate::model::conn::Conn;
use crate::model::filter::{Filter, Rules};
use crate::model::listener::Listener;
use crate::model::reason::Reason;
use crate::model::state::State;
use crate::model::transition::Transition;

/// What a report shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Show {
    /// Of these connections.
    pub filter: Filter,
    /// In these states.
    pub states: Rules<State>,
    /// For these reasons.
    pub reasons: Rules<Reason>,
    /// Nanoseconds in the (old) state, at least; an unknown time is never too short,
    /// as in the module.
    pub min_ns: u64,
}

impl Show {
    /// Whether a transition is shown.
    pub fn transition(&self, event: &Transition) -> bool {
        event.in_old.ns().is_none_or(|ns| ns >= self.min_ns)
            && self.states.matches(&[event.old, event.new])
            && self.reasons.matches(event.reason)
            && self.filter.matches(&event.who)
    }

    /// Whether a live connection is shown, at `now_ns` (monotonic).
    pub fn connection(&self, conn: &Conn, now_ns: u64) -> bool {
        conn.age(now_ns).ns().is_none_or(|ns| ns >= self.min_ns)
            && self.states.matches(&[conn.state])
            && self.reasons.matches(conn.reason)
            && self.filter.matches(&conn.who)
    }

    /// Whether an alarm is shown: states, reasons and times are not an alarm's.
    pub fn alarm(&self, alarm: &Alarm) -> bool {
        match alarm.is_pair() {
            true => self.filter.matches_pair(&alarm.who),
            false => self.filter.matches_listener(&alarm.who),
        }
    }

    /// Whether a listener is shown, at `now_ns` (monotonic).
    pub fn listener(&self, listener: &Listener, now_ns: u64) -> bool {
        listener.age(now_ns).ns().is_none_or(|ns| ns >= self.min_ns)
            && self.states.matches(&[State::LISTEN])
            && self.reasons.matches(Reason::NONE)
            && self.filter.matches_listener(&listener.who)
    }
}
