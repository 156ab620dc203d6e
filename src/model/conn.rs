//! Decodes live connections. Any bytes decode to a value, as for transitions.

use std::mem::offset_of;

use crate::abi::{self, ConnBytes, RawConn, RawMeters, part};
use crate::model::ident::Ident;
use crate::model::meters::{Meters, synacks};
use crate::model::reason::Reason;
use crate::model::span::Span;
use crate::model::state::State;

/// Activity of a connection, and its socket options, at the time of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Milliseconds since data was last received; before any data, since the handshake.
    pub last_recv_ms: Option<u64>,
    /// Milliseconds since data was last sent; before any data, since the handshake.
    pub last_sent_ms: Option<u64>,
    /// Inode number of the socket, as in `/proc/PID/fd`.
    pub ino: Option<u64>,
    /// Number of segments that were sent but not acknowledged.
    pub unacked: u32,
    /// Consecutive retransmission time-outs.
    pub retransmits: u8,
    /// Unanswered zero-window or keepalive probes.
    pub probes: u8,
    /// `SO_KEEPALIVE` is set.
    pub keepalive: bool,
    /// No process has the socket open any more.
    pub orphan: bool,
    /// `TCP_USER_TIMEOUT` is set.
    pub user_timeout: bool,
}

/// Offset of the unread sequence numbers.
const RECV_Q: usize = offset_of!(RawConn, meters) + offset_of!(RawMeters, unread);

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

/// One live connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conn {
    /// Identity of the connection.
    pub who: Ident,
    /// Current state.
    pub state: State,
    /// Monotonic nanoseconds when the state was entered: exact, or an upper bound.
    pub since: Span,
    /// Monotonic nanoseconds.
    pub first_seen_ns: u64,
    /// Reason why it is ending, as far as known, or how it started.
    pub reason: Reason,
    /// Number of SYN-ACKs that were sent, if known.
    pub synacks: Option<u16>,
    /// Current counters of a full socket; `None` for other sockets.
    pub meters: Option<Meters>,
    /// Activity, known if the meters are.
    pub activity: Option<Activity>,
    /// Sequence numbers that were received but not read by the program, as `ss` shows them: the
    /// peer's FIN takes one. `None`: not a full socket, or a capture of an earlier version.
    pub recv_q: Option<u32>,
}

impl Conn {
    /// Decodes an element of a snapshot.
    pub fn decode(bytes: &ConnBytes) -> Self {
        let flags = abi::u16_at(bytes, offset_of!(RawConn, flags));
        let meters = Meters::decode_if(part(bytes, offset_of!(RawConn, meters)), flags);
        Self {
            who: Ident::decode(part(bytes, offset_of!(RawConn, who))),
            state: State(bytes[offset_of!(RawConn, state)]),
            since: Span::new(abi::u64_at(bytes, offset_of!(RawConn, since_ns)), flags),
            first_seen_ns: abi::u64_at(bytes, offset_of!(RawConn, first_seen_ns)),
            reason: Reason(abi::u16_at(bytes, offset_of!(RawConn, reason))),
            synacks: synacks(abi::u16_at(bytes, offset_of!(RawConn, synacks)), flags),
            activity: meters.map(|_| Activity::decode(bytes)),
            recv_q: meters.map(|_| abi::u32_at(bytes, RECV_Q)),
            meters,
        }
    }

    /// Time in the current state at `now_ns` (monotonic).
    pub fn age(&self, now_ns: u64) -> Span {
        self.since.age(now_ns)
    }

    /// Bytes of data that the program has not read; 0 if unknown.
    pub fn unread(&self) -> u64 {
        let end = u32::from(self.peer_has_closed());
        self.recv_q.unwrap_or(0).saturating_sub(end).into()
    }

    /// Whether the program has not read to the end: the peer's FIN has come, but the program does
    /// not know it yet.
    pub fn is_end_unread(&self) -> bool {
        self.peer_has_closed() && self.recv_q.unwrap_or(0) > 0
    }

    /// Whether the peer's FIN has come.
    fn peer_has_closed(&self) -> bool {
        [State::CLOSE_WAIT, State::CLOSING, State::LAST_ACK].contains(&self.state)
    }

    /// Whether a process has it open. Connections that wait in an accept queue, orphans, and
    /// request and timewait sockets belong to no process.
    pub fn is_held(&self) -> bool {
        let held = |a: Activity| !a.orphan && (a.ino.is_some() || self.who.owner.is_some());
        self.activity.is_some_and(held)
    }

    /// Whether the accept queue's counters apply.
    pub fn is_listener(&self) -> bool {
        self.who.is_listener(&[self.state])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::random::random_bytes;

    #[test]
    fn any_bytes_decode() {
        let mut seed = 0x1234_5678_9abc_def1;
        for _ in 0..60_000 {
            let conn = Conn::decode(&random_bytes(&mut seed));
            assert!(!conn.state.name().is_empty() && !conn.who.local().to_string().is_empty());
            assert!(conn.age(u64::MAX).ns().is_none() || conn.since.ns().is_some());
        }
    }

    #[test]
    fn without_their_flags_fields_are_unknown() {
        let mut bytes = [0xff; abi::CONN_SIZE];
        bytes[130..132].fill(0);
        let conn = Conn::decode(&bytes);
        assert_eq!((conn.synacks, conn.meters), (None, None));
        assert_eq!((conn.activity, conn.recv_q), (None, None));
        bytes[130] = 4 | 8;
        let conn = Conn::decode(&bytes);
        assert_eq!(conn.synacks, Some(0xffff));
        assert_eq!(conn.meters.unwrap().retrans, u32::MAX);
    }

    #[test]
    fn a_fin_that_is_not_read_is_no_data() {
        let mut bytes = [0; abi::CONN_SIZE];
        bytes[130] = 4;
        let mut with = |state: State, unread: u32| {
            bytes[128] = state.0;
            bytes[RECV_Q..RECV_Q + 4].copy_from_slice(&unread.to_ne_bytes());
            let conn = Conn::decode(&bytes);
            (conn.state, conn.unread(), conn.is_end_unread())
        };
        let established = State::ESTABLISHED;
        assert_eq!(with(established, 1), (established, 1, false));
        let closed = State::CLOSE_WAIT;
        assert_eq!(with(closed, 0), (closed, 0, false));
        assert_eq!(with(closed, 1), (closed, 0, true));
        assert_eq!(with(closed, 11), (closed, 10, true));
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
}
