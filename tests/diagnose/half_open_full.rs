//! `half-open-full` without a flood.

use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::finding::Severity;
use testkit::host::FakeHost;
use testkit::scene::{Socket, attacker, request};

use crate::support::{add, host, is, look, look_with, number, only, peers, settings};

#[test]
fn a_half_open_queue_that_is_full_without_a_flood() {
    let mut fake = host();
    let listening = |now, max| Socket {
        half_open: [now, max, 384],
        unfinished: [30, 90],
        ..Socket::default()
    };
    fake.listeners = vec![listening(364, 364).bytes()];
    assert_eq!(look(&fake), []);
    fake.listeners = vec![listening(384, 384).bytes()];
    add(&fake, (0..384).map(|n| request(attacker(n))));
    let mut host = FakeHost::default().set("net.ipv4.tcp_syncookies", "0");
    let findings = look_with(&fake, &mut host, &Scope::default()).findings;
    let finding = only(&findings);
    is(finding, "half-open-full", Severity::Critical);
    assert_eq!(peers(finding), [("10.9.0.1".into(), 384)]);
    let numbers = ["half_open", "half_open_limit", "accept_queue_limit"];
    assert_eq!(numbers.map(|n| number(finding, n)), [384, 384, 511]);
    let expected = [
        ("net.ipv4.tcp_syncookies", "0"),
        ("net.core.somaxconn", "4096"),
        ("net.ipv4.tcp_max_syn_backlog", "512"),
        ("net.ipv4.tcp_synack_retries", "5"),
    ];
    assert_eq!(settings(finding), expected);
    assert!(
        finding.advice[2]
            .text
            .contains("above three quarters of it, 384"),
        "{finding:#?}"
    );
}
