//! The module's filter compared with the controller's: the same rules must have the same effect for
//! recording and for printing.

use std::net::Ipv6Addr;

use diagnose_tools::abi::{RawFilter, RawIdent};
use diagnose_tools::model::filter::{AddrRule, Filter, PortRule, Side};
use diagnose_tools::model::ident::Ident;
use fastrand::Rng;
use ipnet::Ipv6Net;
use kernel_shim::{filter_match, filter_valid};

fn pick<T: Copy>(random: &mut Rng, from: &[T]) -> T {
    from[random.usize(..from.len())]
}

const ADDRS: [&str; 8] = [
    "::ffff:10.1.2.3",
    "::ffff:10.1.2.4",
    "::ffff:10.200.0.1",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    "::1",
    "2001:db8::1",
    "2001:db8:8000::1",
];
const PORTS: [u16; 6] = [0, 1, 79, 80, 443, 65535];
/// Indices of devices; 0: none.
const INDICES: [u32; 4] = [0, 0, 2, 3];
const PREFIXES: [u8; 12] = [0, 1, 33, 96, 97, 104, 112, 120, 127, 128, 64, 32];

fn addr(random: &mut Rng) -> Ipv6Addr {
    pick(random, &ADDRS).parse().expect("an address")
}

fn addr_rule(random: &mut Rng) -> AddrRule {
    let prefix = pick(random, &PREFIXES);
    let network = Ipv6Net::new(addr(random), prefix).expect("128 at the most");
    AddrRule {
        network: network.trunc(),
        side: pick(random, &Side::ALL),
        negate: random.u64(..3) == 0,
        ifindex: pick(random, &INDICES),
    }
}

fn port_rule(random: &mut Rng) -> PortRule {
    let (one, two) = (pick(random, &PORTS), pick(random, &PORTS));
    PortRule {
        low: one.min(two),
        high: one.max(two),
        side: pick(random, &Side::ALL),
        negate: random.u64(..3) == 0,
    }
}

fn filter(random: &mut Rng) -> Filter {
    Filter {
        netns: if random.u64(..4) == 0 { 7 } else { 0 },
        family: pick(random, &[0, 0, 0, 4, 6]),
        addrs: (0..random.u64(..5)).map(|_| addr_rule(random)).collect(),
        ports: (0..random.u64(..5)).map(|_| port_rule(random)).collect(),
    }
}

/// The same identity in the controller's form and in the module's form.
fn ident(random: &mut Rng) -> (Ident, RawIdent) {
    let ident = Ident {
        conn: 1,
        laddr: addr(random).octets(),
        raddr: addr(random).octets(),
        lport: pick(random, &PORTS),
        rport: pick(random, &PORTS),
        listener: None,
        netns: pick(random, &[7, 8]),
        cgroup: None,
        owner: None,
        uid: None,
        family: pick(random, &[4, 6]),
        role: None,
        seeded: false,
        subflow: false,
        ifindex: pick(random, &INDICES),
    };
    let raw = RawIdent {
        laddr: ident.laddr,
        raddr: ident.raddr,
        lport: ident.lport,
        rport: ident.rport,
        netns: ident.netns,
        family: ident.family,
        ifindex: ident.ifindex,
        ..RawIdent::default()
    };
    (ident, raw)
}

#[test]
fn module_and_controller_agree() {
    let mut random = Rng::with_seed(0x9e37_79b9_7f4a_7c15);
    let (mut held, mut failed) = (0, 0);
    for _ in 0..20_000 {
        let filter = filter(&mut random);
        let raw = filter.to_abi();
        assert_eq!(
            Filter::from_abi(&raw),
            filter,
            "the form in the ABI says the same"
        );
        for _ in 0..10 {
            let (ident, raw_ident) = ident(&mut random);
            let told = filter.matches(&ident);
            assert_eq!(filter_match(&raw, &raw_ident), told, "{filter:?} {ident:?}");
            if told {
                held += 1;
            } else {
                failed += 1;
            }
        }
    }
    assert!(
        held > 10_000 && failed > 10_000,
        "{held} held, {failed} failed"
    );
}

#[test]
fn the_module_refuses_what_is_not_well_formed() {
    let mut random = Rng::with_seed(1);
    let good = Filter {
        addrs: vec![addr_rule(&mut random)],
        ports: vec![port_rule(&mut random)],
        ..Filter::default()
    }
    .to_abi();
    assert!(filter_valid(&good));
    let spoilt: [fn(&mut RawFilter); 14] = [
        |f| f.family = 5,
        |f| f.reserved = 1,
        |f| f.nr_addrs = 33,
        |f| f.nr_ports = 33,
        |f| f.nr_addrs = 0,
        |f| f.nr_ports = 0,
        |f| f.addrs[0].prefix = 129,
        |f| f.addrs[0].side = 3,
        |f| f.addrs[0].negate = 2,
        |f| f.addrs[0].reserved = 1,
        |f| (f.addrs[0].prefix, f.addrs[0].addr[15]) = (127, 1),
        |f| (f.ports[0].low, f.ports[0].high) = (2, 1),
        |f| f.ports[0].side = 3,
        |f| f.ports[0].reserved[1] = 1,
    ];
    for (index, spoil) in spoilt.iter().enumerate() {
        let mut filter = good;
        spoil(&mut filter);
        assert!(!filter_valid(&filter), "case {index}");
    }
}

/// Arbitrary bytes: the check itself must stay inside the structure.
#[test]
fn any_bytes_are_judged() {
    let mut random = Rng::with_seed(2);
    let mut valid = 0;
    for _ in 0..100_000 {
        let mut filter = RawFilter::default();
        let mut byte = || random.u64(..256) as u8;
        filter.nr_addrs = byte() % 40;
        filter.nr_ports = byte() % 40;
        for rule in &mut filter.addrs {
            (rule.prefix, rule.side, rule.negate) = (byte() % 140, byte() % 4, byte() % 3);
        }
        valid += u32::from(filter_valid(&filter));
    }
    assert!(valid < 100, "noise passed as a filter {valid} times");
}
