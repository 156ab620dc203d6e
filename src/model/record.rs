//! Decodes records and live connections from the module's bytes into plain
//! structures. Any bytes decode to something: numbers that this controller
//! does not know are kept or told as unknown, and nothing panics.

use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::abi::{self, ConnBytes, RawConn, RawIdent, RawMeters, RawRecord, RecordBytes};
use crate::fmt::line::{Line, Put, put_first};
use crate::fmt::text::{Printable, is_plain_padded};
use crate::model::reason::Reason;
use crate::model::state::State;

/// A length of time, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Nothing is known.
    Unknown,
    /// Nanoseconds; the true time is longer.
    AtLeast(u64),
    /// Nanoseconds.
    Exact(u64),
}

impl Span {
    pub(crate) fn new(ns: u64, flags: u16) -> Self {
        let flags = u32::from(flags);
        if flags & abi::TCPSTATES_SINCE_KNOWN == 0 {
            Self::Unknown
        } else if flags & abi::TCPSTATES_SINCE_EXACT == 0 {
            Self::AtLeast(ns)
        } else {
            Self::Exact(ns)
        }
    }

    /// Nanoseconds, exact or not.
    pub fn ns(self) -> Option<u64> {
        match self {
            Self::Unknown => None,
            Self::AtLeast(ns) | Self::Exact(ns) => Some(ns),
        }
    }

    /// Of a moment since when something is so: how long that is, at `now_ns`.
    pub fn age(self, now_ns: u64) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::AtLeast(since) => Self::AtLeast(now_ns.saturating_sub(since)),
            Self::Exact(since) => Self::Exact(now_ns.saturating_sub(since)),
        }
    }

    /// Whether the nanoseconds are exact; `None` when there are none.
    pub fn exact(self) -> Option<bool> {
        self.ns().map(|_| matches!(self, Self::Exact(_)))
    }
}

/// Which side of the connection a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sent the first SYN.
    Client,
    /// A listener accepted its SYN.
    Server,
    /// It listens.
    Listener,
}

impl Role {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        match u32::from(number) {
            abi::TCPSTATES_ROLE_CLIENT => Some(Self::Client),
            abi::TCPSTATES_ROLE_SERVER => Some(Self::Server),
            abi::TCPSTATES_ROLE_LISTENER => Some(Self::Listener),
            _ => None,
        }
    }

    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Listener => "listener",
        }
    }
}

/// The process that owns a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Thread group, in the initial pid namespace.
    pub pid: u32,
    /// Name of its leader, NUL padded, any bytes.
    pub comm: [u8; 16],
}

impl Owner {
    /// The name without its padding.
    pub fn comm_bytes(&self) -> &[u8] {
        // All bytes together: the lowest bit that is left is that of the first NUL.
        const EACH: u128 = u128::from_ne_bytes([1; 16]);
        let text = u128::from_le_bytes(self.comm);
        let nuls = text.wrapping_sub(EACH) & !text & (EACH << 7);
        &self.comm[..nuls.trailing_zeros() as usize / 8]
    }
}

/// An address and a port, as the module has them: IPv4 as `::ffff:a.b.c.d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Address.
    pub addr: [u8; 16],
    /// Port.
    pub port: u16,
}

/// Who a connection is: `struct tcpstates_ident`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ident {
    /// The module's id of the connection; 0: it was not tracked.
    pub conn: u64,
    /// Local address; IPv4 as `::ffff:a.b.c.d`.
    pub laddr: [u8; 16],
    /// Remote address, in the same form.
    pub raddr: [u8; 16],
    /// Local port; 0: not chosen yet.
    pub lport: u16,
    /// Remote port.
    pub rport: u16,
    /// The local end of the listener that got the SYN, when known.
    pub listener: Option<Endpoint>,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Id of the owner's or the socket's cgroup, when known.
    pub cgroup: Option<u64>,
    /// The owner, when known.
    pub owner: Option<Owner>,
    /// `sk_uid` in the initial user namespace, when known.
    pub uid: Option<u32>,
    /// The socket's family: 4 or 6.
    pub family: u8,
    /// The side, when known.
    pub role: Option<Role>,
    /// Older than the activation.
    pub seeded: bool,
    /// A subflow of an MPTCP connection.
    pub subflow: bool,
    /// The device that the socket is bound to; 0: none.
    pub ifindex: u32,
}

