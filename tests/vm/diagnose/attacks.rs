//! Attacks on a web server with little traffic, and too many connections from one peer.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use super::begin;
use crate::support::crowd::{self, Crowd};
use crate::support::diagnosis::{
    Diagnosis, assert_about, assert_by, assert_is, assert_numbers, assert_peers, number,
};
use crate::support::link::{FAR, Link, NEAR};
use crate::support::nginx::Nginx;
use crate::support::process::{Line, Process};
use crate::support::program::Program;
use crate::support::{guest, scenario, ss, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("diagnosis_of_slow_bodies", || {
            slow(0, "body", "-B", "/form")
        }),
        scenario("diagnosis_of_slow_headers", || {
            slow(1, "headers", "-H", "/")
        }),
        scenario("diagnosis_of_slow_reads", || slow(2, "read", "-X", "/big")),
        scenario("diagnosis_of_crowded_pairs", pairs),
    ]
}

/// Connections of an attack: fewer on a machine where each takes long, so that the first ones still
/// exist when the last ones are opened.
fn attack() -> u64 {
    if guest::sanitizer().is_some() {
        500
    } else {
        1000
    }
}

/// Time limit from the start of an attack until it is reported, on a machine that has all
/// connections by [`EARLIEST`]. A slower machine gets the same delay in addition, and one that
/// checks each access still more.
const PATIENCE: Duration = Duration::from_secs(30);
/// Attacks start one after the other: the machine must find each one while it runs the other
/// scenarios, but not all the attacks at once.
const APART: Duration = Duration::from_secs(24);
/// Before this there is nothing to find: clients that are only slow look the same.
const EARLIEST: Duration = Duration::from_secs(12);

fn slow(turn: u32, what: &str, mode: &str, path: &str) {
    let rule = format!("slow-{what}");
    let link = Link::new(&format!("{what}near"), &format!("{what}far"));
    let mut nginx = Nginx::start(&link.far, FAR);
    begin();
    let mut crowd = Crowd::of(&link, nginx.addr);
    let url = nginx.url(path);
    thread::sleep(APART * turn);
    let began = Instant::now();
    let [count, a_second] = [attack(), attack() / 5].map(|n| n.to_string());
    let attack_by = [
        "slowhttptest",
        mode,
        "-u",
        &url,
        "-c",
        &count,
        "-r",
        &a_second,
    ];
    let mut attacker = Program::start(&link.near, &attack_by);
    // Most of the attack's connections, and the healthy ones.
    let complete = attack() * 4 / 5 + crowd::CONNECTIONS as u64;
    thread::sleep(EARLIEST);
    traffic::within(Duration::from_secs(60), "the attack is complete", || {
        established(&link) >= complete
    });
    let later = began.elapsed().div_duration_f64(EARLIEST);
    let patience = guest::slowed(PATIENCE).mul_f64(later);
    let (diagnosis, established, asked) = loop {
        let asked = began.elapsed();
        let before = established(&link);
        let diagnosis = Diagnosis::of(&link.far, &mut crowd, "");
        if !diagnosis.of_rule(&rule).is_empty() {
            break (diagnosis, before.min(established(&link)), asked);
        }
        attacker.assert_runs();
        assert!(asked < patience, "not found yet: {diagnosis:#?}");
    };
    let told = diagnosis.2.duration_since(began);
    println!("{rule}: asked after {asked:?}, told after {told:?}; {established} connections");
    assert!(
        told < patience,
        "found after {told:?}, {patience:?} are allowed"
    );
    let found = diagnosis.one(&rule);
    diagnosis.assert_alarms_only(&[&rule, "pair-threshold"]);
    for other in ["slow-body", "slow-headers", "slow-read", "slow-request"] {
        assert!(
            other == rule || diagnosis.of_rule(other).is_empty(),
            "{other}"
        );
    }
    assert_about(found, "laddr", FAR.to_string());
    assert_about(found, "lport", nginx.addr.port());
    assert_by(found, "nginx", nginx.pids()[1]);
    let attacking = number(found, "connections");
    assert_peers(found, &[(NEAR.to_string(), attacking)]);
    // By now nginx has closed some old connections.
    let healthy = crowd::CONNECTIONS as u64;
    let told = number(found, "established");
    assert!(established <= told, "{established}: {found:#}");
    assert!(attacking + healthy <= told, "{found:#}");
}

