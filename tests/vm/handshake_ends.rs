//! Requests that do not simply succeed: each ends with its reason and is counted, compared with the
//! kernel's own counters.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::socket::{MsgFlags, SockaddrIn, sendto};
use serde_json::Value;

use crate::handshakes::patient;
use crate::support::life::{self, Life};
use crate::support::netns::{Netns, ip};
use crate::support::nstat::Counters;
use crate::support::raw::{HOST, Peer, Wire, peer_addr};
use crate::support::segment::{ACK, RST, SYN};
use crate::support::tool::Report;
use crate::support::{scenario, scenario_where, ss, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("each_end_of_a_request_has_its_reason", ends),
        scenario("a_full_half_open_queue_is_counted", half_open_queue),
        scenario("a_full_accept_queue_is_counted", accept_queue),
        scenario("an_accept_queue_that_resets_is_counted", accept_queue_reset),
        scenario("syn_cookies_are_counted_as_nstat_does", cookies),
        scenario(
            "a_cookie_that_finds_the_queue_full_is_counted",
            cookies_at_a_full_queue,
        ),
        scenario("fast_open_begins_with_data", fast_open),
        scenario_where(migrates, "migrated_requests_keep_their_ids", || {
            migration_by_timer(false);
        }),
        scenario_where(
            migrates,
            "migrated_requests_with_deferred_acks_keep_their_ids",
            || {
                migration_by_timer(true);
            },
        ),
        scenario_where(
            migrates,
            "migrated_requests_that_are_answered_keep_their_ids",
            migration_by_ack,
        ),
        scenario_where(
            migrates,
            "migrated_accept_queues_keep_their_ids",
            migration_of_accept_queue,
        ),
        scenario_where(
            migrates,
            "a_request_that_is_copied_while_it_is_promoted_keeps_its_id",
            migration_race,
        ),
        scenario("a_namespace_that_goes_takes_all_with_it", namespace_gone),
    ]
}

fn v4(listener: &TcpListener) -> SocketAddrV4 {
    match listener.local_addr().expect("bound") {
        SocketAddr::V4(addr) => addr,
        SocketAddr::V6(addr) => panic!("{addr} is not an IPv4 address"),
    }
}

fn listen(netns: &Netns, backlog: i32) -> TcpListener {
    netns.run(|| traffic::listen_with_backlog(HOST, backlog))
}

/// This number of hand-made peers that have not yet called the listener.
fn peers<'w>(wire: &'w Wire, listener: &TcpListener, count: u16) -> Vec<Peer<'w>> {
    let to = v4(listener);
    (0..count)
        .map(|n| Peer::new(wire, SocketAddrV4::new(peer_addr(n), 30000 + n), to))
        .collect()
}

fn half_open<'w>(wire: &'w Wire, listener: &TcpListener, count: u16) -> Vec<Peer<'w>> {
    let mut peers = peers(wire, listener, count);
    for peer in &mut peers {
        peer.half_open();
    }
    peers
}

/// Waits until the namespace has no half-open request.
fn wait_for_end_of_requests(netns: &Netns) {
    traffic::within(Duration::from_secs(10), "all requests end", || {
        let rows = ss::table(Some(&netns.name));
        rows.iter().all(|row| row.0 != "SYN_RECV")
    });
}

/// The records of the peer's connection on the kernel's side.
fn life_with(report: &Report, peer: &Peer<'_>) -> Life {
    life::life(&report.transitions, peer.remote.port(), peer.local.port())
}

