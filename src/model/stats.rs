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
            /// Tracked connections, by the state's number; see [`Stats::by_state`].
            pub states: [u64; STATES],
            /// What became of the SYNs that listeners got.
            pub handshakes: Handshakes,
        }

        impl Stats {
            /// From the form of the ABI.
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
    /// Monotonic nanoseconds, read together with `now_real_ns`.
    now_ns;
    /// Nanoseconds of the wall clock.
    now_real_ns;
    /// Monotonic nanoseconds; with all that follows 0 when not active.
    activated_ns;
    /// Transitions that reached the hook.
    seen;
    /// Not recorded: outside of the filter.
    filtered;
    /// Not recorded: the old state did not last long enough.
    too_short;
    /// Not recorded: on a CPU that has no ring.
    ringless;
    /// Events that were written to a ring.
    recorded;
    /// Events that reports gave.
    reported;
    /// Events that were overwritten before a report could give them.
    overwritten;
    /// Transitions that the kernel did not let the hook see.
    kprobe_missed;
    /// Gauge: connections that are tracked.
    tracked;
    /// Connections that are not tracked: the table was full.
    untracked;
    /// Transitions of a socket that was not tracked.
    unmatched;
    /// Tracked connections whose end was not seen.
    stale;
    /// Connections that were there at the activation.
    seeded;
    /// Gauge: nodes of connections, used or free.
    nodes;
    /// Alarms that were raised or cleared.
    alarms;
    /// Gauge: pairs of addresses that are known.
    pairs;
    /// Pairs that were evicted.
    evicted;
    /// Connections whose pair is not counted: the table was full.
    uncounted;
    /// Gauge: listeners that are known.
    listeners;
    /// Listeners that are not known: the table was full.
    unlisted;
}

impl Stats {
    /// Tracked connections by state. `SYN_RECV` has half-open requests too, so `NEW_SYN_RECV`,
    /// which only has them, does not belong into a sum.
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
