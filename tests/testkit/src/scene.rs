//! A web server, its clients and its attackers: the structures that the module would return for
//! them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::offset_of;
use std::net::Ipv4Addr;

use diagnose_tools::abi::{
    ConnBytes, ListenerBytes, PAIR_SIZE, PairBytes, RawConn, RawHandshakes, RawIdent, RawListener,
    RawMeters, RawPair, RawRecord, RecordBytes, TCPSTATES_HAS_OWNER, TCPSTATES_HAS_UID,
    TCPSTATES_IS_SUBFLOW,
};

use crate::fake::NOW;
use crate::records::Bytes;

pub const SECOND: u64 = 1_000_000_000;
pub const NETNS: u32 = 4_026_531_840;
pub const SERVER: &str = "10.0.0.1:80";

pub const ESTABLISHED: u8 = 1;
pub const SYN_SENT: u8 = 2;
pub const SYN_RECV: u8 = 3;
pub const FIN_WAIT1: u8 = 4;
pub const FIN_WAIT2: u8 = 5;
pub const TIME_WAIT: u8 = 6;
pub const CLOSE: u8 = 7;
pub const CLOSE_WAIT: u8 = 8;
pub const LAST_ACK: u8 = 9;
pub const LISTEN: u8 = 10;
pub const NEW_SYN_RECV: u8 = 12;

pub const CLIENT: u8 = 1;
pub const SERVED: u8 = 2;

/// A live connection; fields that are not set are 0.
#[derive(Clone)]
pub struct Conn {
    pub local: String,
    pub remote: String,
    pub state: u8,
    pub role: u8,
    /// Seconds in the state, and since the connection was first seen.
    pub age: u64,
    pub pid: u32,
    pub comm: &'static str,
    pub full: bool,
    pub sent: u64,
    pub acked: u64,
    pub received: u64,
    pub window: u32,
    pub sndbuf_used: u32,
    pub rcvbuf_used: u32,
    /// Sequence numbers that were not read.
    pub recv_q: u32,
    pub srtt_us: u32,
    /// Milliseconds since data were last received.
    pub last_recv: u32,
    pub last_sent: u32,
    pub unacked: u32,
    pub retransmits: u8,
    pub probes: u8,
    pub flags: u16,
    /// Inode number of the socket.
    pub ino: u64,
    /// A subflow of the MPTCP socket with this inode number.
    pub subflow: bool,
}

/// Flag of [`Conn`]: no process has the socket open.
pub const ORPHAN: u16 = 2;

impl Conn {
    /// A connection of nginx, ESTABLISHED for `age` seconds.
    pub fn served(remote: String, age: u64) -> Self {
        Self {
            local: SERVER.into(),
            remote,
            state: ESTABLISHED,
            role: SERVED,
            age,
            pid: 142,
            comm: "nginx",
            full: true,
            sent: 0,
            acked: 0,
            received: 0,
            window: 64_240,
            sndbuf_used: 0,
            rcvbuf_used: 0,
            recv_q: 0,
            srtt_us: 1_000,
            last_recv: (age * 1_000) as u32,
            last_sent: (age * 1_000) as u32,
            unacked: 0,
            retransmits: 0,
            probes: 0,
            flags: 0,
            ino: 0,
            subflow: false,
        }
    }

