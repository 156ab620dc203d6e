//! Protocols that share functions with TCP: none of their sockets is taken for a TCP connection,
//! and TCP connections beside them are recorded as usual.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::mptcp::{self, Links, SERVER};
use crate::support::nstat::Counters;
use crate::support::process::Process;
use crate::support::sockets::{Kind, accept, hear, local, say};
use crate::support::{scenario, scenario_where, ss, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("other_protocols_do_not_come_into_the_tree", others),
        scenario("a_recording_that_begins_finds_tcp_only", found),
        scenario_where(
            mptcp::can_join,
            "mptcp_joins_are_promoted_and_have_an_owner",
            joins,
        ),
    ]
}

/// Number of connections of one kind.
const COUNT: u16 = 20;
const PORT: u16 = 5001;

fn come_and_go(kind: Kind) {
    let listener = kind.listen(local(PORT));
    for n in 0..COUNT {
        let client = kind.connect(local(PORT));
        let server = accept(&listener);
        say(&client);
        hear(&server);
        if n % 2 == 0 {
            drop(client);
            drop(server);
        } else {
            drop(server);
            drop(client);
        }
    }
}

/// The lines of a report about the port, which no TCP socket uses.
fn of_port(report: &tool::Report, port: u16) -> Vec<&Value> {
    let of = |line: &&Value| line["lport"] == port || line["rport"] == port;
    let lines = [
        &report.transitions,
        &report.connections,
        &report.listeners,
        &report.alarms,
    ];
    lines.into_iter().flatten().filter(of).collect()
}

/// The other protocols that the kernel has.
fn kinds() -> Vec<Kind> {
    let there: Vec<_> = [Kind::Dccp].into_iter().filter(|k| k.is_there()).collect();
    // Debian's kernels, and those built for the tests, have it until its removal (6.16).
    let release = tool::release();
    let removed = release.starts_with('7') || !there.is_empty();
    assert!(removed, "no other protocol on {release}");
    there
}

fn others() {
    let kinds = kinds();
    tool::activate("");
    let listener = traffic::listen(traffic::V4);
    let before = tool::report("connections=1");
    for kind in kinds {
        come_and_go(kind);
        // TCP connections are still recorded between them.
        traffic::client_first(&listener);
    }
    l2tp();
    traffic::client_first(&listener);
    let report = tool::report("connections=1 listeners=1 transitions=1");
    let strange = of_port(&report, PORT);
    assert!(strange.is_empty(), "{strange:#?}");
    assert_tcp_only(&report);
    for counter in ["unmatched", "tracked"] {
        let grown = report.number(&format!("/{counter}")) as i64
            - before.number(&format!("/{counter}")) as i64;
        let time_wait = ss::table(None)
            .iter()
            .filter(|r| r.0 == "TIME_WAIT")
            .count();
        let expected = if counter == "tracked" { time_wait } else { 0 };
        assert_eq!(grown, expected as i64, "{counter}: {}", report.summary);
    }
    let syns = Counters::here().get("TcpPassiveOpens");
    assert_eq!(report.number("/handshakes/promoted"), syns);
    tool::end();
}

/// Asserts that the live table has as many connections as `ss` counts TCP sockets.
fn assert_tcp_only(report: &tool::Report) {
    let here: Vec<_> = report
        .connections
        .iter()
        .filter(|c| c["netns"] == crate::support::netns::current_inode())
        .collect();
    assert_eq!(here.len(), ss::table(None).len(), "{here:#?}");
}

/// L2TP uses UDP and raw sockets: a tunnel without traffic is enough to open them.
fn l2tp() {
    let _ = std::process::Command::new("modprobe")
        .arg("l2tp_ip")
        .output();
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 1701)).expect("UDP");
    udp.send_to(b"\x00\x02\x00\x00\x00\x00", (Ipv4Addr::LOCALHOST, 1701))
        .expect("a datagram");
}

