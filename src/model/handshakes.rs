//! The counters of the handshakes that listeners saw: their names and numbers, in one list.

use std::mem::offset_of;

use crate::abi::{self, RawHandshakes};
use crate::model::hook::Hook;

/// One counter.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    /// Its key in JSON, the header's name.
    pub name: &'static str,
    /// `None` when a hook that feeds it is missing.
    pub count: Option<u64>,
}

macro_rules! handshakes {
    ($($name:ident)*) => {
        /// What became of the SYNs that listeners got: `struct tcpstates_handshakes`.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[allow(missing_docs, reason = "named as in the header")]
        pub struct Handshakes {
            $(pub $name: u64,)*
        }

        impl Handshakes {
            /// From the form of the ABI.
            pub fn from_abi(raw: &RawHandshakes) -> Self {
                Self {
                    $($name: raw.$name,)*
                }
            }

            /// The same from its bytes.
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

/// The functions whose hooks feed a counter: of each group one is enough.
type Feeds = &'static [&'static [&'static str]];

const ALWAYS: Feeds = &[];
const SYN: Feeds = &[&["tcp_conn_request"]];
const FAST_OPEN: Feeds = &[&["inet_csk_reqsk_queue_add"]];
const COOKIE_SENT: Feeds = &[&["cookie_v4_init_sequence", "cookie_v6_init_sequence"]];
const COOKIE_ACCEPTED: Feeds = FAST_OPEN;
const COOKIE_REJECTED: Feeds = &[&["cookie_v4_check", "cookie_v6_check"], FAST_OPEN[0]];
const SYN_DROPPED: Feeds = &[SYN[0], FAST_OPEN[0], COOKIE_SENT[0]];
const PACKET: Feeds = &[&["tcp_check_req"]];
const MIGRATION: Feeds = &[&["inet_reqsk_clone"], &["tcp_syn_ack_timeout"]];
const TIMER: Feeds = &[&["tcp_syn_ack_timeout", "reqsk_timer_handler"]];
const ICMP: Feeds = &[&["tcp_req_err"]];
const SYNACK_AGAIN: Feeds = &[&["tcp_retransmit_synack"]];
const ABORT: Feeds = &[&["tcp_abort"]];

macro_rules! counters {
    ($hooks:expr; $($name:ident, $count:expr, $feeds:expr;)*) => {
        vec![$(Counter {
            name: stringify!($name),
            count: fed($hooks, $feeds).then_some($count),
        },)*]
    };
}

/// All counters, in the header's order, and the SYNs that were dropped for another reason
/// than those that have counters.
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

/// SYNs that became nothing, for another reason than a full queue.
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

/// Whether no group of hooks is missing. The module lists those that it could not attach; one
/// that it does not list it does not need.
fn fed(hooks: &[Hook], feeds: Feeds) -> bool {
    let of = |group: &[&str]| -> Vec<bool> {
        let listed = hooks.iter().filter(|h| group.contains(&h.symbol.as_str()));
        listed.map(|h| h.attached).collect()
    };
    feeds.iter().all(|group| {
        let attached = of(group);
        attached.is_empty() || attached.contains(&true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(symbol: &str, attached: bool) -> Hook {
        Hook {
            symbol: symbol.into(),
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
        let unknown = |missing: &[&str]| -> Vec<&str> {
            let hooks: Vec<_> = missing.iter().map(|s| hook(s, false)).collect();
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
        assert_eq!(unknown(&["tcp_conn_request"]), syns);
        assert_eq!(
            unknown(&["tcp_syn_ack_timeout"]),
            ["migrated", "expired", "duplicate"]
        );
        assert_eq!(unknown(&["tcp_abort", "some_hook"]), ["aborted"]);
        assert_eq!(
            unknown(&["cookie_v4_check", "cookie_v6_check"]),
            ["cookies_rejected"]
        );
        assert_eq!(
            unknown(&["inet_csk_reqsk_queue_add"]),
            [
                "fast_open",
                "cookies_accepted",
                "cookies_rejected",
                "syn_dropped_other"
            ]
        );
        assert_eq!(unknown(&["tcp_conn"]), [""; 0]);
    }

    #[test]
    fn one_of_two_hooks_is_enough() {
        let raw = Handshakes {
            cookies_sent: 5,
            ..Handshakes::default()
        };
        let mut hooks = [
            hook("cookie_v4_init_sequence", true),
            hook("cookie_v6_init_sequence", false),
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