    /// The module's id: one for each pair of ends.
    fn id(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.local, &self.remote).hash(&mut hasher);
        hasher.finish()
    }

    /// A connection that curl has opened.
    pub fn begun(local: String, remote: &str, age: u64) -> Self {
        Self {
            local,
            role: CLIENT,
            pid: 900,
            comm: "curl",
            ..Self::served(remote.into(), age)
        }
    }

    pub fn state(self, state: u8) -> Self {
        Self { state, ..self }
    }

    /// A request or timewait socket.
    pub fn small(self) -> Self {
        Self {
            full: false,
            ..self
        }
    }

    pub fn bytes(&self) -> ConnBytes {
        let (who, meters) = (offset_of!(RawConn, who), offset_of!(RawConn, meters));
        let flags = if self.full { 7u16 | 0x30 } else { 3 };
        let mut bytes = Bytes::conn(self.state, NOW - self.age * SECOND, flags);
        bytes
            .ident(who, &self.local, &self.remote)
            .put(who + offset_of!(RawIdent, conn), self.id().to_ne_bytes())
            .put(who + offset_of!(RawIdent, role), [self.role]);
        let subflow = match self.subflow {
            true => TCPSTATES_IS_SUBFLOW,
            false => 0,
        };
        if self.pid != 0 {
            bytes
                .owner(who, self.pid, self.comm.as_bytes())
                .known(who, TCPSTATES_HAS_OWNER | TCPSTATES_HAS_UID | subflow);
        }
        let mut meter = |at: usize, n: u32| {
            bytes.put(meters + at, n.to_ne_bytes());
        };
        meter(offset_of!(RawMeters, snd_wnd), self.window);
        meter(offset_of!(RawMeters, sndbuf_used), self.sndbuf_used);
        meter(offset_of!(RawMeters, rcvbuf_used), self.rcvbuf_used);
        meter(offset_of!(RawMeters, unread), self.recv_q);
        meter(offset_of!(RawMeters, srtt_us), self.srtt_us);
        for (at, n) in [
            (offset_of!(RawMeters, bytes_sent), self.sent),
            (offset_of!(RawMeters, bytes_acked), self.acked),
            (offset_of!(RawMeters, bytes_received), self.received),
        ] {
            bytes.put(meters + at, n.to_ne_bytes());
        }
        bytes
            .put(
                offset_of!(RawConn, last_recv_ms),
                u64::from(self.last_recv).to_ne_bytes(),
            )
            .put(
                offset_of!(RawConn, last_sent_ms),
                u64::from(self.last_sent).to_ne_bytes(),
            )
            .put(offset_of!(RawConn, ino), self.ino.to_ne_bytes())
            .put(offset_of!(RawConn, unacked), self.unacked.to_ne_bytes())
            .put(offset_of!(RawConn, retransmits), [self.retransmits])
            .put(offset_of!(RawConn, probes), [self.probes])
            .put(offset_of!(RawConn, sock_flags), self.flags.to_ne_bytes());
        bytes.0
    }
}

/// `10.9.0.1:PORT`: all from one source.
pub fn attacker(number: u64) -> String {
    format!("10.9.0.1:{}", 20_000 + number)
}

/// A different source for each number.
pub fn stranger(number: u64) -> String {
    let [.., high, low] = (number as u16).to_be_bytes();
    format!("10.200.{high}.{low}:30000")
}

/// Clients that send a request from time to time: ten connections of each address.
pub fn healthy(number: u64) -> Conn {
    let remote = format!("10.77.0.{}:{}", 1 + number / 10, 40_000 + number);
    Conn {
        sent: 9_000,
        acked: 9_000,
        received: 700,
        last_recv: 1_500,
        last_sent: 1_490,
        ..Conn::served(remote, 50)
    }
}

/// A request that arrives in small pieces: the last one came a second ago, none was answered.
pub fn slow(number: u64) -> Conn {
    Conn {
        received: 300,
        last_recv: 1_000,
        ..Conn::served(attacker(number), 20)
    }
}

pub fn request(remote: String) -> Conn {
    Conn {
        pid: 0,
        ..Conn::served(remote, 2).state(NEW_SYN_RECV).small()
    }
}

/// A listener of nginx with a backlog of 511, since the activation.
#[derive(Clone, Copy, Default)]
pub struct Socket {
    pub accept: [u32; 2],
    pub half_open: [u32; 3],
    pub unfinished: [u32; 2],
    /// Seconds since the last second with a SYN.
    pub ago: u64,
    pub alarms: u16,
    pub handshakes: RawHandshakes,
    /// The module's id, which a connection in LISTEN has, too; 0: of no such connection.
    pub id: u64,
}

/// The socket of a listener among the live connections.
pub fn listening(id: u64, ino: u64) -> ConnBytes {
    let conn = Conn {
        ino,
        ..Conn::served("0.0.0.0:0".into(), 60).state(LISTEN)
    };
    let mut bytes = Bytes(conn.bytes());
    let who = offset_of!(RawConn, who);
    bytes.put(who + offset_of!(RawIdent, conn), id.to_ne_bytes());
    bytes.0
}

