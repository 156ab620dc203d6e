//! The table of listeners: queues, drops and connections of each, compared with `ss` and `nstat`,
//! and the peaks that these cannot show.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::resource::{Resource, setrlimit};
use serde_json::Value;

use crate::handshakes::patient;
use crate::support::netns::Netns;
use crate::support::nstat::Counters;
use crate::support::raw::{HOST, Peer, Wire, peer_addr};
use crate::support::segment::{ACK, SYN};
use crate::support::ss::{self, Listening};
use crate::support::{guest, scenario, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("the_listener_table_equals_ss_under_load", equals_ss),
        scenario("drops_of_listeners_add_up_to_nstat", equals_nstat),
        scenario("a_thousand_listeners_at_once_are_all_listed", at_once),
        scenario("listeners_cannot_be_chosen_to_share_a_bucket", at_one_port),
    ]
}

/// A number from a line of the table.
pub fn number(line: &Value, name: &str) -> u64 {
    line[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no number {name}: {line}"))
}

/// The listeners of a namespace by port.
pub fn told(netns: &Netns) -> BTreeMap<u64, Value> {
    let keys = "peek=1 transitions=0 alarms=0 listeners=1";
    let report = tool::report(&format!("{keys} netns={}", netns.inode()));
    let by_port = |line: &Value| (number(line, "lport"), line.clone());
    report.listeners.iter().map(by_port).collect()
}

/// The tool's values, in the form of `ss`.
fn as_ss(line: &Value) -> Listening {
    let addr: IpAddr = line["laddr"].as_str().expect("laddr").parse().expect("one");
    let addr = match addr {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    Listening {
        local: (addr, number(line, "lport") as u16),
        waiting: number(line, "accept_queue"),
        limit: number(line, "accept_queue_limit"),
        drops: number(line, "drops"),
    }
}

fn port_of(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("bound").port()
}

fn peers<'w>(wire: &'w Wire, listener: &TcpListener, count: u16) -> Vec<Peer<'w>> {
    let to = SocketAddrV4::new(HOST, port_of(listener));
    let peer = |n| Peer::new(wire, SocketAddrV4::new(peer_addr(n), 30000 + n), to);
    (0..count).map(peer).collect()
}

/// Opens `open` connections that are never accepted; `called` more peers only send a SYN.
fn fill<'w>(wire: &'w Wire, listener: &TcpListener, open: u16, called: u16) -> Vec<Peer<'w>> {
    let mut peers = peers(wire, listener, open + called);
    for (n, peer) in (0..).zip(&mut peers) {
        if n < open {
            peer.open();
        } else {
            peer.send(SYN);
        }
    }
    peers
}

/// Short connections to the listener, until stopped.
fn load(netns: &Netns, listener: &TcpListener, stop: &AtomicBool) {
    netns.run(|| {
        while !stop.load(Ordering::Relaxed) {
            traffic::client_first(listener);
        }
    });
}

/// Compares all listeners, except the queue length of a busy one, which changes all the time.
fn assert_equal(netns: &Netns, busy: Option<u16>) {
    let mut all: Vec<_> = told(netns).values().map(as_ss).collect();
    let mut truth = ss::listening(&netns.name);
    for listening in all.iter_mut().chain(&mut truth) {
        if Some(listening.local.1) == busy {
            assert!(listening.waiting <= 1, "one at a time: {listening:?}");
            listening.waiting = 0;
        }
    }
    all.sort();
    assert_eq!(all, truth);
}

/// Sockets of `ss -tan` in one of these states, at a port of this side.
fn count(netns: &Netns, port: u64, states: &[&str]) -> u64 {
    let rows = ss::table(Some(&netns.name));
    let here = |row: &&ss::Row| u64::from(row.1.1) == port && states.contains(&&*row.0);
    rows.iter().filter(here).count() as u64
}

const CLOSING: [&str; 5] = [
    "FIN_WAIT1",
    "FIN_WAIT2",
    "CLOSE_WAIT",
    "CLOSING",
    "LAST_ACK",
];

/// With no traffic: the connections of each listener by state.
fn assert_states(netns: &Netns) {
    for (port, line) in told(netns) {
        for (name, states) in [
            ("half_open", &["SYN_RECV"][..]),
            ("established", &["ESTABLISHED"]),
            ("closing", &CLOSING),
            ("timewait", &["TIME_WAIT"]),
        ] {
            assert_eq!(
                number(&line, name),
                count(netns, port, states),
                "{name}: {line}"
            );
        }
    }
}

fn equals_ss() {
    queues_equal_ss();
    // Hundreds in TIME_WAIT would end one by one during the last comparison; the namespace, which
    // no socket holds any more, has taken them with it.
    tool::end();
}

