//! Situations in which the first suspect is innocent: clients that nobody accepts, the opener of a
//! listener, probes, heartbeats, peers that are gone.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;

use super::begin_later;
use crate::support::crowd::Crowd;
use crate::support::diagnosis::{
    Diagnosis, assert_about, assert_by, assert_is, assert_numbers, number,
};
use crate::support::link::{FAR, Link};
use crate::support::netns::Netns;
use crate::support::process::{Line, Process};
use crate::support::traffic::{V4, V6};
use crate::support::{scenario, ss, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("diagnosis_of_a_program_that_accepts_nothing", in_vain),
        scenario("diagnosis_of_an_activated_service_that_hangs", activated),
        scenario("diagnosis_of_probes_of_a_server_that_greets", probes),
        scenario("diagnosis_of_heartbeats_of_both_ends", heartbeats),
        scenario("diagnosis_of_paused_clients_that_vanish", paused),
    ]
}

const SECOND: Duration = Duration::from_secs(1);

fn port_of(listener: &TcpListener) -> u64 {
    listener.local_addr().expect("bound").port().into()
}

/// Hears the port of a server.
fn port(server: &mut Process) -> u16 {
    u16::try_from(server.line.hear()[0]).expect("a port")
}

/// The output of `ss` for the listener with this port.
fn listening(netns: &Netns, port: u16) -> ss::Listening {
    let mut all = ss::listening(&netns.name).into_iter();
    all.find(|l| l.local.1 == port).expect("it listens")
}

/// Opens connections, and keeps them.
fn keep(mut line: Line, to: SocketAddr, count: u64) {
    let connect = |_| TcpStream::connect(to).expect("connect");
    let held: Vec<_> = (0..count).map(connect).collect();
    line.tell(&[]);
    line.hear();
    drop(held);
}

const IN_VAIN: u64 = 60;
/// More than all clients need.
const LONG_QUEUE: i32 = 512;
/// Longer than what any rule allows a connection without data.
const LASTS: Duration = Duration::from_secs(12);

/// A hung server whose queue has room: its clients wait for a greeting, or have asked in vain.
fn in_vain() {
    let link = Link::new("vainnear", "vainfar");
    begin_later();
    let mut crowd = Crowd::across(&link);
    let mut hung = Process::named(&link.far, c"hung", |mut line| {
        let listener = traffic::listen_at(SocketAddr::new(FAR, 0), LONG_QUEUE);
        line.tell(&[port_of(&listener)]);
        line.hear();
    });
    let to = SocketAddr::new(FAR, port(&mut hung));
    let mut clients = Process::named(&link.near, c"invain", move |line| keep(line, to, IN_VAIN));
    clients.line.hear();
    thread::sleep(LASTS);

    let diagnosis = Diagnosis::of(&link.far, &mut crowd, "");
    diagnosis.assert_alarms_only(&["accept-queue-full"]);
    assert!(
        diagnosis.of_rule("silent-connections").is_empty(),
        "{diagnosis:#?}"
    );
    let found = diagnosis.one("accept-queue-full");
    assert_is(found, "warning");
    assert_about(found, "lport", to.port());
    assert_by(found, "hung", hung.pid());
    let truth = listening(&link.far, to.port());
    assert_eq!(truth.waiting, IN_VAIN);
    let numbers = [
        ("waiting", IN_VAIN),
        ("accept_queue", truth.waiting),
        ("accept_queue_limit", truth.limit),
        ("syns_dropped", 0),
    ];
    assert_numbers(found, &numbers);
}

const SHORT_QUEUE: i32 = 4;

