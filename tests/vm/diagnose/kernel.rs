//! Limits of the kernel. Most of them are those of the whole machine.

use std::process::Command;
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::crowd::Crowd;
use crate::support::diagnosis::{Diagnosis, Looks, assert_is, assert_numbers, number};
use crate::support::netns::{HostSetting, Netns, first_namespace};
use crate::support::nstat::Counters;
use crate::support::raw::{Wire, peer_addr};
use crate::support::{scenario, scenario_where, ss, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("diagnosis_of_time_wait_without_room", timewait),
        scenario("diagnosis_of_too_many_orphans", orphans),
        scenario("diagnosis_of_memory_that_runs_out", memory),
        scenario_where(can_track, "diagnosis_of_a_full_conntrack_table", conntrack),
    ]
}

/// The only alarm: asserts that nobody is accused.
fn alarm<'a>(diagnosis: &'a Diagnosis, severity: &str) -> &'a Value {
    diagnosis.assert_alarms_only(&["kernel-limits"]);
    assert_eq!(diagnosis.of_rule("resets").len(), 0, "{diagnosis:#?}");
    let found = diagnosis.one("kernel-limits");
    assert_is(found, severity);
    assert_eq!(found["subject"]["pid"], Value::Null, "{found:#}");
    found
}

const BUCKETS: u64 = 5;
const CLOSED: u64 = 40;

/// Clients that close first, and servers that close first, of both families.
fn timewait() {
    let netns = Netns::new("nobuckets");
    tool::activate("");
    let mut crowd = Crowd::within(&netns);
    netns.sysctl("net.ipv4.tcp_max_tw_buckets", &BUCKETS.to_string());
    netns.run(|| {
        let (v4, v6) = (traffic::listen(traffic::V4), traffic::listen(traffic::V6));
        (0..CLOSED).for_each(|_| traffic::client_first(&v4));
        (0..CLOSED).for_each(|_| traffic::server_first(&v6));
    });
    let counter = "TcpExtTCPTimeWaitOverflow";
    traffic::until("all have ended", || {
        Counters::of(&netns.name).get(counter) == 2 * CLOSED - BUCKETS
    });

    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    let found = alarm(&diagnosis, "warning");
    let waiting = ss::table(Some(&netns.name));
    let waiting = waiting.iter().filter(|row| row.0 == "TIME_WAIT").count() as u64;
    let numbers = [
        ("ended_last_minute", 2 * CLOSED - BUCKETS),
        (counter, 2 * CLOSED - BUCKETS),
        ("tcp_max_tw_buckets", BUCKETS),
        ("timewait", waiting),
    ];
    assert_numbers(found, &numbers);
    tool::tcpstates(&["--deactivate"]);
}

/// Asserts that the kernel has ended as many as its own counter says; one more may end at any time.
fn assert_aborted(found: &Value, looks: &Looks) {
    assert!(number(found, "ended_last_minute") > 0, "{found:#}");
    looks.assert_between(found, "ended_last_minute", "TcpExtTCPAbortOnMemory");
}

const STUFFED: usize = 12;

/// A server closes connections whose clients do not read.
fn orphans() {
    let netns = Netns::new("orphans");
    tool::activate("");
    let mut crowd = Crowd::within(&netns);
    let limit = HostSetting::new("net.ipv4.tcp_max_orphans", "2");
    let clients = netns.run(|| {
        let listener = traffic::listen(traffic::V4);
        let (clients, servers): (Vec<_>, Vec<_>) =
            (0..STUFFED).map(|_| traffic::stuffed(&listener)).unzip();
        for server in servers {
            drop(server);
            // The kernel adds them up at most ten times per second.
            thread::sleep(Duration::from_millis(120));
        }
        clients
    });
    let (diagnosis, looks) = Diagnosis::and_looks(&netns, &mut crowd, "");
    let found = alarm(&diagnosis, "critical");
    assert_aborted(found, &looks);
    assert_numbers(found, &[("tcp_max_orphans", 2)]);
    drop((limit, clients));
    tool::tcpstates(&["--deactivate"]);
}