/// The other end of a connection, as a host: behind two devices there may be two hosts of the same
/// address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Remote {
    /// Its address, IPv4 not mapped.
    pub addr: IpAddr,
    /// The device that the socket is bound to; 0: none.
    pub ifindex: u32,
}

impl Ident {
    #[inline]
    pub(crate) fn decode(bytes: &[u8; size_of::<RawIdent>()]) -> Self {
        let flags = u32::from(abi::u16_at(bytes, offset_of!(RawIdent, flags)));
        let has = |flag: u32| flags & flag != 0;
        let owner = Owner {
            pid: abi::u32_at(bytes, offset_of!(RawIdent, pid)),
            comm: array(bytes, offset_of!(RawIdent, comm)),
        };
        let listener = Endpoint {
            addr: array(bytes, offset_of!(RawIdent, listener_addr)),
            port: abi::u16_at(bytes, offset_of!(RawIdent, listener_port)),
        };
        let cgroup = abi::u64_at(bytes, offset_of!(RawIdent, cgroup));
        Self {
            conn: abi::u64_at(bytes, offset_of!(RawIdent, conn)),
            laddr: array(bytes, offset_of!(RawIdent, laddr)),
            raddr: array(bytes, offset_of!(RawIdent, raddr)),
            lport: abi::u16_at(bytes, offset_of!(RawIdent, lport)),
            rport: abi::u16_at(bytes, offset_of!(RawIdent, rport)),
            listener: has(abi::TCPSTATES_HAS_LISTENER).then_some(listener),
            netns: abi::u32_at(bytes, offset_of!(RawIdent, netns)),
            cgroup: (cgroup != 0).then_some(cgroup),
            owner: has(abi::TCPSTATES_HAS_OWNER).then_some(owner),
            uid: has(abi::TCPSTATES_HAS_UID)
                .then_some(abi::u32_at(bytes, offset_of!(RawIdent, uid))),
            family: bytes[offset_of!(RawIdent, family)],
            role: Role::from_number(bytes[offset_of!(RawIdent, role)]),
            seeded: has(abi::TCPSTATES_SEEDED),
            subflow: has(abi::TCPSTATES_IS_SUBFLOW),
            ifindex: abi::u32_at(bytes, offset_of!(RawIdent, ifindex)),
        }
    }

    /// The local address as the socket's family has it.
    pub fn local(&self) -> IpAddr {
        address(&self.laddr, self.family)
    }

    /// The remote address as the socket's family has it.
    pub fn remote(&self) -> IpAddr {
        address(&self.raddr, self.family)
    }

    /// The other end, as a host.
    pub fn peer(&self) -> Remote {
        Remote {
            addr: self.remote().to_canonical(),
            ifindex: self.ifindex,
        }
    }

    /// The listener's address and port, when known.
    pub fn listener(&self) -> Option<(IpAddr, u16)> {
        self.listener
            .map(|end| (address(&end.addr, self.family), end.port))
    }
}

/// How much a connection did: `struct tcpstates_meters`, whose prose names the
/// kernel field of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meters {
    /// Bytes, retransmitted ones too.
    pub bytes_sent: u64,
    /// Bytes that the peer acknowledged.
    pub bytes_acked: u64,
    /// Bytes.
    pub bytes_received: u64,
    /// Segments.
    pub snd_cwnd: u32,
    /// Bytes.
    pub snd_wnd: u32,
    /// Bytes.
    pub rcv_wnd: u32,
    /// Bytes.
    pub sndbuf: u32,
    /// Bytes.
    pub sndbuf_used: u32,
    /// Bytes.
    pub rcvbuf: u32,
    /// Bytes.
    pub rcvbuf_used: u32,
    /// Connections that wait for `accept()`.
    pub backlog: u32,
    /// Their limit.
    pub max_backlog: u32,
    /// Segments.
    pub retrans: u32,
    /// Smoothed round-trip time in microseconds; 0: not measured.
    pub srtt_us: u32,
}

