//! `pair-threshold`.

use std::mem::offset_of;
use std::net::Ipv4Addr;

use diagnose_tools::abi::{PairBytes, RawConn, RawIdent, RawPair};
use diagnose_tools::diagnose::finding::Severity;
use testkit::fake::Fake;
use testkit::scene::{Conn, attacker, bind, pair, request};

use crate::support::{add, host, is, look, number, of_rule, only, peers};

#[test]
fn more_connections_of_a_pair_than_the_threshold() {
    let used = |n| Conn {
        sent: 900,
        received: 900,
        ..Conn::served(attacker(n), 60)
    };
    // Not idle for long enough to be silent connections.
    let unused = |n| Conn {
        received: 10,
        ..Conn::served(attacker(n), 6)
    };
    let of = |conns: Vec<Conn>, count| {
        let mut fake = host();
        fake.pairs = vec![pair([10, 9, 0, 1].into(), count, false)];
        add(&fake, conns);
        look(&fake)
    };
    assert_eq!(of((0..499).map(used).collect(), 499), []);
    let findings = of((0..500).map(used).collect(), 500);
    let finding = only(&findings);
    is(finding, "pair-threshold", Severity::Info);
    assert_eq!(
        finding.summary,
        "500 connections between 10.0.0.1 and 10.9.0.1, all of them in use"
    );
    let numbers = ["connections", "threshold", "peak", "established", "unused"];
    assert_eq!(numbers.map(|n| number(finding, n)), [500, 500, 700, 500, 0]);
    assert!(
        finding.advice[0]
            .text
            .starts_with("500 of them belong to 10.0.0.1:80")
    );
    let half = (0..250).map(used).chain((250..500).map(unused));
    is(
        only(&of(half.collect(), 500)),
        "pair-threshold",
        Severity::Warning,
    );
    let fewer = (0..251).map(used).chain((251..500).map(unused));
    is(
        only(&of(fewer.collect(), 500)),
        "pair-threshold",
        Severity::Info,
    );
    is(
        only(&of((0..2_000).map(used).collect(), 2_000)),
        "pair-threshold",
        Severity::Warning,
    );
}

#[test]
fn a_threshold_that_is_off_finds_nothing() {
    let mut fake = host();
    fake.threshold = 0;
    fake.pairs = vec![pair([10, 9, 0, 1].into(), 5_000, false)];
    assert_eq!(look(&fake), []);
}

#[test]
fn pairs_and_peers_behind_two_devices_are_two() {
    let mut fake = host();
    let addr: Ipv4Addr = [10, 0, 0, 2].into();
    let at = offset_of!(RawPair, ifindex);
    fake.pairs = vec![
        bind(pair(addr, 600, true), at, 2),
        bind(pair(addr, 20, false), at, 3),
    ];
    let who = offset_of!(RawConn, who) + offset_of!(RawIdent, ifindex);
    add(
        &fake,
        (0..620).map(|n| Conn::served(format!("10.0.0.2:{}", 1_000 + n), 9)),
    );
    let before = fake.conns.borrow().len() - 620;
    for (index, conn) in fake.conns.borrow_mut()[before..].iter_mut().enumerate() {
        *conn = bind(*conn, who, if index < 600 { 2 } else { 3 });
    }
    let findings = look(&fake);
    let finding = only(
        &of_rule(&findings, "pair-threshold")
            .into_iter()
            .cloned()
            .collect::<Vec<_>>(),
    )
    .clone();
    assert_eq!(number(&finding, "unused"), 600);
    assert!(
        finding.summary.contains("between 10.0.0.1%2 and 10.0.0.2,"),
        "{finding:#?}"
    );
    assert_eq!(peers(&finding), [("10.0.0.2".into(), 600)]);
}

/// The pair of an address of this host with another one of it, with this number of ends in a state.
fn within(raddr: [u8; 4], ends: [u32; 2]) -> PairBytes {
    let mut bytes = pair(raddr.into(), ends[1], true);
    let at = offset_of!(RawPair, half_open);
    bytes[at..at + 4].copy_from_slice(&ends[0].to_ne_bytes());
    bytes
}

