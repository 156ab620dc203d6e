//! The counters of handshakes of listeners: names and values, in one list.

use std::mem::offset_of;

use crate::abi::{self, RawHandshakes};
use crate::model::hook::{Hook, id};

/// One counter.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    /// Its key in JSON, which is the name in the header.
    pub name: &'static str,
    /// Value; `None` if a hook that it requires is missing.
    pub count: Option<u64>,
}

macro_rules! handshakes {
    ($($name:ident)*) => {
        /// Outcome of the SYNs that listeners received: `struct tcpstates_handshakes`.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[allow(missing_docs, reason = "named as in the header")]
        pub struct Handshakes {
            $(pub $name: u64,)*
        }

        impl Handshakes {
            /// Converts from the ABI structure.
            pub fn from_abi(raw: &RawHandshakes) -> Self {
                Self {
                    $($name: raw.$name,)*
                }
            }

            /// Decodes the bytes of the ABI structure.
            pub(crate) fn decode(bytes: &[u8; size_of::<RawHandshakes>()]) -> Self {
                Self {
                    $($name: abi::u64_at(bytes, offset_of!(RawHandshakes, $name)),)*
                }
            }
        }
    };
}

handshakes! {
    syns requests seeded fast_open cookies_sent cookies_accepted cookies_rejected
    syn_queue_full syn_accept_queue_full ack_accept_queue_full migrated
    promoted expired accept_queue_full reset_received reset_sent unreachable aborted
    listener_closed netns_gone duplicate unknown synacks_sent_again
}

/// The hooks that a counter requires: one hook of each set.
type Feeds = &'static [&'static [u32]];

const ALWAYS: Feeds = &[];
const SYN: Feeds = &[&[id::SYN]];
const FAST_OPEN: Feeds = &[&[id::CHILD_QUEUE]];
const COOKIE_SENT: Feeds = &[&[id::V4_COOKIE_SENT, id::V6_COOKIE_SENT]];
const COOKIE_ACCEPTED: Feeds = FAST_OPEN;
const COOKIE_REJECTED: Feeds = &[&[id::V4_COOKIE_CHECK, id::V6_COOKIE_CHECK], FAST_OPEN[0]];
const SYN_DROPPED: Feeds = &[SYN[0], FAST_OPEN[0], COOKIE_SENT[0]];
const PACKET: Feeds = &[&[id::REQUEST_PACKET]];
const MIGRATION: Feeds = &[&[id::REQUEST_MIGRATE], &[id::SYNACK_TIMEOUT]];
const TIMER: Feeds = &[&[id::SYNACK_TIMEOUT, id::REQUEST_TIMER]];
const ICMP: Feeds = &[&[id::REQUEST_ICMP]];
const SYNACK_AGAIN: Feeds = &[&[id::SYNACK_AGAIN]];
const ABORT: Feeds = &[&[id::ABORT]];

macro_rules! counters {
    ($hooks:expr; $($name:ident, $count:expr, $feeds:expr;)*) => {
        vec![$(Counter {
            name: stringify!($name),
            count: fed($hooks, $feeds).then_some($count),
        },)*]
    };
}

/// All counters in the order of the header, and the number of SYNs that were dropped for a reason
/// without a counter.
pub fn counters(raw: &Handshakes, hooks: &[Hook]) -> Vec<Counter> {
    counters! { hooks;
        syns, raw.syns, SYN;
        requests, raw.requests, ALWAYS;
        seeded, raw.seeded, ALWAYS;
        fast_open, raw.fast_open, FAST_OPEN;
        cookies_sent, raw.cookies_sent, COOKIE_SENT;
        cookies_accepted, raw.cookies_accepted, COOKIE_ACCEPTED;
        cookies_rejected, raw.cookies_rejected, COOKIE_REJECTED;
        syn_queue_full, raw.syn_queue_full, SYN;
        syn_accept_queue_full, raw.syn_accept_queue_full, SYN;
        syn_dropped_other, dropped_otherwise(raw), SYN_DROPPED;
        ack_accept_queue_full, raw.ack_accept_queue_full, PACKET;
        migrated, raw.migrated, MIGRATION;
        promoted, raw.promoted, ALWAYS;
        expired, raw.expired, TIMER;
        accept_queue_full, raw.accept_queue_full, PACKET;
        reset_received, raw.reset_received, PACKET;
        reset_sent, raw.reset_sent, PACKET;
        unreachable, raw.unreachable, ICMP;
        aborted, raw.aborted, ABORT;
        listener_closed, raw.listener_closed, ALWAYS;
        netns_gone, raw.netns_gone, ALWAYS;
        duplicate, raw.duplicate, TIMER;
        unknown, raw.unknown, ALWAYS;
        synacks_sent_again, raw.synacks_sent_again, SYNACK_AGAIN;
    }
}

/// Number of SYNs that were dropped for another reason than a full queue.
pub fn dropped_otherwise(raw: &Handshakes) -> u64 {
    let told = [
        raw.requests,
        raw.fast_open,
        raw.cookies_sent,
        raw.syn_queue_full,
        raw.syn_accept_queue_full,
    ];
    told.into_iter().fold(raw.syns, u64::saturating_sub)
}