/// Asserts that the request of each of these peers ended for this reason, with one SYN-ACK; on a
/// busy host it may have lasted until the SYN-ACK was retransmitted.
fn assert_ended(report: &Report, peers: &[Peer<'_>], reason: &str) {
    for peer in peers {
        let life = life_with(report, peer);
        life.assert_is(&[("NEW", ""), ("SYN_RECV", ""), ("CLOSE", reason)]);
        let lasted = life.last()["in_old_ns"].as_u64().expect("its time");
        let again = lasted / Duration::from_millis(990).as_nanos() as u64;
        let synacks = life.last()["synacks"].as_u64().expect("SYN-ACKs");
        assert!((1..=1 + again).contains(&synacks), "{life:?}");
        assert!(life.last().get("pid").is_none(), "{life:?}");
    }
    assert_handshakes(report, reason, peers.len());
}

fn assert_handshakes(report: &Report, counter: &str, count: usize) {
    let told = report.number(&format!("/handshakes/{counter}"));
    assert_eq!(
        told, count as u64,
        "{counter}: {}",
        report.summary["handshakes"]
    );
}

const HOST_UNREACHABLE: u8 = 1;

/// A different number of each, so that no counter can be mistaken for another one.
fn ends() {
    let netns = patient("ends", 3);
    let wire = Wire::new(&netns);
    let listeners: Vec<_> = (0..5).map(|_| listen(&netns, 64)).collect();
    tool::activate("");

    let mut reset = half_open(&wire, &listeners[0], 3);
    for peer in &mut reset {
        peer.send(RST);
    }
    // A SYN in the middle of the window belongs to no connection.
    let mut confused = half_open(&wire, &listeners[1], 4);
    for peer in &mut confused {
        peer.seq += 100;
        peer.send(SYN);
        peer.expect(RST);
    }
    let mut unreachable = peers(&wire, &listeners[2], 5);
    for peer in &mut unreachable {
        let synack = peer.half_open();
        wire.send_unreachable(HOST_UNREACHABLE, &synack);
    }
    let aborted = half_open(&wire, &listeners[3], 6);
    let port = format!("sport = :{}", v4(&listeners[3]).port());
    ss::abort(&netns.name, &["state", "syn-recv", &port]);
    let left = ss::table(Some(&netns.name));
    assert!(left.iter().all(|row| row.0 == "LISTEN"), "{left:?}");

    let orphaned = half_open(&wire, &listeners[4], 7);
    drop(listeners);
    wait_for_end_of_requests(&netns);
    let report = tool::report("transitions=1 connections=1");
    assert_ended(&report, &reset, "reset_received");
    assert_ended(&report, &confused, "reset_sent");
    assert_ended(&report, &unreachable, "unreachable");
    assert_ended(&report, &aborted, "aborted");
    assert_ended(&report, &orphaned, "listener_closed");
    assert_handshakes(&report, "requests", 3 + 4 + 5 + 6 + 7);
    assert_handshakes(&report, "promoted", 0);
    assert_handshakes(&report, "unknown", 0);
    assert_eq!(report.number("/states/NEW_SYN_RECV"), 0);
    tool::end();
}

fn half_open_queue() {
    let netns = patient("narrow", 0);
    let wire = Wire::new(&netns);
    let short = listen(&netns, 4);
    tool::activate("");
    for peer in &mut peers(&wire, &short, 10) {
        peer.send(SYN);
    }
    let answers = wire.drain(Duration::from_millis(50)).len();
    let truth = Counters::of(&netns.name);
    // Some kernels keep one more than the backlog allows.
    assert!((4..=5).contains(&answers), "{answers} answers");
    let dropped = 10 - answers;
    assert_eq!(truth.get("TcpExtTCPReqQFullDrop"), dropped as u64);
    let report = tool::report("transitions=1");
    assert_handshakes(&report, "syns", 10);
    assert_handshakes(&report, "requests", answers);
    assert_handshakes(&report, "syn_queue_full", dropped);
    wait_for_end_of_requests(&netns);

    // For peers that are not known yet, only three quarters of the SYN backlog are available; the
    // kernel counts only the drop.
    netns.sysctl("net.ipv4.tcp_max_syn_backlog", "8");
    let long = listen(&netns, 64);
    for peer in &mut peers(&wire, &long, 10) {
        peer.send(SYN);
    }
    let more = wire.drain(Duration::from_millis(50)).len();
    assert_eq!(more, 7, "three quarters, and the one beyond");
    let truth = Counters::of(&netns.name);
    assert_eq!(truth.get("TcpExtListenDrops"), dropped as u64 + 3);
    let report = tool::report("transitions=1");
    assert_handshakes(&report, "requests", answers + more);
    assert_handshakes(&report, "syn_queue_full", dropped);
    assert_handshakes(&report, "syn_dropped_other", 3);
    wait_for_end_of_requests(&netns);
    tool::end();
}

/// A listener with a backlog of 4, whose accept queue is full with five connections; three more
/// peers have got a SYN-ACK, two later ones have not.
struct Crowd<'w> {
    listener: TcpListener,
    served: Vec<Peer<'w>>,
    late: Vec<Peer<'w>>,
}

