//! `syn-flood`, with `half-open-full` beside it.

use diagnose_tools::abi::RawHandshakes;
use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::finding::Severity;
use testkit::host::FakeHost;
use testkit::scene::{attacker, flood, request, stranger};

use crate::support::{add, host, is, look, look_with, number, of_rule, only, peers, settings};

#[test]
fn syn_floods() {
    let mut fake = host();
    fake.listeners = vec![flood(5_500, 1).bytes()];
    add(&fake, (0..511).map(|n| request(attacker(n))));
    let findings = look(&fake);
    let finding = of_rule(&findings, "syn-flood")[0];
    is(finding, "syn-flood", Severity::Warning);
    assert_eq!(
        finding.summary,
        "SYN flood: 5500 handshakes a second at 10.0.0.1:80 are not finished, from 10.9.0.1"
    );
    assert_eq!(peers(finding), [("10.9.0.1".into(), 511)]);
    let numbers = [
        "unfinished_peak",
        "half_open",
        "half_open_limit",
        "cookies_sent",
    ];
    assert_eq!(
        numbers.map(|n| number(finding, n)),
        [6_000, 511, 511, 80_000]
    );
    assert_eq!(number(finding, "TcpExtListenDrops"), 77);
    assert_eq!(finding.subject.owner.unwrap().pid, 141);
    let expected = [
        ("net.ipv4.tcp_syncookies", "1"),
        ("net.core.somaxconn", "4096"),
        ("net.ipv4.tcp_synack_retries", "5"),
    ];
    assert_eq!(settings(finding), expected);
    is(
        of_rule(&findings, "half-open-full")[0],
        "half-open-full",
        Severity::Warning,
    );
}

#[test]
fn a_syn_flood_without_cookies_and_with_spoofed_sources() {
    let mut fake = host();
    let mut listening = flood(5_500, 1);
    listening.handshakes.syn_queue_full = 80_000;
    listening.handshakes.cookies_sent = 0;
    fake.listeners = vec![listening.bytes()];
    add(&fake, (0..511).map(|n| request(stranger(n))));
    let mut host = FakeHost::default().set("net.ipv4.tcp_syncookies", "0");
    let findings = look_with(&fake, &mut host, &Scope::default()).findings;
    let finding = of_rule(&findings, "syn-flood")[0];
    is(finding, "syn-flood", Severity::Critical);
    assert!(
        finding
            .summary
            .ends_with("from 511 or more sources, most likely spoofed")
    );
    assert_eq!((finding.subject.peer_count, peers(finding)), (511, vec![]));
    assert!(settings(finding).contains(&("net.ipv4.tcp_max_syn_backlog", "512")));
    is(
        of_rule(&findings, "half-open-full")[0],
        "half-open-full",
        Severity::Critical,
    );
}

#[test]
fn a_syn_flood_that_is_over_is_information() {
    let mut fake = host();
    let mut over = flood(5_500, 11);
    over.half_open[0] = 0;
    fake.listeners = vec![over.bytes()];
    let findings = look(&fake);
    let finding = of_rule(&findings, "syn-flood")[0];
    is(finding, "syn-flood", Severity::Info);
    assert_eq!(number(finding, "seconds_ago"), 11);
    assert!(
        finding.summary.contains("11 seconds ago"),
        "{}",
        finding.summary
    );
    is(
        of_rule(&findings, "half-open-full")[0],
        "half-open-full",
        Severity::Info,
    );
    assert_eq!(findings.len(), 2);
}

#[test]
fn a_syn_flood_that_falls_below_the_limit_is_not_called_over() {
    let mut fake = host();
    fake.listeners = vec![flood(150, 1).bytes()];
    let findings = look(&fake);
    let finding = of_rule(&findings, "syn-flood")[0];
    is(finding, "syn-flood", Severity::Info);
    assert_eq!(
        finding.summary,
        "below the limit of 200 a second now: 150 handshakes a second at 10.0.0.1:80 are not \
         finished, up to 6000 were"
    );
    assert_eq!(number(finding, "unfinished_per_second"), 150);
}

#[test]
fn what_is_not_a_syn_flood() {
    let mut few = flood(199, 1);
    (few.unfinished[1], few.half_open) = (199, [0, 100, 511]);
    let mut fake = host();
    fake.listeners = vec![few.bytes()];
    assert_eq!(look(&fake), []);
    // A burst that was in progress when a second ended.
    let mut burst = flood(900, 1);
    (burst.unfinished[1], burst.half_open) = (900, [0, 100, 511]);
    burst.handshakes = RawHandshakes {
        syns: 90_000,
        promoted: 89_101,
        ..RawHandshakes::default()
    };
    fake.listeners = vec![burst.bytes()];
    assert_eq!(look(&fake), []);
    burst.handshakes.promoted = 89_100;
    fake.listeners = vec![burst.bytes()];
    is(only(&look(&fake)), "syn-flood", Severity::Warning);
    // A single second does not raise the module's alarm.
    burst.alarms = 0;
    fake.listeners = vec![burst.bytes()];
    let findings = look(&fake);
    is(only(&findings), "syn-flood", Severity::Info);
    assert_eq!(
        only(&findings).summary,
        "900 handshakes at 10.0.0.1:80 were not finished in one second, not yet in two"
    );
    // SYNs that are dropped because the accept queue is full are no flood.
    let mut stuck = flood(900, 1);
    stuck.accept = [512, 512];
    stuck.half_open = [0, 100, 511];
    stuck.handshakes = RawHandshakes {
        syns: 15_000,
        syn_accept_queue_full: 7_000,
        ..RawHandshakes::default()
    };
    fake.listeners = vec![stuck.bytes()];
    is(only(&look(&fake)), "accept-queue-full", Severity::Critical);
    // The queue has room again: handshakes that are unfinished now have another cause.
    stuck.accept[0] = 3;
    fake.listeners = vec![stuck.bytes()];
    let findings = look(&fake);
    assert_eq!(findings.len(), 2);
    is(&findings[0], "syn-flood", Severity::Warning);
    is(&findings[1], "accept-queue-full", Severity::Info);
}

/// Clients that have connected, and send nothing to a listener with TCP_DEFER_ACCEPT.
#[test]
fn handshakes_that_wait_for_data_are_no_flood() {
    let mut fake = host();
    let mut waiting = flood(900, 1);
    waiting.unfinished[1] = 900;
    waiting.half_open = [1_200, 1_200, 4_096];
    waiting.handshakes = RawHandshakes {
        syns: 1_300,
        promoted: 100,
        ..RawHandshakes::default()
    };
    fake.listeners = vec![waiting.bytes()];
    let of = |deferred| {
        let mut host = FakeHost::default();
        let name = "TcpExtTCPDeferAcceptDrop".to_owned();
        host.counters.insert(name, deferred);
        let findings = look_with(&fake, &mut host, &Scope::default()).findings;
        only(&findings).clone()
    };
    let finding = of(600);
    is(&finding, "syn-flood", Severity::Info);
    assert_eq!(
        finding.summary,
        "1200 half-open connections at 10.0.0.1:80 wait for the first data of their clients, which \
         have connected: the listener has TCP_DEFER_ACCEPT"
    );
    assert_eq!(number(&finding, "TcpExtTCPDeferAcceptDrop"), 600);
    is(&of(599), "syn-flood", Severity::Warning);
}