/// `count` connections within 10.0.0.1, by both of their ends.
fn loopback(fake: &Fake, count: u64, kind: impl Fn(Conn) -> Conn) {
    let client = |n| format!("10.0.0.1:{}", 40_000 + n);
    let ends = |n| {
        let server = Conn::served(client(n), 60);
        [
            kind(Conn::begun(client(n), "10.0.0.1:80", 60)),
            kind(server),
        ]
    };
    add(fake, (0..count).flat_map(ends));
}

#[test]
fn both_ends_of_a_loopback_connection_are_one() {
    let mut fake = host();
    fake.threshold = 100;
    fake.pairs = vec![within([10, 0, 0, 1], [0, 300])];
    loopback(&fake, 150, |conn| conn);
    let findings = look(&fake);
    let finding = of_rule(&findings, "pair-threshold")[0];
    is(finding, "pair-threshold", Severity::Warning);
    assert_eq!(
        finding.summary,
        "150 connections between 10.0.0.1 and 10.0.0.1, 150 of them have not carried data both ways"
    );
    let numbers = ["connections", "established", "unused"];
    assert_eq!(numbers.map(|n| number(finding, n)), [150; 3]);
    assert_eq!(peers(finding), [("10.0.0.1".into(), 150)]);
    assert!(
        finding.advice[0]
            .text
            .starts_with("150 of them belong to 10.0.0.1:80")
    );
}

/// However many, and also if their addresses differ.
#[test]
fn connections_within_the_host_that_are_used_are_information() {
    let used = |conn| Conn {
        sent: 900,
        received: 900,
        ..conn
    };
    let mut fake = host();
    fake.pairs = vec![within([10, 0, 0, 1], [0, 4_000])];
    loopback(&fake, 2_000, used);
    is(only(&look(&fake)), "pair-threshold", Severity::Info);

    let mut fake = host();
    let server = pair([10, 0, 0, 9].into(), 600, true);
    let mut client = server;
    let (laddr, raddr) = (offset_of!(RawPair, laddr), offset_of!(RawPair, raddr));
    client.copy_within(laddr..laddr + 16, raddr);
    client[laddr..laddr + 16].copy_from_slice(&server[raddr..raddr + 16]);
    fake.pairs = vec![client, server];
    let ends = |n| {
        let client = format!("10.0.0.9:{}", 40_000 + n);
        let served = used(Conn::served(client.clone(), 60));
        [used(Conn::begun(client, "10.0.0.1:80", 60)), served]
    };
    add(&fake, (0..600).flat_map(ends));
    let findings = look(&fake);
    is(only(&findings), "pair-threshold", Severity::Info);
    let local = findings[0].subject.local.unwrap().0;
    assert_eq!(local.to_string(), "10.0.0.1", "the server's end");
}

#[test]
fn half_open_connections_are_not_unused() {
    let of = |half_open| {
        let mut fake = host();
        fake.pairs = vec![within([10, 9, 0, 1], [half_open, 0])];
        add(&fake, (0..600).map(|n| request(attacker(n))));
        look(&fake)
    };
    let findings = of(600);
    let finding = only(&findings);
    is(finding, "pair-threshold", Severity::Info);
    assert_eq!(
        ["half_open", "unused"].map(|n| number(finding, n)),
        [600, 0]
    );
}

#[test]
fn a_pool_with_keepalive_is_information() {
    let of = |flags| {
        let mut fake = host();
        fake.pairs = vec![pair([10, 9, 0, 1].into(), 500, false)];
        let conn = |n| Conn {
            flags,
            received: 10,
            ..Conn::served(attacker(n), 6)
        };
        add(&fake, (0..500).map(conn));
        let findings = look(&fake);
        of_rule(&findings, "pair-threshold")[0].severity
    };
    assert_eq!([of(0), of(1)], [Severity::Warning, Severity::Info]);
}

/// The second subflow of an MPTCP connection waits until the first one fails.
#[test]
fn a_subflow_is_used_with_its_connection() {
    let unused = |sent| {
        let subflow = |number: u64| Conn {
            ino: 1_000 + number / 2,
            subflow: true,
            sent: sent * (number % 2),
            received: sent * (number % 2),
            ..Conn::served(attacker(number), 60)
        };
        let mut fake = host();
        fake.pairs = vec![pair([10, 9, 0, 1].into(), 500, false)];
        add(&fake, (0..500).map(subflow));
        let findings = look(&fake);
        let found = of_rule(&findings, "pair-threshold");
        number(found[0], "unused")
    };
    assert_eq!([900, 0].map(unused), [0, 500]);
}