fn queues_equal_ss() {
    let netns = patient("queues", 8);
    let wire = Wire::new(&netns);
    let listen = |addr: IpAddr, backlog| netns.run(|| traffic::listen_with_backlog(addr, backlog));
    // These two and five connections are older than the recording.
    let waiting = listen(HOST.into(), 8);
    let idle = listen(traffic::V6, 16);
    let _seeded = fill(&wire, &waiting, 5, 0);
    tool::activate("");
    let busy = listen(traffic::V4, 128);
    let full = listen(HOST.into(), 4);
    let half = listen(HOST.into(), 64);
    let ports = [&waiting, &idle, &busy, &full, &half].map(|l| u64::from(port_of(l)));
    let _opened = fill(&wire, &full, 5, 3);
    for peer in &mut peers(&wire, &half, 7) {
        peer.half_open();
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = traffic::Stop(&stop);
        scope.spawn(|| load(&netns, &busy, &stop));
        for _ in 0..5 {
            assert_equal(&netns, Some(port_of(&busy)));
        }
    });
    // Those were closed by their clients. Now some in each state that lasts.
    netns.run(|| (0..3).for_each(|_| traffic::server_first(&busy)));
    let held: Vec<_> = netns.run(|| (0..6).map(|_| traffic::pair(&busy)).collect());
    for (client, server) in &held[..4] {
        client
            .shutdown(std::net::Shutdown::Write)
            .expect("shutdown");
        traffic::wait_for_fin(&mut server.try_clone().expect("a descriptor"));
    }
    held[0]
        .1
        .shutdown(std::net::Shutdown::Write)
        .expect("shutdown");
    traffic::wait_for_fin(&mut held[0].0.try_clone().expect("a descriptor"));
    traffic::until("all states are as they stay", || {
        count(&netns, ports[2], &["LAST_ACK"]) == 0
    });
    assert_equal(&netns, None);
    assert_states(&netns);
    let lines = told(&netns);
    let of = |index: usize, name: &str| number(&lines[&ports[index]], name);
    let queue = |index: usize| ["accept_queue", "accept_queue_max"].map(|name| of(index, name));
    assert_eq!((queue(0), queue(1), queue(3)), ([5, 5], [0, 0], [5, 5]));
    assert!(of(2, "accept_queue_max") >= 1, "{}", lines[&ports[2]]);
    assert_eq!((of(4, "half_open_max"), of(4, "half_open_limit")), (7, 64));
    assert_eq!((of(0, "established"), of(3, "drops")), (5, 3));
    assert_eq!(lines[&ports[0]]["seeded"], true);
    // The module does not know who opened the first one, but this process has it open.
    assert_eq!(lines[&ports[0]]["pid"], std::process::id());
    assert_eq!(lines[&ports[3]]["pid"], std::process::id());
    assert_eq!(lines[&ports[3]]["age_exact"], true);
    assert_eq!(lines[&ports[3]]["netns_name"], "queues");

    // The queues become empty; the peaks stay in the tool, and ss no longer shows them.
    for listener in [&waiting, &full] {
        for _ in 0..5 {
            listener.accept().expect("accept");
        }
    }
    let lines = told(&netns);
    for port in [ports[0], ports[3]] {
        let queue = ["accept_queue", "accept_queue_max"].map(|n| number(&lines[&port], n));
        assert_eq!(queue, [0, 5], "{}", lines[&port]);
    }
    drop(full);
    assert_eq!(told(&netns).len(), 4, "one is closed");
}

/// A counter of a listener's handshakes.
fn handshakes(line: &Value, name: &str) -> u64 {
    number(&line["handshakes"], name)
}

fn overflows(line: &Value) -> u64 {
    handshakes(line, "syn_accept_queue_full") + handshakes(line, "ack_accept_queue_full")
}

/// SYNs dropped because the half-open queue was full.
fn dropped_syns(line: &Value) -> u64 {
    handshakes(line, "syn_queue_full") + handshakes(line, "syn_dropped_other")
}

