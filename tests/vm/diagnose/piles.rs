//! Connections that accumulate in a state because one end does not do its part.

use std::ffi::CStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use super::begin;
use crate::support::crowd::{self, Crowd};
use crate::support::diagnosis::{
    Diagnosis, assert_about, assert_by, assert_is, assert_numbers, assert_peers,
};
use crate::support::link::{FAR, Link, NEAR};
use crate::support::netns::Netns;
use crate::support::process::{Line, Process};
use crate::support::raw::{Wire, peer_addr};
use crate::support::{guest, scenario, ss, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("diagnosis_of_a_server_that_never_closes", never_closes),
        scenario("diagnosis_of_local_ports_that_run_out", ports),
        scenario("diagnosis_of_clients_that_vanish", vanish),
        scenario("diagnosis_of_calls_without_an_answer", unanswered),
    ]
}

/// Time limit for steps that are fast, except beside attacks on an emulated machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the namespace has this number of sockets in the state, according to `ss`.
fn wait_for(netns: &Netns, state: &str, count: u64) {
    traffic::within(PATIENCE, state, || {
        let rows = ss::table(Some(&netns.name));
        rows.iter().filter(|row| row.0 == state).count() as u64 == count
    });
}

/// Commands for a server: what to do with its connections.
const SEND: u64 = 1;
const CLOSE: u64 = 2;

/// Listens, sends its port, accepts `connections` connections, then executes commands.
fn hold(mut line: Line, connections: u64) {
    let listener = traffic::listen_at(SocketAddr::new(FAR, 0), 1024);
    line.tell(&[listener.local_addr().expect("bound").port().into()]);
    let accept = |_| listener.accept().expect("accept").0;
    let mut held: Vec<_> = (0..connections).map(accept).collect();
    loop {
        line.tell(&[]);
        for order in line.hear() {
            match order {
                SEND => held.iter_mut().for_each(say_something),
                CLOSE => held.clear(),
                other => panic!("what is {other}?"),
            }
        }
    }
}

fn say_something(stream: &mut TcpStream) {
    stream.write_all(&[b'x'; 4096]).expect("write");
}

/// A server process that holds connections, and its address.
struct Server {
    name: &'static CStr,
    process: Process,
    addr: SocketAddr,
}

impl Server {
    fn start(netns: &Netns, name: &'static CStr, connections: u64) -> Self {
        let mut process = Process::named(netns, name, move |line| hold(line, connections));
        let port = u16::try_from(process.line.hear()[0]).expect("a port");
        Self {
            name,
            process,
            addr: SocketAddr::new(FAR, port),
        }
    }

    /// Waits until it has accepted all, or has executed a command.
    fn wait(&mut self) {
        self.process.line.hear();
    }

    fn order(&mut self, orders: &[u64]) {
        self.process.line.tell(orders);
        self.wait();
    }

    /// Asserts that the finding is about this server.
    fn assert_in(&self, found: &Value) {
        let name = self.name.to_str().expect("ASCII");
        assert_about(found, "laddr", self.addr.ip().to_string());
        assert_about(found, "lport", self.addr.port());
        assert_by(found, name, self.process.pid());
    }
}

const LEFT_OPEN: u64 = 150;
/// CLOSE_WAIT and FIN_WAIT2 are normal for up to a minute.
const TOO_LONG: Duration = Duration::from_secs(62);

/// The clients have closed their halves, and the server does not react.
fn never_closes() {
    let link = Link::new("leakynear", "leakyfar");
    begin();
    let mut crowd = Crowd::across(&link);
    let mut server = Server::start(&link.far, c"leaky", LEFT_OPEN);
    let to = server.addr;
    let mut clients = Process::named(&link.near, c"done", move |line| half_close(line, to));
    server.wait();
    clients.line.hear();
    wait_for(&link.far, "CLOSE_WAIT", LEFT_OPEN);
    wait_for(&link.near, "FIN_WAIT2", LEFT_OPEN);
    let began = Instant::now();
    let early = Diagnosis::of(&link.far, &mut crowd, "");
    early.assert_alarms_only(&[]);
    thread::sleep(TOO_LONG.saturating_sub(began.elapsed()));

    let diagnosis = Diagnosis::of(&link.far, &mut crowd, "");
    diagnosis.assert_alarms_only(&["close-wait"]);
    let found = diagnosis.one("close-wait");
    assert_is(found, "warning");
    server.assert_in(found);
    assert_peers(found, &[(NEAR.to_string(), LEFT_OPEN)]);
    let numbers = [
        ("connections", LEFT_OPEN),
        ("unread", LEFT_OPEN),
        ("descriptors", descriptors(server.process.pid())),
    ];
    assert_numbers(found, &numbers);

    let diagnosis = Diagnosis::of(&link.near, &mut crowd, "");
    diagnosis.assert_alarms_only(&["fin-wait2"]);
    let found = diagnosis.one("fin-wait2");
    assert_is(found, "warning");
    assert_about(found, "raddr", FAR.to_string());
    assert_about(found, "rport", to.port());
    assert_by(found, "done", clients.pid());
    assert_numbers(found, &[("connections", LEFT_OPEN), ("orphans", 0)]);
}

