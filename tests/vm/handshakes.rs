//! Half-open requests: how long a handshake takes, how many there are, and what happens to those
//! that are never answered.

use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::live;
use crate::support::life::{self, Life};
use crate::support::link::{FAR, Link};
use crate::support::netns::{self, Netns};
use crate::support::raw::{HOST, Peer, Wire, peer_addr};
use crate::support::segment::{ACK, SYN};
use crate::support::{guest, scenario, ss, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![scenario(
        "handshake_lasts_as_long_as_the_link_makes_it",
        handshake_time,
    )]
}

/// Scenario that runs in parallel with others: see `waits`.
pub fn waits() -> Trial {
    scenario(
        "half_open_requests_equal_ss_and_expire_with_a_reason",
        unanswered,
    )
}

/// One-way delay of the link.
const DELAY: Duration = Duration::from_millis(200);
/// Allowed difference between the tool and the kernel's own measurement.
const TOLERANCE: Duration = Duration::from_millis(20);

/// Round-trip times from SYN to SYN-ACK as the kernel measured them.
fn connect_slowly(to: SocketAddr, count: usize) -> Vec<(TcpStream, Duration, Duration)> {
    let connect = || {
        let began = Instant::now();
        let stream = TcpStream::connect(to).expect("connect");
        let took = began.elapsed();
        let rtt = u64::from(traffic::tcp_info(&stream).tcpi_rtt);
        (stream, took, Duration::from_micros(rtt))
    };
    (0..count).map(|_| connect()).collect()
}

fn handshake_time() {
    let link = Link::new("client", "server");
    let listener = link.far.run(|| traffic::listen(FAR));
    // The first connection resolves the neighbour's address; later ones need not.
    let to = listener.local_addr().expect("bound");
    link.near.run(|| traffic::pair(&listener));
    link.delay("200ms");
    tool::activate("");
    let clients = link.near.run(|| connect_slowly(to, 5));
    // The last ACKs have arrived as well.
    let _servers: Vec<_> = clients
        .iter()
        .map(|_| listener.accept().expect("accept"))
        .collect();
    let report = tool::report("transitions=1");
    for (client, took, rtt) in &clients {
        assert!(*took >= DELAY && *rtt >= DELAY, "{took:?} {rtt:?}");
        let port = client.local_addr().expect("bound").port();
        let server = life::life(&report.transitions, to.port(), port);
        let record = server.step("SYN_RECV", "ESTABLISHED");
        assert_eq!(record["in_old_exact"], true, "{record}");
        assert_near(record, *rtt);
        // And the process has not seen it before the kernel.
        let told = Duration::from_nanos(record["in_old_ns"].as_u64().expect("a time"));
        assert!(
            told < *took + guest::slowed(TOLERANCE),
            "{told:?}, connect() {took:?}"
        );
        let client = life::life(&report.transitions, port, to.port());
        assert_near(client.step("SYN_SENT", "ESTABLISHED"), *rtt);
    }
    tool::end();
}

fn assert_near(record: &Value, truth: Duration) {
    let told = Duration::from_nanos(record["in_old_ns"].as_u64().expect("a known time"));
    assert!(
        told.abs_diff(truth) <= guest::slowed(TOLERANCE),
        "told {told:?}, measured {truth:?}: {record}"
    );
}

/// All of them exist before the first one expires.
fn syns() -> u16 {
    2000 / guest::share() as u16
}

/// Enough that a busy host has the time to read all of them.
const RETRIES: u8 = 4;

/// A namespace for half-open requests: without cookies, and with long queues. Each SYN-ACK is
/// retransmitted this often.
pub fn patient(name: &str, retries: u8) -> Netns {
    let netns = Netns::new(name);
    for (sysctl, value) in [
        ("net.ipv4.tcp_max_syn_backlog", "16384"),
        ("net.core.somaxconn", "8192"),
        ("net.ipv4.tcp_synack_retries", &retries.to_string()),
    ] {
        netns.sysctl(sysctl, value);
    }
    // A kernel may be built without it.
    let cookies = "net.ipv4.tcp_syncookies";
    if netns::has_sysctl(cookies) {
        netns.sysctl(cookies, "0");
    }
    netns
}

