//! The filter of a report.

use crate::model::alarm::Alarm;
use crate::model::conn::Conn;
use crate::model::filter::processes::meet;
use crate::model::filter::{Filter, InCgroup, Rules};
use crate::model::ident::{Ident, Owner};
use crate::model::life::Life;
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
    /// Users to print.
    pub uids: Rules<u32>,
    /// Containers to print.
    pub containers: Rules<String>,
    /// Control groups to print.
    pub cgroups: Rules<String>,
    /// The only connection to print.
    pub conn: Option<u64>,
}

impl Show {
    /// Whether a transition is printed, whoever its owner is.
    pub fn transition(&self, event: &Transition) -> bool {
        event.in_old.ns().is_none_or(|ns| ns >= self.min_ns)
            && self.is_conn(&event.who)
            && self.states.matches(&[event.old, event.new])
            && self.reasons.matches(event.reason)
            && self.filter.matches(&event.who)
    }

    /// Whether a connection that has ended is printed, whoever its owner is.
    pub fn life(&self, life: &Life) -> bool {
        let states: Vec<_> = life.stays.iter().map(|stay| stay.state).collect();
        life.duration().ns().is_none_or(|ns| ns >= self.min_ns)
            && self.is_conn(&life.who)
            && self.states.matches(&states)
            && self.reasons.matches(life.reason)
            && self.filter.matches(&life.who)
    }

    fn is_conn(&self, who: &Ident) -> bool {
        self.conn.is_none_or(|conn| conn == who.conn)
    }

    /// Whether only sockets of some owners are printed.
    pub fn by_owner(&self) -> bool {
        self.pids != Rules::default()
            || self.comms != Rules::default()
            || self.uids != Rules::default()
            || self.by_cgroup()
    }

    /// Whether only sockets of some containers or control groups are printed.
    pub fn by_cgroup(&self) -> bool {
        self.containers != Rules::default() || self.cgroups != Rules::default()
    }

    /// Whether a socket is printed that belongs to this user, and that these processes have open, or
    /// had when an event was recorded.
    pub fn owners(&self, owners: &[Owner], uid: Option<u32>) -> bool {
        meet(&self.pids, &self.comms, owners) && self.uids.hold(|wanted| uid == Some(*wanted))
    }

    /// Whether a socket in this control group is printed.
    pub fn cgroup(&self, cgroup: InCgroup) -> bool {
        self.containers.hold(|name| cgroup.is_of(name))
            && self.cgroups.hold(|name| cgroup.is_in(name))
    }

    /// Whether a live connection is printed, at `now_ns` (monotonic), whoever its owner is.
    pub fn connection(&self, conn: &Conn, now_ns: u64) -> bool {
        conn.age(now_ns).ns().is_none_or(|ns| ns >= self.min_ns)
            && self.is_conn(&conn.who)
            && self.states.matches(&[conn.state])
            && self.reasons.matches(conn.reason)
            && self.filter.matches(&conn.who)
    }

    /// Whether an alarm is printed, whoever its owner is: an alarm has no state, reason or time in a
    /// state.
    pub fn alarm(&self, alarm: &Alarm) -> bool {
        let matches = match alarm.is_pair() {
            true => self.filter.matches_pair(&alarm.who),
            false => self.filter.matches_listener(&alarm.who),
        };
        matches && self.is_conn(&alarm.who)
    }

    /// Whether a listener is printed, at `now_ns` (monotonic), whoever its owner is.
    pub fn listener(&self, listener: &Listener, now_ns: u64) -> bool {
        listener.age(now_ns).ns().is_none_or(|ns| ns >= self.min_ns)
            && self.is_conn(&listener.who)
            && self.states.matches(&[State::LISTEN])
            && self.reasons.matches(Reason::NONE)
            && self.filter.matches_listener(&listener.who)
    }
}
