//! `port-exhaustion`, detected by failed calls.

use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::finding::Severity;
use testkit::fake::Fake;
use testkit::host::FakeHost;
use testkit::scene::{CLOSE, Conn, SYN_SENT, TIME_WAIT, step};

use crate::support::words::Finding;
use crate::support::{add, host, is, look, look_with, number, only, settings};

const NO_PORT: u16 = 17;
const DATABASE: &str = "10.5.0.1:5432";

fn call(local_port: u16, remote: &str, pid: u32) -> Conn {
    Conn {
        pid,
        ..Conn::begun(format!("10.0.0.1:{local_port}"), remote, 0)
    }
}

fn fail(fake: &Fake, call: &Conn) {
    fake.rings[0].write(&step(call, 3_000, SYN_SENT, CLOSE, NO_PORT));
}

/// Used connections on these ports, each to one of this number of destinations.
fn used(ports: impl Iterator<Item = u16>, destinations: u16) -> Vec<Conn> {
    let conn = |(n, port): (usize, u16)| {
        let remote = format!("10.5.1.{}:5432", n as u16 % destinations);
        Conn {
            sent: 9,
            received: 9,
            age: 20,
            ..call(port, &remote, 900)
        }
    };
    ports.enumerate().map(conn).collect()
}

fn narrow() -> FakeHost {
    FakeHost::default().set("net.ipv4.ip_local_port_range", "40000 40099")
}

fn found(fake: &Fake) -> Vec<Finding> {
    look_with(fake, &mut narrow(), &Scope::default()).findings
}

#[test]
fn calls_that_find_no_local_port() {
    let fake = host();
    let call = Conn::begun("10.0.0.1:0".into(), DATABASE, 0);
    fake.rings[0].write(&step(&call, 61_000, SYN_SENT, CLOSE, NO_PORT));
    assert_eq!(look(&fake), []);
    fake.rings[0].write(&step(&call, 3_000, SYN_SENT, CLOSE, NO_PORT));
    fake.rings[0].write(&step(&call, 2_000, SYN_SENT, CLOSE, NO_PORT));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "port-exhaustion", Severity::Critical);
    assert_eq!(
        (number(finding, "failed"), number(finding, "seconds_ago")),
        (2, 2)
    );
    assert_eq!(
        finding.summary,
        "900/curl found no local port for 10.5.0.1:5432 (2 failed calls of connect() in the last \
         minute)"
    );
}

#[test]
fn connections_to_the_destination_use_the_ports() {
    let fake = host();
    add(&fake, used(40_000..40_100, 1));
    fail(&fake, &call(0, "10.5.1.0:5432", 900));
    let findings = found(&fake);
    let finding = only(&findings);
    is(finding, "port-exhaustion", Severity::Critical);
    assert!(
        finding
            .summary
            .ends_with("connections to this destination use them"),
        "{finding:#?}"
    );
    assert_eq!(number(finding, "ports_used"), 100);
    assert_eq!(
        settings(finding)[0],
        ("net.ipv4.ip_local_port_range", "40000 40099")
    );
}

/// The last 4 of 40 calls were made from ports that are not in use any more.
fn from_bound_ports(state: u8) -> Vec<Finding> {
    let fake = host();
    for n in 0..36 {
        fail(&fake, &call(5_000 + n % 4, DATABASE, 900));
    }
    let in_use = used(5_000..5_003, 1).into_iter().map(|conn| Conn {
        remote: DATABASE.into(),
        full: state != TIME_WAIT,
        ..conn.state(state)
    });
    add(&fake, in_use);
    look(&fake)
}

#[test]
fn a_bound_port_that_is_in_use() {
    let findings = from_bound_ports(testkit::scene::ESTABLISHED);
    let finding = only(&findings);
    is(finding, "port-exhaustion", Severity::Critical);
    assert_eq!(
        finding.summary,
        "the address and port that the program bound are in use to this destination: 36 failed \
         calls of connect() by 900/curl to 10.5.0.1:5432 in the last minute"
    );
    let numbers = ["failed", "local_ports", "in_use", "timewait"];
    assert_eq!(numbers.map(|n| number(finding, n)), [36, 4, 3, 0]);
    // The range has nothing to do with it.
    assert_eq!(settings(finding), []);
    assert!(!format!("{finding:?}").contains("ip_local_port_range"));
    // Without timestamps, TIME_WAIT keeps the port.
    let findings = from_bound_ports(TIME_WAIT);
    let finding = only(&findings);
    assert_eq!(number(finding, "timewait"), 3);
    assert_eq!(settings(finding), [("net.ipv4.tcp_timestamps", "1")]);
}

