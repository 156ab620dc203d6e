//! Filter expressions over addresses, ports, states and reasons: syntax, ABI form and evaluation.
//! The evaluation is the same as in the module (`include/tcpstates.h`, at
//! `struct tcpstates_filter`).

mod addresses;
mod cgroups;
mod expression;
pub mod keys;
mod names;
mod ports;
mod processes;
mod reasons;
mod show;
mod states;
pub mod window;

use std::net::Ipv6Addr;

pub use addresses::{AddrRule, parse_addrs};
pub use cgroups::{InCgroup, parse_cgroups, parse_containers, parse_uids};
pub use expression::Side;
pub use names::Rules;
pub(crate) use names::unknown_name;
pub use ports::{PortRule, parse_ports};
pub use processes::{parse_comms, parse_pids};
pub use reasons::parse_reasons;
pub use show::Show;
pub use states::parse_states;

use crate::abi::{RawAddrRule, RawFilter, RawPortRule};
use crate::model::ident::Ident;
use addresses::v6_net;
use expression::expressions_hold;

/// A filter of connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Inode number of the namespace; 0: any.
    pub netns: u32,
    /// 4 or 6; 0: both.
    pub family: u8,
    /// The address expressions of all sides.
    pub addrs: Vec<AddrRule>,
    /// The port expressions of all sides.
    pub ports: Vec<PortRule>,
}

impl Filter {
    /// Whether a connection matches.
    #[inline]
    pub fn matches(&self, who: &Ident) -> bool {
        let port = |r: &PortRule| (r.side, r.negate, r.matches(who));
        self.matches_pair(who) && expressions_hold(self.ports.iter().map(port))
    }

    /// Whether connections between two addresses match, without regard to ports: a pair has many.
    #[inline]
    pub fn matches_pair(&self, who: &Ident) -> bool {
        let addr = |r: &AddrRule| (r.side, r.negate, r.matches(who));
        self.matches_place(who) && expressions_hold(self.addrs.iter().map(addr))
    }

    /// Whether a listener matches: rules about the remote endpoint are ignored, because it has
    /// none.
    pub fn matches_listener(&self, who: &Ident) -> bool {
        let addrs = self.addrs.iter().filter(|r| r.side != Side::Remote);
        let ports = self.ports.iter().filter(|r| r.side != Side::Remote);
        let inside = |r: &PortRule| r.low <= who.lport && who.lport <= r.high;
        self.matches_place(who)
            && expressions_hold(addrs.map(|r| (r.side, r.negate, r.matches_listener(who))))
            && expressions_hold(ports.map(|r| (r.side, r.negate, inside(r))))
    }

    fn matches_place(&self, who: &Ident) -> bool {
        (self.family == 0 || self.family == who.family)
            && (self.netns == 0 || self.netns == who.netns)
    }

    /// Converts to the ABI structure. The parser has refused rules that do not fit.
    pub fn to_abi(&self) -> RawFilter {
        let mut raw = RawFilter {
            netns: self.netns,
            family: self.family,
            ..RawFilter::default()
        };
        for (slot, rule) in raw.addrs.iter_mut().zip(&self.addrs) {
            slot.addr = rule.network.addr().octets();
            slot.prefix = rule.network.prefix_len();
            (slot.side, slot.negate) = (rule.side.number(), u8::from(rule.negate));
            slot.ifindex = rule.ifindex;
            raw.nr_addrs += 1;
        }
        for (slot, rule) in raw.ports.iter_mut().zip(&self.ports) {
            (slot.low, slot.high) = (rule.low, rule.high);
            (slot.side, slot.negate) = (rule.side.number(), u8::from(rule.negate));
            raw.nr_ports += 1;
        }
        raw
    }

    /// Converts from the ABI structure.
    pub fn from_abi(raw: &RawFilter) -> Self {
        let addr = |rule: &RawAddrRule| AddrRule {
            network: v6_net(Ipv6Addr::from(rule.addr), rule.prefix),
            side: Side::from_number(rule.side),
            negate: rule.negate != 0,
            ifindex: rule.ifindex,
        };
        let port = |rule: &RawPortRule| PortRule {
            low: rule.low,
            high: rule.high,
            side: Side::from_number(rule.side),
            negate: rule.negate != 0,
        };
        Self {
            netns: raw.netns,
            family: raw.family,
            addrs: raw
                .addrs
                .iter()
                .take(usize::from(raw.nr_addrs))
                .map(addr)
                .collect(),
            ports: raw
                .ports
                .iter()
                .take(usize::from(raw.nr_ports))
                .map(port)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::filter::addresses::tests::device;
    use crate::model::filter::keys::filter_keys;
    use crate::model::ident::tests::ident;
    use crate::model::key::{Keys, joined, pairs};

    fn filter(keys: &[(&str, &str)]) -> Filter {
        let mut filter = Filter::default();
        for (key, value) in keys {
            let side = Side::ALL[["", "l", "r"]
                .iter()
                .position(|l| *l == &key[..key.len() - 4])
                .unwrap()];
            match key.ends_with("addr") {
                true => filter
                    .addrs
                    .extend(parse_addrs(value, side, device).unwrap()),
                false => filter.ports.extend(parse_ports(value, side).unwrap()),
            }
        }
        filter
    }

    #[test]
    fn expressions_hold_as_the_header_says() {
        let who = ident("10.0.0.1:80", "192.168.1.9:40000");
        let table: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[("addr", "10.0.0.0/8")], true),
            (&[("addr", "192.168.0.0/16")], true),
            (&[("laddr", "192.168.0.0/16")], false),
            (&[("raddr", "192.168.0.0/16")], true),
            (&[("addr", "10.0.0.0/8|!192.168.1.9")], false),
            (&[("addr", "!10.0.0.1")], false),
            (&[("raddr", "!10.0.0.1")], true),
            (&[("addr", "172.16.0.0/12")], false),
            (&[("addr", "172.16.0.0/12|10.0.0.1")], true),
            (&[("laddr", "10.0.0.0/8"), ("raddr", "10.0.0.0/8")], false),
            (
                &[("laddr", "10.0.0.0/8"), ("raddr", "192.168.1.8/31")],
                true,
            ),
            (&[("addr", "::/0")], true),
            (&[("addr", "2000::/3")], false),
            (&[("port", "80")], true),
            (&[("lport", "40000")], false),
            (&[("rport", "40000-40001")], true),
            (&[("port", "!443")], true),
            (&[("port", "!80")], false),
            (&[("lport", "80|!80")], false),
            (&[("lport", "80"), ("rport", "!40000")], false),
        ];
        for (keys, expected) in table {
            assert_eq!(filter(keys).matches(&who), *expected, "{keys:?}");
        }
    }

