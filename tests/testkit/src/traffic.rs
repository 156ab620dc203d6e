//! A minute of a web server that is also a client: every connection from its SYN to its end, with
//! counters and live connections that fit the events.

use std::mem::offset_of;

use diagnose_tools::abi::{ConnBytes, RawConn, RawMeters, RawRecord, RecordBytes, TransitionCount};
use diagnose_tools::model::histogram::bucket;

use crate::fake::{Fake, NOW};
use crate::records::Bytes;
use crate::scene::{
    CLIENT, CLOSE, CLOSE_WAIT, Conn, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, LAST_ACK, NETNS,
    NEW_SYN_RECV, SERVED, SYN_SENT, TIME_WAIT, step,
};

/// Length of the recording in milliseconds.
pub const LENGTH_MS: u64 = 60_000;
/// Cgroups of the server and of the clients.
pub const CGROUPS: [u64; 2] = [801, 802];

const NEW: u8 = 0;
const CLOSED_LOCAL: u16 = 1;
const CLOSED_PEER: u16 = 2;
const RESET_RECEIVED: u16 = 5;
const REFUSED: u16 = 10;

/// A state and the milliseconds that it lasts.
type Stay = (u8, u64);

/// A connection: when it begins, its states, and why it ends.
pub struct Life {
    /// The connection, of which state and age are not yet set.
    pub conn: Conn,
    begin_ms: u64,
    before: u8,
    stays: Vec<Stay>,
    reason: u16,
}

/// A transition of a life.
#[derive(Clone, Copy)]
pub struct Moved {
    /// Milliseconds since the start of the recording.
    pub at_ms: u64,
    /// Milliseconds in the old state.
    pub in_old_ms: u64,
    /// The old state.
    pub old: u8,
    /// The new state.
    pub new: u8,
    /// The reason, at the end.
    pub reason: u16,
}

impl Life {
    fn new(n: u64, of: u64) -> Self {
        let begin_ms = n * LENGTH_MS / of.max(1);
        let busy = 20 + (n * 7_919) % 9_000;
        let server = n % 8 < 5;
        let (before, stays, reason) = match n % 8 {
            0..=3 => (
                NEW,
                vec![
                    (NEW_SYN_RECV, 2 + n % 40),
                    (ESTABLISHED, busy),
                    (CLOSE_WAIT, 1 + (n * 31) % 300),
                    (LAST_ACK, 2 + n % 9),
                ],
                CLOSED_PEER,
            ),
            4 => (
                NEW,
                vec![(NEW_SYN_RECV, 3), (ESTABLISHED, busy)],
                RESET_RECEIVED,
            ),
            5 | 6 => (
                CLOSE,
                vec![
                    (SYN_SENT, 1 + n % 90),
                    (ESTABLISHED, busy),
                    (FIN_WAIT1, 2 + n % 9),
                    (FIN_WAIT2, 1 + n % 500),
                    (TIME_WAIT, 60_000),
                ],
                CLOSED_LOCAL,
            ),
            _ => (CLOSE, vec![(SYN_SENT, 1 + n % 3)], REFUSED),
        };
        Self {
            conn: conn(n, server),
            begin_ms,
            before,
            stays,
            reason,
        }
    }

    /// Its transitions in the recording.
    pub fn moves(&self) -> Vec<Moved> {
        let (mut at_ms, mut in_old_ms, mut old) = (self.begin_ms, 0, self.before);
        let ends = std::iter::once((CLOSE, 0));
        let mut moves = Vec::new();
        for (new, ms) in self.stays.iter().copied().chain(ends) {
            let reason = if new == CLOSE { self.reason } else { 0 };
            moves.push(Moved {
                at_ms,
                in_old_ms,
                old,
                new,
                reason,
            });
            (at_ms, in_old_ms, old) = (at_ms + ms, ms, new);
        }
        moves.retain(|moved| moved.at_ms <= LENGTH_MS);
        moves
    }

    fn record(&self, moved: &Moved) -> RecordBytes {
        let ago = LENGTH_MS - moved.at_ms;
        let mut bytes = Bytes(step(&self.conn, ago, moved.old, moved.new, moved.reason));
        let who = offset_of!(RawRecord, who);
        if ![NEW, CLOSE].contains(&moved.old) {
            let ns = moved.in_old_ms * 1_000_000;
            bytes
                .put(offset_of!(RawRecord, flags), 3u16.to_ne_bytes())
                .put(offset_of!(RawRecord, in_old_ns), ns.to_ne_bytes());
        }
        bytes.place(who, cgroup(&self.conn), NETNS);
        bytes.0
    }

