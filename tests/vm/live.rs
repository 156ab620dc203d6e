//! The live table against `ss -tan`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::handshakes::patient;
use crate::support::link::{FAR, Link};
use crate::support::netns::{self, Netns};
use crate::support::raw::{HOST, Peer, Wire, peer_addr};
use crate::support::segment::{ACK, FIN};
use crate::support::{guest, scenario, ss, tool, traffic};
use crate::transitions::{addr, port};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("the_live_table_equals_ss", equals_ss),
        scenario("time_wait_that_is_found_has_its_true_age", waiting_ages),
        scenario("ages_are_exact_or_at_least", ages),
    ]
}

/// Activations while connections are opened and closed.
pub fn under_churn() -> Vec<Trial> {
    vec![scenario(
        "what_changes_while_it_is_found_is_not_lost",
        changes_while_seeding,
    )]
}

/// Open sockets of a namespace that has a link to nowhere.
#[derive(Default)]
struct Held {
    streams: Vec<TcpStream>,
    listeners: Vec<TcpListener>,
}

/// ESTABLISHED, FIN_WAIT2, CLOSE_WAIT, LISTEN and SYN_SENT.
fn hold(count: usize, nowhere: Option<Ipv4Addr>) -> Held {
    let mut held = Held::default();
    for addr in [traffic::V4, traffic::V6] {
        let listener = traffic::listen(addr);
        for i in 0..count {
            let (client, server) = traffic::pair(&listener);
            match i % 3 {
                0 => client.shutdown(Shutdown::Write).expect("shutdown"),
                1 => server.shutdown(Shutdown::Write).expect("shutdown"),
                _ => {}
            }
            held.streams.extend([client, server]);
        }
        held.listeners.push(listener);
    }
    if let Some(nowhere) = nowhere {
        let to = |i: usize| SocketAddr::from((nowhere, 1000 + i as u16));
        held.streams
            .extend((0..count / 10).map(|i| traffic::unanswered(to(i))));
    }
    held
}

/// A link that is cut while connections close: FIN_WAIT1 and LAST_ACK stay.
struct CutLink {
    link: Link,
    held: Held,
}

fn cut_link(count: usize) -> CutLink {
    let link = Link::new("near", "far");
    // On old kernels, sockets that linger in FIN_WAIT2 cannot be ended.
    link.far.sysctl("net.ipv4.tcp_fin_timeout", "1");
    let listener = link.far.run(|| traffic::listen(FAR));
    let pairs: Vec<_> = link
        .near
        .run(|| (0..count).map(|_| traffic::pair(&listener)).collect());
    // Half of the far ends close first, so that the near ones are in CLOSE_WAIT.
    let mut held = Held {
        listeners: vec![listener],
        ..Held::default()
    };
    let mut near_ends = Vec::new();
    for (i, (client, server)) in pairs.into_iter().enumerate() {
        if i % 2 == 0 {
            server.shutdown(Shutdown::Write).expect("shutdown");
        }
        near_ends.push(client);
        held.streams.push(server);
    }
    traffic::until("the FINs are acknowledged", || {
        let rows = ss::table(Some(&link.far.name));
        let closing = rows.iter().filter(|row| row.0 == "FIN_WAIT2").count();
        closing == count.div_ceil(2)
    });
    link.cut();
    drop(near_ends);
    CutLink { link, held }
}

type Rows = BTreeMap<Row, usize>;
pub type Row = (String, (std::net::Ipv6Addr, u16), (std::net::Ipv6Addr, u16));

pub fn row(connection: &Value) -> Row {
    let state = connection["state"].as_str().expect("a state").to_owned();
    (
        state,
        (addr(connection, "laddr"), port(connection, "lport")),
        (addr(connection, "raddr"), port(connection, "rport")),
    )
}

fn count<T: Ord>(rows: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut set = BTreeMap::new();
    for row in rows {
        *set.entry(row).or_insert(0) += 1;
    }
    set
}

/// The output of `ss`; on IPv6 it shows `*` for any address.
fn truth(netns: Option<&str>) -> Rows {
    let rows = ss::table(netns).into_iter();
    count(rows.map(|(state, local, remote)| (state, unmapped_any(local), unmapped_any(remote))))
}

