use super::*;
use crate::model::event::{Recorded, RingState};
use crate::model::ident::tests::ident;
use crate::model::stats::Stats;

/// A recording of a script of `(time, connection, old, new)`, and what is live at its end.
struct Script {
    builder: Builder,
    seq: u64,
}

impl Script {
    fn new() -> Self {
        Self {
            builder: Builder::default(),
            seq: 0,
        }
    }

    fn who(conn: u64) -> Ident {
        Ident {
            conn,
            ..ident("10.0.0.1:80", "10.0.0.2:4000")
        }
    }

    fn step(&mut self, ts: u64, conn: u64, old: State, new: State) {
        let record = Transition {
            ts,
            in_old: Span::Exact(5),
            old,
            new,
            reason: Reason::NONE,
            error: 0,
            synacks: None,
            who: Self::who(conn),
            meters: None,
        };
        let (cpu, seq) = (0, self.seq);
        self.seq += 1;
        let event = Recorded { cpu, seq, record };
        self.builder
            .event(&crate::model::event::Event::Transition(event));
    }

    fn live(&mut self, conn: u64, state: State, seeded: bool, first_seen_ns: u64) {
        let mut live = Conn::decode(&[0; abi::CONN_SIZE]);
        live.who = Ident {
            seeded,
            ..Self::who(conn)
        };
        (live.state, live.first_seen_ns) = (state, first_seen_ns);
        self.builder.live(&live);
    }

    fn finish(self, now_ns: u64) -> Playback {
        let stats = Stats {
            now_ns,
            activated_ns: 10,
            ..Stats::default()
        };
        let ring = RingState {
            head: self.seq,
            ..RingState::default()
        };
        self.builder.finish(&stats, &[ring])
    }
}

fn at(playback: &Playback, ns: u64, state: State) -> u64 {
    playback.counts_at(ns)[usize::from(state.0)]
}

#[test]
fn states_of_the_past_are_found_by_undoing() {
    let mut script = Script::new();
    script.step(100, 1, State::CLOSE, State::SYN_SENT);
    script.step(200, 1, State::SYN_SENT, State::ESTABLISHED);
    script.step(250, 2, State::NEW, State::NEW_SYN_RECV);
    script.step(300, 1, State::ESTABLISHED, State::CLOSE);
    script.live(2, State::NEW_SYN_RECV, false, 250);
    script.live(3, State::LISTEN, true, 10);
    let playback = script.finish(400);
    assert_eq!((playback.from_ns, playback.end_ns), (10, 400));
    assert_eq!(playback.before, Before::Activation);
    for (ns, syn_sent, established, requests) in [
        (99, 0, 0, 0),
        (100, 1, 0, 0),
        (199, 1, 0, 0),
        (200, 0, 1, 0),
        (299, 0, 1, 1),
        (300, 0, 0, 1),
        (400, 0, 0, 1),
    ] {
        assert_eq!(at(&playback, ns, State::SYN_SENT), syn_sent, "{ns}");
        assert_eq!(at(&playback, ns, State::ESTABLISHED), established, "{ns}");
        assert_eq!(at(&playback, ns, State::NEW_SYN_RECV), requests, "{ns}");
        assert_eq!(at(&playback, ns, State::LISTEN), 1, "{ns}");
    }
    let moments: Vec<_> = playback.between(100, 250).map(|s| s.ts).collect();
    assert_eq!(moments, [200, 250]);
    assert_eq!(playback.neighbour(200, true), Some(250));
    assert_eq!(playback.neighbour(200, false), Some(100));
    assert_eq!(playback.neighbour(300, true), None);
    assert_eq!(playback.of_conn(1).count(), 3);
}

#[test]
fn connections_of_the_past_are_those_of_the_counts() {
    let mut script = Script::new();
    script.step(100, 1, State::NEW, State::SYN_RECV);
    script.step(200, 1, State::SYN_RECV, State::ESTABLISHED);
    script.step(300, 1, State::ESTABLISHED, State::CLOSE);
    script.live(2, State::ESTABLISHED, false, 150);
    let playback = script.finish(400);
    let past = playback.changed_since(250);
    assert_eq!(past.len(), 1);
    let conn = past[&1].unwrap();
    assert_eq!(
        (conn.state, conn.since),
        (State::ESTABLISHED, Span::Exact(295))
    );
    assert_eq!(playback.changed_since(50)[&1], None);
    // Of the second one no transition was recorded, so only its first sight is known.
    assert_eq!(playback.changed_since(120)[&2], None);
    assert_eq!(at(&playback, 120, State::ESTABLISHED), 0);
    assert_eq!(at(&playback, 150, State::ESTABLISHED), 1);
    assert_eq!(playback.between(0, 400).count(), 3, "that is no event");
}

#[test]
fn missing_transitions_and_late_changes_do_not_unbalance_it() {
    let mut script = Script::new();
    script.step(100, 1, State::NEW, State::SYN_RECV);
    // SYN_RECV -> ESTABLISHED was too short to be recorded.
    script.step(300, 1, State::ESTABLISHED, State::CLOSE_WAIT);
    // It has changed again after the events were read, and another one has ended.
    script.step(310, 2, State::NEW, State::ESTABLISHED);
    script.live(1, State::LAST_ACK, false, 100);
    let playback = script.finish(400);
    assert_eq!(at(&playback, 400, State::LAST_ACK), 1);
    assert_eq!(at(&playback, 299, State::ESTABLISHED), 1);
    for ns in [0, 50, 99] {
        assert_eq!(playback.counts_at(ns), Counts::default(), "{ns}");
    }
    assert_eq!(playback.counts_at(200).iter().sum::<u64>(), 1);
    assert_eq!(playback.counts_at(400).iter().sum::<u64>(), 1);
}

#[test]
fn the_start_is_where_no_ring_lacks_events() {
    let mut script = Script::new();
    script.seq = 1_000;
    script.step(100, 1, State::NEW, State::SYN_RECV);
    script.live(1, State::SYN_RECV, false, 100);
    let playback = script.finish(400);
    assert_eq!(playback.from_ns, 100);
    assert_eq!(playback.before, Before::Overwritten(1_000));
}

/// Any script gives, at any moment, what following it forwards gives.
#[test]
fn undoing_is_the_reverse_of_doing() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut script = Script::new();
    let mut states = vec![State::NEW; 300];
    let mut counts = Counts::default();
    let mut expected = vec![(0, counts)];
    for n in 0..5_000 {
        let conn = random.usize(..states.len());
        let (old, new) = (states[conn], State(random.u8(1..13)));
        if old == State::CLOSE {
            continue;
        }
        count(&mut counts, old, false);
        count(&mut counts, new, true);
        states[conn] = new;
        script.step(20 + n, conn as u64 + 1, old, new);
        expected.push((20 + n, counts));
    }
    for (conn, state) in states.iter().enumerate().filter(|(_, s)| exists(**s)) {
        script.live(conn as u64 + 1, *state, false, 20);
    }
    let playback = script.finish(10_000);
    for (ns, counts) in &expected {
        assert_eq!(playback.counts_at(*ns), *counts, "{ns}");
    }
    let changed = playback.changed_since(1_000);
    let existing = changed.values().flatten().count() as u64;
    assert!(existing <= playback.counts_at(1_000).iter().sum());
}