impl Meters {
    fn decode(bytes: &[u8; size_of::<RawMeters>()]) -> Self {
        let word = |at| abi::u32_at(bytes, at);
        Self {
            bytes_sent: abi::u64_at(bytes, offset_of!(RawMeters, bytes_sent)),
            bytes_acked: abi::u64_at(bytes, offset_of!(RawMeters, bytes_acked)),
            bytes_received: abi::u64_at(bytes, offset_of!(RawMeters, bytes_received)),
            snd_cwnd: word(offset_of!(RawMeters, snd_cwnd)),
            snd_wnd: word(offset_of!(RawMeters, snd_wnd)),
            rcv_wnd: word(offset_of!(RawMeters, rcv_wnd)),
            sndbuf: word(offset_of!(RawMeters, sndbuf)),
            sndbuf_used: word(offset_of!(RawMeters, sndbuf_used)),
            rcvbuf: word(offset_of!(RawMeters, rcvbuf)),
            rcvbuf_used: word(offset_of!(RawMeters, rcvbuf_used)),
            backlog: word(offset_of!(RawMeters, backlog)),
            max_backlog: word(offset_of!(RawMeters, max_backlog)),
            retrans: word(offset_of!(RawMeters, retrans)),
            srtt_us: word(offset_of!(RawMeters, srtt_us)),
        }
    }

    /// Bytes in both directions.
    pub fn bytes(&self) -> u64 {
        self.bytes_sent.saturating_add(self.bytes_received)
    }
}

/// What a connection does, and who takes care of it, at the moment of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Milliseconds since data came last; before the first, since the handshake.
    pub last_recv_ms: Option<u64>,
    /// Milliseconds since data was sent last; before the first, since the handshake.
    pub last_sent_ms: Option<u64>,
    /// Inode number of the socket, as in `/proc/PID/fd`.
    pub ino: Option<u64>,
    /// Segments that were sent and are not acknowledged.
    pub unacked: u32,
    /// Retransmission time-outs in a row.
    pub retransmits: u8,
    /// Probes without an answer, of a zero window or of a keepalive.
    pub probes: u8,
    /// `SO_KEEPALIVE` is set.
    pub keepalive: bool,
    /// No process has it open any more.
    pub orphan: bool,
    /// `TCP_USER_TIMEOUT` is set.
    pub user_timeout: bool,
}

impl Activity {
    fn decode(bytes: &ConnBytes) -> Self {
        let flags = u32::from(abi::u16_at(bytes, offset_of!(RawConn, sock_flags)));
        let known = u32::from(abi::u16_at(bytes, offset_of!(RawConn, flags)));
        let stamp = |flag, at| (known & flag != 0).then(|| abi::u64_at(bytes, at));
        Self {
            last_recv_ms: stamp(
                abi::TCPSTATES_HAS_LAST_RECV,
                offset_of!(RawConn, last_recv_ms),
            ),
            last_sent_ms: stamp(
                abi::TCPSTATES_HAS_LAST_SENT,
                offset_of!(RawConn, last_sent_ms),
            ),
            ino: Some(abi::u64_at(bytes, offset_of!(RawConn, ino))).filter(|ino| *ino != 0),
            unacked: abi::u32_at(bytes, offset_of!(RawConn, unacked)),
            retransmits: bytes[offset_of!(RawConn, retransmits)],
            probes: bytes[offset_of!(RawConn, probes)],
            keepalive: flags & abi::TCPSTATES_SOCK_KEEPALIVE != 0,
            orphan: flags & abi::TCPSTATES_SOCK_ORPHAN != 0,
            user_timeout: flags & abi::TCPSTATES_SOCK_USER_TIMEOUT != 0,
        }
    }
}

/// One recorded change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Monotonic nanoseconds.
    pub ts: u64,
    /// Time in the old state.
    pub in_old: Span,
    /// State before.
    pub old: State,
    /// State after.
    pub new: State,
    /// Why it ends, or how it began.
    pub reason: Reason,
    /// The socket's error number; 0: none.
    pub error: u16,
    /// SYN-ACKs sent, when known.
    pub synacks: Option<u16>,
    /// Who.
    pub who: Ident,
    /// How much, at the change; only a full socket tells it.
    pub meters: Option<Meters>,
}

