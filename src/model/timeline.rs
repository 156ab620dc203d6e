//! Connections by state over time: the live connections of one moment, and the recorded transitions
//! backwards from there. Memory does not depend on the number of transitions.

use crate::abi;
use crate::model::state::State;

/// Number of parts of a timeline.
pub const PARTS: usize = 96;
const STATES: usize = abi::TCPSTATES_NR_STATES as usize;

/// Counts by displayed state, indexed by the state's number.
pub type Counts = [u64; STATES];

/// The index of a displayed state; `None`: the number is unknown.
pub fn index(state: State) -> Option<usize> {
    let index = usize::from(state.known_as().0);
    (index < STATES).then_some(index)
}

/// Number of connections in a state during a part of the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// Lowest number.
    pub least: u64,
    /// Highest number.
    pub most: u64,
    /// Number at the end of the part.
    pub last: u64,
}

/// The numbers of one state: [`PARTS`] parts of equal length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// The state.
    pub state: State,
    /// The parts, oldest first.
    pub parts: Vec<Part>,
}

impl Course {
    /// Lowest number.
    pub fn least(&self) -> u64 {
        self.parts.iter().map(|part| part.least).min().unwrap_or(0)
    }

    /// Highest number.
    pub fn most(&self) -> u64 {
        self.parts.iter().map(|part| part.most).max().unwrap_or(0)
    }

    /// Number at the end.
    pub fn last(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.last)
    }
}

/// Connections by state over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Monotonic nanoseconds of the first transition; `to_ns` if there is none.
    pub from_ns: u64,
    /// Monotonic nanoseconds of the live connections.
    pub to_ns: u64,
    /// Number of transitions.
    pub transitions: u64,
    /// Each displayed state but CLOSE, in the kernel's order.
    pub states: Vec<Course>,
}

/// A difference to the number at the start.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    least: i64,
    most: i64,
    last: i64,
}

/// A timeline under construction, which is given the transitions in the order of time.
pub struct Draft {
    from_ns: Option<u64>,
    to_ns: u64,
    transitions: u64,
    /// The part of the last transition.
    at: usize,
    /// Differences after the last transition.
    now: [i64; STATES],
    parts: Vec<[Change; STATES]>,
}

impl Draft {
    /// A timeline that ends at `to_ns` (monotonic), when the live connections were read.
    pub fn new(to_ns: u64) -> Self {
        Self {
            from_ns: None,
            to_ns,
            transitions: 0,
            at: 0,
            now: [0; STATES],
            parts: vec![[Change::default(); STATES]; PARTS],
        }
    }

    /// Adds a transition at `ts` (monotonic nanoseconds); one after the end is ignored.
    pub fn add(&mut self, ts: u64, old: State, new: State) {
        if ts > self.to_ns {
            return;
        }
        let from = *self.from_ns.get_or_insert(ts);
        self.advance(part(from, self.to_ns, ts));
        self.transitions += 1;
        self.change(old, -1);
        self.change(new, 1);
    }

    /// Goes on to a part. An inconsistent ring may have earlier events after later ones: they count
    /// in the current part.
    fn advance(&mut self, part: usize) {
        while self.at < part {
            self.at += 1;
            self.parts[self.at] = self.now.map(|last| Change {
                least: last,
                most: last,
                last,
            });
        }
    }

    fn change(&mut self, state: State, by: i64) {
        let Some(index) = index(state).filter(|_| exists(state)) else {
            return;
        };
        let now = &mut self.now[index];
        *now += by;
        let part = &mut self.parts[self.at][index];
        part.last = *now;
        part.least = part.least.min(*now);
        part.most = part.most.max(*now);
    }

    /// The timeline that ends with these live connections. A number that would be below 0, because
    /// transitions are missing, is 0.
    pub fn finish(mut self, live: &Counts) -> Timeline {
        self.advance(PARTS - 1);
        let states = State::all().filter(|state| exists(*state) && *state == state.known_as());
        let course = |state: State| {
            let index = usize::from(state.0);
            let start = i128::from(live[index]) - i128::from(self.now[index]);
            let number =
                |change: i64| (start + i128::from(change)).clamp(0, u64::MAX.into()) as u64;
            let part = |part: &[Change; STATES]| Part {
                least: number(part[index].least),
                most: number(part[index].most),
                last: number(part[index].last),
            };
            Course {
                state,
                parts: self.parts.iter().map(part).collect(),
            }
        };
        Timeline {
            from_ns: self.from_ns.unwrap_or(self.to_ns),
            to_ns: self.to_ns,
            transitions: self.transitions,
            states: states.map(course).collect(),
        }
    }
}

