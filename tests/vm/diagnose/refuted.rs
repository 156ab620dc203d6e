//! Situations that look like others, and the facts that tell them apart.

use std::ffi::CStr;
use std::io::{ErrorKind, Read, Write};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6, TcpListener, TcpStream,
};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, bind, connect,
    setsockopt, socket, sockopt,
};

use super::begin;
use crate::support::crowd::Crowd;
use crate::support::diagnosis::{
    Diagnosis, assert_about, assert_by, assert_is, assert_numbers, number,
};
use crate::support::netns::Netns;
use crate::support::nstat::Counters;
use crate::support::process::{Line, Process};
use crate::support::traffic::{V4, V6};
use crate::support::{scenario, ss, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("diagnosis_of_programs_that_do_not_read", stuck),
        scenario("diagnosis_of_half_closed_streams", half_closed),
        scenario("diagnosis_of_a_path_that_loses_large_packets", black_hole),
        scenario("diagnosis_of_sockets_connected_to_themselves", to_itself),
        scenario("diagnosis_of_health_checks_and_idle_pools", harmless),
        scenario("diagnosis_of_senders_that_are_never_answered", one_way),
    ]
}

const SECOND: Duration = Duration::from_secs(1);
const BOTH: [IpAddr; 2] = [V4, V6];

fn port_of(listener: &TcpListener) -> u64 {
    listener.local_addr().expect("bound").port().into()
}

/// Listens on both loopback addresses, sends the ports, and accepts this number of connections at
/// each.
fn accept(line: &mut Line, count: u64) -> Vec<TcpStream> {
    let listeners = BOTH.map(|at| traffic::listen_at(SocketAddr::new(at, 0), 1024));
    line.tell(&listeners.each_ref().map(port_of));
    let accept = |l: &TcpListener| -> Vec<TcpStream> {
        (0..count).map(|_| l.accept().expect("accept").0).collect()
    };
    listeners.iter().flat_map(accept).collect()
}

/// A process that has called [`accept`], and the addresses of its listeners.
fn start(netns: &Netns, name: &'static CStr, work: fn(Line)) -> (Process, [SocketAddr; 2]) {
    let mut server = Process::named(netns, name, work);
    let ports = server.line.hear();
    let at = |n: usize| SocketAddr::new(BOTH[n], u16::try_from(ports[n]).expect("a port"));
    (server, [at(0), at(1)])
}

/// Opens this number of connections to each address.
fn open(to: [SocketAddr; 2], count: u64) -> Vec<TcpStream> {
    let connect =
        |to: SocketAddr| (0..count).map(move |_| TcpStream::connect(to).expect("connect"));
    to.into_iter().flat_map(connect).collect()
}

const DRIPPING: u64 = 30;
const PIECE: usize = 50;

/// A server that accepts and does not read, while its clients send piece by piece; and a client
/// that does not read what its server sends.
fn stuck() {
    let netns = Netns::new("stuckreader");
    begin();
    let mut crowd = Crowd::within(&netns);
    let (hung, to_hung) = start(&netns, c"hung", |mut line| {
        let held = accept(&mut line, DRIPPING);
        line.hear();
        drop(held);
    });
    let mut clients = Process::named(&netns, c"dripping", move |mut line| {
        let mut streams = open(to_hung, DRIPPING);
        line.tell(&[]);
        for _ in 0..16 {
            thread::sleep(SECOND);
            streams
                .iter_mut()
                .for_each(|stream| stream.write_all(&[b'x'; PIECE]).expect("write"));
        }
        line.tell(&[]);
        line.hear();
    });
    let (_talking, to_talking) = start(&netns, c"talking", |mut line| {
        let mut held = accept(&mut line, DRIPPING / 2);
        held.iter_mut()
            .for_each(|stream| stream.write_all(&[b'y'; 700]).expect("write"));
        line.hear();
    });
    let mut deaf = Process::named(&netns, c"deaf", move |mut line| {
        let held = open(to_talking, DRIPPING / 2);
        line.tell(&[]);
        line.hear();
        drop(held);
    });
    clients.line.hear();
    deaf.line.hear();
    // The clients still send.
    thread::sleep(8 * SECOND);
    let diagnosis = while_they_send(&netns, &mut crowd);
    let found = diagnosis.about("stuck-reader", "comm", "hung");
    assert_by(found, "hung", hung.pid());
    clients.line.hear();
    // ... and now they do not, so that nothing changes any more.
    thread::sleep(SECOND);
    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    diagnosis.assert_alarms_only(&["stuck-reader"]);
    let ends = [("hung", &hung, to_hung), ("deaf", &deaf, to_talking)];
    for (comm, process, at) in ends {
        let found = diagnosis.about("stuck-reader", "comm", comm);
        assert_is(found, "warning");
        assert_by(found, comm, process.pid());
        let is_its = |row: &ss::Row| {
            let (_, port) = if comm == "hung" { row.1 } else { row.2 };
            at.iter().any(|at| at.port() == port)
        };
        let all = ss::queues(&netns.name);
        let its = all.iter().filter(|q| is_its(&q.row) && q.unread > 0);
        let unread: Vec<u64> = its.map(|q| q.unread).collect();
        let numbers = [
            ("connections", unread.len() as u64),
            ("recv_q", unread.iter().sum()),
            ("recv_q_largest", unread.iter().copied().max().unwrap_or(0)),
        ];
        assert_numbers(found, &numbers);
        assert!(!unread.is_empty(), "{all:#?}");
    }
}

