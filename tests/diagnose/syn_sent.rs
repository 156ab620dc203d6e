//! `syn-sent` and `scanner`.

use std::mem::offset_of;

use diagnose_tools::abi::RawRecord;
use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::finding::Severity;
use testkit::fake::Fake;
use testkit::host::FakeHost;
use testkit::records::Bytes;
use testkit::scene::{CLOSE, Conn, ESTABLISHED, SERVER, SYN_SENT, Socket, step};

use crate::support::{add, host, is, look, look_with, number, of_rule, only, settings};

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

const TIMEOUT_SYN: u16 = 9;
const REFUSED: u16 = 10;
const UNREACHABLE: u16 = 11;
const CANCELLED: u16 = 26;

fn call(n: u64) -> Conn {
    Conn::begun(format!("10.0.0.1:{}", 40_000 + n), "10.5.0.1:5432", 0)
}

/// Calls that ended in the last minute, after some milliseconds, with an error.
fn ended(count: u64, reason: u16, after_ms: u64, error: u16) -> Fake {
    let fake = host();
    for n in 0..count {
        let mut record = Bytes(step(&call(n), 5_000, SYN_SENT, CLOSE, reason));
        record
            .put(
                offset_of!(RawRecord, in_old_ns),
                (after_ms * 1_000_000).to_ne_bytes(),
            )
            .put(offset_of!(RawRecord, flags), 3u16.to_ne_bytes())
            .put(offset_of!(RawRecord, error), error.to_ne_bytes());
        fake.rings[0].write(&record.0);
    }
    fake
}

#[test]
fn calls_that_are_given_up_had_no_answer() {
    let findings = look(&ended(20, CANCELLED, 2_000, 0));
    let finding = only(&findings);
    is(finding, "syn-sent", Severity::Warning);
    let numbers = [
        "syn_sent",
        "failed_last_minute",
        "given_up_last_minute",
        "timed_out_last_minute",
    ];
    assert_eq!(numbers.map(|n| number(finding, n)), [0, 20, 20, 0]);
    assert_eq!(look(&ended(19, CANCELLED, 2_000, 0)), []);
    // The slower one of two calls is given up at once.
    assert_eq!(look(&ended(40, CANCELLED, 300, 0)), []);
}

#[test]
fn a_reset_is_an_answer() {
    assert_eq!(look(&ended(40, REFUSED, 2_000, 111)), []);
}

#[test]
fn the_error_of_the_network_is_told() {
    let findings = look(&ended(20, UNREACHABLE, 3_000, 113));
    let finding = only(&findings);
    assert!(
        finding
            .summary
            .ends_with("without an answer (EHOSTUNREACH)"),
        "{finding:#?}"
    );
    assert_eq!(number(finding, "unreachable_last_minute"), 20);
    let findings = look(&ended(20, TIMEOUT_SYN, 130_000, 110));
    assert!(only(&findings).summary.ends_with("without an answer"));
}

#[test]
fn a_destination_that_answers_most_calls_is_information() {
    let found = |answered| {
        let fake = ended(20, TIMEOUT_SYN, 130_000, 110);
        (0..answered).for_each(|n| {
            fake.rings[0].write(&step(&call(n), 900, SYN_SENT, ESTABLISHED, 0));
        });
        look(&fake)
    };
    is(only(&found(180)), "syn-sent", Severity::Warning);
    let findings = found(181);
    is(only(&findings), "syn-sent", Severity::Info);
    assert_eq!(number(&findings[0], "answered_last_minute"), 181);
}

#[test]
fn a_full_table_of_tracked_connections_drops_the_syns() {
    let found = |entries| {
        let mut host = FakeHost::default()
            .set("net.netfilter.nf_conntrack_max", "100")
            .count("nf_conntrack_count", entries);
        let fake = ended(20, TIMEOUT_SYN, 130_000, 110);
        look_with(&fake, &mut host, &Scope::default()).findings
    };
    let findings = found(100);
    let finding = of_rule(&findings, "syn-sent")[0];
    assert!(
        finding
            .summary
            .ends_with("the table of tracked connections is full (100 of 100) and drops them"),
        "{finding:#?}"
    );
    assert!(finding.advice[0].text.contains("conntrack-full"));
    let findings = found(50);
    assert!(only(&findings).summary.ends_with("without an answer"));
}

#[test]
fn a_listener_of_this_host_that_is_full() {
    let found = |waiting| {
        let mut fake = host();
        let listening = Socket {
            accept: [waiting, waiting],
            half_open: [0, 3, 511],
            ..Socket::default()
        };
        fake.listeners = vec![listening.bytes()];
        let calls = (0..20).map(|n| Conn {
            remote: SERVER.into(),
            age: 5,
            ..call(n).state(SYN_SENT)
        });
        add(&fake, calls);
        look(&fake)
    };
    let findings = found(512);
    let finding = of_rule(&findings, "syn-sent")[0];
    assert!(
        finding.advice[0].text.contains("see accept-queue-full"),
        "{finding:#?}"
    );
    let findings = found(3);
    assert!(!only(&findings).advice[0].text.contains("accept-queue-full"));
}

#[test]
fn a_crawler_whose_calls_are_in_flight_is_no_scanner() {
    let of = |age| {
        let call = |n: u64| {
            let remote = format!("10.6.{}.{}:443", n / 200, 1 + n % 200);
            Conn::begun(format!("10.0.0.1:{}", 40_000 + n), &remote, age).state(SYN_SENT)
        };
        let fake = host();
        add(&fake, (0..1_000).map(call));
        look(&fake)
    };
    assert_eq!(of(2), []);
    is(only(&of(3)), "scanner", Severity::Warning);
}

#[test]
fn a_scanner() {
    let call = |n: u64| {
        let remote = format!("10.6.0.{n}:22");
        Conn::begun(format!("10.0.0.1:{}", 40_000 + n), &remote, 3).state(SYN_SENT)
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
