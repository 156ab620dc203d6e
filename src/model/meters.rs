//! Counters of a connection.

use std::mem::offset_of;

use crate::abi::{self, RawMeters};

/// Counters of a connection: `struct tcpstates_meters`, whose documentation names the kernel field
/// of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meters {
    /// Bytes sent, including retransmissions.
    pub bytes_sent: u64,
    /// Bytes that the peer acknowledged.
    pub bytes_acked: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Congestion window in segments.
    pub snd_cwnd: u32,
    /// Send window in bytes.
    pub snd_wnd: u32,
    /// Receive window in bytes.
    pub rcv_wnd: u32,
    /// Size of the send buffer in bytes.
    pub sndbuf: u32,
    /// Used part of the send buffer in bytes.
    pub sndbuf_used: u32,
    /// Size of the receive buffer in bytes.
    pub rcvbuf: u32,
    /// Used part of the receive buffer in bytes.
    pub rcvbuf_used: u32,
    /// Connections that wait for `accept()`.
    pub backlog: u32,
    /// Limit of `backlog`.
    pub max_backlog: u32,
    /// Number of retransmitted segments.
    pub retrans: u32,
    /// Smoothed round-trip time in microseconds; 0: not measured.
    pub srtt_us: u32,
}

impl Meters {
    /// Decodes the meters of a record or a connection with these flags, if it has any.
    pub(crate) fn decode_if(bytes: &[u8; size_of::<RawMeters>()], flags: u16) -> Option<Self> {
        (u32::from(flags) & abi::TCPSTATES_HAS_METERS != 0).then(|| Self::decode(bytes))
    }

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

/// Number of SYN-ACKs, if the flags say that it is known.
pub(crate) fn synacks(number: u16, flags: u16) -> Option<u16> {
    (u32::from(flags) & abi::TCPSTATES_HAS_SYNACKS != 0).then_some(number)
}
