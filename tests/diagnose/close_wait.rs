//! `close-wait`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{CLOSE_WAIT, Conn, stranger};

use crate::support::words::Finding;
use crate::support::{add, host, is, look, number, only, settings};

#[test]
fn programs_that_do_not_close() {
    let left = |n, age| Conn {
        sent: 10,
        received: 10,
        recv_q: 11,
        ..Conn::served(stranger(n), age).state(CLOSE_WAIT)
    };
    let fake = host();
    add(&fake, (0..99).map(|n| left(n, 61)));
    add(&fake, (99..300).map(|n| left(n, 59)));
    assert_eq!(look(&fake), []);
    let fake = host();
    add(&fake, (0..100).map(|n| left(n, 60)));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "close-wait", Severity::Warning);
    assert_eq!(
        finding.summary,
        "142/nginx does not close 100 connections whose peers have closed (CLOSE_WAIT)"
    );
    let numbers = [
        "oldest_s",
        "unread",
        "end_unread",
        "recv_q",
        "descriptors",
        "descriptors_limit",
    ];
    assert_eq!(
        numbers.map(|n| number(finding, n)),
        [60, 100, 0, 1_000, 1_010, 1_024]
    );
    assert_eq!(settings(finding), []);
    add(&fake, (100..1_000).map(|n| left(n, 60)));
    is(only(&look(&fake)), "close-wait", Severity::Critical);
}

/// A connection in CLOSE_WAIT for two minutes.
fn left(n: u64) -> Conn {
    Conn {
        sent: 10,
        received: 10,
        ..Conn::served(stranger(n), 120).state(CLOSE_WAIT)
    }
}

fn found(kind: fn(u64) -> Conn) -> Vec<Finding> {
    let fake = host();
    add(&fake, (0..150).map(kind));
    look(&fake)
}

#[test]
fn a_program_that_still_sends_has_not_forgotten_to_close() {
    let streams = |n| Conn {
        last_sent: 1_000,
        ..left(n)
    };
    let has_heartbeats = |n| Conn {
        last_sent: 59_000,
        ..left(n)
    };
    let waits_for_its_peer = |n| Conn {
        sndbuf_used: 4_096,
        ..left(n)
    };
    let kinds: [fn(u64) -> Conn; 3] = [streams, has_heartbeats, waits_for_its_peer];
    for kind in kinds {
        assert_eq!(found(kind), []);
    }
    let has_stopped = |n| Conn {
        last_sent: 60_000,
        ..left(n)
    };
    for kind in [left, has_stopped] {
        is(only(&found(kind)), "close-wait", Severity::Warning);
    }
}

#[test]
fn an_end_that_is_not_read_is_no_data() {
    let of = |kind| {
        let findings = found(kind);
        let numbers = ["unread", "end_unread", "recv_q"].map(|n| number(&findings[0], n));
        (numbers, findings[0].advice[0].text.clone())
    };
    let (numbers, advice) = of(|n| Conn {
        recv_q: 1,
        ..left(n)
    });
    assert_eq!(numbers, [0, 150, 0]);
    assert!(advice.starts_with("the program forgot close()"), "{advice}");
    let (numbers, advice) = of(|n| Conn {
        recv_q: 8,
        ..left(n)
    });
    assert_eq!(numbers, [150, 0, 150 * 7]);
    assert!(advice.starts_with("the program does not read"), "{advice}");
}
