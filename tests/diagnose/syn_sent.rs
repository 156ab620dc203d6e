//! `syn-sent` and `scanner`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{CLOSE, Conn, ESTABLISHED, SYN_SENT, step};

use crate::support::{add, host, is, look, number, only, settings};

#[test]
fn a_destination_that_does_not_answer() {
    let call = |n: u64, age| Conn::begun(format!("10.0.0.1:{}", 40_000 + n), "10.5.0.1:5432", age);
    let fake = host();
    add(&fake, (0..19).map(|n| call(n, 3).state(SYN_SENT)));
    add(&fake, (19..60).map(|n| call(n, 2).state(SYN_SENT)));
    assert_eq!(look(&fake), []);
    // An attempt that has failed counts as well.
    fake.rings[0].write(&step(&call(99, 9), 30_000, SYN_SENT, CLOSE, 9));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "syn-sent", Severity::Warning);
    assert_eq!(
        finding.summary,
        "20 calls of 900/curl to 10.5.0.1:5432 without an answer"
    );
    let numbers = ["syn_sent", "failed_last_minute", "oldest_s"];
    assert_eq!(numbers.map(|n| number(finding, n)), [19, 1, 3]);
    assert_eq!(settings(finding), [("net.ipv4.tcp_syn_retries", "6")]);
}

#[test]
fn a_scanner() {
    let call = |n: u64| {
        let remote = format!("10.6.0.{n}:22");
        Conn::begun(format!("10.0.0.1:{}", 40_000 + n), &remote, 1).state(SYN_SENT)
    };
    let fake = host();
    add(&fake, (0..60).map(call));
    (60..99).for_each(|n| fake.rings[0].write(&step(&call(n), 5_000, SYN_SENT, CLOSE, 10)));
    // Calls that succeed are not a scan.
    (100..250).for_each(|n| fake.rings[0].write(&step(&call(n), 900, SYN_SENT, ESTABLISHED, 0)));
    assert_eq!(look(&fake), []);
    fake.rings[0].write(&step(&call(99), 800, SYN_SENT, CLOSE, 11));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "scanner", Severity::Warning);
    assert!(
        finding
            .summary
            .starts_with("900/curl calls 100 destinations (100 addresses, 1 port)")
    );
    let numbers = [
        "destinations",
        "syn_sent",
        "refused_last_minute",
        "unanswered_last_minute",
    ];
    assert_eq!(numbers.map(|n| number(finding, n)), [100, 60, 39, 1]);
    assert_eq!(finding.subject.peers.len(), 10);
    assert_eq!(finding.subject.peers[0].port, Some(22));
}