/// Three listeners that drop for different reasons, each a different number.
fn equals_nstat() {
    let netns = patient("dropping", 0);
    let wire = Wire::new(&netns);
    let listen = |backlog| netns.run(|| traffic::listen_with_backlog(HOST, backlog));
    tool::activate("");
    let [crowded, small, narrow] = [4, 2, 4].map(listen);
    let ports = [&crowded, &small, &narrow].map(|l| u64::from(port_of(l)));

    // Four are in the queue, one more fits; the last ACKs of three find it full, and so do two
    // SYNs.
    let mut late = fill(&wire, &crowded, 4, 0);
    let mut more = peers(&wire, &crowded, 10).split_off(4);
    let mut turned_away = more.split_off(4);
    for peer in &mut more {
        peer.half_open();
    }
    more[0].send(ACK);
    for peer in &mut turned_away {
        peer.send(SYN);
    }
    for peer in &mut more[1..] {
        peer.send(ACK);
    }
    late.append(&mut more);
    let _small = fill(&wire, &small, 3, 7);
    for peer in &mut peers(&wire, &narrow, 12) {
        peer.send(SYN);
    }
    traffic::until("all is dropped that is to be", || {
        Counters::of(&netns.name).get("TcpExtListenOverflows") == 2 + 3 + 7
    });
    traffic::until("the last SYN has come", || {
        handshakes(&told(&netns)[&ports[2]], "syns") == 12
    });
    let (lines, truth) = (told(&netns), Counters::of(&netns.name));
    let line = |index: usize| &lines[&ports[index]];
    assert_eq!([0, 1, 2].map(|index| overflows(line(index))), [5, 7, 0]);
    let queue_full = truth.get("TcpExtTCPReqQFullDrop");
    assert!(queue_full >= 7, "{queue_full}");
    assert_eq!(dropped_syns(line(2)), queue_full);
    let sum = |of: &dyn Fn(&Value) -> u64| lines.values().map(of).sum::<u64>();
    assert_eq!(sum(&overflows), truth.get("TcpExtListenOverflows"));
    let dropped = |line: &Value| overflows(line) + dropped_syns(line);
    assert_eq!(sum(&dropped), truth.get("TcpExtListenDrops"));
    // The socket's own counter is different: a last ACK that finds the queue full counts twice.
    assert_equal(&netns, None);
    // The sum of the listeners' counters equals the total.
    let report = tool::report("peek=1");
    for (name, each) in [
        ("syns", [Some(10), Some(10), Some(12)]),
        ("promoted", [Some(5), Some(3), Some(0)]),
        ("requests", [Some(8), Some(3), None]),
        ("syn_queue_full", [Some(0), Some(0), None]),
        ("syn_accept_queue_full", [Some(2), Some(7), Some(0)]),
        ("ack_accept_queue_full", [Some(3), Some(0), Some(0)]),
    ] {
        let counts = [0, 1, 2].map(|index| handshakes(line(index), name));
        for (told, expected) in counts.iter().zip(each) {
            assert!(expected.is_none_or(|n| n == *told), "{name}: {counts:?}");
        }
        let all = report.number(&format!("/handshakes/{name}"));
        assert_eq!(counts.iter().sum::<u64>(), all, "{name}");
    }
    tool::end();
}

/// Listeners older than the recording, and listeners opened in a row faster than memory for them
/// may be allocated: many at one port, which share a bucket of the kernel's hash, and many with one
/// port each.
fn at_once() {
    const EACH: usize = 300;
    let netns = Netns::new("listening");
    setrlimit(Resource::RLIMIT_NOFILE, 8192, 8192).expect("RLIMIT_NOFILE");
    let open = || {
        netns.run(|| {
            let first = traffic::listen_beside(Ipv4Addr::LOCALHOST, 0);
            let port = port_of(&first);
            let beside = (1..EACH).map(|_| traffic::listen_beside(Ipv4Addr::LOCALHOST, port));
            let alone = (0..EACH).map(|_| traffic::listen(traffic::V4));
            let all: Vec<_> = [first].into_iter().chain(beside).chain(alone).collect();
            all
        })
    };
    let older = open();
    tool::activate("");
    let begun = open();
    let keys = "peek=1 transitions=0 alarms=0 listeners=1";
    let report = tool::report(&format!("{keys} netns={}", netns.inode()));
    let mut all: Vec<_> = report.listeners.iter().map(as_ss).collect();
    all.sort();
    assert_eq!(all.len(), older.len() + begun.len());
    assert_eq!(all, ss::listening(&netns.name));
    assert_eq!(report.number("/lost/unlisted"), 0);
    drop((older, begun));
    assert!(told(&netns).is_empty(), "all are closed");
    tool::end();
}

/// On a kernel that checks each access, thousands more take minutes and show nothing new.
fn many() -> u16 {
    match guest::sanitizer() {
        Some(_) => 1000,
        None => 8000,
    }
}

/// Connections to each listener.
const CONNECTIONS: u16 = 2;

/// How long it takes to activate with many listeners and connections to them.
fn time_to_begin(nth: impl Fn(u16) -> SocketAddr) -> Duration {
    let many = many();
    let begin = || {
        tool::fresh();
        let began = Instant::now();
        tool::tcpstates(&["--activate=max-listeners=16384 max-conns=65536"]);
        began.elapsed()
    };
    let _listeners: Vec<_> = (0..many).map(|n| traffic::listen_at(nth(n), 8)).collect();
    let connect = |n: u16| TcpStream::connect(nth(n % many)).expect("connect");
    let _clients: Vec<_> = (0..CONNECTIONS * many).map(connect).collect();
    let least = (0..5).map(|_| begin()).min().expect("some");
    let report = tool::report("transitions=0");
    assert_eq!(report.number("/lost/unlisted"), 0, "{}", report.summary);
    least
}

/// Any user may listen at one port on all addresses of 127.0.0.0/8: finding a connection's listener
/// must not take longer than with a separate port for each.
fn at_one_port() {
    const FIRST: u16 = 10_000;
    setrlimit(Resource::RLIMIT_NOFILE, 32_768, 32_768).expect("RLIMIT_NOFILE");
    let addr = |n: u16| Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + u32::from(n));
    let apart = time_to_begin(|n| SocketAddr::from((addr(n), FIRST + n)));
    let at_one = time_to_begin(|n| SocketAddr::from((addr(n), FIRST)));
    println!("{at_one:?} at one port, {apart:?} at one each");
    assert!(at_one < apart * 2, "{at_one:?} {apart:?}");
    tool::end();
}