/// In text form, neither side reliably tells `0.0.0.0` and `::` apart.
fn unmapped_any((addr, port): (std::net::Ipv6Addr, u16)) -> (std::net::Ipv6Addr, u16) {
    let any = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped();
    (
        if addr == any {
            std::net::Ipv6Addr::UNSPECIFIED
        } else {
            addr
        },
        port,
    )
}

fn told(netns: u64) -> Rows {
    let report = tool::report(&format!("peek=1 transitions=0 connections=1 netns={netns}"));
    let rows = report.connections.iter().map(row);
    count(rows.map(|(state, local, remote)| (state, unmapped_any(local), unmapped_any(remote))))
}

/// Asserts that the live table of a namespace equals `ss`, socket by socket; returns the number in
/// each state.
pub fn assert_same(name: Option<&str>, inode: u64) -> BTreeMap<String, usize> {
    let look = at_one_moment(name, inode);
    let (missing, beyond) = look.differences();
    assert!(
        missing.is_empty() && beyond.is_empty(),
        "the live table of {name:?} is not what ss shows: only ss {missing:#?}, only the table \
         {beyond:#?}; {} live, {} untracked",
        look.told.len(),
        tool::report("peek=1 transitions=0").number("/untracked"),
    );
    let mut states = BTreeMap::new();
    for ((state, ..), n) in look.after {
        *states.entry(state).or_insert(0) += n;
    }
    states
}

/// The table, and the output of `ss` right before and right after it.
struct Look {
    before: Rows,
    told: Rows,
    after: Rows,
}

impl Look {
    /// Sockets that `ss` showed both times and the table did not, and those that only the table
    /// has. A socket that ends in the meantime, such as one in TIME_WAIT, is in neither list.
    fn differences(&self) -> (Vec<&Row>, Vec<&Row>) {
        let n = |rows: &Rows, row| rows.get(row).copied().unwrap_or(0);
        let shown = |row| (n(&self.before, row), n(&self.after, row));
        let missing = self.after.keys().filter(|row| {
            let (before, after) = shown(row);
            n(&self.told, row) < before.min(after)
        });
        let beyond = self.told.keys().filter(|row| {
            let (before, after) = shown(row);
            n(&self.told, row) > before.max(after)
        });
        (missing.collect(), beyond.collect())
    }
}

/// The tables at one moment; a difference must last longer than a socket takes to move from one
/// table to the other.
fn at_one_moment(name: Option<&str>, inode: u64) -> Look {
    let mut look = Look {
        before: truth(name),
        told: told(inode),
        after: truth(name),
    };
    for _ in 0..20 {
        if look.differences() == (vec![], vec![]) {
            break;
        }
        thread::sleep(Duration::from_millis(20));
        look = Look {
            before: look.after,
            told: told(inode),
            after: truth(name),
        };
    }
    look
}

/// Sockets that are not full sockets: half-open requests, orphans in FIN_WAIT2 and TIME_WAIT, whose
/// peers are hand-made.
struct Thin {
    netns: Netns,
    wire: Wire,
    listener: TcpListener,
}

impl Thin {
    fn new(name: &str) -> Self {
        let netns = patient(name, 5);
        let wire = Wire::new(&netns);
        let listener = netns.run(|| traffic::listen_with_backlog(HOST, 1024));
        Self {
            netns,
            wire,
            listener,
        }
    }

    /// Adds some of each, from ports that were not used before.
    fn add(&self, first: u16, count: u16) {
        let SocketAddr::V4(to) = self.listener.local_addr().expect("bound") else {
            panic!("HOST is an IPv4 address");
        };
        let peer = |n| Peer::new(&self.wire, SocketAddrV4::new(peer_addr(n), 20000 + n), to);
        for n in first..first + count {
            peer(n).half_open();
        }
        for n in first..first + count / 10 {
            let mut peer = peer(n + 10_000);
            peer.open();
            let (server, _) = self.listener.accept().expect("accept");
            traffic::set_tcp_option(&server, libc::TCP_LINGER2, 50);
            drop(server);
            peer.expect(FIN | ACK);
            peer.send(ACK);
        }
        self.netns.run(|| {
            let listener = traffic::listen(traffic::V4);
            (0..count / 2).for_each(|_| traffic::client_first(&listener));
        });
    }
}

