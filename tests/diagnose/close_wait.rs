//! `close-wait`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{CLOSE_WAIT, Conn, stranger};

use crate::support::{add, host, is, look, number, only, settings};

#[test]
fn programs_that_do_not_close() {
    let left = |n, age| Conn {
        sent: 10,
        received: 10,
        rcvbuf_used: 768,
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
        "rcvbuf_used",
        "descriptors",
        "descriptors_limit",
    ];
    assert_eq!(
        numbers.map(|n| number(finding, n)),
        [60, 100, 76_800, 1_010, 1_024]
    );
    assert_eq!(settings(finding), []);
    add(&fake, (100..1_000).map(|n| left(n, 60)));
    is(only(&look(&fake)), "close-wait", Severity::Critical);
}