    #[test]
    fn a_device_is_part_of_the_address() {
        let on = |ifindex| {
            let mut pair = ident("[fe80::1]:80", "[fe80::2]:40000");
            let mut listener = ident("[fe80::1]:80", "[::]:0");
            let mut any = ident("[::]:80", "[::]:0");
            for who in [&mut pair, &mut listener, &mut any] {
                who.ifindex = ifindex;
            }
            (pair, listener, any)
        };
        for (value, ifindex, expected) in [
            ("fe80::/10%", 2, [true; 3]),
            ("fe80::2%eth0", 2, [true, false, true]),
            ("fe80::1%eth0", 2, [true; 3]),
            ("fe80::1%eth0", 3, [false; 3]),
            // Connections that arrived on any device.
            ("fe80::1%eth0", 0, [false, true, true]),
            ("!fe80::1%eth0", 2, [false, false, true]),
            ("!fe80::1%eth0", 3, [true; 3]),
            ("!fe80::1%eth0", 0, [true; 3]),
            ("fe80::1%eth1|fe80::1%eth0", 2, [true; 3]),
        ] {
            let filter = filter(&[("addr", value.trim_end_matches('%'))]);
            let (pair, listener, any) = on(ifindex);
            let matches = [
                filter.matches(&pair),
                filter.matches_listener(&listener),
                filter.matches_listener(&any),
            ];
            assert_eq!(matches, expected, "{value} {ifindex}");
        }
    }

    #[test]
    fn a_local_port_that_is_not_chosen_meets_every_rule() {
        let who = ident("10.0.0.1:0", "192.168.1.9:443");
        for (key, value, expected) in [
            ("lport", "80", true),
            ("lport", "!80", true),
            ("lport", "!0-65535", true),
            ("port", "80", true),
            ("port", "!443", false),
            ("rport", "80", false),
        ] {
            assert_eq!(
                filter(&[(key, value)]).matches(&who),
                expected,
                "{key}={value}"
            );
        }
    }

    #[test]
    fn family_and_namespace_narrow() {
        let who = ident("10.0.0.1:80", "10.0.0.2:81");
        let with = |family, netns| {
            Filter {
                family,
                netns,
                ..Filter::default()
            }
            .matches(&who)
        };
        assert!(with(4, 0) && !with(6, 0));
        assert!(with(0, who.netns) && !with(0, who.netns + 1));
    }

    #[test]
    fn a_pair_has_no_ports_and_a_listener_no_remote_end() {
        let pair = ident("10.0.0.1:80", "192.168.1.9:40000");
        let listener = ident("10.0.0.1:80", "0.0.0.0:0");
        let any = ident("0.0.0.0:80", "0.0.0.0:0");
        for (key, value, expected) in [
            ("port", "443", [true, false, false]),
            ("lport", "!80", [true, false, false]),
            ("rport", "443", [true, true, true]),
            ("raddr", "192.168.1.9", [true, true, true]),
            ("raddr", "192.168.1.8", [false, true, true]),
            ("addr", "192.168.1.9", [true, false, true]),
            ("laddr", "10.0.0.0/8", [true, true, true]),
            ("laddr", "10.0.0.2", [false, false, true]),
            ("laddr", "!10.0.0.1", [false, false, true]),
        ] {
            let filter = filter(&[(key, value)]);
            let matches = [
                filter.matches_pair(&pair),
                filter.matches_listener(&listener),
                filter.matches_listener(&any),
            ];
            assert_eq!(matches, expected, "{key}={value}");
        }
        let elsewhere = Filter {
            netns: 1,
            ..Filter::default()
        };
        assert!(!elsewhere.matches_pair(&pair) && !elsewhere.matches_listener(&any));
    }

    #[test]
    fn the_abi_carries_a_filter_whole() {
        let mut original = filter(&[
            ("addr", "10.0.0.0/8|!10.1.0.0/16"),
            ("rport", "1-9"),
            ("raddr", "::1%eth0"),
        ]);
        (original.family, original.netns) = (6, 77);
        let raw = original.to_abi();
        assert_eq!((raw.nr_addrs, raw.nr_ports), (3, 1));
        assert_eq!((raw.addrs[0].prefix, raw.addrs[1].negate), (104, 1));
        assert_eq!(Filter::from_abi(&raw), original);
        const FILTER: Keys<Filter> = &[filter_keys()];
        assert_eq!(
            joined(&pairs(FILTER, original)),
            "addr=10.0.0.0/8|!10.1.0.0/16 raddr=::1%2 rport=1-9 family=6 netns=77"
        );
    }
}
