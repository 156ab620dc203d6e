//! The binary interface to the module: the bindings that bindgen generates from
//! `include/tcpstates.h`, renamed for the controller, and checks of their layout.
//!
//! All structures consist of integers and byte arrays only, so every bit pattern that the kernel
//! may write is a valid value.

#![allow(unsafe_code, reason = "bindgen zeroes long arrays through MaybeUninit")]

use byteorder::{ByteOrder, NativeEndian};

#[allow(
    missing_docs,
    dead_code,
    non_camel_case_types,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    reason = "generated; the prose is in the header"
)]
mod raw {
    include!(concat!(env!("OUT_DIR"), "/abi.rs"));
}

pub use raw::{
    TCPSTATES_ALARM_ACCEPT_QUEUE, TCPSTATES_ALARM_HALF_OPEN, TCPSTATES_ALARM_PAIR,
    TCPSTATES_ALARM_UNFINISHED, TCPSTATES_CALL_VERSION, TCPSTATES_CGROUP_OTHERS,
    TCPSTATES_CGROUPS_MAX, TCPSTATES_CLOCKS_MAX, TCPSTATES_CONNS_MAX, TCPSTATES_CONNS_MIN,
    TCPSTATES_HAS_LAST_RECV, TCPSTATES_HAS_LAST_SENT, TCPSTATES_HAS_LISTENER, TCPSTATES_HAS_METERS,
    TCPSTATES_HAS_OWNER, TCPSTATES_HAS_SYNACKS, TCPSTATES_HAS_UID, TCPSTATES_HIST_BUCKETS,
    TCPSTATES_HIST_MIN_SHIFT, TCPSTATES_HIST_SUB_BITS, TCPSTATES_HOOK_ATTACHED,
    TCPSTATES_HOOK_AUTO, TCPSTATES_HOOK_IS_FTRACE, TCPSTATES_HOOK_IS_KPROBE, TCPSTATES_HOOK_KPROBE,
    TCPSTATES_HOOK_REQUIRED, TCPSTATES_HOOK_TRACEPOINT, TCPSTATES_IS_SUBFLOW,
    TCPSTATES_LISTENERS_MAX, TCPSTATES_LISTENERS_MIN, TCPSTATES_MAX_RULES, TCPSTATES_NR_ALARMS,
    TCPSTATES_NR_ENDS, TCPSTATES_NR_REASONS, TCPSTATES_NR_ROLES, TCPSTATES_NR_STATES,
    TCPSTATES_PAIRS_MAX, TCPSTATES_PAIRS_MIN, TCPSTATES_REASONS_MAX, TCPSTATES_REC_ALARM,
    TCPSTATES_REC_TRANSITION, TCPSTATES_RECORD_VERSION, TCPSTATES_RING_MAGIC, TCPSTATES_RING_MAX,
    TCPSTATES_RING_MIN, TCPSTATES_ROLE_CLIENT, TCPSTATES_ROLE_LISTENER, TCPSTATES_ROLE_SERVER,
    TCPSTATES_SEEDED, TCPSTATES_SIDE_EITHER, TCPSTATES_SIDE_LOCAL, TCPSTATES_SIDE_REMOTE,
    TCPSTATES_SINCE_EXACT, TCPSTATES_SINCE_KNOWN, TCPSTATES_SOCK_KEEPALIVE, TCPSTATES_SOCK_ORPHAN,
    TCPSTATES_SOCK_USER_TIMEOUT, TCPSTATES_STATE_NEW, TCPSTATES_VERBOSE_MAX,
};
pub use raw::{
    tcpstates_activate as Activate, tcpstates_addr_rule as RawAddrRule,
    tcpstates_alarm as RawAlarm, tcpstates_cgroup as Cgroup, tcpstates_clock as ClockChange,
    tcpstates_config as Config, tcpstates_conn as RawConn, tcpstates_consume as Consume,
    tcpstates_consumed as Consumed, tcpstates_filter as RawFilter,
    tcpstates_handshakes as RawHandshakes, tcpstates_hook as Hook, tcpstates_ident as RawIdent,
    tcpstates_listener as RawListener, tcpstates_lives as Lives, tcpstates_meters as RawMeters,
    tcpstates_pair as RawPair, tcpstates_port_rule as RawPortRule, tcpstates_record as RawRecord,
    tcpstates_ring_header as RingHeader, tcpstates_ring_state as RingState,
    tcpstates_settings as Settings, tcpstates_snapshot as Snapshot, tcpstates_stats as Stats,
    tcpstates_table as Table, tcpstates_times as Times,
    tcpstates_transition_count as TransitionCount, tcpstates_version as Version,
};