/// Size of the established hash that each new namespace has for itself, where the kernel supports
/// it (6.1); 0 makes them share the common one.
fn set_own_hash(entries: &str) {
    let sysctl = std::path::Path::new("/proc/sys/net/ipv4/tcp_child_ehash_entries");
    if sysctl.exists() {
        std::fs::write(sysctl, entries).expect("the sysctl");
    }
}

fn equals_ss() {
    tool::fresh();
    let spare = Netns::new("spare");
    spare.ip(&["link", "add", "nowhere", "type", "dummy"]);
    spare.ip(&["addr", "add", "10.78.0.1/24", "dev", "nowhere"]);
    spare.ip(&["link", "set", "nowhere", "up"]);
    let nowhere = Some(Ipv4Addr::new(10, 78, 0, 2));

    let mut here = hold(120, None);
    let there = spare.run(|| hold(60, nowhere));
    let cut = cut_link(40);
    set_own_hash("1024");
    let own_hash = Netns::new("ownhash");
    set_own_hash("0");
    let apart = own_hash.run(|| hold(30, None));

    let thin = Thin::new("thin");
    thin.add(0, 60);

    tool::tcpstates(&["--activate"]);
    let more = hold(20, None);
    thin.add(1000, 20);
    here.streams.truncate(here.streams.len() - 10);
    traffic::until("one is in TIME_WAIT", || {
        ss::table(None).iter().any(|row| row.0 == "TIME_WAIT")
    });

    let mut states = assert_same(None, netns::current_inode());
    for netns in [&spare, &cut.link.near, &own_hash, &thin.netns] {
        for (state, n) in assert_same(Some(&netns.name), netns.inode()) {
            *states.entry(state).or_insert(0) += n;
        }
    }
    for state in [
        "ESTABLISHED",
        "SYN_SENT",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "CLOSE_WAIT",
        "LAST_ACK",
        "LISTEN",
        "SYN_RECV",
        "TIME_WAIT",
    ] {
        assert!(
            states.get(state).is_some_and(|n| *n > 0),
            "no {state} was made: {states:?}"
        );
    }
    assert_eq!(states["SYN_RECV"], 80, "{states:?}");
    let total: usize = states.values().sum();
    assert!(total >= 500, "only {total} sockets");
    assert_gauges();
    drop((here, there, more, cut.held, apart));
    // Sockets that linger behind the cut link would end in the middle of other scenarios.
    for netns in [&cut.link.near, &cut.link.far] {
        ss::kill(netns);
    }
    tool::end();
}

/// The summary's gauges are the live table's sums.
fn assert_gauges() {
    let report = tool::report("peek=1 transitions=0 connections=1");
    let live = count(
        report
            .connections
            .iter()
            .map(|c| c["state"].as_str().expect("a state")),
    );
    for (state, told) in report.summary["states"].as_object().expect("states") {
        let shown = match state.as_str() {
            // The half-open requests in SYN_RECV: here, all of them.
            "NEW_SYN_RECV" => "SYN_RECV",
            other => other,
        };
        let live = live.get(shown).copied().unwrap_or(0);
        assert_eq!(told.as_u64(), Some(live as u64), "{state}");
    }
    assert_eq!(report.number("/tracked"), report.connections.len() as u64);
    for connection in &report.connections {
        assert!(
            connection["age_ns"].as_u64().is_some_and(|age| age > 0),
            "{connection}"
        );
    }
    // Older connections have at least the age that is shown, and it is not marked as exact.
    let exact = report
        .connections
        .iter()
        .filter(|c| c["age_exact"] == true)
        .count();
    let seeded = report.number("/seeded") as usize;
    assert!(
        exact + seeded >= report.connections.len(),
        "{exact} exact, {seeded} seeded"
    );
    assert!(
        exact < report.connections.len() / 2,
        "most were opened before: {exact} exact"
    );
    assert_eq!(report.number("/untracked"), 0);
}

