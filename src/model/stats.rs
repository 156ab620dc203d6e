//! The module's counters.

use crate::abi;
use crate::model::handshakes::Handshakes;
use crate::model::state::State;

const STATES: usize = abi::TCPSTATES_NR_STATES as usize;

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// Totals since the activation, and gauges: `struct tcpstates_stats`.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Tracked connections by state number; see [`Stats::by_state`].
            pub states: [u64; STATES],
            /// Outcome of the SYNs that listeners received.
            pub handshakes: Handshakes,
        }

        impl Stats {
            /// Converts from the ABI structure.
            pub fn from_abi(raw: &abi::Stats) -> Self {
                Self {
                    $($name: raw.$name,)*
                    states: raw.states,
                    handshakes: Handshakes::from_abi(&raw.handshakes),
                }
            }
        }
    };
}

stats! {
    /// Monotonic nanoseconds, read at the same time as `now_real_ns`.
    now_ns;
    /// Nanoseconds of the wall clock.
    now_real_ns;
    /// Monotonic nanoseconds of the activation. This and all following values are 0 when not
    /// active.
    activated_ns;
    /// Transitions that reached the hook.
    seen;
    /// Transitions not recorded: excluded by the filter.
    filtered;
    /// Transitions not recorded: the time in the old state was too short.
    too_short;
    /// Transitions not recorded: the CPU has no ring.
    ringless;
    /// Number of events written to a ring.
    recorded;
    /// Number of events that reports printed.
    reported;
    /// Number of events that were overwritten before a report could print them.
    overwritten;
    /// Transitions that the hook missed.
    kprobe_missed;
    /// Gauge: number of tracked connections.
    tracked;
    /// Connections not tracked because the table was full.
    untracked;
    /// Transitions of untracked sockets.
    unmatched;
    /// Tracked connections whose end was not seen.
    stale;
    /// Connections that existed at the activation.
    seeded;
    /// Gauge: number of connection nodes, used or free.
    nodes;
    /// Number of alarms raised or cleared.
    alarms;
    /// Gauge: number of known pairs of addresses.
    pairs;
    /// Number of evicted pairs.
    evicted;
    /// Connections whose pair is not counted because the table was full.
    uncounted;
    /// Gauge: number of known listeners.
    listeners;
    /// Listeners not known because the table was full.
    unlisted;
}

impl Stats {
    /// Tracked connections by state. `SYN_RECV` includes half-open requests; `NEW_SYN_RECV` has
    /// only these, so it must not be added to a sum.
    pub fn by_state(&self) -> impl Iterator<Item = (State, u64)> {
        let states = self.states;
        let of = move |state: State| states.get(usize::from(state.0)).copied().unwrap_or(0);
        let known_as = move |state: State| match state {
            State::SYN_RECV => of(state).saturating_add(of(State::NEW_SYN_RECV)),
            other => of(other),
        };
        State::all().map(move |state| (state, known_as(state)))
    }

    /// Nanoseconds since the activation.
    pub fn active_ns(&self) -> u64 {
        self.now_ns.saturating_sub(self.activated_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syn_recv_counts_requests_too() {
        let mut stats = Stats::default();
        (stats.states[3], stats.states[12]) = (2, 5);
        let of = |state| stats.by_state().find(|s| s.0 == state).map(|s| s.1);
        assert_eq!(of(State::SYN_RECV), Some(7));
        assert_eq!(of(State::NEW_SYN_RECV), Some(5));
    }
}
