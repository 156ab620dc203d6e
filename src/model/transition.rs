//! Decodes recorded state changes. Any bytes decode to a value: unknown numbers are kept or printed
//! as unknown, and nothing panics.

use std::mem::offset_of;

use crate::abi::{self, RawRecord, RecordBytes, part};
use crate::model::ident::Ident;
use crate::model::meters::{Meters, synacks};
use crate::model::reason::Reason;
use crate::model::span::Span;
use crate::model::state::State;

/// A recorded state change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Monotonic nanoseconds.
    pub ts: u64,
    /// Time in the old state.
    pub in_old: Span,
    /// Old state.
    pub old: State,
    /// New state.
    pub new: State,
    /// Reason why it is ending, or how it started.
    pub reason: Reason,
    /// The socket's error number; 0: none.
    pub error: u16,
    /// Number of SYN-ACKs that were sent, if known.
    pub synacks: Option<u16>,
    /// Identity of the connection.
    pub who: Ident,
    /// Counters of a full socket at the change; `None` for other sockets.
    pub meters: Option<Meters>,
}

impl Transition {
    /// Decodes a record; `None` if it is not of this type.
    // Always inlined, so that the value is built in its final location and not moved.
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
            meters: Meters::decode_if(part(bytes, offset_of!(RawRecord, meters)), flags),
        })
    }

    /// Whether the accept queue's counters apply.
    pub fn is_listener(&self) -> bool {
        self.who.is_listener(&[self.old, self.new])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    use crate::fmt::random::random_bytes;
    use crate::model::ident::Role;
    use crate::model::reason::error_name;

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
            assert!(t.reason == Reason::NONE || t.reason.name().is_some());
            assert!(error_name(t.error).is_some() || t.error == 0);
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
    }
}
