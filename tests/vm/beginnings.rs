//! Recordings that start and end while connections are opened and closed.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::netns::Netns;
use crate::support::tool::{self, Report};
use crate::support::{is_quick, scenario, traffic};

pub fn trials() -> Vec<Trial> {
    vec![scenario(
        "a_recording_that_begins_under_churn_tells_no_false_end",
        begin_under_churn,
    )]
}

/// Connections that the client closes first, one after the other, until stopped.
fn churn(listener: &TcpListener, stop: &AtomicBool) -> u64 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        traffic::client_first(listener);
        thread::sleep(Duration::from_millis(1));
        count += 1;
    }
    count
}

/// Ports that identify a connection: no port of a client is used twice here.
type Ends = (u64, u64);

fn ends(value: &Value) -> Ends {
    let port = |name: &str| value[name].as_u64().expect("a port");
    (port("lport"), port("rport"))
}

/// How long a TIME_WAIT lasts, less the rounding of the kernel's timers.
const TIME_WAIT: Duration = Duration::from_millis(59_900);

/// A connection's id and its last state.
type Known = BTreeMap<Ends, (u64, Value)>;

/// Another connection with the same ports may start only when the previous one has ended.
fn assert_one_id(known: &Known, value: &Value) -> u64 {
    let id = value["conn"].as_u64();
    let id = id.unwrap_or_else(|| panic!("of no connection: {value}"));
    if let Some((before, state)) = known.get(&ends(value)) {
        assert!(*before == id || state == "CLOSE", "not {before}: {value}");
    }
    id
}

/// Each connection has one id, its states follow each other without a gap, and TIME_WAIT does not
/// end before its minute has passed.
fn assert_true(report: &Report, netns: u64) {
    let is_ours = |value: &&Value| value["netns"] == netns && value["state"] != "LISTEN";
    let mut known = Known::new();
    for step in report.transitions.iter().filter(is_ours) {
        let id = assert_one_id(&known, step);
        if let Some((before, state)) = known.get(&ends(step)) {
            assert!(*before != id || state == &step["old"], "a gap: {step}");
        }
        known.insert(ends(step), (id, step["new"].clone()));
        if step["new"] != "CLOSE" {
            continue;
        }
        let lasted = Duration::from_nanos(step["in_old_ns"].as_u64().unwrap_or(0));
        let is_over = step["old"] == "TIME_WAIT" && lasted >= TIME_WAIT;
        assert!(is_over || step["old"] == "LAST_ACK", "a false end: {step}");
    }
    for conn in report.connections.iter().filter(is_ours) {
        assert_one_id(&known, conn);
    }
    assert!(
        known.len() > 10,
        "hardly anything was seen: {}",
        report.summary
    );
}

/// No TIME_WAIT ends before its minute has passed or through a new connection; no connection starts
/// twice.
fn begin_under_churn() {
    let rounds = if is_quick() { 2 } else { 6 };
    let netns = Netns::new("beginnings");
    netns.sysctl("net.ipv4.tcp_max_tw_buckets", "262144");
    netns.sysctl("net.ipv4.ip_local_port_range", "1024 65000");
    tool::fresh();
    let stop = AtomicBool::new(false);
    let (a, b) = netns.run(|| (traffic::listen(traffic::V4), traffic::listen(traffic::V4)));
    let start = Instant::now();
    thread::scope(|scope| {
        let stopping = traffic::Stop(&stop);
        let churns: Vec<_> = [&a, &b]
            .map(|listener| scope.spawn(|| netns.run(|| churn(listener, &stop))))
            .into_iter()
            .collect();
        // So that there are many sockets to find.
        thread::sleep(Duration::from_secs(3));
        for round in 0..rounds {
            let hook = ["tracepoint", "kprobe"][round % 2];
            tool::tcpstates(&[&format!("--activate=hook={hook} ring=65536")]);
            // Some connections that were found end, and new ones start.
            thread::sleep(Duration::from_millis(500));
            let report = tool::report("transitions=1 connections=1");
            assert_true(&report, netns.inode());
            for counter in [
                "/unmatched",
                "/untracked",
                "/lost/stale",
                "/lost/kprobe_missed",
            ] {
                assert_eq!(report.number(counter), 0, "{hook}: {counter}");
            }
            report.assert_totals_balance();
            if round + 1 < rounds {
                tool::tcpstates(&["--deactivate"]);
            }
        }
        drop(stopping);
        let made: u64 = churns.into_iter().map(|c| c.join().expect("churn")).sum();
        println!("{made} connections in {:?}", start.elapsed());
        assert!(made > 200, "only {made} connections came and went");
    });
    // The tool shows all sockets that ss shows, and no others.
    tool::end();
}