/// What comes at the moment says nothing, and these clients all send at once.
fn while_they_send(netns: &Netns, crowd: &mut Crowd) -> Diagnosis {
    for _ in 0..5 {
        let diagnosis = Diagnosis::of(netns, crowd, "");
        diagnosis.assert_alarms_only(&["stuck-reader"]);
        let found = diagnosis.of_rule("stuck-reader");
        if found.iter().any(|f| f["subject"]["comm"] == "hung") {
            return diagnosis;
        }
        thread::sleep(SECOND / 3);
    }
    panic!("it is not found while data comes");
}

const STREAMS: u64 = 110;

/// A server that answers half-closed connections slowly, and one that has stopped to.
fn half_closed() {
    let netns = Netns::new("halfclosed");
    begin();
    let mut crowd = Crowd::within(&netns);
    let (_slow, to_slow) = start(&netns, c"slowly", |mut line| {
        let mut held = accept(&mut line, STREAMS);
        loop {
            held.iter_mut()
                .for_each(|stream| stream.write_all(&[b'z'; 2000]).expect("write"));
            thread::sleep(3 * SECOND);
        }
    });
    let (forgetful, to_forgetful) = start(&netns, c"forgetful", |mut line| {
        let mut held = accept(&mut line, STREAMS);
        held.iter_mut()
            .for_each(|stream| stream.write_all(&[b'z'; 2000]).expect("write"));
        // It reads to the end, and forgets to close.
        for stream in &mut held {
            stream.read_to_end(&mut Vec::new()).expect("the end");
        }
        line.hear();
        drop(held);
    });
    let mut clients = Process::named(&netns, c"reading", move |mut line| {
        let mut streams = open(to_slow, STREAMS);
        streams.extend(open(to_forgetful, STREAMS));
        for stream in &mut streams {
            stream.write_all(b"GET /live\r\n").expect("write");
            stream.shutdown(Shutdown::Write).expect("shutdown");
            stream.set_nonblocking(true).expect("O_NONBLOCK");
        }
        line.tell(&[]);
        loop {
            streams.iter_mut().for_each(drain);
            thread::sleep(SECOND / 10);
        }
    });
    clients.line.hear();
    thread::sleep(66 * SECOND);
    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    diagnosis.assert_alarms_only(&["close-wait", "fin-wait2"]);
    let found = diagnosis.one("close-wait");
    assert_by(found, "forgetful", forgetful.pid());
    let numbers = [
        ("connections", 2 * STREAMS),
        ("unread", 0),
        ("end_unread", 0),
    ];
    assert_numbers(found, &numbers);
    let waiting = diagnosis.of_rule("fin-wait2");
    assert_eq!(waiting.len(), to_forgetful.len(), "{diagnosis:#?}");
    for found in waiting {
        let rport = &found["subject"]["rport"];
        let is_forgetful = to_forgetful.iter().any(|at| *rport == at.port());
        assert!(is_forgetful, "{found:#}");
    }
}