/// Whether a connection in this state exists: before its first transition and after its last one it
/// is in none.
fn exists(state: State) -> bool {
    ![State::NEW, State::CLOSE].contains(&state)
}

/// The part in which `ts` is.
fn part(from: u64, to: u64, ts: u64) -> usize {
    let length = u128::from(to.saturating_sub(from).max(1));
    let since = u128::from(ts.saturating_sub(from));
    let part = since * PARTS as u128 / length;
    part.min(PARTS as u128 - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: Counts = [0; STATES];

    fn course(timeline: &Timeline, state: State) -> &Course {
        let found = timeline.states.iter().find(|c| c.state == state);
        found.expect("every state is there")
    }

    #[test]
    fn live_connections_are_followed_backwards() {
        let mut draft = Draft::new(96_000);
        // One connection from SYN_SENT to CLOSE, and one that is established at the end.
        for (ts, old, new) in [
            (0, State::CLOSE, State::SYN_SENT),
            (1_500, State::SYN_SENT, State::ESTABLISHED),
            (1_600, State::NEW, State::NEW_SYN_RECV),
            (1_700, State::NEW_SYN_RECV, State::ESTABLISHED),
            (50_000, State::ESTABLISHED, State::FIN_WAIT1),
            (50_001, State::FIN_WAIT1, State::CLOSE),
            (96_001, State::CLOSE, State::SYN_SENT),
        ] {
            draft.add(ts, old, new);
        }
        let mut live = LIVE;
        live[1] = 11;
        let timeline = draft.finish(&live);
        assert_eq!((timeline.from_ns, timeline.to_ns), (0, 96_000));
        assert_eq!(timeline.transitions, 6, "one is after the end");
        let established = course(&timeline, State::ESTABLISHED);
        let at = |part: usize| {
            let Part { least, most, last } = established.parts[part];
            [least, most, last]
        };
        assert_eq!((at(0), at(1)), ([10, 10, 10], [10, 12, 12]));
        assert_eq!((at(49), at(50)), ([12, 12, 12], [11, 12, 11]));
        assert_eq!((established.last(), established.most()), (11, 12));
        assert_eq!(established.least(), 10);
        let syn_recv = course(&timeline, State::SYN_RECV);
        assert_eq!((syn_recv.most(), syn_recv.last()), (1, 0));
        assert_eq!(course(&timeline, State::FIN_WAIT1).most(), 1);
        let none = |state| timeline.states.iter().all(|c| c.state != state);
        assert!(none(State::CLOSE) && none(State::NEW_SYN_RECV));
    }

    #[test]
    fn without_transitions_all_times_are_now() {
        let mut live = LIVE;
        live[6] = 7;
        let timeline = Draft::new(5).finish(&live);
        assert_eq!((timeline.from_ns, timeline.transitions), (5, 0));
        let timewait = course(&timeline, State::TIME_WAIT);
        assert!(timewait.parts.iter().all(|part| part.least == 7));
        assert_eq!(timewait.parts.len(), PARTS);
    }

    #[test]
    fn what_cannot_be_is_no_panic() {
        let mut draft = Draft::new(u64::MAX);
        draft.add(u64::MAX, State(200), State::ESTABLISHED);
        draft.add(0, State::ESTABLISHED, State(13));
        for _ in 0..9 {
            draft.add(1, State::NEW, State::LISTEN);
        }
        let mut live = LIVE;
        live[1] = u64::MAX;
        let timeline = draft.finish(&live);
        assert_eq!(course(&timeline, State::ESTABLISHED).most(), u64::MAX);
        let listen = course(&timeline, State::LISTEN);
        assert_eq!((listen.least(), listen.most()), (0, 0), "never below 0");
    }
}
