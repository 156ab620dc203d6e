//! `stuck-reader`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{CLIENT, Conn, slow, stranger};

use crate::support::words::Finding;
use crate::support::{add, host, is, look, number, only, peers};

/// A request of 300 bytes that came six seconds ago, and that nginx has not read.
fn unread(number: u64) -> Conn {
    Conn {
        received: 300,
        recv_q: 300,
        last_recv: 6_000,
        ..Conn::served(stranger(number), 20)
    }
}

fn found(count: u64, kind: impl Fn(u64) -> Conn) -> Vec<Finding> {
    let fake = host();
    add(&fake, (0..count).map(kind));
    look(&fake)
}

#[test]
fn a_server_that_does_not_read() {
    assert_eq!(found(9, unread), []);
    let largest = |n| Conn {
        recv_q: 300 + u32::from(n == 7) * 1_000,
        received: 1_300,
        ..unread(n)
    };
    let findings = found(10, largest);
    let finding = only(&findings);
    is(finding, "stuck-reader", Severity::Warning);
    assert_eq!(
        finding.summary,
        "142/nginx does not read what has come: 4000 bytes on 10 connections"
    );
    let numbers = ["connections", "recv_q", "recv_q_largest", "oldest_s"];
    assert_eq!(numbers.map(|n| number(finding, n)), [10, 4_000, 1_300, 6]);
    assert_eq!(finding.subject.peer_count, 10);
    assert!(finding.advice[0].text.contains("gdb -p 142"));
}

#[test]
fn a_client_that_does_not_read() {
    let client = |n: u64| Conn {
        local: format!("10.0.0.1:{}", 40_000 + n),
        remote: "10.5.0.1:5432".into(),
        role: CLIENT,
        pid: 900,
        comm: "report",
        ..unread(n)
    };
    let findings = found(60, client);
    let finding = only(&findings);
    is(finding, "stuck-reader", Severity::Warning);
    let end = Some(("10.5.0.1".parse().unwrap(), Some(5432)));
    assert_eq!(finding.subject.remote, end);
    assert_eq!(peers(finding), [("10.5.0.1".into(), 60)]);
    assert!(finding.summary.starts_with("900/report "));
}

#[test]
fn what_does_not_show_that_a_program_is_stuck() {
    let has_just_come = |n| Conn {
        last_recv: 199,
        ..unread(n)
    };
    let not_accepted = |n| Conn {
        pid: 0,
        ..unread(n)
    };
    let orphan = |n| Conn {
        flags: 2,
        ..unread(n)
    };
    let was_read = |n| Conn {
        recv_q: 0,
        last_recv: 20_000,
        ..unread(n)
    };
    let is_not_taken = |n| Conn {
        sndbuf_used: 4_096,
        ..unread(n)
    };
    let has_sent_since = |n| Conn {
        sent: 900,
        last_sent: 5_899,
        ..unread(n)
    };
    let kinds: [fn(u64) -> Conn; 6] = [
        has_sent_since,
        has_just_come,
        not_accepted,
        orphan,
        was_read,
        is_not_taken,
    ];
    for (index, kind) in kinds.into_iter().enumerate() {
        assert_eq!(found(100, kind), [], "{index}");
    }
}

/// Clients that send piece by piece to a server that reads none of it.
#[test]
fn what_keeps_coming_and_is_not_read_is_no_slow_request() {
    let drips = |n: u64, pid, comm| Conn {
        recv_q: 300,
        last_recv: 200 + 40 * n as u32,
        pid,
        comm,
        ..slow(n)
    };
    let findings = found(60, |n| drips(n, 78, "hung"));
    is(only(&findings), "stuck-reader", Severity::Warning);
    assert_eq!(number(&findings[0], "recv_q"), 60 * 300);
    // nginx reads what comes on its other connections.
    assert_eq!(found(60, |n| drips(n, 142, "nginx")), []);
    // Slow clients of a server that reads are still found.
    is(only(&found(60, slow)), "slow-request", Severity::Warning);
}

/// A proxy whose clients do not take what comes from the servers behind it.
#[test]
fn what_cannot_be_passed_on_is_not_read() {
    let upstream = |n: u64| Conn {
        local: format!("10.0.0.1:{}", 40_000 + n),
        remote: "10.5.0.1:8080".into(),
        role: CLIENT,
        ..unread(n)
    };
    let client = |n: u64, sndbuf_used| Conn {
        sent: 90_000,
        acked: 90_000,
        sndbuf_used,
        last_sent: 6_000,
        ..Conn::served(stranger(n), 20)
    };
    let of = |blocked| {
        let fake = host();
        add(&fake, (0..40).map(upstream));
        add(&fake, (0..blocked).map(|n| client(n, 50_000)));
        add(&fake, (blocked..40).map(|n| client(n, 0)));
        look(&fake).len()
    };
    assert_eq!([of(20), of(19)], [0, 1]);
}
