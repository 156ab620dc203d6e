//! Connections that have ended since the activation: counts by reason, lifetimes, and waits for
//! `accept()`. Also the cgroups of the live connections.

use std::collections::BTreeMap;

use crate::abi::{self, Cgroup, Times};
use crate::model::histogram::{BUCKETS, percentile};
use crate::model::ident::Role;
use crate::model::reason::Reason;
use crate::model::state::State;

/// All bits are set; bindgen generates -1.
const OTHERS: u64 = abi::TCPSTATES_CGROUP_OTHERS as u64;

/// Durations of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durations {
    /// Number of durations.
    pub count: u64,
    /// Sum in nanoseconds.
    pub total_ns: u64,
    /// Median, 99th percentile and longest in nanoseconds; `None` without a duration.
    pub times: Option<[u64; 3]>,
    /// Histogram of the durations; all 0 in a capture of an earlier version.
    pub hist: [u64; BUCKETS],
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            count: 0,
            total_ns: 0,
            times: None,
            hist: [0; BUCKETS],
        }
    }
}

impl Durations {
    fn new(times: &Times) -> Self {
        let part = |percent| percentile(&times.hist, times.max_ns, percent);
        Self {
            count: times.count,
            total_ns: times.total_ns,
            times: part(50).zip(part(99)).map(|(a, b)| [a, b, times.max_ns]),
            hist: times.hist,
        }
    }
}

/// Connections of one side that have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The side, if known.
    pub role: Option<Role>,
    /// Counts by reason, the largest first; zero counts are omitted.
    pub ends: Vec<(Reason, u64)>,
    /// Lifetimes, starting at ESTABLISHED.
    pub life: Durations,
}

impl Ended {
    /// The name of the side.
    pub fn role_name(&self) -> &'static str {
        self.role.map_or("unknown", Role::name)
    }

    fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.life == Durations::default()
    }
}

/// The name of the reason.
pub fn reason_name(reason: Reason) -> String {
    reason
        .name()
        .map_or("unknown".into(), |name| name.into_owned())
}

/// `struct tcpstates_lives`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lives {
    /// By side, clients first; sides without an ended connection are omitted.
    pub ended: Vec<Ended>,
    /// Waits in the accept queue until `accept()`, for all listeners.
    pub accept_wait: Durations,
}

impl Lives {
    /// Converts from the ABI structure.
    pub fn from_abi(raw: &abi::Lives) -> Self {
        let room = abi::TCPSTATES_REASONS_MAX as usize;
        let tables = raw.ends.chunks_exact(room).zip(&raw.life);
        let ended = |(role, (ends, life)): (usize, (&[u64], &Times))| {
            let counted = ends.iter().enumerate().filter(|(_, count)| **count > 0);
            let mut ends: Vec<_> = counted
                .map(|(n, count)| (Reason(n as u16), *count))
                .collect();
            ends.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            Ended {
                role: Role::from_number(role as u8),
                ends,
                life: Durations::new(life),
            }
        };
        let mut all: Vec<_> = tables.enumerate().map(ended).collect();
        // The unknown side comes last.
        all.rotate_left(1);
        all.retain(|ended| !ended.is_empty());
        Self {
            ended: all,
            accept_wait: Durations::new(&raw.accept_wait),
        }
    }
}

/// Live connections of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InCgroup {
    /// The cgroup.
    pub cgroup: Which,
    /// Counts by displayed state; zero counts are omitted.
    pub states: BTreeMap<State, u64>,
    /// Total count.
    pub total: u64,
}

/// A cgroup, or a substitute for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The cgroup with this id.
    Id(u64),
    /// The cgroup is unknown.
    Unknown,
    /// The cgroups that did not fit in the table.
    Others,
}

impl InCgroup {
    fn from_abi(raw: &Cgroup) -> Self {
        let mut states = BTreeMap::new();
        let counted = raw
            .states
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        for (state, count) in counted {
            let sum: &mut u64 = states.entry(State(state as u8).known_as()).or_default();
            *sum = sum.saturating_add(*count);
        }
        Self {
            cgroup: match raw.cgroup {
                0 => Which::Unknown,
                OTHERS => Which::Others,
                id => Which::Id(id),
            },
            total: states.values().copied().fold(0, u64::saturating_add),
            states,
        }
    }
}

/// Converts the ABI table of cgroups with connections. The order is descending; the entry for
/// several cgroups comes last.
pub fn cgroups_from_abi(raw: &[Cgroup]) -> Vec<InCgroup> {
    let mut all: Vec<_> = raw.iter().map(InCgroup::from_abi).collect();
    all.retain(|cgroup| cgroup.total > 0);
    let order = |c: &InCgroup| (c.cgroup == Which::Others, std::cmp::Reverse(c.total));
    all.sort_by_key(order);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_by_role_and_the_most_come_first() {
        let mut raw = abi::Lives::default();
        let room = abi::TCPSTATES_REASONS_MAX as usize;
        raw.ends[0] = 2;
        raw.ends[room + 1] = 5;
        raw.ends[room + 10] = 7;
        raw.ends[3 * room - 1] = 1;
        raw.life[2] = Times {
            count: 2,
            total_ns: 3_000,
            max_ns: 2_000,
            ..Times::default()
        };
        raw.life[2].hist[0] = 1;
        raw.life[2].hist[4] = 1;
        let lives = Lives::from_abi(&raw);
        let told: Vec<_> = lives
            .ended
            .iter()
            .map(|e| (e.role_name(), &e.ends[..]))
            .collect();
        assert_eq!(
            told,
            [
                ("client", &[(Reason(10), 7), (Reason(1), 5)][..]),
                ("server", &[(Reason(39), 1)]),
                ("unknown", &[(Reason(0), 2)]),
            ]
        );
        let life = lives.ended[1].life;
        assert_eq!((life.count, life.times), (2, Some([1_024, 2_000, 2_000])));
        assert_eq!(lives.accept_wait, Durations::default());
        assert_eq!(Lives::from_abi(&abi::Lives::default()), Lives::default());
        assert_eq!(reason_name(Reason(0)), "unknown");
        assert_eq!(reason_name(Reason(39)), "reason_39");
    }

    #[test]
    fn cgroups_are_by_size_and_half_open_requests_in_syn_recv() {
        let cgroup = |cgroup, states: &[(usize, u64)]| {
            let mut raw = Cgroup {
                cgroup,
                ..Cgroup::default()
            };
            states.iter().for_each(|(state, n)| raw.states[*state] = *n);
            raw
        };
        let raw = [
            cgroup(7, &[(1, 2)]),
            cgroup(OTHERS, &[(1, 100)]),
            cgroup(0, &[(1, 1)]),
            cgroup(9, &[(3, 1), (12, 4)]),
            cgroup(8, &[]),
        ];
        let all = cgroups_from_abi(&raw);
        let told: Vec<_> = all.iter().map(|c| (c.cgroup, c.total)).collect();
        let others = (Which::Others, 100);
        assert_eq!(
            told,
            [
                (Which::Id(9), 5),
                (Which::Id(7), 2),
                (Which::Unknown, 1),
                others
            ]
        );
        assert_eq!(all[0].states, BTreeMap::from([(State::SYN_RECV, 5)]));
    }

    #[test]
    fn absurd_counts_stay_at_their_most() {
        let raw = Cgroup {
            cgroup: 1,
            states: [u64::MAX; 13],
        };
        assert_eq!(cgroups_from_abi(&[raw])[0].total, u64::MAX);
    }
}