fn crowd<'w>(netns: &Netns, wire: &'w Wire) -> Crowd<'w> {
    let listener = listen(netns, 4);
    let mut served = peers(wire, &listener, 10);
    let mut turned_away = served.split_off(8);
    let mut late = served.split_off(4);
    for peer in &mut served {
        peer.open();
    }
    for peer in &mut late {
        peer.half_open();
    }
    late[0].send(ACK);
    served.push(late.remove(0));
    for peer in &mut turned_away {
        peer.send(SYN);
    }
    Crowd {
        listener,
        served,
        late,
    }
}

fn assert_served(report: &Report, crowd: &Crowd<'_>) {
    for peer in &crowd.served {
        life_with(report, peer).assert_is(&[("NEW", ""), ("SYN_RECV", ""), ("ESTABLISHED", "")]);
    }
    assert_handshakes(report, "promoted", 5);
    assert_handshakes(report, "syns", 10);
    assert_handshakes(report, "requests", 8);
    assert_handshakes(report, "syn_accept_queue_full", 2);
    assert_handshakes(report, "accept_queue_full", 3);
    assert_handshakes(report, "expired", 0);
    assert_handshakes(report, "reset_sent", 0);
}

/// The last ACKs of three peers are dropped, and their requests expire.
fn accept_queue() {
    let netns = patient("crowded", 0);
    let wire = Wire::new(&netns);
    tool::activate("");
    let mut crowd = crowd(&netns, &wire);
    for peer in &mut crowd.late {
        peer.send(ACK);
    }
    traffic::until("the last ACKs are dropped", || {
        Counters::of(&netns.name).get("TcpExtListenOverflows") == 2 + 3
    });
    wait_for_end_of_requests(&netns);
    let report = tool::report("transitions=1");
    assert_handshakes(&report, "ack_accept_queue_full", 3);
    assert_served(&report, &crowd);
    for peer in &crowd.late {
        let life = life_with(&report, peer);
        life.assert_is(&[
            ("NEW", ""),
            ("SYN_RECV", ""),
            ("CLOSE", "accept_queue_full"),
        ]);
    }
    // The connections in the queue can still be accepted.
    for _ in &crowd.served {
        crowd.listener.accept().expect("accept");
    }
    tool::end();
}

/// `tcp_abort_on_overflow`: the last ACKs are answered with resets.
fn accept_queue_reset() {
    let netns = patient("crowded", 0);
    netns.sysctl("net.ipv4.tcp_abort_on_overflow", "1");
    let wire = Wire::new(&netns);
    tool::activate("");
    let mut crowd = crowd(&netns, &wire);
    for peer in &mut crowd.late {
        peer.send(ACK);
        peer.expect(RST);
    }
    let truth = Counters::of(&netns.name).get("TcpExtListenOverflows");
    assert_eq!(truth, 2 + 3);
    let report = tool::report("transitions=1");
    assert_served(&report, &crowd);
    for peer in &crowd.late {
        let life = life_with(&report, peer);
        life.assert_is(&[
            ("NEW", ""),
            ("SYN_RECV", ""),
            ("CLOSE", "accept_queue_full"),
        ]);
    }
    tool::end();
}