/// Connections are opened and closed on both CPUs while the activation searches for them: at the
/// end, those that remain are shown.
fn changes_while_seeding() {
    tool::fresh();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let held = hold(60, None);
    thread::scope(|scope| {
        let _stop = traffic::Stop(&stop);
        for _ in 0..2 {
            scope.spawn(|| traffic::churn(&stop));
        }
        for _ in 0..10 {
            tool::tcpstates(&["--activate"]);
            // Some connections start, and some end.
            thread::sleep(Duration::from_millis(50));
            tool::tcpstates(&["--deactivate"]);
        }
        tool::tcpstates(&["--activate"]);
    });
    tool::when_all_have_ended(guest::patience(20));
    assert_same(None, netns::current_inode());
    drop(held);
    tool::end();
}

/// A connection that is older than the activation has at least its age; a newer one has its exact
/// age.
fn ages() {
    tool::fresh();
    let listener = traffic::listen(traffic::V4);
    let old = traffic::pair(&listener);
    tool::tcpstates(&["--activate"]);
    // So that neither is as old as the recording, nor as young as the report.
    thread::sleep(Duration::from_millis(50));
    let born = Instant::now();
    let new = traffic::pair(&listener);
    let port = listener.local_addr().expect("bound").port();
    thread::sleep(Duration::from_millis(200));
    let report = tool::report(&format!("peek=1 connections=1 transitions=0 port={port}"));
    let limit = born.elapsed().as_nanos() as u64;
    let client = |stream: &TcpStream| {
        let port = stream.local_addr().expect("bound").port();
        report
            .connections
            .iter()
            .find(|c| c["lport"] == port)
            .expect("it is live")
            .clone()
    };
    let (old_row, new_row) = (client(&old.0), client(&new.0));
    assert_eq!(old_row["age_exact"], false, "{old_row}");
    assert!(
        old_row["age_ns"].as_u64().expect("an age") > 200_000_000,
        "{old_row}"
    );
    assert_eq!(new_row["age_exact"], true, "{new_row}");
    let age = new_row["age_ns"].as_u64().expect("an age");
    assert!(
        (200_000_000..limit).contains(&age),
        "{new_row}, at most {limit}"
    );

    drop((old, new));
    let report = tool::report(&format!("transitions=1 port={port}"));
    let closed: Vec<_> = report
        .transitions
        .iter()
        .filter(|r| r["new"] == "FIN_WAIT1")
        .collect();
    assert_eq!(closed.len(), 2, "{closed:?}");
    for record in closed {
        let exact = record["lport"] == new_row["lport"];
        assert_eq!(record["in_old_exact"], exact, "{record}");
        assert!(
            record["in_old_ns"].as_u64().expect("known") > 200_000_000,
            "{record}"
        );
    }
    tool::end();
}

/// The kernel counts the time of a timewait socket in ticks.
const TICK: Duration = Duration::from_millis(20);

/// A timewait socket's timer shows how old it is.
fn waiting_ages() {
    tool::fresh();
    let listener = traffic::listen(traffic::V4);
    let port = listener.local_addr().expect("bound").port();
    let began = Instant::now();
    (0..3).for_each(|_| traffic::client_first(&listener));
    let done = Instant::now();
    // An age that differs from the recording's.
    thread::sleep(Duration::from_millis(1200));
    tool::tcpstates(&["--activate"]);
    let least = done.elapsed();
    let keys = format!("peek=1 connections=1 transitions=0 rport={port} state=TIME_WAIT");
    let report = tool::report(&keys);
    let most = began.elapsed();
    assert_eq!(report.connections.len(), 3, "{:?}", report.connections);
    for connection in &report.connections {
        let age = Duration::from_nanos(connection["age_ns"].as_u64().expect("an age"));
        assert!(
            least <= age + TICK && age <= most + TICK,
            "{least:?} to {most:?}: {connection}"
        );
        assert_eq!(connection["age_exact"], true, "{connection}");
    }
    // `ss` shows the remaining time, in whole seconds.
    let (minute, whole) = (Duration::from_secs(60), Duration::from_millis(1500));
    for left in ss::time_left(None, "time-wait") {
        assert!(
            left + least < minute + whole,
            "{left:?} left after {least:?}"
        );
        assert!(left + began.elapsed() + whole > minute, "{left:?} left");
    }
    assert_same(None, netns::current_inode());
    tool::end();
}