/// Like the kernel's NFS, which tries one reserved port after the other.
#[test]
fn a_program_that_takes_another_port_is_served() {
    let of = |port, age| {
        let fake = host();
        (0..3).for_each(|n| fail(&fake, &call(700 + n, DATABASE, 0)));
        let reached = used(port..port + 1, 1).into_iter().map(|conn| Conn {
            remote: DATABASE.into(),
            age,
            ..conn
        });
        add(&fake, reached);
        let findings = look(&fake);
        only(&findings).severity
    };
    assert_eq!(of(704, 0), Severity::Info);
    // It was there before, or is what the call found in use.
    assert_eq!(of(704, 300), Severity::Critical);
    assert_eq!(of(701, 0), Severity::Critical);
}

#[test]
fn the_process_with_the_most_failures_is_named() {
    let fake = host();
    for (pid, count) in [(900, 2), (901, 5), (902, 3)] {
        (0..count).for_each(|_| fail(&fake, &call(0, DATABASE, pid)));
    }
    let findings = look(&fake);
    let finding = only(&findings);
    assert_eq!(finding.subject.owner.map(|o| o.pid), Some(901));
    assert_eq!(finding.subject.processes, 3);
    assert_eq!(number(finding, "failed"), 10);
}

#[test]
fn many_destinations_of_a_process_are_one_finding() {
    let fake = host();
    for n in 0..30 {
        fail(&fake, &call(0, &format!("10.6.0.{n}:80"), 900));
    }
    fail(&fake, &call(0, "10.6.0.7:80", 900));
    fail(&fake, &call(0, "10.7.0.1:80", 901));
    let findings = look(&fake);
    assert_eq!(findings.len(), 2, "{findings:#?}");
    let all = &findings[0];
    assert!(
        all.summary
            .starts_with("900/curl found no local port for 30 destinations (31 failed"),
        "{all:#?}"
    );
    assert_eq!(number(all, "destinations"), 30);
    assert_eq!((all.subject.peers.len(), all.subject.peer_count), (10, 30));
    let first = &all.subject.peers[0];
    assert_eq!(
        (first.addr.to_string(), first.count),
        ("10.6.0.7".into(), 2)
    );
    assert_eq!(findings[1].subject.owner.map(|o| o.pid), Some(901));
}

#[test]
fn bind_holds_ports_for_every_destination() {
    // Each connection has a port for itself.
    let fake = host();
    add(&fake, used(40_000..40_069, 3));
    assert_eq!(found(&fake), []);
    add(&fake, used(40_069..40_090, 3));
    let findings = found(&fake);
    let finding = only(&findings);
    is(finding, "port-exhaustion", Severity::Warning);
    assert_eq!(
        finding.summary,
        "bind() holds 90 of the 100 local ports of 10.0.0.1 for every destination: 3 destinations \
         share none of them"
    );
    assert!(finding.advice[0].text.contains("IP_BIND_ADDRESS_NO_PORT"));
    let numbers = ["ports_held", "ports", "percent", "destinations"];
    assert_eq!(numbers.map(|n| number(finding, n)), [90, 100, 90, 3]);
    // A call to another destination fails.
    fail(&fake, &call(0, DATABASE, 901));
    let findings = found(&fake);
    let finding = only(&findings);
    is(finding, "port-exhaustion", Severity::Critical);
    assert_eq!(
        finding.summary,
        "901/curl found no local port for 10.5.0.1:5432 (1 failed call of connect() in the last \
         minute): bind() holds 90 ports for every destination"
    );
    assert!(finding.advice[0].text.contains("IP_BIND_ADDRESS_NO_PORT"));
}

#[test]
fn ports_that_connect_has_chosen_serve_several_destinations() {
    let fake = host();
    let ports = || 40_000..40_090;
    // Two connections on each port.
    add(&fake, used(ports().chain(ports()), 4));
    assert_eq!(found(&fake), []);
    fail(&fake, &call(0, DATABASE, 901));
    let findings = found(&fake);
    assert!(!only(&findings).summary.contains("bind()"), "{findings:#?}");
}