impl Transition {
    /// Decodes a record; `None` when it is not of this type.
    // Always inlined: built where it is to stay, it is not moved.
    #[inline(always)]
    pub fn decode(bytes: &RecordBytes) -> Option<Self> {
        let kind = u32::from(abi::u16_at(bytes, offset_of!(RawRecord, type_)));
        if kind != abi::TCPSTATES_REC_TRANSITION {
            return None;
        }
        let flags = abi::u16_at(bytes, offset_of!(RawRecord, flags));
        Some(Self {
            ts: abi::u64_at(bytes, offset_of!(RawRecord, ts)),
            in_old: Span::new(abi::u64_at(bytes, offset_of!(RawRecord, in_old_ns)), flags),
            old: State(bytes[offset_of!(RawRecord, old_state)]),
            new: State(bytes[offset_of!(RawRecord, new_state)]),
            reason: Reason(abi::u16_at(bytes, offset_of!(RawRecord, reason))),
            error: abi::u16_at(bytes, offset_of!(RawRecord, error)),
            synacks: synacks(abi::u16_at(bytes, offset_of!(RawRecord, synacks)), flags),
            who: Ident::decode(part(bytes, offset_of!(RawRecord, who))),
            meters: meters(part(bytes, offset_of!(RawRecord, meters)), flags),
        })
    }

    /// Whether the accept queue's numbers mean something here.
    pub fn is_listener(&self) -> bool {
        is_listener(&self.who, &[self.old, self.new])
    }
}

/// One live connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conn {
    /// Who.
    pub who: Ident,
    /// State now.
    pub state: State,
    /// Monotonic nanoseconds of the state's entry, exact or at the latest.
    pub since: Span,
    /// Monotonic nanoseconds.
    pub first_seen_ns: u64,
    /// Why it ends, as far as that shows, or how it began.
    pub reason: Reason,
    /// SYN-ACKs sent, when known.
    pub synacks: Option<u16>,
    /// How much, now; only a full socket tells it.
    pub meters: Option<Meters>,
    /// What it does, there where the meters are.
    pub activity: Option<Activity>,
}

impl Conn {
    /// Decodes an element of a snapshot.
    pub fn decode(bytes: &ConnBytes) -> Self {
        let flags = abi::u16_at(bytes, offset_of!(RawConn, flags));
        let meters = meters(part(bytes, offset_of!(RawConn, meters)), flags);
        Self {
            who: Ident::decode(part(bytes, offset_of!(RawConn, who))),
            state: State(bytes[offset_of!(RawConn, state)]),
            since: Span::new(abi::u64_at(bytes, offset_of!(RawConn, since_ns)), flags),
            first_seen_ns: abi::u64_at(bytes, offset_of!(RawConn, first_seen_ns)),
            reason: Reason(abi::u16_at(bytes, offset_of!(RawConn, reason))),
            synacks: synacks(abi::u16_at(bytes, offset_of!(RawConn, synacks)), flags),
            activity: meters.map(|_| Activity::decode(bytes)),
            meters,
        }
    }

    /// Time in the state at `now_ns` (monotonic).
    pub fn age(&self, now_ns: u64) -> Span {
        self.since.age(now_ns)
    }

    /// Whether the accept queue's numbers mean something here.
    pub fn is_listener(&self) -> bool {
        is_listener(&self.who, &[self.state])
    }
}

fn synacks(number: u16, flags: u16) -> Option<u16> {
    (u32::from(flags) & abi::TCPSTATES_HAS_SYNACKS != 0).then_some(number)
}

fn meters(bytes: &[u8; size_of::<RawMeters>()], flags: u16) -> Option<Meters> {
    (u32::from(flags) & abi::TCPSTATES_HAS_METERS != 0).then(|| Meters::decode(bytes))
}

fn is_listener(who: &Ident, states: &[State]) -> bool {
    match who.role {
        Some(role) => role == Role::Listener,
        None => states.contains(&State::LISTEN),
    }
}

pub(crate) fn address(bytes: &[u8; 16], family: u8) -> IpAddr {
    match (family, bytes) {
        (4, &[.., a, b, c, d]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::V6(Ipv6Addr::from(*bytes)),
    }
}

/// `N` bytes at a constant offset of a larger array.
#[inline]
pub(crate) fn part<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    let part = bytes.get(at..).and_then(<[u8]>::first_chunk);
    part.unwrap_or(const { &[0; N] })
}

/// The same, copied.
#[inline]
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *part(bytes, at)
}