/// Sockets of all protocols exist before the recording starts.
fn found() {
    tool::fresh();
    let mut held: Vec<OwnedFd> = Vec::new();
    let mut port = 5100;
    for kind in [Kind::Tcp, Kind::Mptcp, Kind::Dccp, Kind::Smc] {
        if !kind.is_there() {
            continue;
        }
        let at = local(port);
        port += 1;
        let listener = kind.listen(at);
        for _ in 0..3 {
            held.push(kind.connect(at));
            held.push(accept(&listener));
        }
        held.push(listener);
    }
    tool::activate_here("");
    let report = tool::report("connections=1 listeners=1");
    // For MPTCP and SMC it shows the TCP sockets below them, which `ss` lists as well.
    assert_tcp_only(&report);
    drop(held);
    tool::tcpstates(&["--deactivate"]);
}

const JOINED: u64 = 30;

fn joins() {
    let links = Links::new("mpserver", "mpclient");
    tool::activate("unfinished=5");
    let mut server = Process::named(&links.server, c"mp-server", |mut line| {
        let listener = Kind::Mptcp.listen(SERVER);
        line.tell(&[]);
        let accepted: Vec<_> = (0..JOINED).map(|_| accept(&listener)).collect();
        accepted.iter().for_each(hear);
        line.hear();
        drop(accepted);
        line.tell(&[]);
    });
    server.line.hear();
    let mut client = Process::named(&links.client, c"mp-client", |mut line| {
        let held: Vec<_> = (0..JOINED).map(|_| Kind::Mptcp.connect(SERVER)).collect();
        held.iter().for_each(say);
        line.hear();
        drop(held);
        line.tell(&[]);
    });
    traffic::within(Duration::from_secs(60), "all are joined", || {
        // A server's connection can be joined once its first data have arrived.
        links.joined() == JOINED
    });
    traffic::until("each subflow has its socket and its owner", || {
        let report = tool::report("peek=1 transitions=0 connections=1");
        ["lport", "rport"].iter().all(|port| {
            let known = |c: &&&Value| c["ino"].is_u64() && c["pid"].is_u64();
            subflows(&report, port).iter().filter(known).count() as u64 == 2 * JOINED
        })
    });
    let report = tool::report("transitions=1 connections=1 listeners=1");
    assert_eq!(report.number("/handshakes/promoted"), 2 * JOINED);
    assert_eq!(report.number("/handshakes/duplicate"), 0);
    assert_eq!(report.number("/unmatched"), 0, "{}", report.summary);
    assert!(report.alarms.is_empty(), "{:?}", report.alarms);
    assert_subflows(&report, "lport", "mp-server", server.pid());
    assert_subflows(&report, "rport", "mp-client", client.pid());
    for process in [&mut client, &mut server] {
        process.line.tell(&[]);
        process.line.hear();
    }
    client.finish();
    server.finish();
    tool::end();
}

fn subflows<'a>(report: &'a tool::Report, port: &str) -> Vec<&'a Value> {
    let ours = |c: &&Value| c[port] == SERVER.port() && c["state"] == "ESTABLISHED";
    report.connections.iter().filter(ours).collect()
}

/// Each MPTCP connection has two subflows, which belong to the owner of its socket.
fn assert_subflows(report: &tool::Report, port: &str, comm: &str, pid: u64) {
    let subflows = subflows(report, port);
    assert_eq!(subflows.len() as u64, 2 * JOINED);
    let mut sockets = std::collections::BTreeMap::new();
    for subflow in subflows {
        assert_eq!(subflow["subflow"], true, "{subflow}");
        assert_eq!(subflow["pid"], pid, "{subflow}");
        assert_eq!(subflow["comm"], comm, "{subflow}");
        let ino = subflow["ino"].as_u64().expect("its socket has an inode");
        *sockets.entry(ino).or_insert(0) += 1;
    }
    assert!(sockets.values().all(|n| *n == 2), "{sockets:?}");
}
