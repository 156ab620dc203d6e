//! `mtu-black-hole`, which refutes `dead-peers` and `fin-wait1`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{Conn, ESTABLISHED, FIN_WAIT1, healthy, stranger};

use crate::support::words::Finding;
use crate::support::{add, host, is, look, number, of_rule, only, settings};

/// An answer that is sent for the sixth time, 14 seconds after the request; the peer says something
/// every half a second.
fn heard(number: u64) -> Conn {
    Conn {
        sent: 90_000,
        acked: 200,
        received: 400,
        sndbuf_used: 20_000,
        unacked: 10,
        retransmits: 6,
        last_sent: 1_500,
        last_recv: 500,
        ..Conn::served(stranger(number), 30)
    }
}

/// The same, of a peer that waits for the answer.
fn waiting(number: u64) -> Conn {
    Conn {
        last_recv: 14_200,
        ..heard(number)
    }
}

fn found(count: u64, kind: impl Fn(u64) -> Conn) -> Vec<Finding> {
    let fake = host();
    add(&fake, (0..count).map(kind));
    look(&fake)
}

#[test]
fn large_packets_are_lost() {
    assert_eq!((found(2, heard), found(9, waiting)), (vec![], vec![]));
    let findings = found(3, heard);
    let finding = only(&findings);
    is(finding, "mtu-black-hole", Severity::Warning);
    assert!(
        finding
            .summary
            .starts_with("3 connections of 10.0.0.1:80 with 3 sources stall: small packets pass"),
        "{}",
        finding.summary
    );
    let numbers = ["connections", "heard_since", "last_heard_ms"];
    assert_eq!(numbers.map(|n| number(finding, n)), [3, 3, 500]);
    assert_eq!(settings(finding), [("net.ipv4.tcp_mtu_probing", "0")]);
    let findings = found(30, waiting);
    let finding = only(&findings);
    is(finding, "mtu-black-hole", Severity::Warning);
    let numbers = ["connections", "heard_since", "most_retransmits"];
    assert_eq!(numbers.map(|n| number(finding, n)), [30, 0, 6]);
}

#[test]
fn an_answer_after_which_the_server_closes() {
    let closing = |n| waiting(n).state(FIN_WAIT1);
    let findings = found(150, closing);
    is(only(&findings), "mtu-black-hole", Severity::Warning);
    let gone = |n| Conn {
        last_recv: 29_000,
        ..closing(n)
    };
    is(only(&found(150, gone)), "fin-wait1", Severity::Warning);
}

#[test]
fn peers_that_are_gone() {
    let silent_for_long = |n| Conn {
        last_recv: 29_000,
        ..waiting(n)
    };
    let never_heard = |n| Conn {
        received: 0,
        acked: 0,
        ..waiting(n)
    };
    let small = |n| Conn {
        sndbuf_used: 1_500,
        ..waiting(n)
    };
    let large_passed = |n| Conn {
        acked: 90_000,
        ..waiting(n)
    };
    let kinds: [fn(u64) -> Conn; 4] = [silent_for_long, never_heard, small, large_passed];
    for kind in kinds {
        is(only(&found(30, kind)), "dead-peers", Severity::Warning);
    }
}

#[test]
fn a_peer_that_is_heard_is_not_gone_whatever_is_lost() {
    let small = |n| Conn {
        sndbuf_used: 1_500,
        ..heard(n)
    };
    assert_eq!(found(30, small), []);
}

/// Large packets reach a peer on another connection: the path is not to blame.
#[test]
fn full_packets_that_were_acknowledged() {
    let fake = host();
    add(&fake, (0..30).map(waiting));
    let passed = |n| Conn {
        remote: stranger(n).replace(":30000", ":30001"),
        acked: 90_000,
        retransmits: 0,
        state: ESTABLISHED,
        ..waiting(n)
    };
    add(&fake, (0..30).map(passed));
    let findings = look(&fake);
    assert_eq!(of_rule(&findings, "mtu-black-hole"), Vec::<&Finding>::new());
    assert_eq!(
        number(of_rule(&findings, "dead-peers")[0], "connections"),
        30
    );
}

/// Among a thousand clients, this number of them vanishes just after its request.
#[test]
fn a_few_of_many_clients_are_gone() {
    let fake = host();
    add(&fake, (0..30).map(waiting));
    add(&fake, (200..900).map(healthy));
    is(only(&look(&fake)), "dead-peers", Severity::Warning);
    // Those that are heard are not.
    let fake = host();
    add(&fake, (0..30).map(heard));
    add(&fake, (200..900).map(healthy));
    is(only(&look(&fake)), "mtu-black-hole", Severity::Warning);
}
