//! Events that take time: the minute of TIME_WAIT, and connections that end because an answer never
//! comes. These scenarios run in parallel, each in its own namespaces, during a single recording.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::Value;

use crate::handshakes;
use crate::live;
use crate::simultaneous::calling;
use crate::support::life::{self, Life};
use crate::support::netns::{self, Netns, Reuse};
use crate::support::raw::{Peer, Wire};
use crate::support::segment::{ACK, FIN};
use crate::support::tool::Report;
use crate::support::{guest, scenario, ss, tool, traffic, transition_counts};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("time_wait_lasts_a_minute_and_equals_ss", time_wait),
        handshakes::waits(),
        scenario("data_that_nobody_acknowledges_time_out", retransmissions),
        scenario("a_silent_peer_fails_the_keepalive", keepalive),
        scenario("a_window_that_stays_zero_times_out", probes),
        scenario("a_syn_without_an_answer_times_out", syn),
        scenario("a_neighbour_that_is_not_there_is_unreachable", neighbour),
        scenario("an_orphan_stays_fin_wait2_until_it_changes", orphans),
        scenario("a_client_takes_over_its_own_time_wait", taken_over),
    ]
}

/// Everything that was recorded about a namespace; nothing is consumed.
fn report(netns: u64) -> Report {
    tool::report(&format!("peek=1 transitions=1 netns={netns}"))
}

/// Ends a scenario whose recording continues: see `tool::end`.
fn end(name: Option<&str>, netns: u64) {
    live::assert_same(name, netns);
    transition_counts::check(&report(netns).summary);
}

const BATCHES: u32 = 5;
const MINUTE: Duration = Duration::from_secs(60);
/// How late a timer of a minute may be: the kernel's timer wheel rounds it up to the next 512 (250
/// Hz) or 4,096 (1,000 Hz) ticks.
const LATE: Duration = Duration::from_millis(4100);
/// The timer starts a moment before the state does, and counts ticks.
const EARLY: Duration = Duration::from_millis(100);
/// Time between two readings of `ss`.
const LOOK: Duration = Duration::from_millis(50);

/// Bounds of a state, observed from outside: two moments between which it started, and two between
/// which it ended.
#[derive(Debug, Clone, Copy)]
struct Seen {
    began: (Instant, Instant),
    ended: (Instant, Option<Instant>),
}

impl Seen {
    /// A state that started while `act` ran.
    fn beginning<T>(act: impl FnOnce() -> T) -> (Self, T) {
        let before = Instant::now();
        let value = act();
        let after = Instant::now();
        let seen = Self {
            began: (before, after),
            ended: (after, None),
        };
        (seen, value)
    }

    /// Adds an observation, which started at `began`: the state still exists, or not.
    fn look(&mut self, began: Instant, is_there: bool) {
        if is_there {
            self.ended.0 = began;
        } else if self.ended.1.is_none() {
            self.ended.1 = Some(Instant::now());
        }
    }

    fn is_over(&self) -> bool {
        self.ended.1.is_some()
    }

    /// Asserts that the duration in the record is possible.
    fn assert_holds(&self, record: &Value) {
        let ended = self.ended.1.expect("it is over");
        let (least, most) = (self.ended.0 - self.began.1, ended - self.began.0);
        let told = told(record);
        assert!(
            least <= told && told <= most,
            "told {told:?}, seen {least:?} to {most:?}: {record}"
        );
        assert_eq!(record["in_old_exact"], true, "{record}");
    }
}

/// TIME_WAIT of the socket of each local port.
#[derive(Default)]
struct Waiting(BTreeMap<u16, Seen>);

/// Local ports that `ss` shows in TIME_WAIT.
fn waiting_ports() -> BTreeSet<u16> {
    let rows = ss::table(None).into_iter();
    rows.filter(|row| row.0 == "TIME_WAIT")
        .map(|row| row.1.1)
        .collect()
}

impl Waiting {
    /// A client that closes first.
    fn add(&mut self, listener: &TcpListener) {
        let (client, mut server) = traffic::pair(listener);
        let port = client.local_addr().expect("bound").port();
        let (seen, ()) = Seen::beginning(|| {
            drop(client);
            traffic::wait_for_fin(&mut server);
            // Its FIN is acknowledged by the timewait socket.
            server.shutdown(Shutdown::Write).expect("shutdown");
            traffic::wait_for_state(&server, traffic::CLOSE);
        });
        self.0.insert(port, seen);
    }

