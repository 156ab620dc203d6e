//! Full queues of listeners.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use nix::sys::socket::{SockaddrIn, connect};

use super::begin;
use crate::handshakes::patient;
use crate::support::crowd::Crowd;
use crate::support::diagnosis::{
    Diagnosis, assert_about, assert_by, assert_is, assert_numbers, number,
};
use crate::support::link::{FAR, Link};
use crate::support::netns::Netns;
use crate::support::nstat::Counters;
use crate::support::process::{Line, Process};
use crate::support::raw::{HOST, Peer, Wire, peer_addr};
use crate::support::segment::SYN;
use crate::support::{scenario, ss, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("diagnosis_of_a_full_accept_queue", accept_queue),
        scenario("diagnosis_of_a_full_half_open_queue", half_open_queue),
        scenario("diagnosis_of_one_process_of_four_that_hangs", one_of_four),
    ]
}

/// Listens, sends its port, and never accepts.
fn stuck(mut line: Line, at: IpAddr, backlog: u64) {
    let listener = traffic::listen_at(SocketAddr::new(at, 0), backlog as i32);
    line.tell(&[listener.local_addr().expect("bound").port().into()]);
    line.hear();
}

fn start_stuck(netns: &Netns, at: IpAddr, backlog: u64) -> (Process, u16) {
    let mut server = Process::named(netns, c"stuck", move |line| stuck(line, at, backlog));
    let port = server.line.hear()[0];
    (server, u16::try_from(port).expect("a port"))
}

/// The output of `ss` for the listener with this port.
fn listening(netns: &Netns, port: u16) -> ss::Listening {
    let mut all = ss::listening(&netns.name).into_iter();
    all.find(|l| l.local.1 == port).expect("it listens")
}

const BACKLOG: u64 = 16;

fn accept_queue() {
    begin();
    let link = Link::new("stucknear", "stuckfar");
    let mut crowd = Crowd::across(&link);
    let (server, port) = start_stuck(&link.far, FAR, BACKLOG);
    let call = |count| {
        let to = SocketAddr::new(FAR, port);
        link.near
            .run(|| (0..count).map(|_| traffic::unanswered(to)).collect())
    };
    let first: Vec<_> = call(BACKLOG + 1);
    traffic::until("the queue is full", || {
        listening(&link.far, port).waiting > BACKLOG
    });
    let second: Vec<_> = call(30);
    traffic::until("SYNs are dropped", || {
        Counters::of(&link.far.name).get("TcpExtListenOverflows") >= 30
    });

    let (diagnosis, looks) = Diagnosis::and_looks(&link.far, &mut crowd, "");
    diagnosis.assert_alarms_only(&["accept-queue-full"]);
    let found = diagnosis.one("accept-queue-full");
    assert_is(found, "critical");
    assert_about(found, "laddr", FAR.to_string());
    assert_about(found, "lport", port);
    assert_by(found, "stuck", server.pid());
    let truth = listening(&link.far, port);
    let numbers = [
        ("accept_queue", truth.waiting),
        ("accept_queue_peak", truth.waiting),
        ("accept_queue_limit", truth.limit),
    ];
    assert_numbers(found, &numbers);
    // No other listener has dropped anything.
    looks.assert_between(found, "syns_dropped", "TcpExtListenOverflows");
    looks.assert_between(found, "drops", "TcpExtListenDrops");
    drop((first, second));
}

/// Listens at a port that several processes share; only those that are well accept.
fn share(mut line: Line, port: u16, is_well: bool) {
    let listener = traffic::listen_beside(HOST, port);
    line.tell(&[listener.local_addr().expect("bound").port().into()]);
    if !is_well {
        line.hear();
    }
    let mut accepted = Vec::new();
    loop {
        accepted.extend(listener.accept());
    }
}

