//! SYN floods by hping3, at a listener that healthy clients also use.

use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::crowd::{self, Crowd};
use crate::support::diagnosis::{
    Diagnosis, Looks, assert_about, assert_by, assert_is, assert_peers, limit_if_slow, number,
};
use crate::support::link::{FAR, Link};
use crate::support::netns::Netns;
use crate::support::nstat::Counters;
use crate::support::program::Program;
use crate::support::{guest, scenario, ss, tool};

/// An address that no host has: a sender that floods from its own address drops the answers.
const ATTACKER: &str = "10.66.0.1";
const FROM_ONE: &[&str] = &["-a", ATTACKER];
const SPOOFED: &[&str] = &["--rand-source"];

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("diagnosis_of_a_flood_from_one_source_with_cookies", || {
            flood(FROM_ONE, true);
        }),
        scenario("diagnosis_of_a_spoofed_flood_with_cookies", || {
            flood(SPOOFED, true);
        }),
        scenario(
            "diagnosis_of_a_flood_from_one_source_without_cookies",
            || {
                flood(FROM_ONE, false);
            },
        ),
        scenario("diagnosis_of_a_spoofed_flood_without_cookies", || {
            flood(SPOOFED, false);
        }),
    ]
}

/// Handshakes started per second: what the slowest emulated machine can do.
fn least() -> u64 {
    match guest::sanitizer() {
        Some(_) => 200,
        None => 1000,
    }
}

const LASTS: Duration = Duration::from_secs(20);

/// A listener under a flood, with healthy clients beside it.
fn flood(sources: &[&str], cookies: bool) {
    let link = Link::new("floodnear", "floodfar");
    // Answers to spoofed sources leave the host.
    link.lead_away();
    link.far
        .sysctl("net.ipv4.tcp_syncookies", if cookies { "1" } else { "0" });
    // On a machine that checks each access, the rate of the default limit can hardly be reached.
    tool::activate(match guest::sanitizer() {
        Some(_) => "unfinished=50",
        None => "",
    });
    let (mut server, to) = crowd::start_server(&link.far, c"flooded", FAR);
    let mut crowd = Crowd::of(&link, to);
    let before = syns(&link.far);
    let port = to.port().to_string();
    let target = FAR.to_string();
    let attack = [
        &["hping3", "-q", "-S", "--flood", "-p", &port],
        sources,
        &[&target],
    ]
    .concat();
    let began = Instant::now();
    let mut attacker = Program::start(&link.near, &attack);
    thread::sleep(LASTS / 2);

    let (found, looks) = found(&link.far, &mut crowd);
    // With cookies, other clients are still served.
    assert_is(&found, if cookies { "warning" } else { "critical" });
    assert_about(&found, "laddr", FAR.to_string());
    assert_about(&found, "lport", to.port());
    assert_by(&found, "flooded", server.pid());
    assert_sources(&found, sources);
    assert_numbers(&found, &looks, cookies);

    thread::sleep(LASTS.saturating_sub(began.elapsed()));
    attacker.assert_runs();
    let rate = (syns(&link.far) - before) as f64 / began.elapsed().as_secs_f64();
    let peak = number(&found, "unfinished_peak");
    println!("{sources:?}, cookies {cookies}: {rate:.0} SYNs a second, at most {peak}");
    drop(attacker);
    // After the end of the flood, the numbers are exact.
    thread::sleep(Duration::from_secs(1));
    let (found, looks) = self::found(&link.far, &mut crowd);
    COUNTERS.iter().for_each(|name| looks.assert_still(name));
    assert_numbers(&found, &looks, cookies);
    server.assert_runs();
    tool::tcpstates(&["--deactivate"]);
}

/// The finding, and the namespace's counters before and after it.
fn found(netns: &Netns, crowd: &mut Crowd) -> (Value, Looks) {
    let keys = limit_if_slow("syn-flood", "unfinished = 50");
    let before = half_open(netns);
    let (diagnosis, looks) = Diagnosis::and_looks(netns, crowd, &keys);
    let after = half_open(netns);
    diagnosis.assert_alarms_only(&["syn-flood", "half-open-full", "pair-threshold"]);
    let found = diagnosis.one("syn-flood");
    let peak = number(found, "half_open_peak");
    // Where `ss` is slow, requests end after it has read them and others start before it reads
    // them.
    let passed_by = guest::sanitizer().map_or(0, |_| peak / 100);
    let shown = before.max(after);
    assert!(shown <= peak + passed_by, "{before}, {after}: {found:#}");
    (found.clone(), looks)
}

/// Segments that the namespace received; almost all are SYNs.
fn syns(netns: &Netns) -> u64 {
    Counters::of(&netns.name).get("TcpInSegs")
}

/// A single source is named, spoofed ones are not.
fn assert_sources(found: &Value, sources: &[&str]) {
    let half_open = number(found, "half_open");
    let peers = &found["subject"]["peers"];
    match (sources == FROM_ONE, guest::sanitizer()) {
        (false, _) => assert_peers(found, &[]),
        (true, None) => assert_peers(found, &[(ATTACKER.to_owned(), half_open)]),
        // Requests end between the reading of the listener's counter and of the peers'.
        (true, Some(_)) => {
            assert_eq!(peers.as_array().map(Vec::len), Some(1), "{found:#}");
            assert_eq!(peers[0]["addr"], ATTACKER, "{found:#}");
            let count = peers[0]["count"].as_u64().expect("a count");
            let peak = number(found, "half_open_peak");
            assert!((1..=peak).contains(&count), "{found:#}");
        }
    }
}

/// Counters of SYNs that create no request.
const COUNTERS: [&str; 3] = [
    "TcpExtTCPReqQFullDrop",
    "TcpExtTCPReqQFullDoCookies",
    "TcpExtListenDrops",
];

fn assert_numbers(found: &Value, looks: &Looks, cookies: bool) {
    looks.assert_between(found, "syn_queue_full", "TcpExtTCPReqQFullDrop");
    looks.assert_between(found, "cookies_sent", "TcpExtTCPReqQFullDoCookies");
    looks.assert_between(found, "cookies_sent", "TcpExtSyncookiesSent");
    assert_eq!(number(found, "cookies_sent") > 0, cookies, "{found:#}");
    let limit = number(found, "half_open_limit");
    // Some kernels keep one request more.
    assert!(number(found, "half_open_peak") <= limit + 1, "{found:#}");
    assert!(number(found, "unfinished_peak") >= least(), "{found:#}");
}

/// Half-open requests of a namespace, according to `ss`.
fn half_open(netns: &Netns) -> u64 {
    let rows = ss::table(Some(&netns.name));
    rows.iter().filter(|row| row.0 == "SYN_RECV").count() as u64
}