    fn look(&mut self) {
        let began = Instant::now();
        let ports = waiting_ports();
        for (port, seen) in &mut self.0 {
            seen.look(began, ports.contains(port));
        }
    }

    fn are_over(&self) -> bool {
        self.0.values().all(Seen::is_over)
    }

    /// Reads `ss` repeatedly until `moment`.
    fn look_until(&mut self, moment: Instant) {
        while Instant::now() < moment {
            self.look();
            thread::sleep(LOOK);
        }
    }
}

fn time_wait() {
    tool::activate_beside();
    let inode = netns::current_inode();
    let listener = traffic::listen(traffic::V4);
    let mut waiting = Waiting::default();
    let began = Instant::now();
    let at = |millis| began + Duration::from_millis(millis);
    let size = 40 / guest::share();
    for batch in 1..=BATCHES {
        (0..size).for_each(|_| waiting.add(&listener));
        thread::sleep(at(u64::from(batch) * 500).saturating_duration_since(Instant::now()));
    }
    let all = BATCHES as usize * size;
    for moment in [0, 20_000, 40_000] {
        thread::sleep(at(moment).saturating_duration_since(Instant::now()));
        let states = live::assert_same(None, inode);
        assert_eq!(states.get("TIME_WAIT"), Some(&all), "{states:?}");
    }
    for moment in [60_800, 62_000] {
        waiting.look_until(at(moment));
        live::assert_same(None, inode);
    }
    while !waiting.are_over() {
        assert!(began.elapsed() < MINUTE * 2, "TIME_WAIT does not end");
        waiting.look();
        thread::sleep(LOOK);
    }
    let report = report(inode);
    for (port, seen) in &waiting.0 {
        let life = life::life(&report.transitions, *port, listener_port(&listener));
        assert_waited(&life, seen);
    }
    end(None, inode);
}

fn listener_port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("bound").port()
}

fn told(record: &Value) -> Duration {
    Duration::from_nanos(record["in_old_ns"].as_u64().expect("a known time"))
}

/// Asserts that TIME_WAIT lasted as long as `ss` has shown it: a minute.
fn assert_waited(life: &Life, seen: &Seen) {
    let record = life.step("TIME_WAIT", "CLOSE");
    seen.assert_holds(record);
    let told = told(record);
    assert!((MINUTE - EARLY..MINUTE + LATE).contains(&told), "{record}");
    assert_eq!(record["reason"], "closed_local", "{record}");
    assert_eq!(record["pid"], std::process::id(), "{record}");
}

/// Waits until the kernel has given the connection up, with this error; returns its life.
fn given_up(netns: &Netns, socket: &TcpStream, peer: &Peer<'_>, error: i32) -> Life {
    traffic::within(Duration::from_secs(40), "the kernel gives up", || {
        traffic::tcp_info(socket).tcpi_state == traffic::CLOSE
    });
    let told = socket.take_error().expect("SO_ERROR").expect("an error");
    assert_eq!(told.raw_os_error(), Some(error), "the socket's own error");
    life::life(
        &report(netns.inode()).transitions,
        peer.remote.port(),
        peer.local.port(),
    )
}

fn assert_timed_out(life: &Life, reason: &str) {
    life.assert_is(&[
        ("CLOSE", ""),
        ("SYN_SENT", ""),
        ("ESTABLISHED", ""),
        ("CLOSE", reason),
    ]);
    assert_eq!(life.last()["error"], "ETIMEDOUT", "{life:?}");
}

fn retransmissions() {
    let netns = Netns::new("unacked");
    let wire = Wire::new(&netns);
    tool::activate_beside();
    let (mut socket, mut peer) = calling(&netns, &wire);
    peer.answer();
    traffic::set_tcp_option(&socket, libc::TCP_USER_TIMEOUT, 1000);
    socket.write_all(b"is anybody there?").expect("write");
    let life = given_up(&netns, &socket, &peer, libc::ETIMEDOUT);
    assert_timed_out(&life, "timeout_retransmit");
    end(Some(&netns.name), netns.inode());
}

