//! `accept-queue-full`.

use std::mem::offset_of;

use diagnose_tools::abi::{RawHandshakes, RawIdent, RawListener};
use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::finding::Severity;
use diagnose_tools::host::Descriptors;
use testkit::host::FakeHost;
use testkit::records::Bytes;
use testkit::scene::{Socket, bind};

use crate::support::{host, is, look, look_with, number, only, settings};

#[test]
fn a_full_accept_queue() {
    let full = |now, max, dropped| Socket {
        accept: [now, max],
        half_open: [0, 3, 511],
        handshakes: RawHandshakes {
            ack_accept_queue_full: dropped,
            syn_accept_queue_full: dropped,
            ..RawHandshakes::default()
        },
        ..Socket::default()
    };
    let found = |listening: Socket| {
        let mut fake = host();
        fake.listeners = vec![listening.bytes()];
        look(&fake)
    };
    // It holds one more than its limit.
    assert_eq!(found(full(511, 511, 0)), []);
    is(
        only(&found(full(512, 512, 0))),
        "accept-queue-full",
        Severity::Warning,
    );
    is(
        only(&found(full(3, 512, 7))),
        "accept-queue-full",
        Severity::Info,
    );
    let findings = found(full(512, 512, 7));
    let finding = only(&findings);
    is(finding, "accept-queue-full", Severity::Critical);
    assert_eq!(
        finding.summary,
        "141/nginx does not accept: the accept queue of 10.0.0.1:80 is full (512 waiting, limit 511)"
    );
    let numbers = [
        "accept_queue",
        "accept_queue_limit",
        "syns_dropped",
        "last_acks_dropped",
    ];
    assert_eq!(numbers.map(|n| number(finding, n)), [512, 511, 7, 7]);
    let expected = [
        ("net.core.somaxconn", "4096"),
        ("net.ipv4.tcp_abort_on_overflow", "0"),
    ];
    assert_eq!(settings(finding), expected);
    assert!(
        finding.advice[1].text.contains("a backlog of 511 only"),
        "{finding:#?}"
    );
    // Raised and not yet cleared: it was full a moment ago.
    let mut alarmed = full(480, 512, 7);
    alarmed.alarms = 1 << 2;
    is(
        only(&found(alarmed)),
        "accept-queue-full",
        Severity::Critical,
    );
}

#[test]
fn a_process_without_a_free_descriptor() {
    let full = Socket {
        accept: [512, 512],
        half_open: [0, 3, 511],
        ..Socket::default()
    };
    let found = |open| {
        let mut fake = host();
        fake.listeners = vec![full.bytes()];
        let mut host = FakeHost {
            descriptors: Descriptors {
                open,
                limit: Some(64),
            },
            ..FakeHost::default()
        };
        look_with(&fake, &mut host, &Scope::default()).findings
    };
    let findings = found(64);
    let finding = only(&findings);
    is(finding, "accept-queue-full", Severity::Critical);
    assert_eq!(
        finding.summary,
        "141/nginx does not accept: 64 of 64 descriptors used, the accept queue of 10.0.0.1:80 is \
         full (512 waiting, limit 511)"
    );
    assert_eq!(finding.advice.len(), 1);
    assert!(finding.advice[0].text.contains("RLIMIT_NOFILE"));
    let findings = found(65);
    let summary = &only(&findings).summary;
    assert!(summary.contains("65 descriptors open, limit 64, the accept"));
    let findings = found(63);
    let finding = only(&findings);
    is(finding, "accept-queue-full", Severity::Warning);
    assert!(!finding.summary.contains("descriptors"), "{finding:#?}");
    assert_eq!(number(finding, "descriptors"), 63);
}

#[test]
fn the_process_of_a_listener_that_is_older_is_looked_for() {
    let full = Socket {
        accept: [512, 512],
        half_open: [0, 3, 511],
        ..Socket::default()
    };
    let mut unknown = Bytes(full.bytes());
    let who = offset_of!(RawListener, who);
    unknown.put(who + offset_of!(RawIdent, flags), 0u16.to_ne_bytes());
    let mut fake = host();
    fake.listeners = vec![unknown.0];
    let findings = look(&fake);
    let finding = only(&findings);
    assert!(
        finding.summary.starts_with("77/mysqld does not accept"),
        "{finding:#?}"
    );
    assert_eq!(finding.subject.owner.unwrap().pid, 77);
}

fn idle_and_full() -> [Socket; 2] {
    let idle = Socket {
        half_open: [0, 3, 511],
        ..Socket::default()
    };
    let full = Socket {
        accept: [512, 512],
        ..idle
    };
    [idle, full]
}

#[test]
fn listeners_that_share_a_port_are_one() {
    let mut fake = host();
    let [idle, full] = idle_and_full();
    fake.listeners = vec![idle.bytes(), full.bytes(), idle.bytes()];
    let findings = look(&fake);
    assert_eq!(number(only(&findings), "listeners"), 3);
    assert_eq!(number(&findings[0], "accept_queue"), 512);
}

#[test]
fn listeners_of_one_port_on_two_devices_are_two() {
    let mut fake = host();
    let [idle, full] = idle_and_full();
    let at = offset_of!(RawListener, who) + offset_of!(RawIdent, ifindex);
    fake.listeners = vec![bind(idle.bytes(), at, 2), bind(full.bytes(), at, 3)];
    let findings = look(&fake);
    let finding = only(&findings);
    assert_eq!(number(finding, "listeners"), 1);
    assert_eq!(finding.subject.dev.as_ref().map(|dev| dev.index), Some(3));
    assert!(finding.summary.contains("%3:"), "{finding:#?}");
}
