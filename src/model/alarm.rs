//! Alarms: a number has reached its threshold, or has fallen below it again.

use std::borrow::Cow;
use std::mem::offset_of;

use crate::abi::{self, RawAlarm, RecordBytes, part};
use crate::model::ident::Ident;

/// The kind of an alarm. Any number from the module is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlarmKind(pub u8);

/// Names by number, starting at 1.
const NAMES: [&str; abi::TCPSTATES_NR_ALARMS as usize - 1] =
    ["pair", "accept_queue", "half_open", "unfinished"];

impl AlarmKind {
    /// Number of connections of a pair of addresses.
    pub const PAIR: Self = Self(abi::TCPSTATES_ALARM_PAIR as u8);
    /// Number of a listener's connections that wait for `accept()`.
    pub const ACCEPT_QUEUE: Self = Self(abi::TCPSTATES_ALARM_ACCEPT_QUEUE as u8);
    /// Number of a listener's half-open requests.
    pub const HALF_OPEN: Self = Self(abi::TCPSTATES_ALARM_HALF_OPEN as u8);
    /// Number of a listener's unfinished handshakes per second.
    pub const UNFINISHED: Self = Self(abi::TCPSTATES_ALARM_UNFINISHED as u8);

    /// The name in reports; `alarm_<n>` for an unknown number.
    pub fn name(self) -> Cow<'static, str> {
        let known = usize::from(self.0)
            .checked_sub(1)
            .and_then(|i| NAMES.get(i));
        match known {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("alarm_{}", self.0)),
        }
    }
}

/// A record of an alarm that was raised or cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// Monotonic nanoseconds.
    pub ts: u64,
    /// Kind of the alarm.
    pub kind: AlarmKind,
    /// True if raised, false if cleared.
    pub raised: bool,
    /// For a pair, the connection that raised or cleared the alarm; otherwise the listener.
    pub who: Ident,
    /// The current value of the number: connections, or handshakes per second.
    pub value: u64,
    /// The value at which it is raised; it is cleared below 80 % of this.
    pub threshold: u64,
    /// Highest value since the alarm was raised.
    pub peak: u64,
    /// Monotonic nanoseconds of the raise.
    pub raised_ns: u64,
    /// Connections of the pair, or of the listener, in SYN_SENT and SYN_RECV.
    pub half_open: u32,
    /// Connections in ESTABLISHED.
    pub established: u32,
    /// Connections in FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, CLOSING and LAST_ACK.
    pub closing: u32,
    /// Connections in TIME_WAIT.
    pub timewait: u32,
}

impl Alarm {
    /// Decodes a record; `None` if it is not of this type.
    pub fn decode(bytes: &RecordBytes) -> Option<Self> {
        let kind = u32::from(abi::u16_at(bytes, offset_of!(RawAlarm, type_)));
        let word = |at| abi::u32_at(bytes, at);
        let long = |at| abi::u64_at(bytes, at);
        (kind == abi::TCPSTATES_REC_ALARM).then(|| Self {
            ts: long(offset_of!(RawAlarm, ts)),
            kind: AlarmKind(bytes[offset_of!(RawAlarm, kind)]),
            raised: bytes[offset_of!(RawAlarm, raised)] != 0,
            who: Ident::decode(part(bytes, offset_of!(RawAlarm, who))),
            value: long(offset_of!(RawAlarm, value)),
            threshold: long(offset_of!(RawAlarm, threshold)),
            peak: long(offset_of!(RawAlarm, peak)),
            raised_ns: long(offset_of!(RawAlarm, raised_ns)),
            half_open: word(offset_of!(RawAlarm, half_open)),
            established: word(offset_of!(RawAlarm, established)),
            closing: word(offset_of!(RawAlarm, closing)),
            timewait: word(offset_of!(RawAlarm, timewait)),
        })
    }

    /// Whether the alarm is about two addresses, without ports.
    pub fn is_pair(&self) -> bool {
        self.kind == AlarmKind::PAIR
    }

    /// Nanoseconds since the raise.
    pub fn lasted_ns(&self) -> u64 {
        self.ts.saturating_sub(self.raised_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::random::random_bytes;

    /// Compares the header's constants with the names here.
    #[test]
    fn kinds_are_those_of_the_header() {
        let header = include_str!("../../include/tcpstates.h");
        let prefix = "#define TCPSTATES_ALARM_";
        let mut found = 0;
        for line in header.lines().filter_map(|l| l.strip_prefix(prefix)) {
            let mut words = line.split_whitespace();
            let (constant, number) = (words.next().unwrap(), words.next().unwrap());
            let kind = AlarmKind(number.parse().unwrap());
            assert_eq!(kind.name(), constant.to_ascii_lowercase());
            found += 1;
        }
        assert_eq!(found, NAMES.len());
        assert_eq!(AlarmKind(0).name(), "alarm_0");
        assert_eq!(AlarmKind(200).name(), "alarm_200");
    }

    #[test]
    fn fields_come_from_their_places() {
        let mut bytes = [0; abi::RECORD_SIZE];
        bytes[8..16].copy_from_slice(&77u64.to_ne_bytes());
        bytes[16..24].copy_from_slice(&500u64.to_ne_bytes());
        bytes[24..26].copy_from_slice(&2u16.to_ne_bytes());
        bytes[26] = 1;
        bytes[27] = 1;
        bytes[32..40].copy_from_slice(&9u64.to_ne_bytes());
        bytes[96..112].copy_from_slice(&[1; 16]);
        bytes[132] = 6;
        bytes[144..152].copy_from_slice(&400u64.to_ne_bytes());
        bytes[152..160].copy_from_slice(&33u64.to_ne_bytes());
        bytes[160..168].copy_from_slice(&600u64.to_ne_bytes());
        for (at, number) in [(168, 1u32), (172, 2), (176, 3), (180, 4)] {
            bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
        }
        let alarm = Alarm::decode(&bytes).unwrap();
        assert_eq!((alarm.ts, alarm.value, alarm.raised), (77, 500, true));
        assert_eq!((alarm.kind, alarm.is_pair()), (AlarmKind::PAIR, true));
        assert_eq!((alarm.who.conn, alarm.who.laddr), (9, [1; 16]));
        assert_eq!((alarm.threshold, alarm.peak), (400, 600));
        assert_eq!((alarm.raised_ns, alarm.lasted_ns()), (33, 44));
        let counts = [alarm.half_open, alarm.established, alarm.closing];
        assert_eq!((counts, alarm.timewait), ([1, 2, 3], 4));
    }

    #[test]
    fn any_bytes_decode() {
        let mut seed = 0x0dd_ba11;
        for _ in 0..20_000 {
            let mut bytes: RecordBytes = random_bytes(&mut seed);
            bytes[24..26].copy_from_slice(&2u16.to_ne_bytes());
            let alarm = Alarm::decode(&bytes).unwrap();
            assert!(!alarm.kind.name().is_empty());
            assert!(alarm.lasted_ns() <= alarm.ts);
            bytes[24] = 1;
            assert_eq!(Alarm::decode(&bytes), None);
        }
    }
}
