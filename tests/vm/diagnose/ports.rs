//! Calls of connect() and bind() that fail, and a process without a free descriptor.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;
use std::{fs, iter};

use libtest_mimic::Trial;
use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::socket::{SockaddrIn, connect};
use serde_json::Value;

use super::begin;
use crate::support::crowd::{self, Crowd};
use crate::support::diagnosis::{Diagnosis, assert_about, assert_by, assert_is, assert_numbers};
use crate::support::link::{FAR, Link, NEAR};
use crate::support::netns::Netns;
use crate::support::process::{Line, Process};
use crate::support::raw::{Wire, peer_addr};
use crate::support::{scenario, ss, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("diagnosis_of_a_bound_port_that_is_in_use", bound_in_use),
        scenario("diagnosis_of_ports_that_bind_holds", held),
        scenario("diagnosis_of_calls_that_are_given_up", given_up),
        scenario("diagnosis_of_descriptors_that_are_used_up", descriptors),
    ]
}

fn v4(addr: IpAddr) -> Ipv4Addr {
    match addr {
        IpAddr::V4(addr) => addr,
        IpAddr::V6(_) => panic!("an IPv4 address is wanted"),
    }
}

fn call(socket: &OwnedFd, to: SocketAddr) -> Result<(), Errno> {
    let to = SocketAddrV4::new(v4(to.ip()), to.port());
    connect(socket.as_raw_fd(), &SockaddrIn::from(to))
}

const PORTS: u16 = 4;
const CALLS: u16 = 40;

/// A proxy that connects from fixed ports, again and again.
fn bound_in_use() {
    begin();
    let link = Link::new("fixednear", "fixedfar");
    let mut crowd = Crowd::across(&link);
    let (_server, to) = crowd::start_server(&link.far, c"target", FAR);
    let mut proxy = Process::named(&link.near, c"proxy", move |mut line| {
        let mut held = Vec::new();
        let mut failed = 0;
        for n in 0..CALLS {
            let from = SocketAddrV4::new(v4(NEAR), 5_000 + n % PORTS);
            let socket = traffic::bound(from, true).expect("bind");
            match call(&socket, to) {
                Ok(()) => held.push(socket),
                Err(Errno::EADDRNOTAVAIL) => failed += 1,
                Err(other) => panic!("connect: {other}"),
            }
        }
        line.tell(&[failed]);
        line.hear();
    });
    let failed = proxy.line.hear()[0];
    assert_eq!(failed, u64::from(CALLS - PORTS));

    let diagnosis = Diagnosis::of(&link.near, &mut crowd, "");
    diagnosis.assert_alarms_only(&["port-exhaustion"]);
    let found = diagnosis.one("port-exhaustion");
    assert_is(found, "critical");
    assert_about(found, "laddr", NEAR.to_string());
    assert_about(found, "raddr", FAR.to_string());
    assert_about(found, "rport", to.port());
    assert_by(found, "proxy", proxy.pid());
    let ports = u64::from(PORTS);
    let numbers = [
        ("failed", failed),
        ("local_ports", ports),
        ("in_use", ports),
        ("timewait", 0),
    ];
    assert_numbers(found, &numbers);
    assert!(
        !found.to_string().contains("ip_local_port_range"),
        "{found:#}"
    );
}

const RANGE: u64 = 60;
const SERVERS: usize = 3;

/// Binds a port for each connection until none is left; returns the connections.
fn bind_all(to: &[SocketAddr]) -> Vec<OwnedFd> {
    let mut held = Vec::new();
    for to in to.iter().cycle() {
        match traffic::bound(SocketAddrV4::new(v4(NEAR), 0), false) {
            Ok(socket) => {
                call(&socket, *to).expect("connect");
                held.push(socket);
            }
            Err(Errno::EADDRINUSE) => break,
            Err(other) => panic!("bind: {other}"),
        }
    }
    held
}

/// bind() of an address takes all ports, and then no port is left for any destination.
fn held() {
    begin();
    let link = Link::new("heldnear", "heldfar");
    let mut crowd = Crowd::across(&link);
    let range = format!("40000 {}", 39_999 + RANGE);
    link.near.sysctl("net.ipv4.ip_local_port_range", &range);
    let servers: Vec<_> = iter::repeat_with(|| crowd::start_server(&link.far, c"one", FAR))
        .take(SERVERS)
        .collect();
    let (_other, other) = crowd::start_server(&link.far, c"other", FAR);
    let to: Vec<_> = servers.iter().map(|(_, at)| *at).collect();
    let mut binder = Process::named(&link.near, c"binder", move |mut line| {
        let held = bind_all(&to);
        line.tell(&[held.len() as u64]);
        line.hear();
    });
    assert_eq!(binder.line.hear(), [RANGE]);

    let diagnosis = Diagnosis::of(&link.near, &mut crowd, "");
    diagnosis.assert_alarms_only(&["port-exhaustion"]);
    let found = diagnosis.one("port-exhaustion");
    assert_is(found, "warning");
    assert_about(found, "laddr", NEAR.to_string());
    assert_by(found, "binder", binder.pid());
    assert_held(
        found,
        &[("ports_held", RANGE), ("ports", RANGE), ("destinations", 3)],
    );

    // The kernel chooses a port for this one, and none is left.
    let mut late = Process::named(&link.near, c"late", move |mut line| {
        let error = TcpStream::connect(other).expect_err("no port is left");
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        line.tell(&[]);
        line.hear();
    });
    late.line.hear();
    let diagnosis = Diagnosis::of(&link.near, &mut crowd, "");
    let found = diagnosis.one("port-exhaustion");
    assert_is(found, "critical");
    assert_about(found, "raddr", FAR.to_string());
    assert_about(found, "rport", other.port());
    assert_by(found, "late", late.pid());
    assert_held(
        found,
        &[("failed", 1), ("ports_held", RANGE), ("ports", RANGE)],
    );
}