/// Of fifty cookies, thirty are answered with right ACKs, twelve with wrong ones, and eight never.
fn cookies() {
    let netns = patient("cookies", 3);
    netns.sysctl("net.ipv4.tcp_syncookies", "2");
    let wire = Wire::new(&netns);
    let listener = listen(&netns, 64);
    tool::activate("");
    let mut peers = half_open(&wire, &listener, 50);
    let (right, rest) = peers.split_at_mut(30);
    for peer in right.iter_mut() {
        peer.send(ACK);
    }
    for peer in rest.iter_mut().take(12) {
        peer.ack = peer.ack.wrapping_add(12345);
        peer.send(ACK);
        peer.expect(RST);
    }
    let accepted: Vec<_> = right
        .iter()
        .map(|_| listener.accept().expect("accept"))
        .collect();
    let truth = Counters::of(&netns.name);
    for (name, count) in [("Sent", 50), ("Recv", 30), ("Failed", 12)] {
        assert_eq!(truth.get(&format!("TcpExtSyncookies{name}")), count);
    }
    // Connections of an earlier test may still end.
    let report = tool::report(&format!(
        "transitions=1 listeners=1 netns={}",
        netns.inode()
    ));
    assert_handshakes(&report, "syns", 50);
    assert_handshakes(&report, "cookies_sent", 50);
    assert_handshakes(&report, "cookies_accepted", 30);
    assert_handshakes(&report, "cookies_rejected", 12);
    assert_handshakes(&report, "requests", 0);
    let of_listener = |counter: &str| {
        let mut all = report.listeners.iter();
        let one = all.find(|one| one["lport"] == v4(&listener).port());
        one.expect("the listener")["handshakes"][counter].clone()
    };
    assert_eq!(of_listener("cookies_accepted"), 30);
    assert_eq!(of_listener("cookies_rejected"), 12);
    let lives = life::lives(&report.transitions);
    assert_eq!(lives.len(), 30, "one each, and none for the others");
    for peer in right.iter() {
        let life = life_with(&report, peer);
        assert_eq!(life.first()["reason"], "syn_cookie", "{life:?}");
        assert_eq!(life.first()["old"], "NEW", "{life:?}");
        assert_eq!(life.last()["new"], "ESTABLISHED", "{life:?}");
        assert_eq!(life.last()["role"], "server", "{life:?}");
        assert_eq!(life.last()["listener_port"], peer.remote.port(), "{life:?}");
    }
    drop(accepted);
    tool::end();
}

/// Of eight right cookies, five fill the accept queue, and three find it full.
fn cookies_at_a_full_queue() {
    let netns = patient("lateback", 3);
    netns.sysctl("net.ipv4.tcp_syncookies", "2");
    let wire = Wire::new(&netns);
    let listener = listen(&netns, 4);
    tool::activate("");
    let mut peers = half_open(&wire, &listener, 8);
    for peer in &mut peers {
        peer.send(ACK);
    }
    traffic::until("all cookies are back", || {
        Counters::of(&netns.name).get("TcpExtSyncookiesRecv") == 8
    });
    let truth = Counters::of(&netns.name);
    assert_eq!(truth.get("TcpExtListenOverflows"), 3);
    let report = tool::report(&format!("transitions=1 netns={}", netns.inode()));
    assert_handshakes(&report, "cookies_sent", 8);
    assert_handshakes(&report, "cookies_accepted", 8);
    assert_handshakes(&report, "cookies_rejected", 0);
    assert_handshakes(&report, "ack_accept_queue_full", 3);
    assert_eq!(life::lives(&report.transitions).len(), 5);
    drop(listener);
    tool::end();
}

/// A connection whose first data are in the SYN; neither side asks for a cookie.
fn call_with_data(to: SocketAddrV4, data: &[u8]) -> TcpStream {
    let socket = traffic::unconnected();
    let flag = MsgFlags::from_bits_retain(libc::MSG_FASTOPEN);
    let sent = sendto(socket.as_raw_fd(), data, &SockaddrIn::from(to), flag).expect("sendto");
    assert_eq!(sent, data.len());
    TcpStream::from(socket)
}

