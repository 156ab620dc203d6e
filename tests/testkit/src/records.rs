//! Structures of the module, as bytes.

use std::mem::offset_of;
use std::net::{Ipv4Addr, SocketAddrV4};

use diagnose_tools::abi::{
    CONN_SIZE, ConnBytes, Hook, LISTENER_SIZE, ListenerBytes, RECORD_SIZE, RawAlarm, RawConn,
    RawHandshakes, RawIdent, RawListener, RawMeters, RawRecord, RecordBytes,
    TCPSTATES_HAS_LISTENER, TCPSTATES_HAS_OWNER, TCPSTATES_HAS_UID, TCPSTATES_REC_ALARM,
    TCPSTATES_REC_TRANSITION,
};

use crate::fake::{ACTIVATED, NOW};

/// The cgroup of [`full_record`], for which there is no directory.
pub const CGROUP: u64 = u64::MAX;

/// A hook that missed four calls.
pub fn hook(symbol: &str, id: u32, flags: u32) -> Hook {
    let mut hook = Hook {
        id,
        flags,
        missed: 4,
        ..Hook::default()
    };
    hook.symbol[..symbol.len()].copy_from_slice(symbol.as_bytes());
    hook
}

/// The bytes of a structure, whose fields can be set.
pub struct Bytes<const N: usize>(pub [u8; N]);

impl<const N: usize> Bytes<N> {
    /// Puts these bytes at an offset.
    pub fn put<const M: usize>(&mut self, at: usize, bytes: [u8; M]) -> &mut Self {
        self.0[at..at + M].copy_from_slice(&bytes);
        self
    }

    /// Sets the ends of an IPv4 connection whose `RawIdent` is at an offset; its id is 42.
    pub fn ident(&mut self, at: usize, local: &str, remote: &str) -> &mut Self {
        let (local, remote): (SocketAddrV4, SocketAddrV4) =
            (local.parse().unwrap(), remote.parse().unwrap());
        let mapped = |ip: &Ipv4Addr| ip.to_ipv6_mapped().octets();
        self.put(at + offset_of!(RawIdent, conn), 42u64.to_ne_bytes())
            .put(at + offset_of!(RawIdent, laddr), mapped(local.ip()))
            .put(at + offset_of!(RawIdent, raddr), mapped(remote.ip()))
            .put(at + offset_of!(RawIdent, lport), local.port().to_ne_bytes())
            .put(
                at + offset_of!(RawIdent, rport),
                remote.port().to_ne_bytes(),
            )
            .put(
                at + offset_of!(RawIdent, netns),
                4_026_531_840u32.to_ne_bytes(),
            )
            .put(at + offset_of!(RawIdent, family), [4])
    }

    /// Sets its cgroup and network namespace.
    pub fn place(&mut self, at: usize, cgroup: u64, netns: u32) -> &mut Self {
        self.put(at + offset_of!(RawIdent, cgroup), cgroup.to_ne_bytes())
            .put(at + offset_of!(RawIdent, netns), netns.to_ne_bytes())
    }

    /// Sets the process that owns it; marks its user and its listener as known as well.
    pub fn owner(&mut self, at: usize, pid: u32, comm: &[u8]) -> &mut Self {
        self.put(at + offset_of!(RawIdent, pid), pid.to_ne_bytes());
        self.0[at + offset_of!(RawIdent, comm)..][..comm.len()].copy_from_slice(comm);
        self.known(
            at,
            TCPSTATES_HAS_OWNER | TCPSTATES_HAS_UID | TCPSTATES_HAS_LISTENER,
        )
    }

    /// Sets the flags, which mark the known fields.
    pub fn known(&mut self, at: usize, flags: u32) -> &mut Self {
        self.put(
            at + offset_of!(RawIdent, flags),
            (flags as u16).to_ne_bytes(),
        )
    }

    /// Sets consecutive 32-bit numbers.
    pub fn words(&mut self, at: usize, numbers: &[u32]) -> &mut Self {
        for (index, number) in numbers.iter().enumerate() {
            self.put(at + 4 * index, number.to_ne_bytes());
        }
        self
    }
}

impl Bytes<RECORD_SIZE> {
    /// A transition.
    pub fn transition(ts: u64, old: u8, new: u8) -> Self {
        let mut bytes = Self([0; RECORD_SIZE]);
        let kind = TCPSTATES_REC_TRANSITION as u16;
        bytes
            .put(offset_of!(RawRecord, ts), ts.to_ne_bytes())
            .put(offset_of!(RawRecord, type_), kind.to_ne_bytes())
            .put(offset_of!(RawRecord, old_state), [old])
            .put(offset_of!(RawRecord, new_state), [new]);
        bytes
    }
}

impl Bytes<CONN_SIZE> {
    /// A connection in a state since `since`, first seen then.
    pub fn conn(state: u8, since: u64, flags: u16) -> Self {
        let mut bytes = Self([0; CONN_SIZE]);
        bytes
            .put(offset_of!(RawConn, since_ns), since.to_ne_bytes())
            .put(offset_of!(RawConn, first_seen_ns), since.to_ne_bytes())
            .put(offset_of!(RawConn, state), [state])
            .put(offset_of!(RawConn, flags), flags.to_ne_bytes());
        bytes
    }
}