impl Socket {
    pub fn bytes(&self) -> ListenerBytes {
        let who = offset_of!(RawListener, who);
        let [length, max] = self.accept;
        let [half_open, half_open_max, limit] = self.half_open;
        let [unfinished, unfinished_max] = self.unfinished;
        let queues = [length, max, 511, half_open, half_open_max, limit];
        let numbers = [&queues[..], &[unfinished, unfinished_max]].concat();
        let mut bytes = Bytes::nginx(SERVER, self.alarms, NOW - self.ago * SECOND, &numbers);
        bytes
            .known(who, TCPSTATES_HAS_OWNER | TCPSTATES_HAS_UID)
            .put(who + offset_of!(RawIdent, conn), self.id.to_ne_bytes())
            .put(who + offset_of!(RawIdent, role), [3]);
        let h = &self.handshakes;
        for (at, number) in [
            (offset_of!(RawHandshakes, syns), h.syns),
            (offset_of!(RawHandshakes, cookies_sent), h.cookies_sent),
            (
                offset_of!(RawHandshakes, cookies_accepted),
                h.cookies_accepted,
            ),
            (offset_of!(RawHandshakes, syn_queue_full), h.syn_queue_full),
            (
                offset_of!(RawHandshakes, syn_accept_queue_full),
                h.syn_accept_queue_full,
            ),
            (
                offset_of!(RawHandshakes, ack_accept_queue_full),
                h.ack_accept_queue_full,
            ),
            (offset_of!(RawHandshakes, promoted), h.promoted),
            (offset_of!(RawHandshakes, expired), h.expired),
        ] {
            bytes.put(
                offset_of!(RawListener, handshakes) + at,
                number.to_ne_bytes(),
            );
        }
        bytes.0
    }
}

/// A flood with `unfinished` handshakes in a second, `ago` seconds ago.
pub fn flood(unfinished: u32, ago: u64) -> Socket {
    Socket {
        half_open: [511, 511, 511],
        unfinished: [unfinished, 6_000],
        ago,
        alarms: 1 << 4,
        handshakes: RawHandshakes {
            syns: 90_000,
            cookies_sent: 80_000,
            cookies_accepted: 20,
            expired: 400,
            ..RawHandshakes::default()
        },
        ..Socket::default()
    }
}

/// The pair of 10.0.0.1 and `raddr`.
pub fn pair(raddr: Ipv4Addr, established: u32, alarm: bool) -> PairBytes {
    let mut bytes = Bytes([0; PAIR_SIZE]);
    let mapped = |addr: Ipv4Addr| addr.to_ipv6_mapped().octets();
    bytes
        .put(offset_of!(RawPair, laddr), mapped([10, 0, 0, 1].into()))
        .put(offset_of!(RawPair, raddr), mapped(raddr))
        .put(offset_of!(RawPair, netns), NETNS.to_ne_bytes())
        .put(offset_of!(RawPair, family), [4])
        .put(offset_of!(RawPair, alarm), [u8::from(alarm)])
        .put(offset_of!(RawPair, established), established.to_ne_bytes())
        .put(offset_of!(RawPair, peak), 700u64.to_ne_bytes());
    bytes.0
}

/// A transition of `conn`, `ago_ms` milliseconds ago.
pub fn step(conn: &Conn, ago_ms: u64, old: u8, new: u8, reason: u16) -> RecordBytes {
    let who = offset_of!(RawRecord, who);
    let mut bytes = Bytes::transition(NOW - ago_ms * 1_000_000, old, new);
    bytes
        .put(offset_of!(RawRecord, reason), reason.to_ne_bytes())
        .ident(who, &conn.local, &conn.remote)
        .put(who + offset_of!(RawIdent, conn), conn.id().to_ne_bytes())
        .put(who + offset_of!(RawIdent, role), [conn.role])
        .owner(who, conn.pid, conn.comm.as_bytes())
        .known(who, TCPSTATES_HAS_OWNER);
    bytes.0
}

/// The end of `conn` by a reset, `ago_ms` milliseconds ago, after `lasted_ms` in ESTABLISHED, with
/// its counters of bytes.
pub fn reset(conn: &Conn, ago_ms: u64, lasted_ms: u64, reason: u16) -> RecordBytes {
    let meters = offset_of!(RawRecord, meters);
    let mut bytes = Bytes(step(conn, ago_ms, ESTABLISHED, CLOSE, reason));
    let lasted_ns = lasted_ms * 1_000_000;
    bytes
        .put(offset_of!(RawRecord, flags), 7u16.to_ne_bytes())
        .put(offset_of!(RawRecord, in_old_ns), lasted_ns.to_ne_bytes())
        .put(
            meters + offset_of!(RawMeters, bytes_sent),
            conn.sent.to_ne_bytes(),
        )
        .put(
            meters + offset_of!(RawMeters, bytes_received),
            conn.received.to_ne_bytes(),
        );
    bytes.0
}

/// Binds the structure's socket to a device.
pub fn bind<const N: usize>(bytes: [u8; N], at: usize, ifindex: u32) -> [u8; N] {
    let mut bytes = Bytes(bytes);
    bytes.put(at, ifindex.to_ne_bytes());
    bytes.0
}
