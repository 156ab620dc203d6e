//! What has changed between two looks at the module's counters.

use std::collections::BTreeMap;

use crate::abi;
use crate::model::histogram::percentile;
use crate::model::ident::Role;
use crate::model::lives::Lives;
use crate::model::reason::Reason;
use crate::model::state::State;
use crate::model::stats::Stats;
use crate::model::top::screen::Order;
use crate::model::transition_count::TransitionCount;

const STATES: usize = abi::TCPSTATES_NR_STATES as usize;

/// A number per second, in thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u64);

impl Rate {
    /// `count` in `ns` nanoseconds; `None` if no time has passed.
    pub fn of(count: u64, ns: u64) -> Option<Self> {
        let rate = (u128::from(count) * 1_000_000_000_000).checked_div(ns.into())?;
        Some(Self(u64::try_from(rate).unwrap_or(u64::MAX)))
    }

    /// The whole number.
    pub fn whole(self) -> u64 {
        self.0 / 1_000
    }
}

/// The counters at one moment.
#[derive(Debug, Clone)]
pub struct Counters {
    /// Totals, and connections by state.
    pub stats: Stats,
    /// Transition counts by old and new state.
    pub transitions: Vec<TransitionCount>,
    /// Ends by reason.
    pub lives: Lives,
}

/// One state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRow {
    /// The state as it is displayed.
    pub state: State,
    /// Connections in it.
    pub count: u64,
    /// Connections that enter it.
    pub entered: Option<Rate>,
    /// Connections that leave it.
    pub left: Option<Rate>,
    /// Median and 99th percentile of the time in it, of all connections that have left it; in
    /// nanoseconds.
    pub times: Option<[u64; 2]>,
    /// The same of those that have left it lately.
    pub recent: Option<[u64; 2]>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonRow {
    /// The reason.
    pub reason: Reason,
    /// Connections that ended for it.
    pub total: u64,
    /// Those of clients, and those of servers.
    pub sides: [u64; 2],
    /// Ends per second.
    pub rate: Option<Rate>,
}

/// One look at the counters.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The totals.
    pub stats: Stats,
    /// All displayed states, in the kernel's order.
    pub states: Vec<StateRow>,
    /// Reasons that have occurred.
    pub reasons: Vec<ReasonRow>,
    /// Transitions.
    pub changes: Option<Rate>,
    /// Connections that ended.
    pub ends: Option<Rate>,
}

impl Sample {
    /// What `now` says; the rates are those since `before`, the recent times those since `lately`.
    pub fn new(now: &Counters, before: Option<&Counters>, lately: Option<&Counters>) -> Self {
        let moves = Moves::of(&now.transitions);
        let since = before.map(|before| {
            let ns = now.stats.now_ns.saturating_sub(before.stats.now_ns);
            (Moves::of(&before.transitions), ns)
        });
        let lately = lately.map(|lately| Moves::of(&lately.transitions));
        let rate = |of: &dyn Fn(&Moves) -> u64| {
            let (before, ns) = since.as_ref()?;
            Rate::of(of(&moves).saturating_sub(of(before)), *ns)
        };
        let row = |(state, count): (State, u64)| {
            let index = usize::from(state.0);
            StateRow {
                state,
                count,
                entered: rate(&|moves| moves.entered[index]),
                left: rate(&|moves| moves.left[index]),
                times: moves.times[index].percentiles(None),
                recent: lately
                    .as_ref()
                    .and_then(|lately| moves.times[index].percentiles(Some(&lately.times[index]))),
            }
        };
        let shown = now.stats.by_state();
        let shown = shown.filter(|(state, _)| *state != State::NEW_SYN_RECV);
        Self {
            states: shown.map(row).collect(),
            reasons: reasons(
                &now.lives,
                before.map(|b| &b.lives),
                since.as_ref().map_or(0, |s| s.1),
            ),
            changes: rate(&|moves| moves.all),
            ends: rate(&|moves| moves.entered[usize::from(State::CLOSE.0)]),
            stats: now.stats,
        }
    }
}

/// Transition counts by state.
struct Moves {
    all: u64,
    entered: [u64; STATES],
    left: [u64; STATES],
    times: Vec<Times>,
}

/// Times in one state.
#[derive(Clone)]
struct Times(TransitionCount);

impl Times {
    /// Median and 99th percentile; with `before`, only of what was counted since.
    fn percentiles(&self, before: Option<&Self>) -> Option<[u64; 2]> {
        let Self(now) = self;
        let mut hist = now.hist;
        if let Some(Self(before)) = before {
            for (count, earlier) in hist.iter_mut().zip(&before.hist) {
                *count = count.saturating_sub(*earlier);
            }
        }
        let part = |percent| percentile(&hist, now.max_ns, percent);
        Some([part(50)?, part(99)?])
    }
}

