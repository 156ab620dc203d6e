//! `pair-threshold`.

use std::mem::offset_of;
use std::net::Ipv4Addr;

use diagnose_tools::abi::{RawConn, RawIdent, RawPair};
use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{Conn, attacker, bind, pair};

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