fn fast_open() {
    const COUNT: u64 = 10;
    let netns = Netns::new("fastopen");
    // Client and server, both without a cookie.
    netns.sysctl("net.ipv4.tcp_fastopen", "519");
    let listener = netns.run(|| traffic::listen(traffic::V4));
    traffic::set_tcp_option(&listener, libc::TCP_FASTOPEN, 64);
    let to = v4(&listener);
    tool::activate("");
    let mut ports = Vec::new();
    for _ in 0..COUNT {
        let client = netns.run(|| call_with_data(to, b"request"));
        let (mut server, _) = listener.accept().expect("accept");
        server.read_exact(&mut [0; 7]).expect("the data");
        ports.push(client.local_addr().expect("bound").port());
        drop(client);
        traffic::wait_for_time_wait(&mut server);
    }
    let truth = Counters::of(&netns.name).get("TcpExtTCPFastOpenPassive");
    assert_eq!(truth, COUNT);
    let report = tool::report("transitions=1");
    assert_handshakes(&report, "fast_open", COUNT as usize);
    assert_handshakes(&report, "syns", COUNT as usize);
    assert_handshakes(&report, "requests", 0);
    for port in ports {
        let life = life::life(&report.transitions, to.port(), port);
        life.assert_is(&[
            ("NEW", ""),
            ("SYN_RECV", "fast_open"),
            ("ESTABLISHED", ""),
            ("CLOSE_WAIT", "closed_peer"),
            ("LAST_ACK", "closed_peer"),
            ("CLOSE", "closed_peer"),
        ]);
        assert_eq!(life.last()["pid"], std::process::id(), "{life:?}");
    }
    tool::end();
}

/// Two listeners at one port.
fn listen_twice(netns: &Netns) -> (TcpListener, TcpListener) {
    netns.run(|| {
        let one = traffic::listen_beside(HOST, 0);
        let port = one.local_addr().expect("bound").port();
        (one, traffic::listen_beside(HOST, port))
    })
}

/// Since 5.14. Some kernels have the sysctl, but not the function.
fn migrates() -> bool {
    let symbols = fs::read_to_string("/proc/kallsyms").expect("/proc/kallsyms");
    symbols.contains(" reuseport_migrate_sock\n")
}

/// Connections to a port of two listeners, one of which will be closed.
struct Migration<'w> {
    netns: &'w Netns,
    closing: Option<TcpListener>,
    staying: TcpListener,
    peers: Vec<Peer<'w>>,
}

impl<'w> Migration<'w> {
    /// Fewer than half of the backlog: above that, the kernel drops old requests early.
    const COUNT: u16 = 30;

    /// Half-open connections that start while the module records.
    fn begin(netns: &'w Netns, wire: &'w Wire) -> Self {
        netns.sysctl("net.ipv4.tcp_migrate_req", "1");
        let (closing, staying) = listen_twice(netns);
        tool::activate("");
        let peers = half_open(wire, &closing, Self::COUNT);
        Self {
            netns,
            closing: Some(closing),
            staying,
            peers,
        }
    }

    fn answer(&mut self) {
        for peer in &mut self.peers {
            peer.send(ACK);
        }
    }

    fn close(&mut self) {
        drop(self.closing.take());
    }

    fn truth(&self, counter: &str) -> u64 {
        Counters::of(&self.netns.name).get(counter)
    }

    /// Number of connections that migrated from one listener to the other: some, but not all.
    fn migrated(&self) -> u64 {
        let failed = self.truth("TcpExtTCPMigrateReqFailure");
        assert_eq!(failed, 0, "could not migrate");
        let migrated = self.truth("TcpExtTCPMigrateReqSuccess");
        let all = u64::from(Self::COUNT);
        assert!((1..all).contains(&migrated), "{migrated} migrated");
        migrated
    }