impl Moves {
    fn of(transitions: &[TransitionCount]) -> Self {
        let times = |state| Times(TransitionCount::new(State(state as u8), State(state as u8)));
        let mut moves = Self {
            all: 0,
            entered: [0; STATES],
            left: [0; STATES],
            times: (0..STATES).map(times).collect(),
        };
        for one in transitions {
            moves.all = moves.all.saturating_add(one.count);
            let add = |to: Option<&mut u64>| {
                if let Some(to) = to {
                    *to = to.saturating_add(one.count);
                }
            };
            let [old, new] = [one.old, one.new].map(|s| usize::from(s.known_as().0));
            add(moves.left.get_mut(old));
            add(moves.entered.get_mut(new));
            if let Some(Times(times)) = moves.times.get_mut(old) {
                times.add(one);
            }
        }
        moves
    }
}

/// The ends by reason, of all sides.
fn reasons(now: &Lives, before: Option<&Lives>, ns: u64) -> Vec<ReasonRow> {
    let earlier = before.map(by_reason);
    let row = |(reason, [total, client, server]): (u16, [u64; 3])| {
        let since = earlier.as_ref().map(|earlier| {
            let known = earlier.get(&reason).map_or(0, |counts| counts[0]);
            total.saturating_sub(known)
        });
        ReasonRow {
            reason: Reason(reason),
            total,
            sides: [client, server],
            rate: since.and_then(|count| Rate::of(count, ns)),
        }
    };
    by_reason(now).into_iter().map(row).collect()
}

/// The total of each reason, and those of clients and servers.
fn by_reason(lives: &Lives) -> BTreeMap<u16, [u64; 3]> {
    let mut known: BTreeMap<u16, [u64; 3]> = BTreeMap::new();
    for ended in &lives.ended {
        for (reason, count) in &ended.ends {
            let sum = known.entry(reason.0).or_default();
            let side = match ended.role {
                Some(Role::Client) => Some(1),
                Some(Role::Server) => Some(2),
                _ => None,
            };
            for place in [Some(0), side].into_iter().flatten() {
                sum[place] = sum[place].saturating_add(*count);
            }
        }
    }
    known
}

/// Sorts the states.
pub fn sort_states(rows: &mut [StateRow], order: Order) {
    match order {
        Order::Count => rows.sort_by_key(|row| std::cmp::Reverse(row.count)),
        Order::Rate => rows.sort_by_key(|row| std::cmp::Reverse(row.entered.max(row.left))),
        _ => {}
    }
}

/// Sorts the reasons.
pub fn sort_reasons(rows: &mut [ReasonRow], order: Order) {
    let most = |row: &ReasonRow| std::cmp::Reverse(row.total);
    match order {
        Order::Rate => rows.sort_by_key(|row| (std::cmp::Reverse(row.rate), most(row))),
        Order::Count => rows.sort_by_key(most),
        _ => rows.sort_by_key(|row| row.reason.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::span::Span;
    use crate::model::top::tally::{Counted, Tally};

    fn counters(now_ns: u64, times: &[u64]) -> Counters {
        let mut tally = Tally::default();
        for ns in times {
            tally.add(&Counted {
                old: State::NEW_SYN_RECV,
                new: State::CLOSE,
                in_old: Span::Exact(*ns),
                reason: Reason::TIMEOUT_SYN,
                role: Some(Role::Server),
            });
        }
        let mut stats = Stats {
            now_ns,
            ..Stats::default()
        };
        stats.states[usize::from(State::NEW_SYN_RECV.0)] = 3;
        stats.states[usize::from(State::SYN_RECV.0)] = 1;
        Counters {
            stats,
            transitions: tally.transitions(),
            lives: tally.lives(),
        }
    }

    #[test]
    fn rates_are_those_between_two_looks() {
        let before = counters(1_000_000_000, &[1_000_000]);
        let now = counters(3_000_000_000, &[1_000_000, 80_000_000, 80_000_000]);
        let sample = Sample::new(&now, Some(&before), Some(&before));
        let row = sample.states.iter().find(|r| r.state == State::SYN_RECV);
        let row = row.unwrap();
        assert_eq!((row.count, sample.states.len()), (4, 11));
        assert_eq!((row.left, row.entered), (Some(Rate(1_000)), Some(Rate(0))));
        assert_eq!((sample.changes, sample.ends), (row.left, row.left));
        let [median, most] = row.times.unwrap();
        assert_eq!((median, most), (80_000_000, 80_000_000));
        let recent = row.recent.unwrap();
        assert_eq!(recent[0], 80_000_000, "the first one was earlier");
        let reason = &sample.reasons[0];
        assert_eq!((reason.total, reason.sides), (3, [0, 3]));
        assert_eq!(reason.rate, Some(Rate(1_000)));
    }

    #[test]
    fn the_first_look_has_no_rates() {
        let sample = Sample::new(&counters(1, &[5]), None, None);
        assert_eq!((sample.changes, sample.ends), (None, None));
        assert!(
            sample
                .states
                .iter()
                .all(|s| s.left.is_none() && s.recent.is_none())
        );
        assert_eq!(sample.reasons[0].rate, None);
        assert_eq!(Rate::of(7, 0), None);
        assert_eq!(Rate::of(u64::MAX, 1), Some(Rate(u64::MAX)));
        assert_eq!(Rate::of(3, 2_000_000_000).map(Rate::whole), Some(1));
    }
}
