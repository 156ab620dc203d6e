//! A minute of a busy host, whose data agree with each other: each connection has a life, from which
//! its events, its live state, the transition counts and the lifetimes come.

use std::collections::BTreeMap;
use std::mem::offset_of;

use diagnose_tools::abi::{
    ConnBytes, Lives, RawConn, RawHandshakes, RawIdent, RawRecord, RecordBytes,
    TCPSTATES_HAS_OWNER, TCPSTATES_HAS_UID, TCPSTATES_REASONS_MAX, Times, TransitionCount,
};
use diagnose_tools::model::histogram::{BUCKETS, upper_bound};

use crate::busy::mix;
use crate::fake::{ACTIVATED, Fake, NOW};
use crate::records::{Bytes, listener};
use crate::scene::{
    CLIENT, CLOSE, CLOSE_WAIT, Conn, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, LAST_ACK, NETNS,
    NEW_SYN_RECV, SERVED, SYN_SENT, Socket, TIME_WAIT, listening,
};

const CLOSING: u8 = 11;
const MINUTE: u64 = NOW - ACTIVATED;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
/// It never comes to an end.
const FOREVER: u64 = 1_000 * SECOND;

/// A step of a life: the state, and the longest time in it.
type Stage = (u8, u64);

/// A kind of life.
struct Life {
    /// How many of a thousand connections have it.
    weight: u64,
    role: u8,
    /// The program, its control group and the other end.
    comm: &'static str,
    cgroup: u64,
    port: u16,
    peers: u64,
    reason: u16,
    stages: &'static [Stage],
}

const fn life(weight: u64, role: u8, comm: &'static str, cgroup: u64, port: u16) -> Life {
    Life {
        weight,
        role,
        comm,
        cgroup,
        port,
        peers: 40,
        reason: 1,
        stages: &[],
    }
}

const REQUEST: Stage = (NEW_SYN_RECV, 80 * MS);
const CALL: Stage = (SYN_SENT, 30 * MS);

/// What goes on. The reasons are numbers of the header.
const LIVES: [Life; 11] = [
    Life {
        reason: 2,
        stages: &[
            REQUEST,
            (ESTABLISHED, 4 * SECOND),
            (CLOSE_WAIT, 2 * MS),
            (LAST_ACK, 60 * MS),
        ],
        ..life(330, SERVED, "nginx", 11, 443)
    },
    Life {
        stages: &[
            REQUEST,
            (ESTABLISHED, 9 * SECOND),
            (FIN_WAIT1, 50 * MS),
            (FIN_WAIT2, 900 * MS),
            (TIME_WAIT, 20 * SECOND),
        ],
        ..life(180, SERVED, "nginx", 11, 443)
    },
    Life {
        peers: 3,
        stages: &[
            CALL,
            (ESTABLISHED, 700 * MS),
            (FIN_WAIT1, 2 * MS),
            (FIN_WAIT2, 3 * MS),
            (TIME_WAIT, 20 * SECOND),
        ],
        ..life(230, CLIENT, "php-fpm", 12, 5_432)
    },
    Life {
        reason: 3,
        stages: &[
            CALL,
            (ESTABLISHED, 2 * SECOND),
            (FIN_WAIT1, 4 * MS),
            (CLOSING, 3 * MS),
            (TIME_WAIT, 20 * SECOND),
        ],
        ..life(6, CLIENT, "curl", 13, 80)
    },
    Life {
        peers: 1,
        reason: 10,
        stages: &[(SYN_SENT, 2 * MS)],
        ..life(40, CLIENT, "curl", 13, 8_081)
    },
    Life {
        peers: 2,
        reason: 9,
        stages: &[(SYN_SENT, 40 * SECOND)],
        ..life(20, CLIENT, "backup", 14, 873)
    },
    Life {
        reason: 5,
        stages: &[REQUEST, (ESTABLISHED, 15 * SECOND)],
        ..life(70, SERVED, "nginx", 11, 443)
    },
    Life {
        reason: 9,
        peers: 400,
        stages: &[(NEW_SYN_RECV, 30 * SECOND)],
        ..life(50, SERVED, "nginx", 11, 443)
    },
    Life {
        peers: 2,
        reason: 2,
        stages: &[REQUEST, (ESTABLISHED, SECOND), (CLOSE_WAIT, FOREVER)],
        ..life(34, SERVED, "java", 15, 8_080)
    },
    Life {
        peers: 12,
        stages: &[REQUEST, (ESTABLISHED, FOREVER)],
        ..life(38, SERVED, "java", 15, 8_080)
    },
    Life {
        stages: &[CALL, (ESTABLISHED, SECOND), (FIN_WAIT1, 9 * SECOND)],
        reason: 6,
        ..life(2, CLIENT, "rsync", 14, 873)
    },
];