/// Whether no set of hooks is missing. The module lists the hooks that it could not attach; a hook
/// that it does not list is not required.
fn fed(hooks: &[Hook], feeds: Feeds) -> bool {
    let of = |set: &[u32]| -> Vec<bool> {
        let listed = hooks.iter().filter(|h| set.contains(&h.id));
        listed.map(|h| h.attached).collect()
    };
    feeds.iter().all(|set| {
        let attached = of(set);
        attached.is_empty() || attached.contains(&true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(id: u32, attached: bool) -> Hook {
        Hook {
            id,
            attached,
            ..Hook::default()
        }
    }

    fn count(name: &str, raw: &Handshakes, hooks: &[Hook]) -> Option<u64> {
        let all = counters(raw, hooks);
        all.iter().find(|c| c.name == name).unwrap().count
    }

    #[test]
    fn every_counter_of_the_header_is_there() {
        let header = include_str!("../../include/tcpstates.h");
        let start = header.find("struct tcpstates_handshakes {").unwrap();
        let fields = header[start..].lines().skip(1).map(str::trim);
        let mut names: Vec<_> = fields
            .take_while(|l| *l != "};")
            .filter_map(|l| l.strip_prefix("__u64 ")?.split(';').next())
            .filter(|name| !name.starts_with("reserved"))
            .collect();
        names.insert(9, "syn_dropped_other");
        let ours = counters(&Handshakes::default(), &[]);
        assert_eq!(ours.iter().map(|c| c.name).collect::<Vec<_>>(), names);
    }

    #[test]
    fn bytes_decode_in_the_order_of_the_header() {
        let mut bytes = [0; size_of::<RawHandshakes>()];
        for (number, word) in (1u64..).zip(bytes.chunks_exact_mut(8)) {
            word.copy_from_slice(&number.to_ne_bytes());
        }
        let counted: Vec<_> = counters(&Handshakes::decode(&bytes), &[])
            .into_iter()
            .filter(|c| c.name != "syn_dropped_other")
            .filter_map(|c| c.count)
            .collect();
        assert_eq!(counted, (1..=23).collect::<Vec<_>>());
    }

    #[test]
    fn each_counter_is_its_own() {
        let raw = Handshakes {
            promoted: 7,
            ..Handshakes::default()
        };
        let counted: Vec<_> = counters(&raw, &[])
            .into_iter()
            .filter(|c| c.count.is_some_and(|n| n != 0))
            .map(|c| (c.name, c.count))
            .collect();
        assert_eq!(counted, [("promoted", Some(7))]);
    }

    #[test]
    fn what_no_hook_feeds_is_unknown() {
        let raw = Handshakes::default();
        let unknown = |missing: &[u32]| -> Vec<&str> {
            let hooks: Vec<_> = missing.iter().map(|id| hook(*id, false)).collect();
            let all = counters(&raw, &hooks);
            let names = all.into_iter().filter(|c| c.count.is_none());
            names.map(|c| c.name).collect()
        };
        let syns = [
            "syns",
            "syn_queue_full",
            "syn_accept_queue_full",
            "syn_dropped_other",
        ];
        assert_eq!(unknown(&[id::SYN]), syns);
        assert_eq!(
            unknown(&[id::SYNACK_TIMEOUT]),
            ["migrated", "expired", "duplicate"]
        );
        assert_eq!(unknown(&[id::ABORT, 99]), ["aborted"]);
        assert_eq!(
            unknown(&[id::V4_COOKIE_CHECK, id::V6_COOKIE_CHECK]),
            ["cookies_rejected"]
        );
        assert_eq!(
            unknown(&[id::CHILD_QUEUE]),
            [
                "fast_open",
                "cookies_accepted",
                "cookies_rejected",
                "syn_dropped_other"
            ]
        );
        assert_eq!(unknown(&[0]), [""; 0]);
    }

    #[test]
    fn one_of_two_hooks_is_enough() {
        let raw = Handshakes {
            cookies_sent: 5,
            ..Handshakes::default()
        };
        let mut hooks = [
            hook(id::V4_COOKIE_SENT, true),
            hook(id::V6_COOKIE_SENT, false),
        ];
        assert_eq!(count("cookies_sent", &raw, &hooks), Some(5));
        hooks[0].attached = false;
        assert_eq!(count("cookies_sent", &raw, &hooks), None);
        assert_eq!(count("syn_dropped_other", &raw, &hooks), None);
    }

    #[test]
    fn syns_that_became_nothing_were_dropped() {
        let mut raw = Handshakes {
            syns: 100,
            requests: 50,
            fast_open: 1,
            cookies_sent: 20,
            syn_queue_full: 8,
            syn_accept_queue_full: 4,
            seeded: 1000,
            ..Handshakes::default()
        };
        assert_eq!(count("syn_dropped_other", &raw, &[]), Some(17));
        raw.requests = 500;
        assert_eq!(count("syn_dropped_other", &raw, &[]), Some(0));
    }
}