/// A server closes connections that have data to send when TCP has no memory left.
fn memory() {
    let netns = Netns::new("nomemory");
    tool::activate("");
    let mut crowd = Crowd::within(&netns);
    let clients = netns.run(|| {
        let listener = traffic::listen(traffic::V4);
        let (clients, servers): (Vec<_>, Vec<_>) =
            (0..STUFFED).map(|_| traffic::stuffed(&listener)).unzip();
        let limit = HostSetting::new("net.ipv4.tcp_mem", "1 2 3");
        drop((servers, limit));
        clients
    });
    let (diagnosis, looks) = Diagnosis::and_looks(&netns, &mut crowd, "");
    let found = alarm(&diagnosis, "critical");
    assert_aborted(found, &looks);
    let truth = first_namespace(&["sysctl", "-n", "net.ipv4.tcp_mem"]);
    let truth = truth.split_whitespace().last().expect("three numbers");
    assert_eq!(number(found, "tcp_mem_max_pages").to_string(), truth);
    drop(clients);
    tool::tcpstates(&["--deactivate"]);
}

/// Whether tracking works without a rule of a firewall.
fn can_track() -> bool {
    let mut modinfo = Command::new("modinfo");
    modinfo.args(["-F", "parm", "nf_conntrack"]);
    let output = modinfo.output().expect("kmod is installed");
    String::from_utf8_lossy(&output.stdout).contains("enable_hooks")
}

/// Connection tracking with its hooks in every namespace, until this is dropped.
struct Tracking;

impl Tracking {
    fn start() -> Self {
        modprobe(&["nf_conntrack", "enable_hooks=1"]);
        Self
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        modprobe(&["-r", "nf_conntrack"]);
    }
}

fn modprobe(args: &[&str]) {
    let output = Command::new("modprobe").args(args).output();
    let output = output.expect("kmod is installed");
    assert!(output.status.success(), "{args:?}: {output:?}");
}

fn tracked(netns: &Netns) -> u64 {
    let count = netns
        .sysctls(&["net.netfilter.nf_conntrack_count"])
        .concat();
    count.trim().parse().expect("a number")
}

const CALLS: u16 = 40;

/// The table is full: SYNs are dropped before they leave.
fn conntrack() {
    let _tracking = Tracking::start();
    let netns = Netns::new("tracked");
    let _wire = Wire::new(&netns);
    tool::activate("");
    let mut crowd = Crowd::within(&netns);
    let room = Diagnosis::of(&netns, &mut crowd, "");
    room.assert_alarms_only(&[]);
    let limit = HostSetting::new(
        "net.netfilter.nf_conntrack_max",
        &tracked(&netns).to_string(),
    );
    let calls: Vec<_> = netns.run(|| {
        let to = |n| (peer_addr(n % 2), 5432).into();
        (0..CALLS).map(|n| traffic::unanswered(to(n))).collect()
    });
    thread::sleep(Duration::from_secs(4));
    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    diagnosis.assert_alarms_only(&["conntrack-full", "syn-sent"]);
    let found = diagnosis.one("conntrack-full");
    let truth = first_namespace(&["sysctl", "-n", "net.netfilter.nf_conntrack_max"]);
    assert_eq!(number(found, "nf_conntrack_max").to_string(), truth.trim());
    assert!(number(found, "nf_conntrack_drop") > 0, "{found:#}");
    let unanswered = diagnosis.of_rule("syn-sent");
    assert_eq!(unanswered.len(), 2, "{diagnosis:#?}");
    for found in unanswered {
        let summary = found["summary"].as_str().expect("a text");
        assert!(summary.contains("tracked connections"), "{found:#}");
    }
    drop((calls, limit));
    tool::tcpstates(&["--deactivate"]);
}
