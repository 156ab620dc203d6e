//! Alarms: raised once and cleared once in each episode, for pairs of addresses and for listeners,
//! with bounded memory whatever the number of sources.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::slice;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use diagnose_tools::backend::Backend;
use diagnose_tools::backend::device::Device;
use diagnose_tools::model::pair::Pair;
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::follow::follow;
use crate::handshakes::patient;
use crate::listeners::{number, told};
use crate::support::link::{FAR, Link, NEAR};
use crate::support::netns::Netns;
use crate::support::raw::{HOST, Peer, Wire};
use crate::support::segment::{RST, SYN};
use crate::support::{guest, scenario, ss, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("an_alarm_of_a_pair_comes_once_an_episode", pair),
        scenario("an_alarm_of_an_accept_queue_wakes_followers", accept_queue),
        scenario("an_alarm_of_a_half_open_queue_comes_once", half_open),
        scenario("an_alarm_of_unfinished_handshakes_comes_once", unfinished),
        scenario("sockets_that_share_a_port_have_one_alarm", share_a_port),
        scenario("alarms_of_100000_sources_need_no_more_groups", many_sources),
    ]
}

/// Alarms of a namespace that no report has consumed.
fn alarms(netns: &Netns) -> Vec<Value> {
    let keys = "peek=1 transitions=0 alarms=1";
    tool::report(&format!("{keys} netns={}", netns.inode())).alarms
}

/// Kind of each alarm, and whether it was raised.
fn episodes(alarms: &[Value]) -> Vec<(&str, bool)> {
    let episode = |line: &Value| line["raised"].as_bool().expect("raised");
    alarms
        .iter()
        .map(|line| (line["kind"].as_str().expect("a kind"), episode(line)))
        .collect()
}

fn assert_episodes(netns: &Netns, expected: &[(&str, bool)]) -> Vec<Value> {
    let alarms = alarms(netns);
    assert_eq!(episodes(&alarms), expected, "{alarms:#?}");
    alarms
}

/// Waits for an alarm, and checks that it is the only one.
fn wait_for(netns: &Netns, expected: &[(&str, bool)]) -> Vec<Value> {
    let deadline = Instant::now() + guest::patience(20);
    while alarms(netns).len() < expected.len() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    assert_episodes(netns, expected)
}

/// Pool of connections from one host to another; their number can be set.
struct Pool {
    link: Link,
    listener: TcpListener,
    open: Vec<(TcpStream, TcpStream)>,
}

impl Pool {
    fn new() -> Self {
        let link = Link::new("client", "server");
        let listener = link.far.run(|| traffic::listen_with_backlog(FAR, 64));
        Self {
            link,
            listener,
            open: Vec::new(),
        }
    }

    /// Opens or closes connections until there are `count`; only those in TIME_WAIT remain beside
    /// them.
    fn reach(&mut self, count: usize) {
        while self.open.len() > count {
            let (client, mut server) = self.open.pop().expect("one more");
            drop(client);
            traffic::wait_for_fin(&mut server);
        }
        let listener = &self.listener;
        while self.open.len() < count {
            self.open
                .push(self.link.near.run(|| traffic::pair(listener)));
        }
        for netns in [&self.link.near, &self.link.far] {
            traffic::until("all connections are open or closed", || {
                let rows = ss::table(Some(&netns.name));
                let of = |state: &str| rows.iter().filter(|r| r.0 == state).count();
                let others = rows.len() - of("TIME_WAIT") - of("LISTEN");
                of("ESTABLISHED") == count && others == count
            });
        }
    }

