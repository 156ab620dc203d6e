//! `dead-peers`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{Conn, FIN_WAIT1, attacker, healthy, stranger};

use crate::support::{add, host, is, look, number, only, settings};

#[test]
fn peers_that_are_gone() {
    let lost = |n, retransmits| Conn {
        sent: 100,
        received: 100,
        unacked: 2,
        retransmits,
        sndbuf_used: 4_096,
        last_sent: 500,
        ..Conn::served(stranger(n), 30)
    };
    let fake = host();
    add(&fake, (0..19).map(|n| lost(n, 3)));
    add(&fake, (19..90).map(|n| lost(n, 2)));
    assert_eq!(look(&fake), []);
    add(&fake, [lost(90, 4)]);
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "dead-peers", Severity::Warning);
    let numbers = [
        "connections",
        "most_retransmits",
        "unacked_segments",
        "with_keepalive",
    ];
    assert_eq!(numbers.map(|n| number(finding, n)), [20, 4, 40, 0]);
    assert!(settings(finding).contains(&("net.ipv4.tcp_keepalive_time", "7200")));
}

#[test]
fn connections_that_are_idle_for_long() {
    let idle = |n, flags, quiet: u32| Conn {
        sent: 100,
        received: 100,
        last_recv: quiet,
        last_sent: quiet,
        flags,
        age: 900,
        ..Conn::served(stranger(n), 900)
    };
    let long = 7_200_000;
    let of = |flags, quiet| {
        let fake = host();
        add(&fake, (0..500).map(|n| idle(n, flags, quiet)));
        look(&fake)
    };
    // With keepalive, or TCP_USER_TIMEOUT, dead peers are detected.
    assert_eq!(
        (of(1, long), of(4, long), of(0, long - 1)),
        (vec![], vec![], vec![])
    );
    let findings = of(0, long);
    is(only(&findings), "dead-peers", Severity::Info);
    assert_eq!(number(&findings[0], "idle_s"), 7_200);
}

/// A player is paused, its window is closed, and then its network is gone: probes are not answered.
fn paused(number: u64, probes: u8) -> Conn {
    Conn {
        sent: 90_000,
        acked: 9_000,
        received: 100,
        window: 0,
        sndbuf_used: 50_000,
        probes,
        last_sent: 50_000,
        last_recv: 59_000,
        ..Conn::served(attacker(number), 60)
    }
}

#[test]
fn a_closed_window_whose_probes_are_not_answered() {
    let found = |probes| {
        let fake = host();
        add(&fake, (0..60).map(|n| paused(n, probes)));
        let findings = look(&fake);
        only(&findings).rule
    };
    // It answers: one probe may be on its way.
    assert_eq!([0, 1].map(found), ["slow-read"; 2]);
    assert_eq!([2, 9].map(found), ["dead-peers"; 2]);
}

#[test]
fn a_closed_window_is_no_sign_of_life() {
    let advice = |probes| {
        let fake = host();
        let closing = |n| Conn {
            remote: stranger(n),
            ..paused(n, probes).state(FIN_WAIT1)
        };
        add(&fake, (0..120).map(closing));
        let findings = look(&fake);
        only(&findings).advice[0].text.clone()
    };
    assert!(advice(1).contains("they live and do not read"));
    assert!(advice(2).contains("have gone"), "{}", advice(2));
}

/// Phones vanish all the time; among thousands there are always some.
#[test]
fn a_few_of_a_large_crowd() {
    let lost = |n| Conn {
        sent: 100,
        received: 100,
        unacked: 2,
        retransmits: 4,
        sndbuf_used: 1_000,
        last_sent: 500,
        ..Conn::served(stranger(n), 30)
    };
    let found = |crowd| {
        let fake = host();
        add(&fake, (0..25).map(lost));
        add(&fake, (200..crowd).map(healthy));
        only(&look(&fake)).severity
    };
    assert_eq!(found(1_225), Severity::Warning);
    assert_eq!(found(1_226), Severity::Info);
}
