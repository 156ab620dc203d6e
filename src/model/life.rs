//! Lives of connections: one value per connection that has ended, assembled from its transitions.

use rustc_hash::FxHashMap;

use crate::model::ident::Ident;
use crate::model::order::{Sort, Sortable};
use crate::model::reason::Reason;
use crate::model::span::Span;
use crate::model::state::State;
use crate::model::transition::Transition;

/// A state of a connection, and the time in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// The displayed state.
    pub state: State,
    /// Time in the state.
    pub time: Span,
}

/// Bytes and segments of a connection: the last known values of `struct tcpstates_meters`. They are
/// 0 for a connection that never was a full socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes sent, including retransmissions.
    pub bytes_sent: u64,
    /// Bytes that the peer acknowledged.
    pub bytes_acked: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Number of retransmitted segments.
    pub retrans: u32,
}

/// A connection that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Its identity, as of its end.
    pub who: Ident,
    /// Monotonic nanoseconds at which it began: `connect()` or the first SYN. If that was not seen,
    /// the earliest time at which it is known to have existed.
    pub start_ns: u64,
    /// Monotonic nanoseconds at which it ended.
    pub end_ns: u64,
    /// Whether its beginning was seen. Otherwise it is older than the activation, or its first
    /// records were overwritten or not recorded.
    pub whole: bool,
    /// Whether records between the first and the last one are missing.
    pub gaps: bool,
    /// Why it ended.
    pub reason: Reason,
    /// The socket's error number; 0: none.
    pub error: u16,
    /// Number of SYN-ACKs that were sent, if known.
    pub synacks: Option<u16>,
    /// What it has carried.
    pub carried: Carried,
    /// Its states in order.
    pub stays: Vec<Stay>,
}

impl Life {
    /// Time from its beginning to its end.
    pub fn duration(&self) -> Span {
        let ns = self.end_ns.saturating_sub(self.start_ns);
        match self.whole {
            true => Span::Exact(ns),
            false => Span::AtLeast(ns),
        }
    }
}

impl Sortable for Life {
    fn weight(&self, sort: Sort) -> u64 {
        match sort {
            Sort::Time => self.end_ns,
            Sort::Age => self.end_ns.saturating_sub(self.start_ns),
            Sort::Bytes => {
                let Carried {
                    bytes_sent,
                    bytes_received,
                    ..
                } = self.carried;
                bytes_sent.saturating_add(bytes_received)
            }
            Sort::Retrans => self.carried.retrans.into(),
        }
    }
}

/// A connection that has not ended yet.
struct Unfinished {
    life: Life,
    /// State after its last transition.
    state: State,
}

impl Unfinished {
    /// Starts a life with the first transition that is known of it.
    fn new(first: &Transition) -> Self {
        let whole = is_beginning(first);
        let before = match whole {
            true => 0,
            false => first.in_old.ns().unwrap_or(0),
        };
        Self {
            state: first.old,
            life: Life {
                who: first.who,
                start_ns: first.ts.saturating_sub(before),
                end_ns: first.ts,
                whole,
                gaps: false,
                reason: Reason::NONE,
                error: 0,
                synacks: None,
                carried: Carried::default(),
                stays: Vec::new(),
            },
        }
    }

    /// Adds the next transition.
    fn add(&mut self, next: &Transition) {
        self.life.gaps |= self.state != next.old;
        if !is_beginning(next) {
            self.stay(next.old.known_as(), next.in_old);
        }
        self.state = next.new;
        let life = &mut self.life;
        life.end_ns = next.ts.max(life.end_ns);
        life.who = Ident {
            owner: next.who.owner.or(life.who.owner),
            uid: next.who.uid.or(life.who.uid),
            cgroup: next.who.cgroup.or(life.who.cgroup),
            role: next.who.role.or(life.who.role),
            listener: next.who.listener.or(life.who.listener),
            seeded: next.who.seeded || life.who.seeded,
            ..next.who
        };
        (life.reason, life.error) = (next.reason, next.error);
        life.synacks = next.synacks.or(life.synacks);
        if let Some(meters) = next.meters {
            life.carried = Carried {
                bytes_sent: meters.bytes_sent,
                bytes_acked: meters.bytes_acked,
                bytes_received: meters.bytes_received,
                retrans: meters.retrans,
            };
        }
    }

