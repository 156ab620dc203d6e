//! Filters: what is recorded, and what is printed.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::netns::Netns;
use crate::support::tool::{self, Report};
use crate::support::{scenario, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario(
            "a_filter_keeps_the_same_for_recording_and_for_showing",
            same_both_ways,
        ),
        scenario("min_ms_keeps_only_what_lasted", min_ms),
        scenario("what_does_not_exist_is_warned_of", warnings),
    ]
}

/// Connections that differ in everything that a filter can test; returns the ports of two listeners
/// and the namespace's inode.
fn workload(netns: &Netns) -> (u16, u16, u16) {
    let (one, two) = (traffic::listen(traffic::V4), traffic::listen(traffic::V6));
    for _ in 0..10 {
        traffic::client_first(&one);
        traffic::client_first(&two);
    }
    let three = netns.run(|| {
        let listener = traffic::listen(traffic::V4);
        traffic::server_first(&listener);
        listener.local_addr().expect("bound").port()
    });
    let port = |l: &std::net::TcpListener| l.local_addr().expect("bound").port();
    (port(&one), port(&two), three)
}

/// A transition at one of the ports, without the values that differ between two runs. `None` for
/// transitions of an earlier workload, whose TIME_WAITs end in the meantime on a slow machine.
fn shape(record: &Value, ports: (u16, u16, u16)) -> Option<String> {
    let which = |name: &str| {
        let port = record.get(name)?.as_u64().expect("a number");
        let known = [ports.0, ports.1, ports.2].map(u64::from);
        known.iter().position(|listener| *listener == port)
    };
    let (lport, rport) = (which("lport"), which("rport"));
    lport.or(rport)?;
    let [netns, family, laddr, raddr, old, new] =
        ["netns", "family", "laddr", "raddr", "old", "new"].map(|name| &record[name]);
    Some(format!(
        "{netns} {family} {laddr}:{lport:?} {raddr}:{rport:?} {old} {new}"
    ))
}

fn shapes(report: &Report, ports: (u16, u16, u16)) -> Vec<String> {
    let transitions = report.transitions.iter();
    let mut shapes: Vec<_> = transitions.filter_map(|r| shape(r, ports)).collect();
    shapes.sort();
    shapes
}

/// Each filter is applied once by the module, while recording, and once by the controller, to a
/// recording without a filter: the results must be equal.
fn same_both_ways() {
    let netns = Netns::new("filtered");
    let inode = format!("netns={}", netns.inode());
    let filters = [
        "addr=127.0.0.0/8",
        "addr=!127.0.0.1",
        "laddr=::1",
        "raddr=127.0.0.1|::1",
        "family=6",
        "family=4",
        &inode,
        "netns=filtered",
        "addr=10.0.0.0/8",
        "port=1-65535,family=6",
        "rport=!1-65535",
    ];
    for filter in filters {
        tool::activate(filter);
        let ports = workload(&netns);
        let recorded = tool::report("transitions=1");
        let recorded_shapes = shapes(&recorded, ports);
        recorded.assert_totals_balance();
        assert_eq!(recorded.number("/too_short"), 0);

        tool::activate("");
        let ports = workload(&netns);
        let shown = tool::report(&format!("transitions=1 {filter}"));
        assert_eq!(shown.number("/filtered"), 0);
        assert_eq!(shapes(&shown, ports), recorded_shapes, "{filter}");
        let all = shown.number("/recorded");
        let some = recorded_shapes.len() as u64;
        assert!(some < all, "{filter} kept everything");
        assert_eq!(
            some == 0,
            filter == "addr=10.0.0.0/8",
            "{filter} kept {some} of {all}"
        );
    }
    by_port(&netns);
    tool::end();
}