/// ESTABLISHED connections at the far end.
fn established(link: &Link) -> u64 {
    let rows = ss::table(Some(&link.far.name));
    rows.iter().filter(|row| row.0 == "ESTABLISHED").count() as u64
}

/// More than the default of `threshold`.
const MANY: u64 = 600;
/// Address of the pool's server.
const POOL: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
/// A connection is idle after this time without data.
const IDLE: &str = "[dead-peers]\nidle-s = 17\nidle-count = 400\n";
const LASTS: Duration = Duration::from_secs(20);

/// A pool of connections that are used must be told apart from connections on which nothing is ever
/// sent.
fn pairs() {
    begin();
    let link = Link::new("pairnear", "pairfar");
    link.lend("10.78.0.0/16");
    let mut crowd = Crowd::across(&link);
    let (popular, to_popular) = crowd::start_server(&link.far, c"popular", FAR);
    let (occupied, to_occupied) = crowd::start_server(&link.far, c"occupied", FAR);
    let mut pool = Process::named(&link.near, c"pool", move |line| pool(line, to_popular));
    let mut mute = Process::named(&link.near, c"mute", move |line| mutes(line, to_occupied));
    pool.line.hear();
    mute.line.hear();
    thread::sleep(LASTS);

    let limits = "/tmp/idle.toml";
    fs::write(limits, IDLE).expect("a file");
    let diagnosis = Diagnosis::of(&link.far, &mut crowd, &format!("config={limits}"));
    diagnosis.assert_alarms_only(&["pair-threshold", "silent-connections"]);
    assert_pairs(
        &diagnosis,
        "raddr",
        ("popular", &popular),
        ("occupied", &occupied),
    );
    let silent = diagnosis.one("silent-connections");
    assert_is(silent, "critical");
    assert_about(silent, "laddr", FAR.to_string());
    assert_about(silent, "lport", to_occupied.port());
    assert_by(silent, "occupied", occupied.pid());
    assert_peers(silent, &[(NEAR.to_string(), MANY)]);
    assert_numbers(silent, &[("connections", MANY), ("established", MANY)]);
    for (comm, server) in [("popular", &popular), ("occupied", &occupied)] {
        let idle = diagnosis.about("dead-peers", "comm", comm);
        assert_is(idle, "info");
        assert_by(idle, comm, server.pid());
        assert_numbers(idle, &[("connections", MANY)]);
    }

    let diagnosis = Diagnosis::of(&link.near, &mut crowd, "");
    diagnosis.assert_alarms_only(&["pair-threshold"]);
    assert_pairs(&diagnosis, "laddr", ("pool", &pool), ("mute", &mute));
}

/// The pool is information, the other pair is worse; seen from one end, which these processes
/// belong to. The client's address is at that key.
fn assert_pairs(diagnosis: &Diagnosis, key: &str, pool: (&str, &Process), mute: (&str, &Process)) {
    let clients = [
        (POOL.to_string(), "info", 0, pool),
        (NEAR.to_string(), "warning", MANY, mute),
    ];
    assert_eq!(diagnosis.of_rule("pair-threshold").len(), clients.len());
    for (client, severity, unused, (comm, process)) in clients {
        let found = diagnosis.about("pair-threshold", key, client);
        assert_is(found, severity);
        assert_by(found, comm, process.pid());
        let numbers = [
            ("connections", MANY),
            ("established", MANY),
            ("peak", MANY),
            ("threshold", 500),
            ("unused", unused),
        ];
        assert_numbers(found, &numbers);
    }
}

fn pool(mut line: Line, to: SocketAddr) {
    let mut pool: Vec<_> = (0..MANY).map(|_| traffic::connect_from(POOL, to)).collect();
    pool.iter_mut().for_each(crowd::ask);
    line.tell(&[]);
    line.hear();
}

fn mutes(mut line: Line, to: SocketAddr) {
    let connect = |_| TcpStream::connect(to).expect("connect");
    let mutes: Vec<_> = (0..MANY).map(connect).collect();
    line.tell(&[]);
    line.hear();
    drop(mutes);
}