/// Request numbers of the calls, evaluated from the header by its C macros.
pub mod call {
    pub use super::raw::{
        CALL_ACTIVATE as ACTIVATE, CALL_CONSUME as CONSUME, CALL_DEACTIVATE as DEACTIVATE,
        CALL_GET_CGROUPS as GET_CGROUPS, CALL_GET_CLOCKS as GET_CLOCKS,
        CALL_GET_HOOKS as GET_HOOKS, CALL_GET_LISTENERS as GET_LISTENERS,
        CALL_GET_LIVES as GET_LIVES, CALL_GET_PAIRS as GET_PAIRS, CALL_GET_RINGS as GET_RINGS,
        CALL_GET_SETTINGS as GET_SETTINGS, CALL_GET_STATS as GET_STATS,
        CALL_GET_TRANSITION_COUNTS as GET_TRANSITION_COUNTS, CALL_GET_VERSION as GET_VERSION,
        CALL_SEEN as SEEN, CALL_SNAPSHOT as SNAPSHOT,
    };
}

/// Ids of hooks: which event each hook reports.
pub mod hook_id {
    pub use super::raw::{
        TCPSTATES_HOOK_ID_ABORT as ABORT, TCPSTATES_HOOK_ID_ACCEPT as ACCEPT,
        TCPSTATES_HOOK_ID_CHILD_QUEUE as CHILD_QUEUE, TCPSTATES_HOOK_ID_CLOCK_SET as CLOCK_SET,
        TCPSTATES_HOOK_ID_CONNECT as CONNECT, TCPSTATES_HOOK_ID_COOKIE_SOCK as COOKIE_SOCK,
        TCPSTATES_HOOK_ID_REQUEST_DONE as REQUEST_DONE,
        TCPSTATES_HOOK_ID_REQUEST_ICMP as REQUEST_ICMP,
        TCPSTATES_HOOK_ID_REQUEST_MIGRATE as REQUEST_MIGRATE,
        TCPSTATES_HOOK_ID_REQUEST_PACKET as REQUEST_PACKET,
        TCPSTATES_HOOK_ID_REQUEST_START as REQUEST_START,
        TCPSTATES_HOOK_ID_REQUEST_TIMER as REQUEST_TIMER, TCPSTATES_HOOK_ID_RESET as RESET,
        TCPSTATES_HOOK_ID_SOCK_DESTROY as SOCK_DESTROY, TCPSTATES_HOOK_ID_STATE_SET as STATE_SET,
        TCPSTATES_HOOK_ID_STATE_STORE as STATE_STORE,
        TCPSTATES_HOOK_ID_STATE_TRACEPOINT as STATE_TRACEPOINT, TCPSTATES_HOOK_ID_SYN as SYN,
        TCPSTATES_HOOK_ID_SYNACK_AGAIN as SYNACK_AGAIN,
        TCPSTATES_HOOK_ID_SYNACK_TIMEOUT as SYNACK_TIMEOUT,
        TCPSTATES_HOOK_ID_TIMEWAIT_FREE as TIMEWAIT_FREE,
        TCPSTATES_HOOK_ID_TIMEWAIT_PACKET as TIMEWAIT_PACKET,
        TCPSTATES_HOOK_ID_TIMEWAIT_START as TIMEWAIT_START,
        TCPSTATES_HOOK_ID_TIMEWAIT_TIMER as TIMEWAIT_TIMER,
        TCPSTATES_HOOK_ID_V4_COOKIE_CHECK as V4_COOKIE_CHECK,
        TCPSTATES_HOOK_ID_V4_COOKIE_SENT as V4_COOKIE_SENT,
        TCPSTATES_HOOK_ID_V4_REQUEST_FREE as V4_REQUEST_FREE,
        TCPSTATES_HOOK_ID_V6_COOKIE_CHECK as V6_COOKIE_CHECK,
        TCPSTATES_HOOK_ID_V6_COOKIE_SENT as V6_COOKIE_SENT,
        TCPSTATES_HOOK_ID_V6_REQUEST_FREE as V6_REQUEST_FREE, TCPSTATES_NR_HOOK_IDS as COUNT,
    };
}

/// Name of the module under `/sys/module` and in `delete_module(2)`.
pub const MODULE_NAME: &str = text_constant(raw::TCPSTATES_MODULE_NAME);
/// Name of the device under `/dev` and in `/proc/misc`.
pub const DEVICE_NAME: &str = text_constant(raw::TCPSTATES_DEVICE_NAME);