/// Paths of the control groups of the connections.
pub const CGROUPS: [(u64, &str); 5] = [
    (
        11,
        "/system.slice/docker-11a63b1f8b8ac5f10b58cbb1a6a8ee8d7cda0b6f6c3a35b3d9d18a5c4c4d9f01.scope",
    ),
    (
        12,
        "/system.slice/docker-22b93c2f7b8ac5f10b58cbb1a6a8ee8d7cda0b6f6c3a35b3d9d18a5c4c4d9f02.scope",
    ),
    (13, "/user.slice/user-1000.slice/session-3.scope"),
    (14, "/system.slice/backup.service"),
    (
        15,
        "/kubepods.slice/kubepods-burstable.slice/kubepods-pod7/cri-containerd-33c.scope",
    ),
];

/// The host after this number of connections. Their programs have different numbers.
pub fn town(connections: u64) -> Fake {
    let mut fake = Fake::new(4, (connections * 8 / 4).next_power_of_two().max(64));
    fake.batch = 500;
    let mut books = Books::default();
    for number in 0..connections {
        books.live(number);
    }
    books.never_allowed();
    books.events.sort_by_key(|(ts, _)| *ts);
    for (at, (_, record)) in books.events.iter().enumerate() {
        fake.rings[at % 4].write(record);
    }
    books.conns.push(listening(9_001, 501));
    *fake.conns.borrow_mut() = books.conns;
    fake.transition_counts = books.counts.into_values().collect();
    fake.lives = books.lives;
    fake.listeners = vec![
        full().bytes(),
        listener("10.0.0.1:8080"),
        listener("10.0.0.1:443"),
    ];
    fake.handshakes = RawHandshakes {
        syns: connections,
        requests: connections / 2,
        promoted: connections / 2,
        cookies_sent: 12,
        cookies_accepted: 9,
        expired: connections / 20,
        synacks_sent_again: 55,
        ..RawHandshakes::default()
    };
    fake
}

/// The accept queue of nginx is full.
fn full() -> Socket {
    Socket {
        accept: [512, 512],
        half_open: [30, 400, 511],
        unfinished: [40, 80],
        id: 9_001,
        ..Socket::default()
    }
}

/// What the module would know.
#[derive(Default)]
struct Books {
    events: Vec<(u64, RecordBytes)>,
    conns: Vec<ConnBytes>,
    counts: BTreeMap<(u8, u8), TransitionCount>,
    lives: Lives,
}

impl Books {
    /// One connection from its start to its end, or to now.
    fn live(&mut self, number: u64) {
        let life = chosen(mix(number) % 1_000);
        let conn = conn(number, life);
        // A wave of connections in the middle of the minute.
        let random = mix(number.wrapping_add(7)) % MINUTE;
        let start = match number % 3 {
            0 => ACTIVATED + MINUTE / 3 + random / 6,
            _ => ACTIVATED + random,
        };
        let mut state = if life.role == SERVED { 0 } else { CLOSE };
        let (mut ts, mut entered) = (start, start);
        let mut established = None;
        for (stage, longest) in life.stages.iter().chain([&(CLOSE, 0)]) {
            if ts > NOW {
                break;
            }
            let is_last = *stage == CLOSE;
            self.step(&conn, life, ts, (state, *stage), ts - entered, is_last);
            if *stage == ESTABLISHED {
                established = Some(ts);
                if life.role == SERVED {
                    add(&mut self.lives.accept_wait, mix(number ^ 1) % (9 * MS));
                }
            }
            (state, entered) = (*stage, ts);
            ts += duration(number, *stage, *longest);
        }
        if state == CLOSE {
            let at = usize::from(life.role) * TCPSTATES_REASONS_MAX as usize;
            self.lives.ends[at + usize::from(life.reason)] += 1;
            if let Some(since) = established {
                add(
                    &mut self.lives.life[usize::from(life.role)],
                    entered - since,
                );
            }
        } else {
            self.conns.push(alive(&conn, life, number, state, entered));
        }
    }