impl Bytes<LISTENER_SIZE> {
    /// nginx, listening on `local`; `numbers` are those from `accept_queue` on.
    pub fn nginx(local: &str, alarms: u16, unfinished_ns: u64, numbers: &[u32]) -> Self {
        let mut bytes = Self([0; LISTENER_SIZE]);
        let unfinished_at = offset_of!(RawListener, unfinished_ns);
        bytes
            .ident(offset_of!(RawListener, who), local, "0.0.0.0:0")
            .owner(offset_of!(RawListener, who), 141, b"nginx")
            .put(offset_of!(RawListener, alarms), alarms.to_ne_bytes())
            .put(unfinished_at, unfinished_ns.to_ne_bytes())
            .words(offset_of!(RawListener, accept_queue), numbers);
        bytes
    }
}

/// ESTABLISHED → FIN_WAIT1 after 5 s, of a connection from port 40000 to 10.0.0.2:80.
pub fn record(ts: u64) -> RecordBytes {
    let mut bytes = Bytes::transition(ts, 1, 4);
    bytes
        .put(
            offset_of!(RawRecord, in_old_ns),
            5_000_000_000u64.to_ne_bytes(),
        )
        .put(offset_of!(RawRecord, flags), 7u16.to_ne_bytes())
        .ident(offset_of!(RawRecord, who), "10.0.0.1:40000", "10.0.0.2:80");
    bytes.0
}

/// The same with all optional fields.
pub fn full_record(ts: u64) -> RecordBytes {
    let mut bytes = Bytes(record(ts));
    let (who, meters) = (offset_of!(RawRecord, who), offset_of!(RawRecord, meters));
    let listener = Ipv4Addr::new(10, 0, 0, 9).to_ipv6_mapped().octets();
    bytes
        .put(offset_of!(RawRecord, flags), 15u16.to_ne_bytes())
        .put(offset_of!(RawRecord, reason), 5u16.to_ne_bytes())
        .put(offset_of!(RawRecord, error), 104u16.to_ne_bytes())
        .put(offset_of!(RawRecord, synacks), 6u16.to_ne_bytes())
        .put(who + offset_of!(RawIdent, cgroup), CGROUP.to_ne_bytes())
        .put(who + offset_of!(RawIdent, listener_addr), listener)
        .put(
            who + offset_of!(RawIdent, listener_port),
            8443u16.to_ne_bytes(),
        )
        .owner(who, 1234, b"cu\x1brl")
        .put(who + offset_of!(RawIdent, uid), 1000u32.to_ne_bytes())
        .put(who + offset_of!(RawIdent, role), [1])
        .put(
            meters + offset_of!(RawMeters, bytes_sent),
            u64::MAX.to_ne_bytes(),
        )
        .put(meters + offset_of!(RawMeters, retrans), 3u32.to_ne_bytes())
        .put(
            meters + offset_of!(RawMeters, srtt_us),
            250u32.to_ne_bytes(),
        );
    bytes.0
}

/// A live connection in `state` since `since`, first seen then.
pub fn conn(local: &str, state: u8, since: u64, flags: u16) -> ConnBytes {
    let mut bytes = Bytes::conn(state, since, flags);
    bytes.ident(offset_of!(RawConn, who), local, "10.0.0.2:80");
    bytes.0
}

/// An alarm of 10.0.0.1:8080 and, of a pair, 10.0.0.2; raised five seconds ago.
pub fn alarm(ts: u64, kind: u8, raised: bool) -> RecordBytes {
    let mut bytes = Bytes([0; RECORD_SIZE]);
    let since = if raised { ts } else { ts - 5_000_000_000 };
    let is_alarm = TCPSTATES_REC_ALARM as u16;
    bytes
        .put(offset_of!(RawAlarm, ts), ts.to_ne_bytes())
        .put(offset_of!(RawAlarm, type_), is_alarm.to_ne_bytes())
        .put(offset_of!(RawAlarm, kind), [kind])
        .put(offset_of!(RawAlarm, raised), [u8::from(raised)])
        .put(offset_of!(RawAlarm, value), 512u64.to_ne_bytes())
        .put(offset_of!(RawAlarm, threshold), 500u64.to_ne_bytes())
        .put(offset_of!(RawAlarm, peak), 640u64.to_ne_bytes())
        .put(offset_of!(RawAlarm, raised_ns), since.to_ne_bytes())
        .words(offset_of!(RawAlarm, half_open), &[1, 508, 3, 7])
        .ident(offset_of!(RawAlarm, who), "10.0.0.1:8080", "10.0.0.2:40000")
        .owner(offset_of!(RawAlarm, who), 141, b"nginx");
    bytes.0
}

/// nginx, listening on `local` for a minute, with connections in its queues.
pub fn listener(local: &str) -> ListenerBytes {
    let numbers = [6, 9, 5, 10, 77, 128, 20, 30, 400, 40, 50];
    let mut bytes = Bytes::nginx(local, 1 << 2, NOW - 2_000_000_000, &numbers);
    let handshakes = offset_of!(RawListener, handshakes);
    bytes
        .put(offset_of!(RawListener, since_ns), ACTIVATED.to_ne_bytes())
        .put(offset_of!(RawListener, flags), 3u16.to_ne_bytes());
    for (at, number) in [
        (offset_of!(RawListener, drops), 19u64),
        (
            handshakes + offset_of!(RawHandshakes, syn_accept_queue_full),
            4,
        ),
        (
            handshakes + offset_of!(RawHandshakes, ack_accept_queue_full),
            5,
        ),
        (offset_of!(RawListener, accepted), 4),
        (offset_of!(RawListener, accept_wait_ns), 4_000_000),
        (offset_of!(RawListener, accept_wait_max_ns), 4_000_000),
    ] {
        bytes.put(at, number.to_ne_bytes());
    }
    bytes.0
}