/// By the port of one of the listeners, which is known only once it listens.
fn by_port(netns: &Netns) {
    let listener = traffic::listen(traffic::V4);
    let port = listener.local_addr().expect("bound").port();
    tool::activate(&format!("rport={port}"));
    traffic::client_first(&listener);
    workload(netns);
    let report = tool::report("transitions=1");
    assert_eq!(
        report.transitions.len(),
        5,
        "the client's side: {:?}",
        report.transitions
    );
    assert!(report.transitions.iter().all(|r| r["rport"] == port));
    // Live connections and totals cover all connections, not only those of the filter.
    let live = tool::report("connections=1 transitions=0 peek=1").connections;
    assert!(
        live.iter()
            .any(|c| c["state"] == "LISTEN" && c["lport"] == port)
    );
}

fn min_ms() {
    // On a busy host a FIN may wait 200 ms for its ACK: FIN_WAIT1 then lasts that long.
    tool::activate_here("min-ms=300");
    let listener = traffic::listen(traffic::V4);
    traffic::to_their_end(|| {
        for _ in 0..10 {
            traffic::client_first(&listener);
        }
        traffic::half_closed(&listener, 5, Duration::from_millis(700));
    });
    let report = tool::report("transitions=1");
    let known: Vec<_> = report
        .transitions
        .iter()
        .filter(|r| r.get("in_old_ns").is_some())
        .collect();
    assert_eq!(
        known.len(),
        10,
        "FIN_WAIT2 and CLOSE_WAIT of five connections: {known:#?}"
    );
    for record in &known {
        assert!(
            record["in_old_ns"].as_u64().expect("a number") >= 300_000_000,
            "{record}"
        );
        assert!(
            record["old"] == "FIN_WAIT2" || record["old"] == "CLOSE_WAIT",
            "{record}"
        );
    }
    assert!(report.number("/too_short") > 50);
    report.assert_totals_balance();
    tool::end();
}

/// The warnings of a report with these keys, which succeeds.
fn warnings_of(keys: &str) -> Vec<String> {
    let outcome = tool::run(&["tcpstates", &format!("--report=peek=1 {keys}")]);
    assert_eq!(outcome.status, 0, "{keys}: {outcome:?}");
    let warnings = outcome.stderr.lines().filter(|l| l.contains("warning: "));
    warnings.map(str::to_owned).collect()
}

/// Addresses come and go with `ip`, namespaces with their processes.
fn warnings() {
    const NONE: [String; 0] = [];
    let netns = Netns::new("there");
    let inode = netns.inode();
    tool::activate("");
    assert_eq!(warnings_of(&format!("netns={inode}")), NONE);
    assert_eq!(warnings_of("netns=there"), NONE);
    for (keys, words) in [
        ("netns=1", "netns=1: no process and no name"),
        (
            "laddr=10.77.0.2",
            "laddr=10.77.0.2: no interface of this host",
        ),
        (
            "netns=there laddr=10.77.0.2",
            "no interface of network namespace",
        ),
    ] {
        let warnings = warnings_of(keys);
        assert_eq!(warnings.len(), 1, "{keys}: {warnings:?}");
        assert!(warnings[0].contains(words), "{warnings:?}");
    }
    let pid = std::process::id();
    let advice = format!("write netns=pid:{pid}");
    assert!(warnings_of(&format!("netns={pid}"))[0].contains(&advice));
    assert_eq!(warnings_of(&format!("netns=pid:{pid}")), NONE);

    netns.ip(&["addr", "add", "10.77.0.2/32", "dev", "lo"]);
    for keys in [
        "laddr=10.77.0.2",
        "netns=there laddr=10.77.0.2",
        "raddr=10.77.0.3",
    ] {
        assert_eq!(warnings_of(keys), NONE, "{keys}");
    }
    assert_eq!(warnings_of("laddr=10.77.0.3").len(), 1);
    netns.ip(&["addr", "del", "10.77.0.2/32", "dev", "lo"]);
    assert_eq!(warnings_of("laddr=10.77.0.2").len(), 1);
    let held = netns.open();
    drop(netns);
    // A descriptor keeps the namespace, but no process is in it, and no name leads to it.
    assert_eq!(warnings_of(&format!("netns={inode}")).len(), 1);
    drop(held);
    tool::end();
}