    fn live(&self, state: &str) -> Vec<Value> {
        let keys = format!(
            "peek=1 transitions=0 connections=1 netns={} state={state}",
            self.netns.inode()
        );
        let live = tool::report(&keys).connections;
        assert_eq!(live.len(), usize::from(Self::COUNT), "{state}: {live:#?}");
        live
    }

    /// Asserts that each of them is one connection from its SYN on, which nothing has ended; the
    /// remaining listener accepts it.
    fn end(self) {
        let accepted: Vec<_> = (0..Self::COUNT)
            .map(|_| self.staying.accept().expect("accept"))
            .collect();
        let truth = self.migrated();
        let report = tool::report("transitions=1");
        assert_handshakes(&report, "migrated", truth as usize);
        assert_handshakes(&report, "requests", usize::from(Self::COUNT));
        assert_handshakes(&report, "promoted", usize::from(Self::COUNT));
        for end in ["listener_closed", "expired", "duplicate", "unknown"] {
            assert_handshakes(&report, end, 0);
        }
        for lost in ["/unmatched", "/untracked"] {
            assert_eq!(report.number(lost), 0, "{lost}: {}", report.summary);
        }
        for peer in &self.peers {
            let life = life_with(&report, peer);
            life.assert_is(&[("NEW", ""), ("SYN_RECV", ""), ("ESTABLISHED", "")]);
        }
        for connection in self.live("ESTABLISHED") {
            assert_eq!(connection["pid"], std::process::id(), "{connection}");
        }
        drop(accepted);
        tool::end();
    }
}

/// A listener is closed, and its half-open connections migrate when their timers expire, whether
/// their SYN-ACKs are retransmitted or not (after deferred last ACKs).
fn migration_by_timer(deferred: bool) {
    let netns = patient("migrating", 5);
    let wire = Wire::new(&netns);
    let mut all = Migration::begin(&netns, &wire);
    if deferred {
        for listener in all.closing.iter().chain([&all.staying]) {
            traffic::set_tcp_option(listener, libc::TCP_DEFER_ACCEPT, 60);
        }
        all.answer();
        traffic::until("the last ACKs are put off", || {
            all.truth("TcpExtTCPDeferAcceptDrop") == u64::from(Migration::COUNT)
        });
    }
    let ids = |live: Vec<Value>| -> BTreeSet<u64> {
        let ids = live.iter().map(|c| c["conn"].as_u64().expect("an id"));
        ids.collect()
    };
    let before = ids(all.live("SYN_RECV"));
    let timers = all.truth("TcpExtTCPTimeouts");
    all.close();
    traffic::until("each timer has gone off", || {
        all.truth("TcpExtTCPTimeouts") >= timers + u64::from(Migration::COUNT)
    });
    let truth = all.migrated();
    let report = tool::report("peek=1 transitions=1");
    assert_handshakes(&report, "migrated", truth as usize);
    let again = report.number("/handshakes/synacks_sent_again");
    assert_eq!(again == 0, deferred, "{}", report.summary["handshakes"]);
    assert_eq!(before, ids(all.live("SYN_RECV")));
    for peer in &mut all.peers {
        peer.send_data(b"data");
    }
    all.end();
}

/// A listener is closed, and its half-open connections migrate when their last ACKs arrive.
fn migration_by_ack() {
    let netns = patient("migrating", 3);
    let wire = Wire::new(&netns);
    let mut all = Migration::begin(&netns, &wire);
    all.close();
    all.answer();
    traffic::until("the last ACKs are taken", || {
        let rows = ss::table(Some(&netns.name));
        rows.iter().all(|row| row.0 != "SYN_RECV")
    });
    // On a busy host a timer may expire before the ACK arrives.
    let timers = all.truth("TcpExtTCPTimeouts");
    let truth = all.migrated();
    assert!(truth > timers, "{truth} migrated, {timers} timers");
    all.end();
}