/// SYNs from addresses that do not exist: the kernel answers each, retransmits after 1, 3, 7 and 15
/// seconds, and gives up after 31.
fn unanswered() {
    let netns = patient("flooded", RETRIES);
    let wire = Wire::new(&netns);
    let listener = netns.run(|| traffic::listen_with_backlog(HOST, 4096));
    let SocketAddr::V4(to) = listener.local_addr().expect("bound") else {
        panic!("HOST is an IPv4 address");
    };
    tool::activate_beside();
    for number in 0..syns() {
        // From several addresses, and no more than fit into the queue of the wire.
        let from = SocketAddrV4::new(peer_addr(number / 100), 20000 + number);
        Peer::new(&wire, from, to).send(SYN);
    }
    let mut answers = wire.drain(Duration::from_millis(100));
    assert_live(&netns, "SYN_RECV", usize::from(syns()));

    let limit = Instant::now() + Duration::from_secs(90);
    while ss::table(Some(&netns.name)).len() > 1 {
        assert!(Instant::now() < limit, "requests do not expire");
        answers.extend(wire.drain(Duration::from_millis(100)));
    }
    answers.extend(wire.drain(Duration::from_millis(100)));
    let synacks = count_synacks(&answers);
    assert_eq!(synacks.len(), usize::from(syns()));
    assert_expired(&netns, to.port(), &synacks);
}

/// Number of SYN-ACKs that arrived at each port.
fn count_synacks(answers: &[crate::support::segment::Segment]) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        assert_eq!(answer.flags & (SYN | ACK), SYN | ACK, "{answer:?}");
        *counts.entry(answer.to.port()).or_insert(0) += 1;
    }
    counts
}

/// Asserts that `ss` shows this number of sockets of the namespace in a state, and that the tool
/// shows the same sockets.
fn assert_live(netns: &Netns, state: &str, count: usize) {
    let mut truth: Vec<_> = ss::table(Some(&netns.name));
    truth.retain(|row| row.0 == state);
    assert_eq!(truth.len(), count, "{state} made");
    let inode = netns.inode();
    let report = tool::report(&format!(
        "peek=1 transitions=0 connections=1 netns={inode} state={state}"
    ));
    let mut told: Vec<_> = report.connections.iter().map(live::row).collect();
    truth.sort();
    told.sort();
    assert!(truth == told, "{} told of {count}", told.len());
}

/// Each request has one life: as long as its SYN-ACKs take, and with the number of them that was
/// seen on the wire.
fn assert_expired(netns: &Netns, port: u16, synacks: &BTreeMap<u16, u64>) {
    let inode = netns.inode();
    let report = tool::report(&format!("peek=1 transitions=1 netns={inode}"));
    let expired: Vec<_> = life::lives(&report.transitions)
        .into_iter()
        .filter(|l| l.first()["old"] == "NEW")
        .collect();
    assert_eq!(expired.len(), synacks.len());
    for life in &expired {
        assert_is_expired(life, port, synacks[&life.port("rport")]);
    }
    // No scenario in parallel with this one has requests that expire.
    assert_eq!(report.number("/handshakes/expired"), u64::from(syns()));
    let left = live::assert_same(Some(&netns.name), inode);
    assert_eq!(left, BTreeMap::from([("LISTEN".to_owned(), 1)]));
}

fn assert_is_expired(life: &Life, port: u16, synacks: u64) {
    life.assert_is(&[("NEW", ""), ("SYN_RECV", ""), ("CLOSE", "timeout_syn")]);
    let (first, last) = (life.first(), life.last());
    for record in [first, last] {
        assert_eq!(record["lport"], port, "{record}");
        assert_eq!(record["laddr"], HOST.to_string(), "{record}");
        assert_eq!(record["listener_port"], port, "{record}");
        assert_eq!(record["listener_addr"], HOST.to_string(), "{record}");
        assert_eq!(record["role"], "server", "{record}");
        assert!(record.get("pid").is_none(), "nobody accepted it: {record}");
    }
    assert_eq!(last["synacks"], synacks, "{last}");
    assert_eq!(synacks, u64::from(RETRIES) + 1, "{last}");
    let lasted = last["in_old_ns"].as_u64().expect("a known time");
    assert!((30_900_000_000..36_000_000_000).contains(&lasted), "{last}");
}
