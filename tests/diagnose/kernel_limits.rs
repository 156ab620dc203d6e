//! `kernel-limits`.

use diagnose_tools::abi::TCPSTATES_REASONS_MAX;
use diagnose_tools::cli::parse;
use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::finding::Severity;
use testkit::fake::Fake;
use testkit::host::FakeHost;
use testkit::scene::{
    CLOSE, Conn, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, LAST_ACK, SERVER, step, stranger,
};

use crate::support::words::Finding;
use crate::support::{host, is, look, look_with, number, only, settings};

const OUT_OF_TIMEWAIT: u16 = 23;
const OUT_OF_ORPHANS: u16 = 24;
const OUT_OF_MEMORY: u16 = 25;

/// A host on which the kernel has ended connections of nginx.
fn ended(count: u64, old: u8, reason: u16) -> Fake {
    let fake = host();
    for n in 0..count {
        let conn = Conn::served(stranger(n), 1);
        fake.rings[0].write(&step(&conn, 2_000, old, CLOSE, reason));
    }
    fake
}

fn found(fake: &Fake, mut machine: FakeHost) -> Vec<Finding> {
    look_with(fake, &mut machine, &Scope::default()).findings
}

/// Neither the program nor the peers are accused: of the findings there is only this one, without a
/// process.
fn assert_accuses_nobody(findings: &[Finding], severity: Severity) -> &Finding {
    let finding = only(findings);
    is(finding, "kernel-limits", severity);
    assert_eq!(finding.subject.owner, None, "{finding:#?}");
    assert!(finding.subject.peers.is_empty(), "{finding:#?}");
    finding
}

#[test]
fn connections_without_room_in_time_wait() {
    let overflow = "TcpExtTCPTimeWaitOverflow";
    let machine = || {
        FakeHost::default()
            .set("net.ipv4.tcp_max_tw_buckets", "5")
            .count("sockstat.TCP.tw", 5)
    };
    let fake = ended(55, FIN_WAIT2, OUT_OF_TIMEWAIT);
    let findings = found(&fake, machine().count(overflow, 55));
    let finding = assert_accuses_nobody(&findings, Severity::Warning);
    assert_eq!(
        finding.summary,
        "the kernel ended 55 connections without TIME_WAIT in the last minute, because \
         tcp_max_tw_buckets allows 5 (5 in use now)"
    );
    let numbers = [
        "ended_last_minute",
        "tcp_max_tw_buckets",
        "timewait",
        overflow,
    ];
    assert_eq!(numbers.map(|n| number(finding, n)), [55, 5, 5, 55]);
    assert_eq!(settings(finding), [("net.ipv4.tcp_max_tw_buckets", "5")]);
    assert!(
        finding.advice[1]
            .text
            .starts_with("55 of them were connections of 10.0.0.1:80")
    );
    // The kernel has counted none.
    assert_eq!(found(&fake, machine().count(overflow, 0)), []);
    // Ends of another kind.
    let fake = ended(55, FIN_WAIT2, 1);
    assert_eq!(found(&fake, machine().count(overflow, 55)), []);
}

#[test]
fn too_many_orphans() {
    let machine = FakeHost::default()
        .set("net.ipv4.tcp_max_orphans", "8")
        .count("sockstat.TCP.orphan", 8)
        .count("TcpExtTCPAbortOnMemory", 52);
    let findings = found(&ended(52, LAST_ACK, OUT_OF_ORPHANS), machine);
    let finding = assert_accuses_nobody(&findings, Severity::Critical);
    assert_eq!(
        finding.summary,
        "the kernel reset 52 connections that no process held any more (orphans) in the last \
         minute, because tcp_max_orphans allows 8 (8 in use now)"
    );
    let numbers = ["tcp_max_orphans", "orphans", "TcpExtTCPAbortOnMemory"];
    assert_eq!(numbers.map(|n| number(finding, n)), [8, 8, 52]);
    let expected = [
        ("net.ipv4.tcp_max_orphans", "8"),
        ("net.ipv4.tcp_orphan_retries", "0"),
    ];
    assert_eq!(settings(finding), expected);
}

#[test]
fn out_of_memory() {
    let machine = FakeHost::default()
        .set("net.ipv4.tcp_mem", "200 250 300")
        .count("sockstat.TCP.mem", 290)
        .count("TcpExtTCPAbortOnMemory", 80);
    let findings = found(&ended(80, FIN_WAIT1, OUT_OF_MEMORY), machine);
    let finding = assert_accuses_nobody(&findings, Severity::Critical);
    assert_eq!(
        finding.summary,
        "the kernel reset 80 connections that were closed and had data to send in the last \
         minute, because tcp_mem allows 300 pages (290 pages in use now)"
    );
    let numbers = ["tcp_mem_max_pages", "mem_pages", "TcpExtTCPAbortOnMemory"];
    assert_eq!(numbers.map(|n| number(finding, n)), [300, 290, 80]);
    assert_eq!(settings(finding), [("net.ipv4.tcp_mem", "200 250 300")]);
}

#[test]
fn what_is_over_is_information() {
    let mut fake = host();
    let of_servers = 2 * TCPSTATES_REASONS_MAX as usize;
    fake.lives.ends[of_servers + usize::from(OUT_OF_ORPHANS)] = 7;
    let findings = look(&fake);
    is(only(&findings), "kernel-limits", Severity::Info);
    assert_eq!(number(&findings[0], "since_activation"), 7);
    assert!(
        findings[0]
            .summary
            .starts_with("over: the kernel reset 7 connections")
    );
    // The totals are of all connections.
    let some = parse::diagnose("raddr=10.9.0.0/16").unwrap().scope;
    let diagnosis = look_with(&fake, &mut FakeHost::default(), &some);
    assert_eq!(diagnosis.findings, []);
}

#[test]
fn a_peer_on_this_host_is_not_accused_of_the_resets() {
    let received = |fake: Fake| {
        for n in 0..60 {
            let conn = Conn::begun(format!("10.0.0.1:{}", 41_000 + n), SERVER, 1);
            fake.rings[0].write(&step(&conn, 2_000, ESTABLISHED, CLOSE, 5));
        }
        look(&fake)
    };
    let findings = received(ended(60, FIN_WAIT1, OUT_OF_ORPHANS));
    assert_accuses_nobody(&findings, Severity::Critical);
    // The peer has closed its ends in another way.
    assert_eq!(only(&received(ended(60, FIN_WAIT1, 1))).rule, "resets");
}