/// `PID/NAME`.
impl Put for Owner {
    fn put(&self, line: &mut Line) {
        self.pid.put(line);
        line.push(b'/');
        let name = self.comm_bytes();
        // Most names are plain: they are copied with their padding, whose length is known.
        match is_plain_padded(&self.comm) {
            true => put_first(line, &self.comm, name.len()),
            false => Printable(name).put(line),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fmt::line;
    use crate::fmt::random::random_bytes;
    use crate::fmt::text::printable_bytes;

    /// An identity in namespace 4026531840, from `ADDRESS:PORT` texts.
    pub(crate) fn ident(local: &str, remote: &str) -> Ident {
        let (local, remote): (std::net::SocketAddr, std::net::SocketAddr) =
            (local.parse().unwrap(), remote.parse().unwrap());
        let octets = |ip| match ip {
            IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
            IpAddr::V6(a) => a.octets(),
        };
        Ident {
            conn: 1,
            laddr: octets(local.ip()),
            raddr: octets(remote.ip()),
            lport: local.port(),
            rport: remote.port(),
            listener: None,
            netns: 4_026_531_840,
            cgroup: None,
            owner: None,
            uid: None,
            family: if local.is_ipv4() { 4 } else { 6 },
            role: None,
            seeded: false,
            subflow: false,
            ifindex: 0,
        }
    }

    #[test]
    fn any_bytes_decode() {
        let mut seed = 0x1234_5678_9abc_def1;
        let mut known = 0;
        for _ in 0..60_000 {
            let mut bytes: RecordBytes = random_bytes(&mut seed);
            assert!(Transition::decode(&bytes).is_none_or(|t| t.old.name().len() > 1));
            bytes[24..26].copy_from_slice(&1u16.to_ne_bytes());
            let t = Transition::decode(&bytes).unwrap();
            known += u32::from(t.in_old != Span::Unknown);
            let conn = Conn::decode(&random_bytes(&mut seed));
            assert!(!conn.state.name().is_empty() && !conn.who.local().to_string().is_empty());
            assert!(conn.age(u64::MAX).ns().is_none() || conn.since.ns().is_some());
            assert!(t.reason == Reason::NONE || t.reason.name().is_some());
            assert!(crate::model::reason::error_name(t.error).is_some() || t.error == 0);
        }
        assert!(known > 20_000 && known < 40_000, "{known}");
    }

    #[test]
    fn fields_come_from_their_places() {
        let mut bytes = [0; abi::RECORD_SIZE];
        bytes[8..16].copy_from_slice(&77u64.to_ne_bytes());
        bytes[16..24].copy_from_slice(&5_000u64.to_ne_bytes());
        bytes[24..26].copy_from_slice(&1u16.to_ne_bytes());
        bytes[26] = 1;
        bytes[27] = 4;
        bytes[28] = 3 | 4 | 8;
        bytes[30] = 10;
        bytes[32..40].copy_from_slice(&9u64.to_ne_bytes());
        bytes[40..48].copy_from_slice(&77u64.to_ne_bytes());
        bytes[48..64].copy_from_slice(&Ipv4Addr::new(10, 0, 0, 3).to_ipv6_mapped().octets());
        bytes[92..94].copy_from_slice(&8081u16.to_ne_bytes());
        bytes[94] = 8 | 16;
        bytes[96..112].copy_from_slice(&Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().octets());
        bytes[128..130].copy_from_slice(&8080u16.to_ne_bytes());
        bytes[132] = 4;
        bytes[133] = 2;
        bytes[136..140].copy_from_slice(&7u32.to_ne_bytes());
        bytes[144..152].copy_from_slice(&123u64.to_ne_bytes());
        bytes[208..212].copy_from_slice(&55u32.to_ne_bytes());
        bytes[216..218].copy_from_slice(&111u16.to_ne_bytes());
        bytes[218..220].copy_from_slice(&6u16.to_ne_bytes());
        let t = Transition::decode(&bytes).unwrap();
        assert_eq!((t.ts, t.in_old), (77, Span::Exact(5_000)));
        assert_eq!((t.old, t.new), (State::ESTABLISHED, State(4)));
        assert_eq!((t.who.conn, t.who.lport), (9, 8080));
        assert_eq!(t.who.local().to_string(), "10.0.0.1");
        assert_eq!(t.who.role, Some(Role::Server));
        assert_eq!((t.who.owner, t.who.uid), (None, None));
        let meters = t.meters.unwrap();
        assert_eq!((meters.bytes_sent, meters.srtt_us), (123, 55));
        assert_eq!((t.reason, t.error, t.synacks), (Reason(10), 111, Some(6)));
        let listener = t.who.listener().map(|(ip, port)| (ip.to_string(), port));
        assert_eq!(listener, Some(("10.0.0.3".into(), 8081)));
        assert_eq!(t.who.cgroup, Some(77));
        assert_eq!((t.who.subflow, t.who.ifindex), (true, 7));
    }

    #[test]
    fn without_their_flags_fields_are_unknown() {
        let mut bytes = [0xff; abi::RECORD_SIZE];
        bytes[24..26].copy_from_slice(&1u16.to_ne_bytes());
        bytes[28..30].fill(0);
        bytes[40..48].fill(0);
        bytes[94..96].fill(0);
        let t = Transition::decode(&bytes).unwrap();
        assert_eq!((t.synacks, t.meters), (None, None));
        assert_eq!((t.who.listener, t.who.cgroup), (None, None));
        let mut bytes = [0xff; abi::CONN_SIZE];
        bytes[130..132].fill(0);
        let conn = Conn::decode(&bytes);
        assert_eq!((conn.synacks, conn.meters), (None, None));
        assert_eq!(conn.activity, None);
        bytes[130] = 4 | 8;
        let conn = Conn::decode(&bytes);
        assert_eq!(conn.synacks, Some(0xffff));
        assert_eq!(conn.meters.unwrap().retrans, u32::MAX);
    }

    #[test]
    fn what_a_connection_does_comes_from_its_end() {
        let mut bytes = [0; abi::CONN_SIZE];
        bytes[130] = 4 | 16 | 32;
        for (at, number) in [(208, 1_500u64), (216, 5_000_000_000), (224, 77), (232, 9)] {
            bytes[at..at + 8].copy_from_slice(&number.to_ne_bytes());
        }
        (bytes[236], bytes[237]) = (3, 4);
        let with = |bytes: &mut ConnBytes, flags| {
            bytes[238] = flags;
            Conn::decode(bytes).activity.unwrap()
        };
        let none = with(&mut bytes, 0);
        assert_eq!(
            (none.last_recv_ms, none.last_sent_ms),
            (Some(1_500), Some(5_000_000_000))
        );
        assert_eq!(none.ino, Some(77));
        assert_eq!((none.unacked, none.retransmits, none.probes), (9, 3, 4));
        let flags = |a: Activity| [a.keepalive, a.orphan, a.user_timeout];
        assert_eq!(flags(none), [false; 3]);
        assert_eq!(flags(with(&mut bytes, 1)), [true, false, false]);
        assert_eq!(flags(with(&mut bytes, 2)), [false, true, false]);
        assert_eq!(flags(with(&mut bytes, 4)), [false, false, true]);
    }

    #[test]
    fn a_name_ends_before_its_first_nul() {
        let mut seed = 0x000a_11ce;
        for round in 0..20_000u32 {
            let mut comm: [u8; 16] = random_bytes(&mut seed);
            // Of none to all bytes, only the highest and the lowest bit.
            let cleared = |byte: &u8| u32::from(byte % 16) < round % 17;
            for byte in comm.iter_mut().filter(|byte| cleared(byte)) {
                *byte &= 0x81;
            }
            let plainly: Vec<u8> = comm.iter().copied().take_while(|&byte| byte != 0).collect();
            assert_eq!(Owner { pid: 1, comm }.comm_bytes(), plainly);
        }
    }

    #[test]
    fn a_mapped_address_keeps_its_family() {
        let mapped = Ipv4Addr::new(1, 2, 3, 4).to_ipv6_mapped().octets();
        assert_eq!(address(&mapped, 4).to_string(), "1.2.3.4");
        assert_eq!(address(&mapped, 6).to_string(), "::ffff:1.2.3.4");
    }

    #[test]
    fn an_age_is_exact_only_when_its_start_is() {
        assert_eq!(Span::new(5, 0), Span::Unknown);
        assert_eq!(Span::new(5, 1), Span::AtLeast(5));
        assert_eq!(Span::new(5, 3), Span::Exact(5));
        assert_eq!(Span::Unknown.exact(), None);
        assert_eq!(Span::AtLeast(1).exact(), Some(false));
    }

    #[test]
    fn an_owner_is_its_number_and_its_printable_name() {
        for name in [
            &b""[..],
            b"nginx",
            b"sixteen bytes ..",
            b"a\nb",
            "\u{e9}".as_bytes(),
            b"x\0\x1b",
        ] {
            let mut comm = [0; 16];
            comm[..name.len()].copy_from_slice(name);
            let owner = Owner { pid: 77, comm };
            let expected = format!("77/{}", printable_bytes(owner.comm_bytes()));
            assert_eq!(line::text(&owner), expected);
        }
    }
}