/// Size of a ring record in bytes.
pub const RECORD_SIZE: usize = size_of::<RawRecord>();
/// Size of a snapshot element in bytes.
pub const CONN_SIZE: usize = size_of::<RawConn>();

/// Size of an element of the listener table in bytes.
pub const LISTENER_SIZE: usize = size_of::<RawListener>();
/// Size of an element of the pair table in bytes.
pub const PAIR_SIZE: usize = size_of::<RawPair>();

/// The bytes of one record, copied from a ring.
pub type RecordBytes = [u8; RECORD_SIZE];
/// The bytes of one live connection, from a snapshot.
pub type ConnBytes = [u8; CONN_SIZE];
/// The bytes of one listener.
pub type ListenerBytes = [u8; LISTENER_SIZE];
/// The bytes of one pair.
pub type PairBytes = [u8; PAIR_SIZE];

const fn text_constant(bytes: &'static [u8]) -> &'static str {
    let (text, _nul) = bytes.split_at(bytes.len() - 1);
    match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(_) => "",
    }
}

/// Converts NUL-padded text of the module to UTF-8, replacing invalid bytes.
pub fn padded_text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    NativeEndian::read_u16(&bytes[at..at + 2])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    NativeEndian::read_u32(&bytes[at..at + 4])
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    NativeEndian::read_u64(&bytes[at..at + 8])
}

/// `N` bytes at a constant offset of a larger array.
#[inline]
pub(crate) fn part<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    let part = bytes.get(at..).and_then(<[u8]>::first_chunk);
    part.unwrap_or(const { &[0; N] })
}

/// Copy of `N` bytes at a constant offset of a larger array.
#[inline]
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *part(bytes, at)
}

/// The layouts that the module's own `static_assert`s check: changing one without raising a version
/// in the header breaks installed modules.
mod layout {
    use super::*;
    use std::mem::offset_of;

