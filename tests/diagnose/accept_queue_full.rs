//! `accept-queue-full`.

use std::mem::offset_of;

use diagnose_tools::abi::{RawHandshakes, RawIdent, RawListener};
use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::finding::Severity;
use diagnose_tools::host::Descriptors;
use testkit::host::FakeHost;
use testkit::records::Bytes;
use testkit::scene::{CLOSE_WAIT, Conn, Socket, bind, stranger};

use crate::support::words::Finding;
use crate::support::{add, host, is, look, look_with, number, only, settings};

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

/// A connection that no process has accepted, with a request that nobody could read yet.
fn waiting(number: u64, age: u64) -> Conn {
    Conn {
        pid: 0,
        received: 100,
        recv_q: 100,
        ..Conn::served(stranger(number), age)
    }
}

/// `count` connections of the listener, whose queue has room for 511.
fn unaccepted(count: u64, kind: impl Fn(u64) -> Conn, mut machine: FakeHost) -> Vec<Finding> {
    let queue = Socket {
        accept: [count as u32; 2],
        half_open: [0, 3, 511],
        ..Socket::default()
    };
    let mut fake = host();
    fake.listeners = vec![queue.bytes()];
    add(&fake, (0..count).map(kind));
    look_with(&fake, &mut machine, &Scope::default()).findings
}

#[test]
fn a_program_that_does_not_accept_although_its_queue_has_room() {
    let found = |count, age| unaccepted(count, |n| waiting(n, age), FakeHost::default());
    assert_eq!((found(9, 30), found(60, 4)), (vec![], vec![]));
    let findings = found(60, 30);
    let finding = only(&findings);
    is(finding, "accept-queue-full", Severity::Warning);
    assert_eq!(
        finding.summary,
        "141/nginx does not accept: 60 connections wait at 10.0.0.1:80, the first of them for 30 \
         seconds; the accept queue is not full (limit 511)"
    );
    let numbers = ["waiting", "oldest_s", "accept_queue", "accept_queue_limit"];
    assert_eq!(numbers.map(|n| number(finding, n)), [60, 30, 60, 511]);
    // The queue is long enough.
    assert_eq!(settings(finding), []);
    assert!(
        finding.advice[0]
            .text
            .contains("what keeps the program from accept()")
    );
}

#[test]
fn descriptors_are_used_up_before_the_queue_is_full() {
    let machine = FakeHost {
        descriptors: Descriptors {
            open: 64,
            limit: Some(64),
        },
        ..FakeHost::default()
    };
    let findings = unaccepted(20, |n| waiting(n, 9), machine);
    let finding = only(&findings);
    is(finding, "accept-queue-full", Severity::Critical);
    assert!(
        finding
            .summary
            .contains("does not accept: 64 of 64 descriptors used, 20 connections"),
        "{finding:#?}"
    );
    assert!(finding.advice[0].text.contains("EMFILE"));
}

/// ENFILE: the process has free descriptors, the host has no free file.
#[test]
fn files_of_the_host_that_are_used_up() {
    let with = |open| {
        FakeHost::default()
            .set("fs.file-max", "9000")
            .count("fs.file-nr", open)
    };
    let findings = unaccepted(20, |n| waiting(n, 9), with(9_000));
    let finding = only(&findings);
    is(finding, "accept-queue-full", Severity::Critical);
    assert!(
        finding
            .summary
            .contains("9000 of 9000 open files of the host used"),
        "{finding:#?}"
    );
    assert_eq!(settings(finding), [("fs.file-max", "9000")]);
    assert!(finding.advice[0].text.contains("ENFILE"));
    let findings = unaccepted(20, |n| waiting(n, 9), with(8_999));
    is(only(&findings), "accept-queue-full", Severity::Warning);
}

/// Neither the clients nor the path that handles accepted connections is to blame.
#[test]
fn clients_that_nobody_has_accepted_are_neither_silent_nor_left() {
    let greeted_first = |n| Conn {
        received: 0,
        recv_q: 0,
        ..waiting(n, 30)
    };
    let has_given_up = |n| Conn {
        recv_q: 101,
        received: 101,
        ..waiting(n, 70).state(CLOSE_WAIT)
    };
    let kinds: [fn(u64) -> Conn; 2] = [greeted_first, has_given_up];
    for kind in kinds {
        let findings = unaccepted(300, kind, FakeHost::default());
        assert_eq!(only(&findings).rule, "accept-queue-full", "{findings:#?}");
    }
}

/// A burst that is longer than a short queue.
#[test]
fn a_program_that_accepts_fast_is_not_said_to_accept_nothing() {
    let findings = unaccepted(512, |n| waiting(n, 0), FakeHost::default());
    let finding = only(&findings);
    assert!(
        finding
            .summary
            .starts_with("141/nginx does not accept fast enough: "),
        "{finding:#?}"
    );
    let findings = unaccepted(512, |n| waiting(n, n % 3), FakeHost::default());
    assert!(
        only(&findings)
            .summary
            .starts_with("141/nginx does not accept: ")
    );
}