/// systemd opens the listener, passes it to the service, and keeps it; the service hangs.
fn activated() {
    let netns = Netns::new("activated");
    begin_later();
    let mut crowd = Crowd::within(&netns);
    let mut init = Process::named(&netns, c"systemd", |mut line| {
        let listener = traffic::listen_at(SocketAddr::new(V4, 0), SHORT_QUEUE);
        line.pass(listener.as_raw_fd());
        line.tell(&[port_of(&listener)]);
        line.hear();
    });
    let listener = init.line.take();
    let to = SocketAddr::new(V4, port(&mut init));
    let mut service = Process::named(&netns, c"service", |mut line| {
        let listener = line.take();
        line.tell(&[]);
        line.hear();
        drop(listener);
    });
    service.line.pass(listener.as_raw_fd());
    drop(listener);
    service.line.hear();
    let mut clients = Process::named(&netns, c"callers", move |mut line| {
        let calls: Vec<_> = (0..20).map(|_| traffic::unanswered(to)).collect();
        line.tell(&[]);
        line.hear();
        drop(calls);
    });
    clients.line.hear();
    traffic::until("the queue is full", || {
        listening(&netns, to.port()).waiting > SHORT_QUEUE as u64
    });

    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    let found = diagnosis.one("accept-queue-full");
    assert_about(found, "lport", to.port());
    assert_by(found, "service", service.pid());
    assert_about(found, "processes", 2);
}

const PROBES: u64 = 70;

/// Greets each client, which then goes.
fn greet(mut line: Line) {
    let listeners = [V4, V6].map(|at| traffic::listen_at(SocketAddr::new(at, 0), 64));
    line.tell(&listeners.each_ref().map(port_of));
    for listener in &listeners {
        for _ in 0..PROBES {
            let (mut client, _) = listener.accept().expect("accept");
            client.write_all(b"220 mx ESMTP ready\r\n").expect("write");
            client.read(&mut [0; 10]).expect_err("a reset");
        }
    }
    line.hear();
}

/// Connects, and closes without reading the greeting that has come: the kernel resets.
fn probe(mut line: Line, to: [SocketAddr; 2]) {
    for at in to {
        for _ in 0..PROBES {
            let probe = TcpStream::connect(at).expect("connect");
            probe.peek(&mut [0; 1]).expect("a greeting");
            drop(probe);
            thread::sleep(SECOND / 3);
        }
    }
    line.tell(&[]);
    line.hear();
}

/// A kubelet, or a balancer, that probes the port of a mail server.
fn probes() {
    let netns = Netns::new("probed");
    begin_later();
    let mut crowd = Crowd::within(&netns);
    let mut server = Process::named(&netns, c"greeter", greet);
    let ports = server.line.hear();
    let at = |n: usize| {
        let port = u16::try_from(ports[n]).expect("a port");
        SocketAddr::new([V4, V6][n], port)
    };
    let to = [at(0), at(1)];
    let mut prober = Process::named(&netns, c"prober", move |line| probe(line, to));
    prober.line.hear();

    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    diagnosis.assert_alarms_only(&[]);
    for (key, comm) in [("lport", "greeter"), ("rport", "prober")] {
        // The first probes may be more than a minute old.
        let found = diagnosis.about("resets", key, to[1].port());
        assert_is(found, "info");
        assert_about(found, "comm", comm);
        assert_eq!(number(found, "health_checks"), number(found, "resets"));
        assert_eq!(number(found, "resets"), PROBES);
    }
}

const SESSIONS: u64 = 60;
const BEAT: &[u8] = b"8=FIX.4.4|35=0|49=A|56=B|34=2|52=now|10=1";
/// Each end beats once in this time, half of it after the other one.
const EVERY: Duration = Duration::from_secs(16);

/// Sends a heartbeat on each connection now and then, and reads what comes.
fn beat(streams: &mut [TcpStream], first: Duration) {
    streams
        .iter()
        .for_each(|s| s.set_nonblocking(true).expect("O_NONBLOCK"));
    thread::sleep(first);
    loop {
        for stream in &mut *streams {
            drain(stream);
            stream.write_all(BEAT).expect("write");
        }
        for _ in 0..EVERY.as_secs() * 10 {
            thread::sleep(SECOND / 10);
            streams.iter_mut().for_each(drain);
        }
    }
}