    fn step(
        &mut self,
        conn: &Conn,
        life: &Life,
        ts: u64,
        states: (u8, u8),
        old_ns: u64,
        last: bool,
    ) {
        let (old, new) = states;
        let mut bytes = Bytes::transition(ts, old, new);
        let who = offset_of!(RawRecord, who);
        let reason = if last { life.reason } else { 0 };
        bytes
            .put(offset_of!(RawRecord, reason), reason.to_ne_bytes())
            .put(offset_of!(RawRecord, in_old_ns), old_ns.to_ne_bytes())
            .put(offset_of!(RawRecord, flags), 3u16.to_ne_bytes())
            .ident(who, &conn.local, &conn.remote)
            .place(who, life.cgroup, NETNS)
            .put(who + offset_of!(RawIdent, conn), conn.ino.to_ne_bytes())
            .put(who + offset_of!(RawIdent, role), [life.role])
            .owner(who, conn.pid, life.comm.as_bytes())
            .known(who, TCPSTATES_HAS_OWNER | TCPSTATES_HAS_UID);
        self.events.push((ts, bytes.0));
        let counted = self
            .counts
            .entry(states)
            .or_insert_with(|| TransitionCount {
                old_state: old,
                new_state: new,
                ..TransitionCount::default()
            });
        counted.count += 1;
        counted.timed += 1;
        counted.total_ns += old_ns;
        counted.max_ns = counted.max_ns.max(old_ns);
        counted.hist[bucket(old_ns)] += 1;
    }

    /// Two transitions that the RFC does not have.
    fn never_allowed(&mut self) {
        for states in [(CLOSE_WAIT, ESTABLISHED), (SYN_SENT, FIN_WAIT2)] {
            let counted = TransitionCount {
                old_state: states.0,
                new_state: states.1,
                count: 2,
                ..TransitionCount::default()
            };
            self.counts.insert(states, counted);
        }
    }
}

fn chosen(random: u64) -> &'static Life {
    let mut left = random;
    for life in &LIVES {
        match left.checked_sub(life.weight) {
            Some(rest) => left = rest,
            None => return life,
        }
    }
    &LIVES[0]
}

/// A connection; its number of the socket is the module's number, too.
fn conn(number: u64, life: &Life) -> Conn {
    let random = mix(number ^ 0x77);
    let here = format!(
        "10.0.0.1:{}",
        if life.role == SERVED {
            life.port
        } else {
            port(number)
        }
    );
    let peer = random % life.peers;
    let there = match life.role {
        SERVED => format!(
            "203.0.{}.{}:{}",
            113 + peer / 200,
            1 + peer % 200,
            port(number)
        ),
        _ => format!("198.51.100.{}:{}", 1 + peer, life.port),
    };
    Conn {
        pid: 1_000 + (life.cgroup * 10 + random % 4) as u32,
        comm: life.comm,
        ino: 10_000 + number,
        sent: 40_000,
        acked: 40_000,
        received: 900,
        ..Conn::begun(here, &there, 0)
    }
}

fn port(number: u64) -> u16 {
    32_768 + (number % 28_000) as u16
}

fn alive(conn: &Conn, life: &Life, number: u64, state: u8, since: u64) -> ConnBytes {
    let conn = Conn {
        role: life.role,
        full: ![NEW_SYN_RECV, TIME_WAIT].contains(&state),
        ..conn.clone().state(state)
    };
    let mut bytes = Bytes(conn.bytes());
    let who = offset_of!(RawConn, who);
    bytes
        .place(who, life.cgroup, NETNS)
        .put(
            who + offset_of!(RawIdent, conn),
            (10_000 + number).to_ne_bytes(),
        )
        .put(offset_of!(RawConn, since_ns), since.to_ne_bytes());
    bytes.0
}

/// From a tenth of the longest duration to all of it; TIME_WAIT has always the same.
fn duration(number: u64, state: u8, longest: u64) -> u64 {
    match (state, longest) {
        (TIME_WAIT, _) | (_, 0) => longest,
        (_, FOREVER) => FOREVER,
        _ => {
            let random = mix(number.wrapping_mul(31) + u64::from(state));
            let part = (longest / 10).max(1) + random % longest;
            // Most are short.
            part >> (random >> 62)
        }
    }
}

/// The bucket of a duration.
pub fn bucket(ns: u64) -> usize {
    let found = (0..BUCKETS - 1).find(|index| ns < upper_bound(*index));
    found.unwrap_or(BUCKETS - 1)
}

fn add(times: &mut Times, ns: u64) {
    times.count += 1;
    times.total_ns += ns;
    times.max_ns = times.max_ns.max(ns);
    times.hist[bucket(ns)] += 1;
}
