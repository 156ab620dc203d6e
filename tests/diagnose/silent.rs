//! `silent-connections`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{Conn, attacker, stranger};

use crate::support::{add, host, is, look, number, only};

#[test]
fn silent_connections() {
    let silent = |number, age| Conn::served(attacker(number), age);
    let fake = host();
    add(&fake, (0..60).map(|n| silent(n, 9)));
    assert_eq!(look(&fake), []);
    let fake = host();
    add(&fake, (0..60).map(|n| silent(n, 10)));
    let findings = look(&fake);
    is(only(&findings), "silent-connections", Severity::Warning);
    assert_eq!(number(&findings[0], "connections"), 60);
}

#[test]
fn an_idle_pool_of_a_few_clients_is_information() {
    let of = |flags, clients: u64, count: u64, used: u64| {
        let fake = host();
        let conn = |n: u64| {
            let remote = format!("10.8.0.{}:{}", 1 + n % clients, 20_000 + n);
            Conn {
                flags,
                ..Conn::served(remote, 20)
            }
        };
        let used_conn = |n| Conn {
            sent: 90,
            received: 90,
            ..conn(n)
        };
        add(&fake, (0..count).map(conn));
        add(&fake, (count..count + used).map(used_conn));
        look(&fake)
    };
    // Keepalive, or some that are used.
    for findings in [of(1, 1, 60, 0), of(1, 8, 600, 0), of(0, 1, 60, 4)] {
        let finding = only(&findings);
        is(finding, "silent-connections", Severity::Info);
        assert!(
            finding.summary.starts_with("idle pool: "),
            "{}",
            finding.summary
        );
        assert!(!finding.advice.iter().any(|a| a.text.contains("block")));
    }
    let bad = [of(0, 1, 60, 0), of(0, 1, 60, 3), of(1, 9, 600, 0)];
    let severities = bad.map(|findings| only(&findings).severity);
    assert_eq!(
        severities,
        [Severity::Warning, Severity::Warning, Severity::Critical]
    );
}

/// The client is a process of this host: its keepalive can be seen, and it is no attacker.
#[test]
fn a_pool_within_the_host_is_information() {
    let fake = host();
    let client = |n| format!("10.0.0.1:{}", 40_000 + n);
    let serves = |n| Conn {
        local: "10.0.0.9:6379".into(),
        ..Conn::served(client(n), 20)
    };
    add(&fake, (0..300).map(serves));
    is(only(&look(&fake)), "silent-connections", Severity::Warning);
    add(
        &fake,
        (0..300).map(|n| Conn::begun(client(n), "10.0.0.9:6379", 20)),
    );
    is(only(&look(&fake)), "silent-connections", Severity::Info);
}

/// MPTCP connections with two subflows each, of which the second one carries nothing.
#[test]
fn another_subflow_carries_the_data() {
    let subflows = |sent| {
        move |number| {
            let first = Conn {
                sent,
                received: sent,
                ino: 1_000 + number,
                subflow: true,
                ..Conn::served(stranger(number), 60)
            };
            let second = Conn {
                ino: 1_000 + number,
                subflow: true,
                ..Conn::served(attacker(number), 60)
            };
            [first, second]
        }
    };
    let fake = host();
    add(&fake, (0..60).flat_map(subflows(900)));
    assert_eq!(look(&fake), []);
    let fake = host();
    add(&fake, (0..60).flat_map(subflows(0)));
    let findings = look(&fake);
    assert_eq!(number(only(&findings), "connections"), 60);
}