    /// Adds the time in a state. A request and the socket that it becomes are one state.
    fn stay(&mut self, state: State, time: Span) {
        match self.life.stays.last_mut() {
            Some(last) if last.state == state => last.time = last.time.plus(time),
            _ => self.life.stays.push(Stay { state, time }),
        }
    }
}

/// Whether a transition is the first one of a connection.
fn is_beginning(transition: &Transition) -> bool {
    [State::NEW, State::CLOSE].contains(&transition.old)
}

/// Assembles lives from transitions in the order of time. Memory is needed for the connections that
/// have not ended.
#[derive(Default)]
pub struct LifeBuilder {
    unfinished: FxHashMap<u64, Unfinished>,
}

impl LifeBuilder {
    /// Adds a transition; returns the life of the connection if it has ended with this.
    pub fn add(&mut self, transition: &Transition) -> Option<Life> {
        if transition.is_listener() {
            return None;
        }
        let ended = transition.new == State::CLOSE;
        let conn = transition.who.conn;
        // Connections that are not tracked have no number: only this record is known.
        let known = (conn != 0).then(|| self.unfinished.remove(&conn));
        let mut one = known
            .flatten()
            .unwrap_or_else(|| Unfinished::new(transition));
        one.add(transition);
        if ended {
            return Some(one.life);
        }
        if conn != 0 {
            self.unfinished.insert(conn, one);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ident::Role;
    use crate::model::ident::tests::ident;
    use crate::model::meters::Meters;

    const MS: u64 = 1_000_000;

    fn transition(conn: u64, ts: u64, old: State, new: State, in_old: Span) -> Transition {
        let mut who = ident("10.0.0.1:40000", "10.0.0.2:80");
        who.conn = conn;
        Transition {
            ts,
            in_old,
            old,
            new,
            reason: Reason::NONE,
            error: 0,
            synacks: None,
            who,
            meters: None,
        }
    }

    /// The lives of transitions `(old, new, ms in the old state)` of one connection.
    fn lives(steps: &[(State, State, u64)]) -> Vec<Life> {
        let (mut builder, mut ts) = (LifeBuilder::default(), 1_000 * MS);
        let mut add = |&(old, new, ms): &(State, State, u64)| {
            ts += ms * MS;
            builder.add(&transition(7, ts, old, new, Span::Exact(ms * MS)))
        };
        steps.iter().filter_map(&mut add).collect()
    }

    fn states(life: &Life) -> Vec<(State, u64)> {
        let ms = |stay: &Stay| (stay.state, stay.time.ns().unwrap() / MS);
        life.stays.iter().map(ms).collect()
    }

    #[test]
    fn a_life_is_the_sum_of_its_states() {
        use State as S;
        let all = lives(&[
            (S::CLOSE, S::SYN_SENT, 900),
            (S::SYN_SENT, S::ESTABLISHED, 2),
            (S::ESTABLISHED, S::FIN_WAIT1, 30),
            (S::FIN_WAIT1, S::FIN_WAIT2, 4),
            (S::FIN_WAIT2, S::TIME_WAIT, 5),
            (S::TIME_WAIT, S::CLOSE, 60_000),
            // The same number never comes back, but nothing depends on it.
            (S::CLOSE, S::SYN_SENT, 1),
        ]);
        let [life] = &all[..] else {
            panic!("{all:?}");
        };
        // The time before connect() is not part of it.
        assert_eq!(life.duration(), Span::Exact(60_041 * MS));
        assert!(life.whole && !life.gaps);
        let expected = [
            (S::SYN_SENT, 2),
            (S::ESTABLISHED, 30),
            (S::FIN_WAIT1, 4),
            (S::FIN_WAIT2, 5),
            (S::TIME_WAIT, 60_000),
        ];
        assert_eq!(states(life), expected);
        let sum: u64 = life.stays.iter().filter_map(|stay| stay.time.ns()).sum();
        assert_eq!(Span::Exact(sum), life.duration());
    }

    #[test]
    fn a_request_and_its_socket_are_one_state() {
        use State as S;
        let all = lives(&[
            (S::NEW, S::NEW_SYN_RECV, 0),
            (S::NEW_SYN_RECV, S::SYN_RECV, 3),
            (S::SYN_RECV, S::ESTABLISHED, 1),
            (S::ESTABLISHED, S::CLOSE, 10),
        ]);
        assert_eq!(
            states(&all[0]),
            [(S::SYN_RECV, 4), (S::ESTABLISHED, 10)],
            "{all:?}"
        );
        assert_eq!(all[0].duration(), Span::Exact(14 * MS));
        let half_open = lives(&[
            (S::NEW, S::NEW_SYN_RECV, 0),
            (S::NEW_SYN_RECV, S::CLOSE, 63),
        ]);
        assert_eq!(states(&half_open[0]), [(S::SYN_RECV, 63)]);
    }

    #[test]
    fn what_is_not_seen_is_said() {
        use State as S;
        let beginning = lives(&[(S::ESTABLISHED, S::LAST_ACK, 9), (S::LAST_ACK, S::CLOSE, 1)]);
        assert_eq!(beginning[0].duration(), Span::AtLeast(10 * MS));
        assert!(!beginning[0].whole && !beginning[0].gaps);
        let middle = lives(&[
            (S::CLOSE, S::SYN_SENT, 1),
            (S::FIN_WAIT2, S::TIME_WAIT, 5),
            (S::TIME_WAIT, S::CLOSE, 60),
        ]);
        assert!(middle[0].whole && middle[0].gaps);
        let mut builder = LifeBuilder::default();
        let seeded = transition(9, 50 * MS, S::TIME_WAIT, S::CLOSE, Span::AtLeast(20 * MS));
        let life = builder.add(&seeded).unwrap();
        assert_eq!((life.start_ns, life.whole), (30 * MS, false));
        assert_eq!(life.stays[0].time, Span::AtLeast(20 * MS));
        let unknown = transition(9, 50 * MS, S::TIME_WAIT, S::CLOSE, Span::Unknown);
        let life = builder.add(&unknown).unwrap();
        assert_eq!(life.duration(), Span::AtLeast(0));
    }

    #[test]
    fn connections_are_told_apart_and_listeners_have_no_life() {
        use State as S;
        let mut builder = LifeBuilder::default();
        let mut add = |conn, old, new| builder.add(&transition(conn, MS, old, new, Span::Exact(1)));
        assert!(add(1, S::CLOSE, S::SYN_SENT).is_none());
        assert!(add(2, S::CLOSE, S::SYN_SENT).is_none());
        assert_eq!(add(2, S::SYN_SENT, S::CLOSE).unwrap().who.conn, 2);
        assert!(add(1, S::SYN_SENT, S::CLOSE).unwrap().whole);
        // Not tracked: each record stands alone.
        assert!(add(0, S::CLOSE, S::SYN_SENT).is_none());
        assert!(!add(0, S::SYN_SENT, S::CLOSE).unwrap().whole);
        assert!(add(3, S::LISTEN, S::CLOSE).is_none());
        assert!(builder.unfinished.is_empty());
        let mut listener = transition(4, MS, S::CLOSE, S::LISTEN, Span::Unknown);
        listener.who.role = Some(Role::Listener);
        assert!(builder.add(&listener).is_none() && builder.unfinished.is_empty());
    }

    #[test]
    fn the_last_known_values_stay() {
        use State as S;
        let mut builder = LifeBuilder::default();
        let mut first = transition(5, MS, S::ESTABLISHED, S::FIN_WAIT1, Span::Exact(1));
        first.meters = Some(Meters {
            bytes_sent: 10,
            bytes_acked: 9,
            bytes_received: 8,
            retrans: 7,
            ..Meters::default()
        });
        (first.who.uid, first.reason, first.synacks) = (Some(3), Reason(1), Some(2));
        builder.add(&first);
        let mut last = transition(5, 2 * MS, S::TIME_WAIT, S::CLOSE, Span::Exact(1));
        (last.reason, last.error) = (Reason(2), 104);
        let life = builder.add(&last).unwrap();
        let carried = life.carried;
        assert_eq!((carried.bytes_sent, carried.bytes_acked), (10, 9));
        assert_eq!((carried.bytes_received, carried.retrans), (8, 7));
        assert_eq!((life.reason, life.error), (Reason(2), 104));
        assert_eq!((life.who.uid, life.synacks), (Some(3), Some(2)));
        let weights = [Sort::Time, Sort::Age, Sort::Bytes, Sort::Retrans];
        let weights = weights.map(|sort| life.weight(sort));
        assert_eq!(weights, [2 * MS, MS + 1, 18, 7]);
    }
}
