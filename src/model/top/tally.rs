//! Counts transitions one by one, as the module does: for those that a filter lets through, and for
//! those of a recording up to a moment.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::model::histogram::bucket;
use crate::model::ident::Role;
use crate::model::lives::{Durations, Ended, Lives};
use crate::model::reason::Reason;
use crate::model::span::Span;
use crate::model::state::State;
use crate::model::transition_count::TransitionCount;

/// Sides in the order of the module's statistics.
const ROLES: [Option<Role>; 4] = [
    Some(Role::Client),
    Some(Role::Server),
    Some(Role::Listener),
    None,
];

/// What is counted of a transition.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "named as in a transition")]
pub struct Counted {
    pub old: State,
    pub new: State,
    pub in_old: Span,
    pub reason: Reason,
    pub role: Option<Role>,
}

/// Counts of transitions.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    transitions: BTreeMap<(State, State), TransitionCount>,
    /// By side and number of the reason.
    ends: [BTreeMap<u16, u64>; ROLES.len()],
}

impl Tally {
    /// Counts a transition.
    pub fn add(&mut self, one: &Counted) {
        let key = (one.old, one.new);
        let count = self.transitions.entry(key);
        let count = count.or_insert_with(|| TransitionCount::new(one.old, one.new));
        count.count += 1;
        if let Span::Exact(ns) = one.in_old {
            count.timed += 1;
            count.total_ns = count.total_ns.saturating_add(ns);
            count.max_ns = count.max_ns.max(ns);
            count.hist[bucket(ns)] += 1;
        }
        if one.new == State::CLOSE {
            let role = ROLES.iter().position(|role| *role == one.role);
            let ends = &mut self.ends[role.unwrap_or(ROLES.len() - 1)];
            *ends.entry(one.reason.0).or_default() += 1;
        }
    }

    /// The transition counts.
    pub fn transitions(&self) -> Vec<TransitionCount> {
        self.transitions.values().copied().collect()
    }

    /// The ends by side and reason; nothing of how long connections lived.
    pub fn lives(&self) -> Lives {
        let ended = |(role, ends): (&Option<Role>, &BTreeMap<u16, u64>)| {
            let mut ends: Vec<_> = ends.iter().map(|(n, count)| (Reason(*n), *count)).collect();
            ends.sort_by_key(|(_, count)| Reverse(*count));
            Ended {
                role: *role,
                ends,
                life: Durations::default(),
            }
        };
        let ended = ROLES.iter().zip(&self.ends).map(ended);
        Lives {
            ended: ended.filter(|ended| !ended.ends.is_empty()).collect(),
            accept_wait: Durations::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::percentile;

    #[test]
    fn transitions_and_ends_are_counted() {
        let mut tally = Tally::default();
        for (ns, role) in [(1_000_000, Role::Client), (5_000_000, Role::Server)] {
            tally.add(&Counted {
                old: State::LAST_ACK,
                new: State::CLOSE,
                in_old: Span::Exact(ns),
                reason: Reason(2),
                role: Some(role),
            });
        }
        tally.add(&Counted {
            old: State::NEW,
            new: State::NEW_SYN_RECV,
            in_old: Span::Unknown,
            reason: Reason::NONE,
            role: None,
        });
        let counts = tally.transitions();
        assert_eq!((counts.len(), counts[0].timed), (2, 0));
        let last = counts[1];
        assert_eq!((last.count, last.total_ns), (2, 6_000_000));
        assert_eq!(percentile(&last.hist, last.max_ns, 99), Some(5_000_000));
        let lives = tally.lives();
        let roles: Vec<_> = lives.ended.iter().map(Ended::role_name).collect();
        assert_eq!(roles, ["client", "server"]);
        assert_eq!(lives.ended[0].ends, [(Reason(2), 1)]);
    }
}
