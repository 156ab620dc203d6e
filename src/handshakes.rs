//! The counters of the handshakes that listeners saw: their names, their words
//! and their numbers, in one list.

use crate::abi::{self, Hook, RawHandshakes, padded_text};
use crate::i18n::Labels;

/// The function whose hook sees each SYN.
const SYN_HOOK: &str = "tcp_conn_request";

/// One counter.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    /// Its key in JSON, the header's name.
    pub name: &'static str,
    /// What people call it.
    pub label: fn(&Labels) -> &'static str,
    /// `None` when the hook that feeds it is not attached.
    pub count: Option<u64>,
}

macro_rules! counters {
    ($from:expr; $($name:ident: $label:ident,)*) => {
        [$(Counter {
            name: stringify!($name),
            label: |l| l.$label,
            count: Some($from.$name),
        },)*]
    };
}

/// All counters, in the header's order, and the SYNs that were dropped for another reason
/// than those that have counters.
pub fn counters(raw: &RawHandshakes, hooks: &[Hook]) -> Vec<Counter> {
    let of_syns = counters! { raw;
        requests: hs_requests,
        seeded: hs_seeded,
        fast_open: hs_fast_open,
        cookies_sent: hs_cookies_sent,
        cookies_accepted: hs_cookies_accepted,
        cookies_rejected: hs_cookies_rejected,
        syn_queue_full: hs_syn_queue_full,
        syn_accept_queue_full: hs_syn_accept_queue_full,
    };
    let of_requests = counters! { raw;
        ack_accept_queue_full: hs_ack_accept_queue_full,
        migrated: hs_migrated,
        promoted: hs_promoted,
        expired: hs_expired,
        accept_queue_full: hs_accept_queue_full,
        reset_received: hs_reset_received,
        reset_sent: hs_reset_sent,
        unreachable: hs_unreachable,
        aborted: hs_aborted,
        listener_closed: hs_listener_closed,
        netns_gone: hs_netns_gone,
        duplicate: hs_duplicate,
        unknown: hs_unknown,
    };
    let sees_syns = attached(hooks, SYN_HOOK);
    let syns = Counter {
        name: "syns",
        label: |l| l.hs_syns,
        count: sees_syns.then_some(raw.syns),
    };
    let dropped = Counter {
        name: "syn_dropped_other",
        label: |l| l.hs_syn_dropped_other,
        count: sees_syns.then(|| dropped_otherwise(raw)),
    };
    let first = [syns].into_iter().chain(of_syns);
    first.chain([dropped]).chain(of_requests).collect()
}

fn dropped_otherwise(raw: &RawHandshakes) -> u64 {
    let told = [
        raw.requests,
        raw.fast_open,
        raw.cookies_sent,
        raw.syn_queue_full,
        raw.syn_accept_queue_full,
    ];
    told.into_iter().fold(raw.syns, u64::saturating_sub)
}

fn attached(hooks: &[Hook], symbol: &str) -> bool {
    hooks
        .iter()
        .any(|h| h.flags & abi::TCPSTATES_HOOK_ATTACHED != 0 && padded_text(&h.symbol) == symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(symbol: &str, flags: u32) -> Hook {
        let mut hook = Hook {
            flags,
            ..Hook::default()
        };
        hook.symbol[..symbol.len()].copy_from_slice(symbol.as_bytes());
        hook
    }

    fn count(name: &str, raw: &RawHandshakes, hooks: &[Hook]) -> Option<u64> {
        let all = counters(raw, hooks);
        all.iter().find(|c| c.name == name).unwrap().count
    }

    #[test]
    fn every_counter_of_the_header_is_there() {
        let header = include_str!("../include/tcpstates.h");
        let start = header.find("struct tcpstates_handshakes {").unwrap();
        let fields = header[start..].lines().skip(1).map(str::trim);
        let mut names: Vec<_> = fields
            .take_while(|l| *l != "};")
            .filter_map(|l| l.strip_prefix("__u64 ")?.split(';').next())
            .filter(|name| !name.starts_with("reserved"))
            .collect();
        names.insert(9, "syn_dropped_other");
        let ours = counters(&RawHandshakes::default(), &[]);
        assert_eq!(ours.iter().map(|c| c.name).collect::<Vec<_>>(), names);
    }

    #[test]
    fn each_counter_is_its_own() {
        let raw = RawHandshakes {
            promoted: 7,
            ..RawHandshakes::default()
        };
        let counted: Vec<_> = counters(&raw, &[])
            .into_iter()
            .filter(|c| c.count.is_some_and(|n| n != 0))
            .map(|c| (c.name, c.count))
            .collect();
        assert_eq!(counted, [("promoted", Some(7))]);
    }

    #[test]
    fn without_their_hook_syns_are_unknown() {
        let mut raw = RawHandshakes {
            syns: 100,
            requests: 50,
            fast_open: 1,
            cookies_sent: 20,
            syn_queue_full: 8,
            syn_accept_queue_full: 4,
            seeded: 1000,
            ..RawHandshakes::default()
        };
        let attached = [hook(SYN_HOOK, abi::TCPSTATES_HOOK_ATTACHED)];
        assert_eq!(count("syns", &raw, &attached), Some(100));
        assert_eq!(count("syn_dropped_other", &raw, &attached), Some(17));
        for hooks in [
            &[][..],
            &[hook(SYN_HOOK, 0)],
            &[hook("tcp_conn", abi::TCPSTATES_HOOK_ATTACHED)],
        ] {
            assert_eq!(count("syns", &raw, hooks), None);
            assert_eq!(count("syn_dropped_other", &raw, hooks), None);
            assert_eq!(count("requests", &raw, hooks), Some(50));
        }
        raw.requests = 500;
        assert_eq!(count("syn_dropped_other", &raw, &attached), Some(0));
    }
}