/// Number of open descriptors of a process.
fn descriptors(pid: u64) -> u64 {
    let all = fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
    all.count() as u64
}

fn half_close(mut line: Line, to: SocketAddr) {
    let mut held = Vec::new();
    for _ in 0..LEFT_OPEN {
        let mut stream = TcpStream::connect(to).expect("connect");
        stream.write_all(b"never read").expect("write");
        stream.shutdown(Shutdown::Write).expect("shutdown");
        held.push(stream);
    }
    line.tell(&[]);
    line.hear();
}

/// Ports of the client's namespace: all of them are used before the first one is free again.
fn all_ports() -> u64 {
    if guest::sanitizer().is_some() {
        40
    } else {
        100
    }
}

/// A client that connects repeatedly and closes first.
fn ports() {
    begin();
    let link = Link::new("hastynear", "hastyfar");
    let mut crowd = Crowd::across(&link);
    let all = all_ports();
    // To the destination whose ports are not yet used up.
    let most = all * 4 / 5;
    let (low, high) = (40000, 39999 + all);
    link.near
        .sysctl("net.ipv4.ip_local_port_range", &format!("{low} {high}"));
    let (_busy, busy) = crowd::start_server(&link.far, c"busy", FAR);
    let (_busier, busier) = crowd::start_server(&link.far, c"busier", FAR);
    let to = [(busy, most), (busier, all)];
    let mut client = Process::named(&link.near, c"hasty", move |line| hurry(line, to));
    // ... and then no port is left for another connection.
    assert_eq!(client.line.hear(), [libc::EADDRNOTAVAIL as u64]);
    wait_for(&link.near, "TIME_WAIT", all + most);

    let diagnosis = Diagnosis::of(&link.near, &mut crowd, "");
    diagnosis.assert_alarms_only(&["port-exhaustion", "time-wait"]);
    let found = diagnosis.one("port-exhaustion");
    assert_is(found, "critical");
    assert_about(found, "raddr", FAR.to_string());
    assert_about(found, "rport", busier.port());
    assert_by(found, "hasty", client.pid());
    assert_numbers(found, &[("failed", 1), ("ports", all), ("timewait", all)]);
    assert_eq!(diagnosis.of_rule("time-wait").len(), to.len());
    for (to, used) in to {
        let found = diagnosis.about("time-wait", "rport", to.port());
        assert_is(found, "warning");
        assert_about(found, "raddr", FAR.to_string());
        assert_by(found, "hasty", client.pid());
        let numbers = [
            ("timewait", used),
            ("ports_used", used),
            ("ports", all),
            ("port_low", low),
            ("port_high", high),
        ];
        assert_numbers(found, &numbers);
    }
}

/// Opens a connection that this end closes first. If a busy machine resets it, it leaves no
/// TIME_WAIT, so another one is opened.
fn leave_time_wait(to: SocketAddr) {
    for _ in 0..10 {
        let mut stream = TcpStream::connect(to).expect("connect");
        let closed = stream.shutdown(Shutdown::Write);
        if closed.and_then(|()| stream.read(&mut [0; 1])).is_ok() {
            return;
        }
    }
    panic!("{to} resets all connections");
}

fn hurry(mut line: Line, to: [(SocketAddr, u64); 2]) {
    for (to, count) in to {
        (0..count).for_each(|_| leave_time_wait(to));
    }
    let error = TcpStream::connect(to[1].0).expect_err("no port is left");
    line.tell(&[error.raw_os_error().expect("an errno") as u64]);
    line.hear();
}