fn assert_held(found: &Value, numbers: &[(&str, u64)]) {
    assert_numbers(found, numbers);
    let advice = found["advice"][0]["text"].as_str().expect("a text");
    assert!(advice.contains("IP_BIND_ADDRESS_NO_PORT"), "{found:#}");
    let summary = found["summary"].as_str().expect("a text");
    assert!(summary.contains("bind() holds"), "{found:#}");
}

const GIVEN_UP: u64 = 30;

/// A program with a short time-out; and one that gives up the slower one of two calls at once.
fn given_up() {
    begin();
    let netns = Netns::new("impatient");
    let _wire = Wire::new(&netns);
    let mut crowd = Crowd::within(&netns);
    let calls = |to: u16, wait| {
        move |mut line: Line| {
            let to = SocketAddr::from((peer_addr(to), 5432));
            let calls: Vec<_> = (0..GIVEN_UP).map(|_| traffic::unanswered(to)).collect();
            thread::sleep(wait);
            drop(calls);
            line.tell(&[]);
            line.hear();
        }
    };
    let waits = calls(0, Duration::from_millis(1_500));
    let mut hasty = Process::named(&netns, c"hasty", waits);
    let at_once = calls(1, Duration::from_millis(1));
    let mut happy = Process::named(&netns, c"happy", at_once);
    hasty.line.hear();
    happy.line.hear();
    let left = ss::table(Some(&netns.name));
    assert!(left.iter().all(|row| row.0 != "SYN_SENT"), "{left:?}");

    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    diagnosis.assert_alarms_only(&["syn-sent"]);
    let found = diagnosis.one("syn-sent");
    assert_is(found, "warning");
    assert_about(found, "raddr", peer_addr(0).to_string());
    assert_by(found, "hasty", hasty.pid());
    let numbers = [
        ("syn_sent", 0),
        ("failed_last_minute", GIVEN_UP),
        ("given_up_last_minute", GIVEN_UP),
    ];
    assert_numbers(found, &numbers);
}

const FILES: u64 = 64;
const BACKLOG: u64 = 16;

/// Accepts until no descriptor is left, and keeps what it has accepted.
fn keep_all(mut line: Line) {
    setrlimit(Resource::RLIMIT_NOFILE, FILES, FILES).expect("setrlimit");
    let listener = traffic::listen_at(SocketAddr::new(FAR, 0), BACKLOG as i32);
    line.tell(&[listener.local_addr().expect("bound").port().into()]);
    let mut kept = Vec::new();
    let error = loop {
        match listener.accept() {
            Ok((stream, _)) => kept.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    line.tell(&[]);
    line.hear();
}

fn descriptors() {
    begin();
    let link = Link::new("filesnear", "filesfar");
    let mut crowd = Crowd::across(&link);
    let mut server = Process::named(&link.far, c"greedy", keep_all);
    let port = u16::try_from(server.line.hear()[0]).expect("a port");
    let to = SocketAddr::new(FAR, port);
    let clients: Vec<_> = link.near.run(|| {
        let calls = (0..2 * FILES).map(|_| {
            // Slowly, as the queue is short.
            thread::sleep(Duration::from_millis(5));
            traffic::unanswered(to)
        });
        calls.collect()
    });
    server.line.hear();
    traffic::until("the queue is full", || {
        let all = ss::listening(&link.far.name);
        all.iter().any(|l| l.local.1 == port && l.waiting > l.limit)
    });
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("its descriptors");
    // More than the limit, if some were inherited with higher numbers.
    let open = open.count() as u64;
    assert!(open >= FILES, "{open} descriptors");

    let diagnosis = Diagnosis::of(&link.far, &mut crowd, "");
    diagnosis.assert_alarms_only(&["accept-queue-full"]);
    let found = diagnosis.one("accept-queue-full");
    assert_is(found, "critical");
    assert_about(found, "lport", port);
    assert_by(found, "greedy", server.pid());
    let numbers = [("descriptors", open), ("descriptors_limit", FILES)];
    assert_numbers(found, &numbers);
    let summary = found["summary"].as_str().expect("a text");
    let used = match open > FILES {
        true => format!("{open} descriptors open, limit {FILES}"),
        false => format!("{FILES} of {FILES} descriptors used"),
    };
    assert!(summary.contains(&used), "{found:#}");
    drop(clients);
}