/// Reads what there is.
fn drain(stream: &mut TcpStream) {
    loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return,
            Err(e) => panic!("read: {e}"),
        }
    }
}

/// A server, a router whose link to the clients has a small MTU, and the clients. What the router
/// has to say about large packets is lost.
struct Hole {
    client: Netns,
    server: Netns,
    _router: Netns,
}

const SERVER_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 70, 2, 2));
const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd70, 2, 0, 0, 0, 0, 0, 2));
const ROUTER_MAC: &str = "02:00:00:00:16:01";

impl Hole {
    fn new() -> Self {
        let [client, router, server] = ["holeclient", "holerouter", "holeserver"].map(Netns::new);
        // It has no way back to the server, by which sources are checked.
        for of in ["all", "default"] {
            router.sysctl(&format!("net.ipv4.conf.{of}.rp_filter"), "0");
        }
        let link = |name: &str, peer: &Netns, more: &[&str]| {
            let add = [&["link", "add", name][..], more, &["type", "veth"]].concat();
            let to = ["peer", "name", "wire", "netns", &peer.name];
            router.ip(&[&add[..], &to].concat());
        };
        link("toclient", &client, &["mtu", "1300"]);
        link("toserver", &server, &["address", ROUTER_MAC]);
        let ends = [
            (&router, "toclient", "1", "1"),
            (&client, "wire", "1", "2"),
            (&router, "toserver", "2", "1"),
            (&server, "wire", "2", "2"),
        ];
        for (netns, dev, net, host) in ends {
            let v4 = format!("10.70.{net}.{host}/24");
            let v6 = format!("fd70:{net}::{host}/64");
            netns.ip(&["addr", "add", &v4, "dev", dev]);
            netns.ip(&["addr", "add", &v6, "dev", dev, "nodad"]);
            netns.ip(&["link", "set", dev, "up"]);
        }
        for (netns, net) in [(&client, "1"), (&server, "2")] {
            netns.ip(&["route", "add", "default", "via", &format!("10.70.{net}.1")]);
            let gateway = format!("fd70:{net}::1");
            netns.ip(&["-6", "route", "add", "default", "via", &gateway]);
        }
        router.sysctl("net.ipv4.ip_forward", "1");
        router.sysctl("net.ipv6.conf.all.forwarding", "1");
        // The router answers nothing that comes from the server, not even who it is.
        for (family, to) in [("-4", SERVER_V4), ("-6", SERVER_V6)] {
            let to = to.to_string();
            router.ip(&[
                family, "rule", "add", "iif", "lo", "to", &to, "lookup", "99",
            ]);
            router.ip(&[
                family,
                "route",
                "add",
                "blackhole",
                "default",
                "table",
                "99",
            ]);
        }
        let router_v6 = [
            "fd70:2::1",
            "lladdr",
            ROUTER_MAC,
            "dev",
            "wire",
            "nud",
            "permanent",
        ];
        server.ip(&[&["-6", "neigh", "replace"][..], &router_v6].concat());
        Self {
            client,
            server,
            _router: router,
        }
    }
}

const DOWNLOADS: u64 = 20;

/// Answers each request with a small packet, and then with large ones; reads what comes.
fn serve_downloads(mut line: Line) {
    let at = [SERVER_V4, SERVER_V6];
    let listeners = at.map(|at| traffic::listen_at(SocketAddr::new(at, 0), 1024));
    let ports = listeners.each_ref().map(port_of);
    line.tell(&ports);
    let mut held: Vec<TcpStream> = Vec::new();
    for listener in &listeners {
        for _ in 0..DOWNLOADS {
            held.push(listener.accept().expect("accept").0);
        }
    }
    for stream in &mut held {
        stream.read_exact(&mut [0; 100]).expect("a request");
        stream.write_all(&[b'h'; 200]).expect("headers");
    }
    thread::sleep(SECOND / 2);
    for stream in &mut held {
        stream.set_nonblocking(true).expect("O_NONBLOCK");
        let sent = stream.write(&[b'b'; 30_000]).expect("a body");
        assert!(sent > 10_000, "{sent}");
    }
    line.tell(&[]);
    loop {
        held.iter_mut().for_each(drain);
        thread::sleep(SECOND / 10);
    }
}