/// Addresses of clients that will vanish.
const LENT: &str = "10.78.0.0/16";
const ADDRESSES: u64 = 4;
const LOST: u64 = 120;
/// Until the kernel has retransmitted lost segments several times.
const IN_VAIN: Duration = Duration::from_secs(20);

fn lent(number: u64) -> Ipv4Addr {
    Ipv4Addr::new(10, 78, 0, 1 + (number % ADDRESSES) as u8)
}

/// The network loses the clients of three servers: one server has data to send and closes, one
/// closes connections that its clients have closed before, and one only has data to send.
fn vanish() {
    begin();
    let link = Link::new("lostnear", "lostfar");
    link.lend(LENT);
    let mut crowd = Crowd::across(&link);
    let mut servers =
        [c"closes", c"closesnext", c"talks"].map(|name| Server::start(&link.far, name, LOST));
    let connect = |to| (0..LOST).map(move |n| traffic::connect_from(lent(n), to));
    let mut clients: Vec<Vec<_>> = servers
        .iter()
        .map(|server| link.near.run(|| connect(server.addr).collect()))
        .collect();
    servers.iter_mut().for_each(Server::wait);
    clients[1].clear();
    wait_for(&link.far, "CLOSE_WAIT", LOST);
    link.vanish(LENT);
    servers[0].order(&[SEND, CLOSE]);
    servers[1].order(&[CLOSE]);
    servers[2].order(&[SEND]);
    wait_for(&link.far, "FIN_WAIT1", LOST);
    wait_for(&link.far, "LAST_ACK", LOST);
    thread::sleep(IN_VAIN);

    let diagnosis = Diagnosis::of(&link.far, &mut crowd, "");
    let rules = ["fin-wait1", "last-ack", "dead-peers"];
    diagnosis.assert_alarms_only(&rules);
    let each = |n| (lent(n).to_string(), LOST / ADDRESSES);
    let peers: Vec<_> = (0..ADDRESSES).map(each).collect();
    for (rule, server) in rules.iter().zip(&servers) {
        let found = diagnosis.one(rule);
        assert_is(found, "warning");
        server.assert_in(found);
        assert_peers(found, &peers);
        assert_numbers(found, &[("connections", LOST), ("retransmitting", LOST)]);
    }
    assert_numbers(
        diagnosis.one("fin-wait1"),
        &[("orphans", LOST), ("unsent", LOST)],
    );
    assert_numbers(diagnosis.one("last-ack"), &[("orphans", LOST)]);
    assert_numbers(diagnosis.one("dead-peers"), &[("with_keepalive", 0)]);
}

const CALLS: u64 = 120;

/// Nobody answers one program that calls a single address, and another one that tries many.
fn unanswered() {
    begin();
    let netns = Netns::new("nowhere");
    let _wire = Wire::new(&netns);
    let mut crowd = Crowd::within(&netns);
    let one = |_| SocketAddr::from((peer_addr(0), 5432));
    let many = |n| SocketAddr::from((peer_addr(100 + n), 22));
    let mut caller = Process::named(&netns, c"caller", move |line| call(line, one));
    let mut scanner = Process::named(&netns, c"scanner", move |line| call(line, many));
    caller.line.hear();
    scanner.line.hear();
    wait_for(&netns, "SYN_SENT", 2 * CALLS);
    // Long enough for the rules to call it unanswered.
    thread::sleep(Duration::from_secs(10));

    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    diagnosis.assert_alarms_only(&["syn-sent", "scanner"]);
    let found = diagnosis.one("syn-sent");
    assert_is(found, "warning");
    assert_about(found, "raddr", peer_addr(0).to_string());
    assert_about(found, "rport", 5432);
    assert_by(found, "caller", caller.pid());
    assert_numbers(found, &[("syn_sent", CALLS)]);
    let found = diagnosis.one("scanner");
    assert_is(found, "warning");
    assert_by(found, "scanner", scanner.pid());
    assert_about(found, "peer_count", CALLS);
    let numbers = [
        ("syn_sent", CALLS),
        ("destinations", CALLS),
        ("addresses", CALLS),
        ("ports", 1),
    ];
    assert_numbers(found, &numbers);
}

fn call(mut line: Line, to: impl Fn(u16) -> SocketAddr) {
    let calls = (0..CALLS as u16).map(|n| traffic::unanswered(to(n)));
    let calls: Vec<_> = calls.collect();
    line.tell(&[]);
    line.hear();
    drop(calls);
}
