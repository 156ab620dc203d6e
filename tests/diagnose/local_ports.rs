//! The local ports for one destination: `time-wait` or `port-exhaustion`, depending on what uses
//! them.

use std::mem::offset_of;

use diagnose_tools::abi::{ConnBytes, RawConn, RawIdent};
use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::finding::Severity;
use testkit::host::FakeHost;
use testkit::records::Bytes;
use testkit::scene::{Conn, ESTABLISHED, TIME_WAIT};

use crate::support::words::Finding;
use crate::support::{add, host, is, look_with, number, only, settings};

/// Connections to a database, on `count` of the ports from 40000.
fn to_database(count: u64, state: u8) -> Vec<Conn> {
    let conn = |n| {
        let conn = Conn::begun(format!("10.0.0.1:{}", 40_000 + n), "10.5.0.1:5432", 20);
        let conn = Conn {
            sent: 9,
            received: 9,
            ..conn
        };
        match state {
            TIME_WAIT => conn.state(state).small(),
            _ => conn.state(state),
        }
    };
    (0..count).map(conn).collect()
}

fn narrow() -> FakeHost {
    FakeHost::default().set("net.ipv4.ip_local_port_range", "40000 40099")
}

#[test]
fn local_ports_that_run_out() {
    let found = |count, state, mut host: FakeHost| {
        let fake = self::host();
        add(&fake, to_database(count, state));
        look_with(&fake, &mut host, &Scope::default()).findings
    };
    assert_eq!(found(69, TIME_WAIT, narrow()), []);
    let findings = found(70, TIME_WAIT, narrow());
    let finding = only(&findings);
    is(finding, "time-wait", Severity::Warning);
    assert_eq!(
        finding.summary,
        "70 of the 100 local ports for 10.5.0.1:5432 are used, 70 of them by TIME_WAIT"
    );
    let numbers = [
        "ports_used",
        "ports",
        "percent",
        "timewait",
        "port_low",
        "port_high",
    ];
    assert_eq!(
        numbers.map(|n| number(finding, n)),
        [70, 100, 70, 70, 40_000, 40_099]
    );
    let expected = [
        ("net.ipv4.ip_local_port_range", "40000 40099"),
        ("net.ipv4.tcp_tw_reuse", "2"),
        ("net.ipv4.tcp_max_tw_buckets", "16384"),
    ];
    assert_eq!(settings(finding), expected);
    // After a second the kernel reuses them.
    let reuse = narrow().set("net.ipv4.tcp_tw_reuse", "1");
    is(
        only(&found(90, TIME_WAIT, reuse)),
        "time-wait",
        Severity::Info,
    );
    // connect() does not use reserved ports.
    let reserved = narrow().set("net.ipv4.ip_local_reserved_ports", "40090-40099");
    is(
        only(&found(63, TIME_WAIT, reserved)),
        "time-wait",
        Severity::Warning,
    );
    is(
        only(&found(70, ESTABLISHED, narrow())),
        "port-exhaustion",
        Severity::Warning,
    );
    assert_eq!(found(90, TIME_WAIT, FakeHost::default()), []);
}

/// Connections from two addresses, or by sockets of two families, on ports of their own.
fn two_halves(second: impl Fn(Conn) -> ConnBytes) -> Vec<Finding> {
    let fake = host();
    let conns = to_database(80, ESTABLISHED);
    let (first, rest) = conns.split_at(40);
    add(&fake, first.iter().cloned());
    let rest = rest.iter().cloned().map(second);
    fake.conns.borrow_mut().extend(rest);
    look_with(&fake, &mut narrow(), &Scope::default()).findings
}

#[test]
fn each_local_address_has_its_own_ports() {
    let from_another = |conn: Conn| {
        let local = conn.local.replace("10.0.0.1", "10.0.0.2");
        Conn { local, ..conn }.bytes()
    };
    assert_eq!(two_halves(from_another), []);
    let findings = two_halves(|conn| conn.bytes());
    assert_eq!(number(only(&findings), "ports_used"), 80);
}

#[test]
fn sockets_of_both_families_share_the_ports_of_an_ipv4_address() {
    let of_ipv6 = |conn: Conn| {
        let mut bytes = Bytes(conn.bytes());
        let at = offset_of!(RawConn, who) + offset_of!(RawIdent, family);
        bytes.put(at, [6]);
        bytes.0
    };
    let findings = two_halves(of_ipv6);
    let finding = only(&findings);
    is(finding, "port-exhaustion", Severity::Warning);
    assert_eq!(number(finding, "ports_used"), 80);
}

#[test]
fn time_wait_is_told_for_each_local_address() {
    let fake = host();
    let conns = to_database(90, TIME_WAIT);
    let others = conns.iter().cloned().map(|conn| Conn {
        local: conn.local.replace("10.0.0.1", "10.0.0.2"),
        ..conn
    });
    add(&fake, others);
    add(&fake, conns.iter().cloned());
    let findings = look_with(&fake, &mut narrow(), &Scope::default()).findings;
    let locals: Vec<_> = findings
        .iter()
        .filter_map(|f| Some(f.subject.local?.0.to_string()))
        .collect();
    assert_eq!(locals, ["10.0.0.1", "10.0.0.2"], "{findings:#?}");
}