/// Downloads; every second client says something twice a second.
fn download(mut line: Line, to: [SocketAddr; 2]) {
    let mut streams = open(to, DOWNLOADS);
    for stream in &mut streams {
        stream.write_all(&[b'r'; 100]).expect("a request");
    }
    line.tell(&[]);
    loop {
        for stream in streams.iter_mut().step_by(2) {
            stream.write_all(b"still there?").expect("write");
        }
        thread::sleep(SECOND / 2);
    }
}

fn black_hole() {
    let hole = Hole::new();
    begin();
    let mut crowd = Crowd::within(&hole.server);
    let mut server = Process::named(&hole.server, c"downloads", serve_downloads);
    let ports = server.line.hear();
    let at = |addr, n: usize| SocketAddr::new(addr, u16::try_from(ports[n]).expect("a port"));
    let to = [at(SERVER_V4, 0), at(SERVER_V6, 1)];
    let mut clients = Process::named(&hole.client, c"curling", move |line| download(line, to));
    clients.line.hear();
    server.line.hear();
    let stalled = || {
        let all = ss::queues(&hole.server.name);
        all.iter().filter(|q| q.backoff >= 4).count() as u64
    };
    traffic::within(60 * SECOND, "all retransmit", || stalled() == 2 * DOWNLOADS);

    let diagnosis = Diagnosis::of(&hole.server, &mut crowd, "");
    diagnosis.assert_alarms_only(&["mtu-black-hole"]);
    assert_eq!(
        diagnosis.of_rule("mtu-black-hole").len(),
        2,
        "{diagnosis:#?}"
    );
    for at in to {
        let found = diagnosis.about("mtu-black-hole", "lport", at.port());
        assert_is(found, "warning");
        assert_about(found, "laddr", at.ip().to_string());
        assert_by(found, "downloads", server.pid());
        let numbers = [("connections", DOWNLOADS), ("heard_since", DOWNLOADS / 2)];
        assert_numbers(found, &numbers);
    }
    assert!(Counters::of(&hole.server.name).get("TcpExtTCPTimeouts") > 0);
}

/// Connects a socket to its own address and port.
fn connect_to_itself<A: SockaddrLike>(family: AddressFamily, at: &A) -> TcpStream {
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("socket");
    bind(socket.as_raw_fd(), at).expect("bind");
    connect(socket.as_raw_fd(), at).expect("connect");
    TcpStream::from(socket)
}

const OWN: u16 = 40020;

fn to_itself() {
    let netns = Netns::new("itself");
    begin();
    let mut crowd = Crowd::within(&netns);
    let mut lonely = Process::named(&netns, c"lonely", |mut line| {
        let v4 = connect_to_itself(AddressFamily::Inet, &SockaddrIn::new(127, 0, 0, 1, OWN));
        let v6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, OWN + 1, 0, 0);
        let v6 = connect_to_itself(AddressFamily::Inet6, &SockaddrIn6::from(v6));
        line.tell(&[]);
        line.hear();
        drop((v4, v6));
    });
    lonely.line.hear();
    let own = ss::table(Some(&netns.name));
    let own = own.iter().filter(|row| row.1 == row.2).count() as u64;
    assert_eq!(own, 2);
    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    diagnosis.assert_alarms_only(&["self-connect"]);
    let found = diagnosis.one("self-connect");
    assert_by(found, "lonely", lonely.pid());
    assert_about(found, "lport", OWN);
    assert_about(found, "rport", OWN);
    assert_numbers(found, &[("sockets", own)]);
    assert!(
        diagnosis.of_rule("simultaneous").is_empty(),
        "{diagnosis:#?}"
    );
}

const CHECKED: u64 = 70;
const POOL: u64 = 60;