/// A listener is closed, and its connections that wait to be accepted migrate at once.
fn migration_of_accept_queue() {
    let netns = patient("migrating", 3);
    let wire = Wire::new(&netns);
    let mut all = Migration::begin(&netns, &wire);
    all.answer();
    all.live("ESTABLISHED");
    all.close();
    let truth = all.migrated();
    let report = tool::report("peek=1 transitions=1");
    assert_handshakes(&report, "migrated", truth as usize);
    all.end();
}

/// The timers of requests copy them to another listener at the moment at which their last ACKs
/// arrive: whichever is first, the connection continues.
fn migration_race() {
    const COUNT: u16 = 60;
    const TIMER: Duration = Duration::from_secs(1);
    let netns = patient("racing", 3);
    netns.sysctl("net.ipv4.tcp_migrate_req", "1");
    let wire = Wire::new(&netns);
    let (one, other) = listen_twice(&netns);
    tool::activate("");
    let mut peers = peers(&wire, &one, COUNT);
    let begun: Vec<_> = peers
        .iter_mut()
        .map(|peer| {
            peer.half_open();
            Instant::now()
        })
        .collect();
    drop(one);
    for (peer, begun) in peers.iter_mut().zip(begun) {
        sleep((begun + TIMER).saturating_duration_since(Instant::now()));
        peer.send(ACK);
    }
    let accepted: Vec<_> = (0..COUNT)
        .map(|_| other.accept().expect("accept"))
        .collect();
    let report = tool::report("transitions=1");
    assert_handshakes(&report, "promoted", usize::from(COUNT));
    assert_eq!(report.number("/unmatched"), 0, "{}", report.summary);
    for peer in &peers {
        let life = life_with(&report, peer);
        life.assert_is(&[("NEW", ""), ("SYN_RECV", ""), ("ESTABLISHED", "")]);
    }
    drop(accepted);
    tool::end();
}

/// Its listener is closed first, and its requests end within a second; then nothing holds the
/// namespace any more, and its sockets in TIME_WAIT are removed with it.
fn namespace_gone() {
    let netns = patient("doomed", 3);
    let inode = netns.inode();
    let wire = Wire::new(&netns);
    let listener = listen(&netns, 64);
    tool::activate("");
    let requests = half_open(&wire, &listener, 5);
    let ports: Vec<_> = requests
        .iter()
        .map(|p| (p.remote.port(), p.local.port()))
        .collect();
    let local = netns.run(|| {
        let listener = traffic::listen(traffic::V4);
        (0..3).for_each(|_| traffic::client_first(&listener));
        v4(&listener).port()
    });
    let waiting = ss::table(Some(&netns.name));
    let waiting = waiting.iter().filter(|row| row.0 == "TIME_WAIT").count();
    assert_eq!(waiting, 3, "the clients have closed first");
    drop(requests);
    ip(&["netns", "del", &netns.name]);
    drop((listener, wire));
    let keys = format!("peek=1 transitions=0 connections=1 netns={inode}");
    traffic::within(Duration::from_secs(10), "all of the namespace end", || {
        tool::report(&keys).connections.is_empty()
    });
    let report = tool::report(&format!("transitions=1 netns={inode}"));
    for (lport, rport) in ports {
        life::life(&report.transitions, lport, rport).assert_is(&[
            ("NEW", ""),
            ("SYN_RECV", ""),
            ("CLOSE", "listener_closed"),
        ]);
    }
    let clients: Vec<_> = life::lives(&report.transitions)
        .into_iter()
        .filter(|l| l.port("rport") == local)
        .collect();
    assert_eq!(clients.len(), 3);
    for life in &clients {
        let end = life.step("TIME_WAIT", "CLOSE");
        assert_eq!(end["reason"], "netns_gone", "{life:?}");
        let lasted = end["in_old_ns"].as_u64().expect("a known time");
        assert!(lasted < 30_000_000_000, "{life:?}");
    }
    tool::end();
}
