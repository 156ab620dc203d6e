//! The filter of a report.

use crate::model::alarm::Alarm;
use crate::model::conn::Conn;
use crate::model::filter::processes::meet;
use crate::model::filter::{Filter, Rules};
use crate::model::ident::Owner;
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
    /// Numbers of the processes to print.
    pub pids: Rules<u32>,
    /// Names of the processes to print.
    pub comms: Rules<String>,
}

impl Show {
    /// Whether a transition is printed.
    pub fn transition(&self, event: &Transition) -> bool {
        event.in_old.ns().is_none_or(|ns| ns >= self.min_ns)
            && self.states.matches(&[event.old, event.new])
            && self.reasons.matches(event.reason)
            && self.filter.matches(&event.who)
            && (!self.by_process() || self.processes(event.who.owner.as_slice()))
    }

    /// Whether only some processes are printed.
    pub fn by_process(&self) -> bool {
        self.pids != Rules::default() || self.comms != Rules::default()
    }

    /// Whether these processes are printed: those that have a live socket open, or the one with which
    /// an event was recorded.
    pub fn processes(&self, owners: &[Owner]) -> bool {
        meet(&self.pids, &self.comms, owners)
    }

    /// Whether a live connection is printed, at `now_ns` (monotonic), whatever its processes are.
    pub fn connection(&self, conn: &Conn, now_ns: u64) -> bool {
        conn.age(now_ns).ns().is_none_or(|ns| ns >= self.min_ns)
            && self.states.matches(&[conn.state])
            && self.reasons.matches(conn.reason)
            && self.filter.matches(&conn.who)
    }

    /// Whether an alarm is printed: an alarm has no state, reason or time in a state.
    pub fn alarm(&self, alarm: &Alarm) -> bool {
        let matches = match alarm.is_pair() {
            true => self.filter.matches_pair(&alarm.who),
            false => self.filter.matches_listener(&alarm.who),
        };
        matches && (!self.by_process() || self.processes(alarm.who.owner.as_slice()))
    }

    /// Whether a listener is printed, at `now_ns` (monotonic), whatever its processes are.
    pub fn listener(&self, listener: &Listener, now_ns: u64) -> bool {
        listener.age(now_ns).ns().is_none_or(|ns| ns >= self.min_ns)
            && self.states.matches(&[State::LISTEN])
            && self.reasons.matches(Reason::NONE)
            && self.filter.matches_listener(&listener.who)
    }
}