/// Two balancers check a server and reset, a client keeps a pool ready, and a program tries ports
/// on which nobody listens.
fn harmless() {
    let netns = Netns::new("harmless");
    begin();
    let mut crowd = Crowd::within(&netns);
    let (_standby, to_standby) = start(&netns, c"standby", |mut line| {
        for mut stream in accept(&mut line, CHECKED) {
            stream.read(&mut [0; 10]).expect_err("a reset");
        }
        line.hear();
    });
    let mut balancer = Process::named(&netns, c"balancer", move |mut line| {
        for at in to_standby {
            for _ in 0..CHECKED {
                traffic::close_by_reset(TcpStream::connect(at).expect("connect"));
                thread::sleep(SECOND / 3);
            }
        }
        line.tell(&[]);
        line.hear();
    });
    let (_cache, to_cache) = start(&netns, c"cache", |mut line| {
        let held = accept(&mut line, POOL);
        line.hear();
        drop(held);
    });
    let mut pool = Process::named(&netns, c"pool", move |mut line| {
        let held = open(to_cache, POOL);
        for stream in &held {
            setsockopt(stream, sockopt::KeepAlive, &true).expect("SO_KEEPALIVE");
        }
        line.tell(&[]);
        line.hear();
        drop(held);
    });
    pool.line.hear();
    balancer.line.hear();
    let mut knocking = Process::named(&netns, c"knocking", |mut line| {
        for n in 0..60 {
            let to = SocketAddr::new(V4, 7 + n % 6);
            TcpStream::connect(to).expect_err("refused");
            thread::sleep(SECOND / 8);
        }
        line.tell(&[]);
        line.hear();
    });
    knocking.line.hear();

    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    assert_harmless(&diagnosis, to_standby, to_cache);
    // The refused ports are one finding, and the only one that matters.
    let refused = diagnosis.about("resets", "comm", "knocking");
    assert_is(refused, "warning");
    assert_numbers(refused, &[("resets", 60)]);
    assert_about(refused, "peer_count", 6);
}

fn assert_harmless(diagnosis: &Diagnosis, standby: [SocketAddr; 2], cache: [SocketAddr; 2]) {
    diagnosis.assert_alarms_only(&["resets"]);
    for at in standby {
        let found = diagnosis.about("resets", "lport", at.port());
        assert_is(found, "info");
        assert_eq!(number(found, "health_checks"), number(found, "resets"));
    }
    for at in cache {
        let found = diagnosis.about("silent-connections", "lport", at.port());
        assert_is(found, "info");
        assert_numbers(found, &[("connections", POOL), ("with_keepalive", POOL)]);
        assert!(!found["advice"].to_string().contains("block"), "{found:#}");
    }
}

const SENDERS: u64 = 120;

/// Log senders that no program answers, and sensors that a broker only greets.
fn one_way() {
    let netns = Netns::new("oneway");
    begin();
    let mut crowd = Crowd::within(&netns);
    let (_logs, to_logs) = start(&netns, c"logs", |mut line| {
        let mut held = accept(&mut line, SENDERS);
        take_all(&mut held);
    });
    let (_broker, to_broker) = start(&netns, c"broker", |mut line| {
        let mut held = accept(&mut line, SENDERS);
        held.iter_mut()
            .for_each(|stream| stream.write_all(&[0x20, 2, 0, 0]).expect("CONNACK"));
        take_all(&mut held);
    });
    let mut senders = Process::named(&netns, c"senders", move |mut line| {
        let mut streams = open(to_logs, SENDERS);
        streams.extend(open(to_broker, SENDERS));
        line.tell(&[]);
        loop {
            let began = Instant::now();
            for stream in &mut streams {
                stream
                    .write_all(b"<34>Oct 11 22:14:15 host app: hello\n")
                    .expect("write");
            }
            thread::sleep((4 * SECOND).saturating_sub(began.elapsed()));
        }
    });
    senders.line.hear();
    thread::sleep(18 * SECOND);
    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    diagnosis.assert_alarms_only(&[]);
    for at in [to_logs, to_broker].concat() {
        let found = diagnosis.about("slow-request", "lport", at.port());
        assert_is(found, "info");
    }
}

/// Reads all that comes, for ever.
fn take_all(streams: &mut [TcpStream]) {
    for stream in &mut *streams {
        stream.set_nonblocking(true).expect("O_NONBLOCK");
    }
    loop {
        streams.iter_mut().for_each(drain);
        thread::sleep(SECOND / 10);
    }
}