    /// Asserts that both ends have had these alarms, each for the pair as that end sees it.
    fn assert_episodes(&self, raised: &[bool]) -> [Vec<Value>; 2] {
        let expected: Vec<_> = raised.iter().map(|raised| ("pair", *raised)).collect();
        let ends = [&self.link.near, &self.link.far];
        let addrs = [(NEAR, FAR), (FAR, NEAR)];
        let both = ends.map(|netns| assert_episodes(netns, &expected));
        for ((alarms, netns), (laddr, raddr)) in both.iter().zip(ends).zip(addrs) {
            for alarm in alarms {
                assert_eq!(alarm["laddr"], laddr.to_string(), "{alarm}");
                assert_eq!(alarm["raddr"], raddr.to_string(), "{alarm}");
                assert_eq!(alarm["netns_name"], *netns.name, "{alarm}");
                assert!(alarm.get("lport").is_none(), "{alarm}");
                assert_eq!(number(alarm, "threshold"), 20, "{alarm}");
            }
        }
        both
    }

    /// The module's counters of the pair, on the client's host.
    fn pair(&self) -> Pair {
        let pairs = Device::open().and_then(|device| device.pairs());
        let inode = self.link.near.inode();
        let mut own: Vec<_> = pairs.expect("a recording");
        own.retain(|p| u64::from(p.netns) == inode && p.remote() == FAR);
        assert_eq!(own.len(), 1, "{own:#?}");
        own[0]
    }
}

/// 80 % of 20 is 16: staying at 16 clears nothing, and a rise that stays below 20 raises nothing.
fn pair() {
    let mut pool = Pool::new();
    tool::activate("threshold=20");
    pool.reach(19);
    pool.assert_episodes(&[]);
    pool.reach(20);
    let [client, server] = pool.assert_episodes(&[true]);
    for alarm in [&client[0], &server[0]] {
        assert_eq!((number(alarm, "value"), number(alarm, "peak")), (20, 20));
        let counts = ["half_open", "established", "closing"].map(|n| number(alarm, n));
        assert_eq!(counts, [1, 19, 0], "{alarm}");
        assert_eq!(alarm["since"], alarm["ts"], "{alarm}");
    }
    assert!(pool.pair().alarm);
    for _ in 0..3 {
        pool.reach(16);
        pool.reach(23);
    }
    pool.reach(16);
    pool.assert_episodes(&[true]);
    pool.reach(15);
    let [client, server] = pool.assert_episodes(&[true, false]);
    for end in [&client, &server] {
        let cleared = &end[1];
        assert_eq!(
            (number(cleared, "value"), number(cleared, "peak")),
            (15, 23)
        );
        assert_eq!(cleared["since"], end[0]["ts"], "{cleared}");
    }
    let pair = pool.pair();
    assert!(!pair.alarm);
    assert_eq!(
        (pair.connections(), pair.established, pair.peak),
        (15, 15, 23)
    );
    let rows = ss::table(Some(&pool.link.near.name));
    let waiting = rows.iter().filter(|r| r.0 == "TIME_WAIT").count();
    assert_eq!(
        (pair.timewait as usize, pair.started),
        (waiting, 20 + 3 * 7)
    );
    for _ in 0..3 {
        pool.reach(19);
        pool.reach(10);
    }
    pool.assert_episodes(&[true, false]);
    pool.reach(20);
    pool.assert_episodes(&[true, false, true]);
    assert_eq!(number(&tool::report("peek=1").summary, "alarms"), 6);

    // A pair that exceeds the threshold before the recording starts raises its alarm once, too.
    tool::activate("threshold=20");
    let [client, _] = pool.assert_episodes(&[true]);
    assert_eq!(number(&client[0], "established"), 20, "{}", client[0]);
    let pair = pool.pair();
    assert_eq!(
        (pair.connections(), pair.started),
        (20, 20 + u64::from(pair.timewait))
    );
    pool.reach(0);
    pool.assert_episodes(&[true, false]);
    tool::tcpstates(&["--deactivate"]);
    tool::activate("threshold=0");
    pool.reach(25);
    pool.assert_episodes(&[]);
    drop(pool);
    tool::end();
}

/// Connections in this namespace that their server has not yet accepted.
fn connect(listener: &TcpListener, count: usize) -> Vec<TcpStream> {
    let to = listener.local_addr().expect("bound");
    (0..count)
        .map(|_| TcpStream::connect(to).expect("connect"))
        .collect()
}