    const _: () = {
        assert!(TCPSTATES_CALL_VERSION == 7 && TCPSTATES_RECORD_VERSION == 5);
        assert!(size_of::<RawIdent>() == 112);
        assert!(offset_of!(RawIdent, ifindex) == 104);
        assert!(offset_of!(RawIdent, cgroup) == 8);
        assert!(offset_of!(RawIdent, laddr) == 64);
        assert!(offset_of!(RawIdent, raddr) == 80);
        assert!(offset_of!(RawIdent, listener_addr) == 16);
        assert!(offset_of!(RawIdent, lport) == 96);
        assert!(offset_of!(RawIdent, listener_port) == 60);
        assert!(offset_of!(RawIdent, flags) == 62);
        assert!(offset_of!(RawIdent, netns) == 48);
        assert!(offset_of!(RawIdent, comm) == 32);
        assert!(offset_of!(RawIdent, family) == 100);
        assert!(size_of::<RawMeters>() == 72);
        assert!(offset_of!(RawMeters, snd_cwnd) == 24);
        assert!(offset_of!(RawMeters, srtt_us) == 64);
        assert!(offset_of!(RawMeters, unread) == 68);
        assert!(RECORD_SIZE == 256);
        assert!(offset_of!(RawRecord, seq) == 0);
        assert!(offset_of!(RawRecord, type_) == 24);
        assert!(offset_of!(RawRecord, reason) == 30);
        assert!(offset_of!(RawRecord, who) == 32);
        assert!(offset_of!(RawRecord, meters) == 144);
        assert!(offset_of!(RawRecord, error) == 216);
        assert!(offset_of!(RawRecord, synacks) == 218);
        assert!(CONN_SIZE == 240);
        assert!(offset_of!(RawConn, since_ns) == 112);
        assert!(offset_of!(RawConn, state) == 128);
        assert!(offset_of!(RawConn, reason) == 132);
        assert!(offset_of!(RawConn, meters) == 136);
        assert!(offset_of!(RawConn, last_recv_ms) == 208);
        assert!(offset_of!(RawConn, ino) == 224);
        assert!(offset_of!(RawConn, sock_flags) == 238);
        assert!(size_of::<RawAlarm>() == RECORD_SIZE);
        assert!(offset_of!(RawAlarm, type_) == offset_of!(RawRecord, type_));
        assert!(offset_of!(RawAlarm, ts) == offset_of!(RawRecord, ts));
        assert!(offset_of!(RawAlarm, who) == 32);
        assert!(offset_of!(RawAlarm, threshold) == 144);
        assert!(offset_of!(RawAlarm, timewait) == 180);
        assert!(size_of::<RingHeader>() == 128);
        assert!(offset_of!(RingHeader, capacity) == 16);
        assert!(offset_of!(RingHeader, head) == 64);
        assert!(offset_of!(RingHeader, ended) == 72);
    };
    const _: () = {
        assert!(size_of::<Version>() == 40);
        assert!(size_of::<RawAddrRule>() == 24);
        assert!(size_of::<RawPortRule>() == 8);
        assert!(size_of::<RawFilter>() == 8 + 32 * 24 + 32 * 8);
        assert!(size_of::<Config>() == 24 + 1032 + 64);
        assert!(size_of::<Activate>() == 1120 + 48);
        assert!(size_of::<Settings>() == 56 + 1120);
        assert!(size_of::<RawHandshakes>() == 8 * (11 + 11 + 2));
        assert!(size_of::<Stats>() == 8 * (4 + 6 + 1 + 6 + 13 + 8) + 192);
        assert!(offset_of!(Stats, handshakes) == 304);
        assert!(offset_of!(Stats, alarms) == 240);
        assert!(size_of::<RawPair>() == 104);
        assert!(offset_of!(RawPair, ifindex) == 40);
        assert!(offset_of!(RawPair, half_open) == 48);
        assert!(offset_of!(RawPair, started) == 72);
        assert!(size_of::<RawListener>() == 408);
        assert!(offset_of!(RawListener, accept_queue) == 124);
        assert!(offset_of!(RawListener, drops) == 168);
        assert!(offset_of!(RawListener, handshakes) == 184);
        assert!(size_of::<TransitionCount>() == 40 + 160 * 8);
        assert!(size_of::<Times>() == 24 + 160 * 8);
        assert!(size_of::<Lives>() == 4 * 40 * 8 + 5 * (24 + 160 * 8));
        assert!(size_of::<Cgroup>() == 8 + 13 * 8);
        assert!(size_of::<ClockChange>() == 16);
        assert!(size_of::<Table>() == 16);
        assert!(size_of::<RingState>() == 32);
        assert!(size_of::<Hook>() == 48 + 16);
        assert!(size_of::<Snapshot>() == 24);
        assert!(size_of::<Consumed>() == 32);
        assert!(size_of::<Consume>() == 24);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_nul() {
        assert_eq!(MODULE_NAME, "tcpstates");
        assert_eq!(DEVICE_NAME, "diagnose-tcpstates");
    }

    #[test]
    fn padded_text_ends_at_the_first_nul() {
        assert_eq!(padded_text(b"abc\0def\0"), "abc");
        assert_eq!(padded_text(b"abc"), "abc");
        assert_eq!(padded_text(b"\0"), "");
        assert_eq!(padded_text(b"a\xffb\0"), "a\u{fffd}b");
    }

    #[test]
    fn calls_carry_size_and_direction_of_their_structures() {
        let number =
            |dir: u32, nr: u32, size: usize| dir << 30 | (size as u32) << 16 | 0xda << 8 | nr;
        assert_eq!(call::GET_VERSION, number(2, 0, size_of::<Version>()));
        assert_eq!(call::ACTIVATE, number(3, 1, size_of::<Activate>()));
        assert_eq!(call::DEACTIVATE, number(0, 2, 0));
        assert_eq!(call::GET_SETTINGS, number(2, 3, size_of::<Settings>()));
        assert_eq!(call::GET_STATS, number(2, 4, size_of::<Stats>()));
        assert_eq!(
            call::GET_TRANSITION_COUNTS,
            number(3, 5, size_of::<Table>())
        );
        assert_eq!(call::GET_RINGS, number(3, 6, size_of::<Table>()));
        assert_eq!(call::GET_HOOKS, number(3, 7, size_of::<Table>()));
        assert_eq!(call::SNAPSHOT, number(3, 8, size_of::<Snapshot>()));
        assert_eq!(call::CONSUME, number(1, 9, size_of::<Consume>()));
        assert_eq!(call::SEEN, number(1, 10, 8));
        assert_eq!(call::GET_LISTENERS, number(3, 11, size_of::<Table>()));
        assert_eq!(call::GET_PAIRS, number(3, 12, size_of::<Table>()));
        assert_eq!(call::GET_LIVES, number(2, 13, size_of::<Lives>()));
        assert_eq!(call::GET_CGROUPS, number(3, 14, size_of::<Table>()));
        assert_eq!(call::GET_CLOCKS, number(3, 15, size_of::<Table>()));
    }
}