/// Opens some connections whenever it is asked to, without waiting for an answer.
fn call_on(mut line: Line, to: SocketAddr) {
    let SocketAddr::V4(to) = to else {
        panic!("an IPv4 address is wanted");
    };
    let mut opened = Vec::new();
    loop {
        line.hear();
        for _ in 0..8 {
            let socket = traffic::unconnected();
            let stream = TcpStream::from(socket);
            stream.set_nonblocking(true).expect("O_NONBLOCK");
            // In progress.
            let _ = connect(stream.as_raw_fd(), &SockaddrIn::from(to));
            opened.push(stream);
        }
        line.tell(&[]);
    }
}

/// Backlog of [`traffic::listen_beside`].
const SHARED_BACKLOG: u64 = 64;

/// SO_REUSEPORT: each process has its own queue.
fn one_of_four() {
    let netns = Netns::new("oneoffour");
    begin();
    let mut crowd = Crowd::within(&netns);
    netns.ip(&["addr", "add", &format!("{HOST}/32"), "dev", "lo"]);
    let mut first = Process::named(&netns, c"well", |line| share(line, 0, true));
    let port = u16::try_from(first.line.hear()[0]).expect("a port");
    let mut others = [c"wellnext", c"hanging", c"welllast"].map(|name| {
        let is_well = name != c"hanging";
        Process::named(&netns, name, move |line| share(line, port, is_well))
    });
    others
        .iter_mut()
        .for_each(|process| drop(process.line.hear()));
    let to = SocketAddr::new(HOST.into(), port);
    let mut clients = Process::named(&netns, c"clients", move |line| call_on(line, to));
    let is_full = || {
        let mut all = ss::listening(&netns.name).into_iter();
        all.any(|l| l.local.1 == port && l.waiting > SHARED_BACKLOG)
    };
    while !is_full() {
        clients.line.tell(&[]);
        clients.line.hear();
    }
    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    diagnosis.assert_alarms_only(&["accept-queue-full"]);
    let found = diagnosis.one("accept-queue-full");
    assert_by(found, "hanging", others[1].pid());
    assert_about(found, "lport", port);
    assert_numbers(found, &[("listeners", 4)]);
}

const ROOM: u64 = 64;
/// Fewer per second than in a flood.
const PAUSE: Duration = Duration::from_millis(20);

/// SYNs from addresses that do not exist, one after the other, until stopped.
fn trickle(wire: &Wire, to: SocketAddrV4, stop: &AtomicBool) {
    for n in (0..u16::MAX / 4).take_while(|_| !stop.load(Ordering::Relaxed)) {
        let from = SocketAddrV4::new(peer_addr(n), 30000 + n);
        Peer::new(wire, from, to).send(SYN);
        thread::sleep(PAUSE);
    }
}

fn half_open_queue() {
    let netns = patient("halfopen", 5);
    let wire = Wire::new(&netns);
    begin();
    let mut crowd = Crowd::within(&netns);
    let (server, port) = start_stuck(&netns, HOST.into(), ROOM);
    let stop = AtomicBool::new(false);
    let (diagnosis, looks) = thread::scope(|scope| {
        let wire = wire;
        let _stop = traffic::Stop(&stop);
        let stop = &stop;
        scope.spawn(move || trickle(&wire, SocketAddrV4::new(HOST, port), stop));
        traffic::until("SYNs are dropped", || {
            Counters::of(&netns.name).get("TcpExtTCPReqQFullDrop") > 100
        });
        Diagnosis::and_looks(&netns, &mut crowd, "")
    });
    diagnosis.assert_alarms_only(&["half-open-full"]);
    let found = diagnosis.one("half-open-full");
    assert_is(found, "critical");
    assert_about(found, "laddr", HOST.to_string());
    assert_about(found, "lport", port);
    assert_by(found, "stuck", server.pid());
    assert_numbers(found, &[("half_open_limit", ROOM), ("cookies_sent", 0)]);
    looks.assert_between(found, "syn_queue_full", "TcpExtTCPReqQFullDrop");
    // Some kernels keep one request more.
    let peak = number(found, "half_open_peak");
    assert!((ROOM..=ROOM + 1).contains(&peak), "{found:#}");
}