fn accept_queue() {
    const LATE: Duration = Duration::from_secs(4);
    let netns = Netns::new("stuck");
    let listener = netns.run(|| traffic::listen_with_backlog(traffic::V4, 4));
    let port = u64::from(listener.local_addr().expect("bound").port());
    tool::activate("");
    // A line about the listener shows that the follower has started.
    let follower = follow(&format!("transitions=0 listeners=1 lport={port}"));
    assert_eq!(follower.next().1["type"], "listener");
    let mut expected = Vec::new();
    for _ in 0..2 {
        let began = Instant::now();
        let clients = netns.run(|| connect(&listener, 5));
        // More calls raise no second alarm.
        let more = netns
            .run(|| [(); 3].map(|()| traffic::unanswered(listener.local_addr().expect("bound"))));
        let (when, raised) = follower.next();
        assert!(when - began < LATE, "late: {raised}");
        expected.push(("accept_queue", true));
        assert_eq!(episodes(slice::from_ref(&raised)), expected[..1]);
        assert_eq!(
            (number(&raised, "value"), number(&raised, "threshold")),
            (5, 5)
        );
        assert_eq!(
            (number(&raised, "lport"), &raised["laddr"]),
            (port, &"127.0.0.1".into())
        );
        assert!(raised.get("raddr").is_none(), "{raised}");
        drop(more);
        let line = told(&netns).remove(&port).expect("it listens");
        assert_eq!(line["alarms"], Value::from(vec!["accept_queue"]), "{line}");
        assert_episodes(&netns, &expected);

        // accept() is no transition: only the end of the alarm wakes the follower.
        let before = tool::report("peek=1 alarms=0").recorded_transitions();
        let began = Instant::now();
        let servers: Vec<_> = (0..5).map(|_| listener.accept().expect("accept")).collect();
        let (when, cleared) = follower.next();
        assert!(when - began < LATE, "late: {cleared}");
        assert_eq!(
            episodes(slice::from_ref(&cleared)),
            [("accept_queue", false)]
        );
        assert_eq!(
            (number(&cleared, "value"), number(&cleared, "peak")),
            (0, 5)
        );
        let after = tool::report("peek=1 alarms=0").recorded_transitions();
        assert_eq!(before, after, "something else may have woken it");
        expected.push(("accept_queue", false));
        assert_episodes(&netns, &expected);
        assert_eq!(told(&netns)[&port]["alarms"], Value::Array(vec![]));
        drop((clients, servers));
    }
    follower.signal(Signal::SIGINT);
    let (status, stderr, rest) = follower.end();
    assert_eq!(
        (status, stderr.as_str(), rest.len()),
        (0, "", 1),
        "{rest:?}"
    );
    assert_eq!(rest[0]["this_report"]["alarms_shown"], 4);

    // A queue that is full when a recording starts cannot grow any more.
    let clients = netns.run(|| connect(&listener, 5));
    tool::activate("");
    assert_episodes(&netns, &[("accept_queue", true)]);
    for _ in &clients {
        listener.accept().expect("accept");
    }
    wait_for(&netns, &[("accept_queue", true), ("accept_queue", false)]);
    tool::end();
}

fn half_open() {
    let (netns, wire, listener) = flooded("narrow", "0", 4);
    netns.sysctl("net.ipv4.tcp_synack_retries", "5");
    let to = v4(&listener);
    tool::activate("");
    let mut expected = Vec::new();
    for episode in 0..2 {
        let peer = |n: u16| source(u32::from(n), 40000 + 100 * episode + n);
        let mut peers: Vec<_> = (0..10).map(|n| Peer::new(&wire, peer(n), to)).collect();
        for peer in &mut peers {
            peer.send(SYN);
        }
        expected.push(("half_open", true));
        let alarms = wait_for(&netns, &expected);
        let raised = alarms.last().expect("one");
        assert_eq!(number(raised, "threshold"), 4, "{raised}");
        assert_eq!(number(raised, "lport"), u64::from(to.port()), "{raised}");
        for peer in &mut peers {
            peer.send(RST);
        }
        expected.push(("half_open", false));
        let alarms = wait_for(&netns, &expected);
        let cleared = alarms.last().expect("one");
        assert_eq!(number(cleared, "value"), 0, "{cleared}");
        assert!((4..=5).contains(&number(cleared, "peak")), "{cleared}");
    }
    tool::end();
}