fn keepalive() {
    let netns = Netns::new("silent");
    let wire = Wire::new(&netns);
    tool::activate_beside();
    let (socket, mut peer) = calling(&netns, &wire);
    peer.answer();
    for option in [libc::TCP_KEEPIDLE, libc::TCP_KEEPINTVL, libc::TCP_KEEPCNT] {
        traffic::set_tcp_option(&socket, option, 1);
    }
    setsockopt(&socket, sockopt::KeepAlive, &true).expect("SO_KEEPALIVE");
    let life = given_up(&netns, &socket, &peer, libc::ETIMEDOUT);
    assert_timed_out(&life, "timeout_keepalive");
    end(Some(&netns.name), netns.inode());
}

fn probes() {
    let netns = Netns::new("zerowindow");
    let wire = Wire::new(&netns);
    tool::activate_beside();
    let (mut socket, mut peer) = calling(&netns, &wire);
    peer.window = 0;
    peer.answer();
    traffic::wait_for_state(&socket, traffic::ESTABLISHED);
    traffic::set_tcp_option(&socket, libc::TCP_USER_TIMEOUT, 1000);
    socket.write_all(b"no room for this").expect("write");
    let life = given_up(&netns, &socket, &peer, libc::ETIMEDOUT);
    assert_timed_out(&life, "timeout_probe");
    end(Some(&netns.name), netns.inode());
}

fn assert_failed(life: &Life, reason: &str, error: &str) {
    life.assert_is(&[("CLOSE", ""), ("SYN_SENT", ""), ("CLOSE", reason)]);
    assert_eq!(life.last()["error"], error, "{life:?}");
}

fn syn() {
    let netns = Netns::new("unanswered");
    netns.sysctl("net.ipv4.tcp_syn_retries", "1");
    let wire = Wire::new(&netns);
    tool::activate_beside();
    let (socket, peer) = calling(&netns, &wire);
    let life = given_up(&netns, &socket, &peer, libc::ETIMEDOUT);
    assert_failed(&life, "timeout_syn", "ETIMEDOUT");
    // The SYN is retransmitted after a second, and expires two seconds later.
    let lasted = told(life.last());
    assert!((2900..5000).contains(&lasted.as_millis()), "{life:?}");
    end(Some(&netns.name), netns.inode());
}

/// No answer to ARP, at the other end of a real link.
fn neighbour() {
    let netns = Netns::new("deserted");
    netns.ip(&["link", "add", "wire", "type", "veth", "peer", "name", "end"]);
    netns.ip(&["addr", "add", "10.81.0.1/24", "dev", "wire"]);
    netns.ip(&["link", "set", "wire", "up"]);
    netns.ip(&["link", "set", "end", "up"]);
    netns.sysctl("net.ipv4.neigh.wire.retrans_time_ms", "200");
    tool::activate_beside();
    let to: SocketAddr = "10.81.0.2:80".parse().expect("an address");
    let socket = netns.run(|| traffic::unanswered(to));
    let port = socket.local_addr().expect("bound").port();
    traffic::within(Duration::from_secs(40), "the kernel gives up", || {
        traffic::tcp_info(&socket).tcpi_state == traffic::CLOSE
    });
    let error = socket.take_error().expect("SO_ERROR").expect("an error");
    assert_eq!(error.raw_os_error(), Some(libc::EHOSTUNREACH));
    let life = life::life(&report(netns.inode()).transitions, port, to.port());
    assert_failed(&life, "unreachable", "EHOSTUNREACH");
    end(Some(&netns.name), netns.inode());
}

/// A connection that this end has closed, and the peer has not: FIN_WAIT2, limited to `seconds`
/// (TCP_LINGER2).
fn orphan<'w>(netns: &Netns, wire: &'w Wire, seconds: u8) -> (Peer<'w>, Seen) {
    let (socket, mut peer) = calling(netns, wire);
    peer.answer();
    traffic::set_tcp_option(&socket, libc::TCP_LINGER2, seconds.into());
    drop(socket);
    peer.expect(FIN | ACK);
    let port = peer.remote.port();
    let (seen, ()) = Seen::beginning(|| {
        peer.send(ACK);
        traffic::until("it is FIN_WAIT2", || {
            state_of(netns, port).is_some_and(|s| s == "FIN_WAIT2")
        });
    });
    (peer, seen)
}

fn state_of(netns: &Netns, port: u16) -> Option<String> {
    let rows = ss::table(Some(&netns.name)).into_iter();
    rows.into_iter()
        .find(|row| row.1.1 == port)
        .map(|row| row.0)
}

