//! Listening sockets: their queues, their connections and their handshakes.

use std::mem::offset_of;

use crate::abi::{self, ListenerBytes, RawListener, array};
use crate::model::alarm::AlarmKind;
use crate::model::handshakes::Handshakes;
use crate::model::ident::Ident;
use crate::model::span::Span;

/// A queue of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Current number of connections in it.
    pub length: u32,
    /// Highest number since the activation.
    pub max: u32,
    /// Length at which it is full; the accept queue holds one more.
    pub limit: u32,
}

/// One listening socket: `struct tcpstates_listener`.
#[derive(Debug, Clone, Copy)]
pub struct Listener {
    /// Identity; `who.owner` is the process that called `listen()`.
    pub who: Ident,
    /// Monotonic nanoseconds when it started to listen: exact, or an upper bound.
    pub since: Span,
    /// Bit mask of the raised alarms: `1 << kind`.
    pub alarms: u16,
    /// Connections that wait for `accept()`.
    pub accept_queue: Queue,
    /// Half-open requests.
    pub half_open: Queue,
    /// Number of unfinished handshakes in the last whole second with a SYN.
    pub unfinished: u32,
    /// Highest number in a second since the activation.
    pub unfinished_max: u32,
    /// Monotonic nanoseconds of the end of that second; `None` if there was none.
    pub unfinished_ns: Option<u64>,
    /// Number of its connections in ESTABLISHED.
    pub established: u32,
    /// Connections in FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, CLOSING and LAST_ACK.
    pub closing: u32,
    /// Connections in TIME_WAIT.
    pub timewait: u32,
    /// `sk_drops` since the listener was created; `ss -m` prints it after `d`.
    pub drops: u64,
    /// Number of connections since the activation with a known wait for `accept()`.
    pub accepted: u64,
    /// The sum of their waits in nanoseconds.
    pub accept_wait_ns: u64,
    /// The longest of the waits.
    pub accept_wait_max_ns: u64,
    /// Outcome of its SYNs since the activation.
    pub handshakes: Handshakes,
}

impl Listener {
    /// Decodes an element of the table.
    pub fn decode(bytes: &ListenerBytes) -> Self {
        let word = |at| abi::u32_at(bytes, at);
        let long = |at| abi::u64_at(bytes, at);
        let flags = abi::u16_at(bytes, offset_of!(RawListener, flags));
        let unfinished_ns = long(offset_of!(RawListener, unfinished_ns));
        Self {
            who: Ident::decode(&array(bytes, offset_of!(RawListener, who))),
            since: Span::new(long(offset_of!(RawListener, since_ns)), flags),
            alarms: abi::u16_at(bytes, offset_of!(RawListener, alarms)),
            accept_queue: Queue {
                length: word(offset_of!(RawListener, accept_queue)),
                max: word(offset_of!(RawListener, accept_queue_max)),
                limit: word(offset_of!(RawListener, accept_queue_limit)),
            },
            half_open: Queue {
                length: word(offset_of!(RawListener, half_open)),
                max: word(offset_of!(RawListener, half_open_max)),
                limit: word(offset_of!(RawListener, half_open_limit)),
            },
            unfinished: word(offset_of!(RawListener, unfinished)),
            unfinished_max: word(offset_of!(RawListener, unfinished_max)),
            unfinished_ns: (unfinished_ns != 0).then_some(unfinished_ns),
            established: word(offset_of!(RawListener, established)),
            closing: word(offset_of!(RawListener, closing)),
            timewait: word(offset_of!(RawListener, timewait)),
            drops: long(offset_of!(RawListener, drops)),
            accepted: long(offset_of!(RawListener, accepted)),
            accept_wait_ns: long(offset_of!(RawListener, accept_wait_ns)),
            accept_wait_max_ns: long(offset_of!(RawListener, accept_wait_max_ns)),
            handshakes: Handshakes::decode(&array(bytes, offset_of!(RawListener, handshakes))),
        }
    }

    /// Average and longest wait for `accept()` in nanoseconds; `None`: no connection was accepted.
    pub fn accept_wait(&self) -> Option<[u64; 2]> {
        let average = self.accept_wait_ns.checked_div(self.accepted)?;
        Some([average, self.accept_wait_max_ns])
    }

    /// How long it has been listening, at `now_ns` (monotonic).
    pub fn age(&self, now_ns: u64) -> Span {
        self.since.age(now_ns)
    }

    /// The alarms that are raised.
    pub fn raised(&self) -> impl Iterator<Item = AlarmKind> {
        let alarms = self.alarms;
        let raised = move |kind: &u8| alarms & 1 << kind != 0;
        (0..16).filter(raised).map(AlarmKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::random::random_bytes;

    #[test]
    fn fields_come_from_their_places() {
        let mut bytes = [0; abi::LISTENER_SIZE];
        bytes[0..8].copy_from_slice(&9u64.to_ne_bytes());
        bytes[96..98].copy_from_slice(&8080u16.to_ne_bytes());
        bytes[112..120].copy_from_slice(&77u64.to_ne_bytes());
        bytes[120] = 3;
        bytes[122] = 1 << 2 | 1 << 4;
        for (index, number) in (1u32..=11).enumerate() {
            let at = 124 + 4 * index;
            bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
        }
        for (at, number) in [(168, 12u64), (176, 13), (184, 14), (352, 15)] {
            bytes[at..at + 8].copy_from_slice(&number.to_ne_bytes());
        }
        for (at, number) in [(376, 16u64), (384, 17), (392, 18)] {
            bytes[at..at + 8].copy_from_slice(&number.to_ne_bytes());
        }
        let l = Listener::decode(&bytes);
        assert_eq!((l.who.conn, l.who.lport), (9, 8080));
        assert_eq!((l.since, l.age(100)), (Span::Exact(77), Span::Exact(23)));
        let raised: Vec<_> = l.raised().collect();
        assert_eq!(raised, [AlarmKind::ACCEPT_QUEUE, AlarmKind::UNFINISHED]);
        let queue = |length, max, limit| Queue { length, max, limit };
        assert_eq!(
            (l.accept_queue, l.half_open),
            (queue(1, 2, 3), queue(4, 5, 6))
        );
        assert_eq!((l.unfinished, l.unfinished_max), (7, 8));
        assert_eq!((l.established, l.closing, l.timewait), (9, 10, 11));
        assert_eq!((l.drops, l.unfinished_ns), (12, Some(13)));
        assert_eq!((l.handshakes.syns, l.handshakes.unknown), (14, 15));
        let waits = (l.accepted, l.accept_wait_ns, l.accept_wait_max_ns);
        assert_eq!(waits, (16, 17, 18));
    }

    #[test]
    fn any_bytes_decode() {
        let mut seed = 0xfeed;
        for _ in 0..20_000 {
            let listener = Listener::decode(&random_bytes(&mut seed));
            assert!(listener.raised().count() <= 16);
            assert_eq!(
                listener.age(0).ns().is_some(),
                listener.since.ns().is_some()
            );
        }
        let nothing = Listener::decode(&[0; abi::LISTENER_SIZE]);
        assert_eq!(
            (nothing.unfinished_ns, nothing.since),
            (None, Span::Unknown)
        );
        assert_eq!(nothing.raised().count(), 0);
    }
}