fn v4(listener: &TcpListener) -> SocketAddrV4 {
    match listener.local_addr().expect("bound") {
        SocketAddr::V4(addr) => addr,
        SocketAddr::V6(addr) => panic!("{addr} is not an IPv4 address"),
    }
}

/// Address of source number N; millions are possible.
fn source(number: u32, port: u16) -> SocketAddrV4 {
    let first = u32::from(Ipv4Addr::new(10, 128, 0, 2));
    SocketAddrV4::new(Ipv4Addr::from(first + number), port)
}

/// Bursts per second of a flood.
const BURSTS: u32 = 20;

/// Threshold of unfinished handshakes per second: lower on a machine that is too slow for the rate
/// of a flood.
fn threshold() -> u64 {
    if guest::sanitizer().is_some() {
        20
    } else {
        100
    }
}

/// Sends SYNs from sources that do not exist, `rate` per second to each target, while `wanted`
/// returns true for the number of the burst.
fn flood(targets: &[(&Wire, SocketAddrV4)], rate: u32, wanted: impl Fn(u32) -> bool) {
    let began = Instant::now();
    for burst in (0..).take_while(|burst| wanted(*burst)) {
        for (wire, to) in targets {
            for n in 0..rate / BURSTS {
                let from = source(burst * rate + n, 1024 + (n as u16));
                Peer::new(wire, from, *to).send(SYN);
            }
            wire.drain(Duration::ZERO);
        }
        let next = began + Duration::from_secs(1) * (burst + 1) / BURSTS;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// A namespace that answers every source, and its listener.
fn flooded(name: &str, cookies: &str, backlog: i32) -> (Netns, Wire, TcpListener) {
    let netns = patient(name, 0);
    netns.sysctl("net.ipv4.tcp_syncookies", cookies);
    let wire = Wire::new(&netns);
    netns.ip(&["route", "add", "default", "dev", "tun"]);
    let listener = netns.run(|| traffic::listen_with_backlog(HOST, backlog));
    (netns, wire, listener)
}

/// Spoofed sources call two listeners, one of which answers with cookies, while a third listener
/// has the same number of clients, which complete their handshakes.
fn unfinished() {
    let floods = [
        flooded("requests", "0", 4096),
        flooded("cookies", "2", 4096),
    ];
    let busy = Netns::new("busy");
    tool::activate(&format!("unfinished={}", threshold()));
    let stop = AtomicBool::new(false);
    let flooded = floods.each_ref().map(|(netns, ..)| netns);
    thread::scope(|scope| {
        let stopping = traffic::Stop(&stop);
        let churn = scope.spawn(|| busy.run(|| traffic::churn(&stop)));
        let raised = scope.spawn(|| {
            traffic::until("both alarms are raised", || {
                flooded.iter().all(|netns| !alarms(netns).is_empty())
            })
        });
        let targets = floods
            .each_ref()
            .map(|(_, wire, listener)| (wire, v4(listener)));
        flood(&targets, 400, |burst| {
            burst < 4 * BURSTS || !raised.is_finished()
        });
        raised.join().expect("alarms");
        drop(stopping);
        let made = churn.join().expect("churn");
        assert!(made > 2 * threshold(), "only {made} connections");
    });
    for (netns, _, listener) in &floods {
        let alarms = wait_for(netns, &[("unfinished", true), ("unfinished", false)]);
        let numbers = |name: &str| [0, 1].map(|index| number(&alarms[index], name));
        assert_eq!(numbers("lport"), [u64::from(v4(listener).port()); 2]);
        assert_eq!(numbers("threshold"), [threshold(); 2]);
        let ([raised, cleared], [_, peak]) = (numbers("value"), numbers("peak"));
        assert!(
            raised >= threshold() && cleared < threshold() * 8 / 10 && peak >= raised,
            "{alarms:?}"
        );
        assert_eq!(alarms[1]["since"], alarms[0]["ts"]);
    }
    assert_episodes(&busy, &[]);
    let line = told(&floods[1].0).into_values().next().expect("it listens");
    let cookies = number(&line["handshakes"], "cookies_sent");
    assert_eq!(cookies, number(&line["handshakes"], "syns"), "{line}");
    assert!(number(&line, "unfinished_max") >= threshold(), "{line}");
    assert_eq!(line["alarms"], Value::Array(vec![]));
    drop(busy);
    tool::end();
}

/// Sockets with SO_REUSEPORT, each of which gets fewer than the threshold: one alarm for all of
/// them, even if one is closed in the meantime. The same when the queues of two are full.
fn share_a_port() {
    const SOCKETS: usize = 64;
    let (netns, wire, alone) = flooded("shared", "0", 64);
    drop(alone);
    tool::activate(&format!("unfinished={}", threshold()));
    let listen = |port| netns.run(|| traffic::listen_beside(HOST, port));
    let first = listen(0);
    let to = v4(&first);
    let mut sockets: Vec<_> = (1..SOCKETS).map(|_| listen(to.port())).collect();
    sockets.push(first);
    let tell = |number: usize| -> Vec<Value> {
        let all = |row: &Value| row["alarms"] == Value::from(vec!["unfinished"]);
        let rows = Cell::new(Vec::new());
        traffic::until("each socket tells of the alarm", || {
            let told = rows_of(&netns);
            let is_so = told.len() == number && told.iter().all(all);
            rows.set(told);
            is_so
        });
        rows.take()
    };
    // All checks run during the flood, because a slow machine needs the time.
    let rows = thread::scope(|scope| {
        let looking = scope.spawn(|| {
            tell(SOCKETS);
            // The remaining sockets still have too many.
            sockets.truncate(SOCKETS / 2);
            tell(SOCKETS / 2)
        });
        flood(&[(&wire, to)], 400, |_| !looking.is_finished());
        looking.join().expect("rows")
    });
    let raised = alarms(&netns);
    assert_eq!(raised[0]["raised"], true, "{raised:?}");
    let value = number(&raised[0], "value");
    assert!((threshold()..=500).contains(&value), "{raised:?}");
    let peak = rows.iter().map(|row| number(row, "unfinished_max")).max();
    assert!(
        peak < Some(threshold()),
        "none of them alone has so many: {peak:?}"
    );
    let both = wait_for(&netns, &[("unfinished", true), ("unfinished", false)]);
    assert!(number(&both[1], "peak") >= value, "{both:?}");

    // The last two get short queues, and both queues are filled.
    sockets.truncate(2);
    for socket in &sockets {
        let backlog = nix::sys::socket::Backlog::new(2).expect("a backlog");
        nix::sys::socket::listen(socket, backlog).expect("listen");
    }
    let clients: Vec<_> = netns.run(|| (0..40).map(|_| traffic::unanswered(to.into())).collect());
    let waiting = || {
        let lengths = |row: &Value| number(row, "accept_queue");
        rows_of(&netns).iter().map(lengths).collect::<Vec<_>>()
    };
    traffic::until("both queues are full", || waiting() == [3, 3]);
    // Half-open queues that are this short may also be full for a moment.
    let raised = || -> Vec<bool> {
        let of_queue = |line: &&Value| line["kind"] == "accept_queue";
        let raised = |line: &Value| line["raised"].as_bool().expect("raised");
        alarms(&netns).iter().filter(of_queue).map(raised).collect()
    };
    let full = || {
        let is_full = |row: &&Value| {
            let alarms = row["alarms"].as_array().expect("an array");
            alarms.contains(&"accept_queue".into())
        };
        rows_of(&netns).iter().filter(is_full).count()
    };
    traffic::until("the alarm is raised for both", || full() == 2);
    assert_eq!(raised(), [true]);
    drop(clients);
    let empty = |socket: &TcpListener| while socket.accept().is_ok() {};
    sockets[0].set_nonblocking(true).expect("fcntl");
    traffic::until("one of them is empty", || {
        empty(&sockets[0]);
        full() == 1
    });
    assert_eq!(raised(), [true]);
    // The other socket is closed.
    sockets.remove(1);
    traffic::until("the alarm is cleared", || raised() == [true, false]);
    // On 5.10 `ss -K` ends no TIME_WAIT: the namespace must be removed, and each of these holds it.
    drop((sockets, wire, netns));
    tool::end();
}

/// All listeners of a namespace, including those that share a port.
fn rows_of(netns: &Netns) -> Vec<Value> {
    let keys = "peek=1 transitions=0 alarms=0 listeners=1";
    tool::report(&format!("{keys} netns={}", netns.inode())).listeners
}

/// Pairs that were ever counted, by any counter.
fn pairs(summary: &Value) -> u64 {
    let lost = &summary["lost"];
    number(summary, "pairs") + number(lost, "evicted") + number(lost, "uncounted")
}

/// First as many sources as have requests at the same time, then all the others, each of which
/// gives up at once.
fn many_sources() {
    let sources = 100_000 / guest::share() as u32;
    let at_once = 3000 / guest::share() as u32;
    let max_pairs = 1000 / guest::share() as u64;
    let (netns, wire, listener) = flooded("spoofed", "0", 4096);
    // However long the calls take, no request expires before they are done.
    netns.sysctl("net.ipv4.tcp_synack_retries", "5");
    let to = v4(&listener);
    tool::activate(&format!("max-pairs={max_pairs} unfinished=0"));
    let before = tool::report("peek=1 alarms=0 transitions=0").summary;
    let call = |n: u32| {
        let mut peer = Peer::new(&wire, source(n, 1024 + (n % 60_000) as u16), to);
        peer.send(SYN);
        peer
    };
    let mut held: Vec<_> = (0..at_once).map(call).collect();
    let full = tool::report("peek=1 alarms=0 transitions=0").summary;
    assert!(number(&full, "pairs") <= max_pairs, "{full}");
    let uncounted = number(&full["lost"], "uncounted");
    assert!(uncounted >= u64::from(at_once) - max_pairs, "{full}");
    for peer in &mut held {
        peer.send(RST);
    }
    let began = Instant::now();
    for n in at_once..sources {
        call(n).send(RST);
        if n % 1000 == 0 {
            wire.drain(Duration::ZERO);
        }
    }
    println!("{sources} sources in {:?}", began.elapsed());
    let after = tool::report("peek=1 alarms=0 transitions=0").summary;
    let handshakes = &after["handshakes"];
    assert_eq!(
        number(handshakes, "requests"),
        u64::from(sources),
        "{after}"
    );
    assert_eq!(number(&after, "pairs"), max_pairs, "{after}");
    assert_eq!(pairs(&after) - pairs(&before), u64::from(sources));
    let evicted = number(&after["lost"], "evicted");
    assert!(
        evicted >= u64::from(sources - at_once) - max_pairs,
        "{after}"
    );
    assert_eq!(
        number(&after["lost"], "uncounted"),
        uncounted,
        "room enough for one at a time"
    );
    let pairs = Device::open().and_then(|device| device.pairs());
    assert_eq!(pairs.expect("a recording").len() as u64, max_pairs);
    assert_episodes(&netns, &[]);
    tool::end();
}