    /// The connection at the end of the recording; `None`: it has ended.
    fn live(&self) -> Option<(u8, ConnBytes)> {
        let last = *self.moves().last()?;
        let age_ms = LENGTH_MS - last.at_ms;
        if last.new == CLOSE {
            return None;
        }
        let conn = self.conn.clone().state(last.new);
        let is_full = ![NEW_SYN_RECV, TIME_WAIT].contains(&last.new);
        let conn = if is_full { conn } else { conn.small() };
        let mut bytes = Bytes(conn.bytes());
        let at = |ms: u64| (NOW - ms * 1_000_000).to_ne_bytes();
        bytes
            .put(offset_of!(RawConn, since_ns), at(age_ms))
            .put(
                offset_of!(RawConn, first_seen_ns),
                at(LENGTH_MS - self.begin_ms),
            )
            .place(offset_of!(RawConn, who), cgroup(&conn), NETNS);
        if is_full {
            let retrans = offset_of!(RawConn, meters) + offset_of!(RawMeters, retrans);
            bytes.put(retrans, (conn.sent as u32 % 3).to_ne_bytes());
        }
        Some((last.new, bytes.0))
    }
}

fn conn(n: u64, server: bool) -> Conn {
    let [_, .., b, c] = (n as u32).to_be_bytes();
    let peer = format!("10.77.{b}.{c}:{}", 30_000 + n % 20_000);
    let sent = 300 + n * 6_007 % 900_000;
    let received = 90 + n * 211 % 40_000;
    let conn = match server {
        true => Conn {
            pid: 140 + (n % 4) as u32,
            ..Conn::served(peer, 0)
        },
        false => Conn::begun(
            format!("10.0.0.1:{}", 20_000 + n % 40_000),
            "10.3.0.9:5432",
            0,
        ),
    };
    Conn {
        sent,
        acked: sent,
        received,
        srtt_us: 300 + (n * 77 % 60_000) as u32,
        role: if server { SERVED } else { CLIENT },
        ..conn
    }
}

fn cgroup(conn: &Conn) -> u64 {
    CGROUPS[usize::from(conn.role == CLIENT)]
}

/// All connections of a recording with so many of them.
pub fn lives(count: u64) -> Vec<Life> {
    (0..count).map(|n| Life::new(n, count)).collect()
}

/// The recording of these connections, on two CPUs whose rings have this length.
pub fn record(lives: &[Life], ring: u64) -> Fake {
    let mut fake = Fake::new(2, ring);
    let mut moves: Vec<(Moved, &Life)> = Vec::new();
    for life in lives {
        moves.extend(life.moves().into_iter().map(|moved| (moved, life)));
    }
    moves.sort_by_key(|(moved, _)| moved.at_ms);
    let mut states = [0; 13];
    let mut conns = Vec::new();
    for (state, bytes) in lives.iter().filter_map(Life::live) {
        states[usize::from(state)] += 1;
        conns.push(bytes);
    }
    (fake.states, fake.batch) = (Some(states), 1_024);
    fake.conns.replace(conns);
    for (at, (moved, life)) in moves.iter().enumerate() {
        fake.rings[at % 2].write(&life.record(moved));
    }
    count(&mut fake, &moves);
    fake
}

/// Sets the module's counters of these transitions.
fn count(fake: &mut Fake, moves: &[(Moved, &Life)]) {
    let mut counts: Vec<TransitionCount> = Vec::new();
    let reasons = fake.lives.ends.len() / fake.lives.life.len();
    for (moved, life) in moves {
        let is_it = |c: &TransitionCount| (c.old_state, c.new_state) == (moved.old, moved.new);
        let at = counts.iter().position(is_it).unwrap_or_else(|| {
            counts.push(TransitionCount {
                old_state: moved.old,
                new_state: moved.new,
                ..TransitionCount::default()
            });
            counts.len() - 1
        });
        add(&mut counts[at], moved);
        if moved.new == CLOSE {
            let role = usize::from(life.conn.role);
            fake.lives.ends[role * reasons + usize::from(moved.reason)] += 1;
        }
    }
    fake.transition_counts = counts;
}

fn add(count: &mut TransitionCount, moved: &Moved) {
    count.count += 1;
    if ![NEW, CLOSE].contains(&moved.old) {
        let ns = moved.in_old_ms * 1_000_000;
        count.timed += 1;
        count.total_ns += ns;
        count.max_ns = count.max_ns.max(ns);
        count.hist[bucket(ns)] += 1;
    }
}
