//! `dead-peers`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{Conn, stranger};

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