/// Reads what there is.
fn drain(stream: &mut TcpStream) {
    loop {
        match stream.read(&mut [0; 512]) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return,
            Err(e) => panic!("read: {e}"),
        }
    }
}

/// Sessions of one client, in which each end says now and then that it is there.
fn heartbeats() {
    let link = Link::new("beatnear", "beatfar");
    begin_later();
    let mut crowd = Crowd::across(&link);
    let mut server = Process::named(&link.far, c"exchange", |mut line| {
        let listener = traffic::listen_at(SocketAddr::new(FAR, 0), 128);
        line.tell(&[port_of(&listener)]);
        let accept = |_| listener.accept().expect("accept").0;
        let mut held: Vec<_> = (0..SESSIONS).map(accept).collect();
        beat(&mut held, Duration::ZERO);
    });
    let to = SocketAddr::new(FAR, port(&mut server));
    let mut client = Process::named(&link.near, c"broker", move |mut line| {
        let connect = |_| TcpStream::connect(to).expect("connect");
        let mut held: Vec<_> = (0..SESSIONS).map(connect).collect();
        line.tell(&[]);
        beat(&mut held, EVERY / 2);
    });
    client.line.hear();
    // The client has beaten three times, and the server will beat next.
    thread::sleep(EVERY * 5 / 2 + 6 * SECOND);
    let diagnosis = Diagnosis::of(&link.far, &mut crowd, "sample=0");
    diagnosis.assert_alarms_only(&[]);
    client.assert_runs();
    server.assert_runs();
}

/// Addresses of clients that will vanish.
const LENT: &str = "10.78.0.0/16";
const PLAYER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const PLAYERS: u64 = 60;
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends as much as each client takes, which is not much.
fn stuff(mut line: Line) {
    let listener = traffic::listen_at(SocketAddr::new(FAR, 0), 128);
    line.tell(&[port_of(&listener)]);
    let held: Vec<_> = (0..PLAYERS)
        .map(|_| {
            let mut stream = listener.accept().expect("accept").0;
            stream.set_nonblocking(true).expect("O_NONBLOCK");
            while stream.write(&[0; 16_384]).is_ok() {}
            stream
        })
        .collect();
    line.tell(&[]);
    line.hear();
    drop(held);
}

/// Clients do not read, so that their windows close; then they are gone, and no probe is answered.
fn paused() {
    let link = Link::new("pausednear", "pausedfar");
    link.lend(LENT);
    begin_later();
    let mut crowd = Crowd::across(&link);
    let mut server = Process::named(&link.far, c"streaming", stuff);
    let to = SocketAddr::new(FAR, port(&mut server));
    let players: Vec<_> = link.near.run(|| {
        let connect = |_| traffic::connect_from(PLAYER, to);
        (0..PLAYERS).map(connect).collect()
    });
    server.line.hear();
    thread::sleep(10 * SECOND);
    let diagnosis = Diagnosis::of(&link.far, &mut crowd, "");
    diagnosis.assert_alarms_only(&["slow-read"]);
    assert_by(diagnosis.one("slow-read"), "streaming", server.pid());

    link.vanish(LENT);
    // The time between two probes doubles, whether or not they are answered.
    traffic::within(4 * PATIENCE, "probes are not answered", || {
        thread::sleep(5 * SECOND);
        let diagnosis = Diagnosis::of(&link.far, &mut crowd, "");
        !diagnosis.of_rule("dead-peers").is_empty()
    });
    thread::sleep(5 * SECOND);
    let diagnosis = Diagnosis::of(&link.far, &mut crowd, "");
    diagnosis.assert_alarms_only(&["dead-peers"]);
    let found = diagnosis.one("dead-peers");
    assert_is(found, "warning");
    assert_by(found, "streaming", server.pid());
    assert_about(found, "lport", to.port());
    assert_numbers(found, &[("connections", PLAYERS)]);
    drop(players);
}