/// The FIN_WAIT2 of an orphan expires: it lasted as long as `ss` showed it.
fn assert_orphan(netns: &Netns, seconds: u8, expected: Duration) {
    let wire = Wire::new(netns);
    let (peer, mut seen) = orphan(netns, &wire, seconds);
    let port = peer.remote.port();
    let deadline = Instant::now() + expected + guest::patience(30);
    while !seen.is_over() {
        let began = Instant::now();
        assert!(began < deadline, "FIN_WAIT2 does not end");
        let state = state_of(netns, port);
        assert!(
            state.as_deref().is_none_or(|s| s == "FIN_WAIT2"),
            "{state:?}"
        );
        seen.look(began, state.is_some());
        thread::sleep(LOOK);
    }
    let life = life::life(&report(netns.inode()).transitions, port, peer.local.port());
    life.assert_is(&[
        ("CLOSE", ""),
        ("SYN_SENT", ""),
        ("ESTABLISHED", ""),
        ("FIN_WAIT1", "closed_local"),
        ("FIN_WAIT2", "closed_local"),
        ("CLOSE", "fin_timeout"),
    ]);
    seen.assert_holds(life.last());
    let told = told(life.last());
    assert!(
        expected <= told && told < expected + guest::slowed(Duration::from_secs(2)),
        "{life:?}"
    );
    end(Some(&netns.name), netns.inode());
}

/// Beyond a minute the kernel keeps the full socket for the excess, and a timewait socket for the
/// rest.
fn orphans() {
    // Long enough to be observed.
    let short = if guest::sanitizer().is_some() { 30 } else { 5 };
    let lasts = Duration::from_secs(short.into());
    tool::activate_beside();
    thread::scope(|scope| {
        scope.spawn(|| assert_orphan(&Netns::new("orphan"), short, lasts));
        scope.spawn(|| assert_orphan(&Netns::new("orphanlong"), 60 + short, 2 * lasts));
        scope.spawn(orphan_that_is_answered);
    });
}

/// The FIN arrives after a while: only then the state becomes TIME_WAIT.
fn orphan_that_is_answered() {
    let netns = Netns::new("orphanlate");
    let wire = Wire::new(&netns);
    let (mut peer, mut seen) = orphan(&netns, &wire, 30);
    let port = peer.remote.port();
    thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    assert_eq!(state_of(&netns, port).as_deref(), Some("FIN_WAIT2"));
    seen.look(began, true);
    peer.close();
    peer.expect(ACK);
    seen.look(began, false);
    assert_eq!(state_of(&netns, port).as_deref(), Some("TIME_WAIT"));
    let life = life::life(&report(netns.inode()).transitions, port, peer.local.port());
    let record = life.step("FIN_WAIT2", "TIME_WAIT");
    assert_eq!(record["reason"], "closed_local", "{record}");
    seen.assert_holds(record);
    assert_eq!(life.last()["new"], "TIME_WAIT", "{life:?}");
    end(Some(&netns.name), netns.inode());
}

/// A single local port, whose last connection is in TIME_WAIT: after a second the next connection
/// may use it (`tcp_tw_reuse`).
fn taken_over() {
    let netns = Netns::new("oneport");
    netns.reuse_time_wait(Reuse::OnLoopback);
    tool::activate_beside();
    let listener = netns.run(|| traffic::listen(traffic::V4));
    netns.sysctl("net.ipv4.ip_local_port_range", "50000 50000");
    netns.run(|| traffic::client_first(&listener));
    assert_eq!(state_of(&netns, 50000).as_deref(), Some("TIME_WAIT"));
    // The kernel compares whole seconds.
    thread::sleep(Duration::from_millis(2100));
    let (_client, _server) = netns.run(|| traffic::pair(&listener));
    let transitions = report(netns.inode()).transitions;
    let lives = life::of_ports(&transitions, 50000, listener_port(&listener));
    assert_eq!(lives.len(), 2, "{lives:?}");
    let ended = lives.iter().find(|l| l.last()["new"] == "CLOSE");
    let ended = ended.unwrap_or_else(|| panic!("the first one has not ended: {lives:?}"));
    let end_of_it = ended.step("TIME_WAIT", "CLOSE");
    assert_eq!(end_of_it["reason"], "reused", "{end_of_it}");
    let lasted = told(end_of_it);
    assert!((2100..50_000).contains(&lasted.as_millis()), "{end_of_it}");
    end(Some(&netns.name), netns.inode());
}
