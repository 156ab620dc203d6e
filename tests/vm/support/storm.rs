//! Background load that disturbs a scenario: connections, namespaces that are made and removed with
//! sockets in every state, CPUs that go off- and online.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use super::process::Process;
use super::random::Random;
use super::{guest, netns, tool, traffic, transition_counts};

/// What the storm consisted of.
#[derive(Debug)]
pub struct Storm {
    pub connections: u64,
    pub namespaces: u64,
    pub hotplugs: u64,
}

impl Storm {
    /// Asserts that there was some of each.
    pub fn assert_raged(&self) {
        println!("{self:?}");
        let least = self.connections.min(self.namespaces).min(self.hotplugs);
        assert!(least > 0, "{self:?}");
    }
}

/// Runs `work` during a storm. Processes must have been started before: otherwise they would
/// inherit sockets of it.
pub fn around<T>(seed: u64, cpus: &RangeInclusive<u64>, work: impl FnOnce() -> T) -> (T, Storm) {
    let stop = AtomicBool::new(false);
    let random = |number| Random::of(seed, number);
    thread::scope(|scope| {
        let stopping = traffic::Stop(&stop);
        let connections = scope.spawn(|| churn_apart(&stop));
        let namespaces = scope.spawn(|| namespaces(&stop, &mut random(1000)));
        let hotplugs = scope.spawn(|| hotplug(&stop, cpus, &mut random(1001)));
        let done = work();
        drop(stopping);
        let storm = Storm {
            connections: connections.join().expect("connections"),
            namespaces: namespaces.join().expect("namespaces"),
            hotplugs: hotplugs.join().expect("CPUs"),
        };
        (done, storm)
    })
}

/// A recording during the storm has exact totals: each transition is reported or counted as lost,
/// and the connections in the live table are those that exist.
pub fn assert_exact_totals(seed: u64, cpus: &RangeInclusive<u64>) {
    tool::activate("ring=4096");
    let ((), storm) = around(seed, cpus, || thread::sleep(Duration::from_secs(5)));
    storm.assert_raged();
    netns::alone(|| traffic::mixed(traffic::V4, 40));
    // Events during the report are recorded after its last record.
    tool::when_all_have_ended(guest::patience(60));
    let report = tool::report("transitions=1 alarms=1");
    report.assert_totals_balance();
    let given = (report.transitions.len() + report.alarms.len()) as u64;
    assert_eq!(
        given + report.number("/lost/overwritten"),
        report.number("/recorded"),
        "{}",
        report.summary
    );
    assert_eq!(report.number("/pending"), 0, "{}", report.summary);
    assert_eq!(report.number("/untracked"), 0, "{}", report.summary);
    // The storm was complete: it had every state, and listeners that closed with full queues.
    transition_counts::assert_all_states(&transition_counts::of(&report.summary));
    for end in ["listener_closed", "migrated", "promoted"] {
        println!(
            "requests: {} {end}",
            report.number(&format!("/handshakes/{end}"))
        );
    }
    tool::end();
}

/// Connections in a namespace that is removed together with their remains.
fn churn_apart(stop: &AtomicBool) -> u64 {
    let mut count = 0;
    netns::alone(|| count = traffic::churn_gently(stop));
    count
}

fn namespaces(stop: &AtomicBool, random: &mut Random) -> u64 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        netns::alone(|| inhabit(random));
        count += 1;
        // Leaves time to others where the CPUs run alternately.
        thread::sleep(random.millis(200));
    }
    count
}

/// Sockets in every state, which end all at once or one after the other.
fn inhabit(random: &mut Random) {
    // An orphan that still has data to send would keep the namespace for minutes.
    netns::sysctl("net.ipv4.tcp_orphan_retries", "1");
    let migrates = "net.ipv4.tcp_migrate_req";
    if netns::has_sysctl(migrates) {
        netns::sysctl(migrates, "1");
    }
    let addr = *random.of_these(&[traffic::V4, traffic::V6]);
    let mut held = every_state(addr);
    match random.below(4) {
        0 => close_full_queues(random),
        1 => close_one_of_a_group(random),
        2 => pass_and_inherit(&mut held),
        _ => {}
    }
    thread::sleep(random.millis(30));
    while random.below(8) != 0 && !held.is_empty() {
        let stream = held.swap_remove(random.below(held.len() as u64) as usize);
        if random.one_in(2) {
            traffic::close_by_reset(stream);
        }
    }
}

/// Both ends of connections, in all states of TCP.
fn every_state(addr: IpAddr) -> Vec<TcpStream> {
    let listener = traffic::listen(addr);
    // Small buffers are soon full.
    setsockopt(&listener, sockopt::RcvBuf, &4096).expect("SO_RCVBUF");
    traffic::client_first(&listener);
    traffic::server_first(&listener);
    traffic::reset(&listener);
    let mut held = Vec::new();
    for make in [
        open,
        half_closed,
        closed_unread,
        last_unread,
        closed_by_both,
    ] {
        let (client, server) = traffic::pair(&listener);
        make(&client, &server);
        held.extend([client, server]);
    }
    held
}

/// Both ends are ESTABLISHED.
fn open(_: &TcpStream, _: &TcpStream) {}

/// FIN_WAIT2 and CLOSE_WAIT.
fn half_closed(client: &TcpStream, _: &TcpStream) {
    shut(client);
}

/// FIN_WAIT1: the FIN waits behind data that is not read.
fn closed_unread(client: &TcpStream, _: &TcpStream) {
    stuff(client);
    shut(client);
}

/// LAST_ACK, and FIN_WAIT2.
fn last_unread(client: &TcpStream, server: &TcpStream) {
    shut(server);
    closed_unread(client, server);
}

/// CLOSING, once it has read everything up to the other end's FIN.
fn closed_by_both(client: &TcpStream, server: &TcpStream) {
    closed_unread(client, server);
    closed_unread(server, client);
    let mut reader = client;
    // As much as is available at once: the rest may come later.
    while reader.read(&mut [0; 65536]).is_ok_and(|len| len > 0) {}
}

fn shut(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).expect("shutdown");
}

/// Writes as much as the buffers accept.
fn stuff(mut stream: &TcpStream) {
    setsockopt(stream, sockopt::SndBuf, &4096).expect("SO_SNDBUF");
    stream.set_nonblocking(true).expect("O_NONBLOCK");
    while stream.write(&[0; 4096]).is_ok() {}
}

/// Opens `count` connections, some of which send data: where a listener waits for data first, the
/// others stay half-open.
fn call(listener: &TcpListener, count: u64, random: &mut Random) -> Vec<TcpStream> {
    let to = listener.local_addr().expect("bound");
    let clients: Vec<_> = (0..count).map(|_| traffic::unanswered(to)).collect();
    for mut client in &clients {
        if random.one_in(2) {
            // It may not be open yet, or be refused.
            let _ = client.write(b"data");
        }
    }
    clients
}

/// More connections than both queues hold; the others stay in SYN_SENT.
fn close_full_queues(random: &mut Random) {
    let listener = traffic::listen_with_backlog(Ipv4Addr::LOCALHOST, 4);
    traffic::set_tcp_option(&listener, libc::TCP_DEFER_ACCEPT, 10);
    let _clients = call(&listener, 16, random);
    thread::sleep(random.millis(5));
    drop(listener);
}

/// The queues of the closed listeners migrate to the remaining one.
fn close_one_of_a_group(random: &mut Random) {
    let first = traffic::listen_beside(Ipv4Addr::LOCALHOST, 0);
    let port = first.local_addr().expect("bound").port();
    let mut group = vec![first];
    group.extend((0..3).map(|_| traffic::listen_beside(Ipv4Addr::LOCALHOST, port)));
    for listener in &group {
        traffic::set_tcp_option(listener, libc::TCP_DEFER_ACCEPT, 10);
    }
    let clients = call(&group[0], 24, random);
    group.truncate(1);
    thread::sleep(random.millis(5));
    drop(clients);
}

/// Another process inherits all connections, is passed one of them, and closes them last.
fn pass_and_inherit(held: &mut Vec<TcpStream>) {
    let mut heir = Process::fork(|mut line| {
        let passed = line.take();
        line.tell(&[]);
        line.hear();
        drop(passed);
    });
    let half = held.split_off(held.len() / 2);
    heir.line.pass(half[0].as_raw_fd());
    heir.line.hear();
    drop(half);
    heir.line.tell(&[]);
    heir.finish();
}

/// CPUs go off- and online in any order; all are online in the end.
fn hotplug(stop: &AtomicBool, cpus: &RangeInclusive<u64>, random: &mut Random) -> u64 {
    let mut count = 0;
    let all: Vec<_> = cpus.clone().collect();
    // All are online at the start.
    let mut online = false;
    while !stop.load(Ordering::Relaxed) {
        if switch(*random.of_these(&all), online).expect("a CPU that can be switched") {
            count += 1;
        }
        online = random.one_in(2);
        thread::sleep(random.millis(400));
    }
    for cpu in all {
        traffic::until("the CPU is online", || {
            switch(cpu, true).is_ok() && is_online(cpu)
        });
    }
    count
}

fn online_path(cpu: u64) -> String {
    format!("/sys/devices/system/cpu/cpu{cpu}/online")
}

pub fn is_online(cpu: u64) -> bool {
    fs::read_to_string(online_path(cpu)).is_ok_and(|text| text.trim() == "1")
}

/// Returns whether this has changed anything: other processes may prevent it.
pub fn switch(cpu: u64, online: bool) -> io::Result<bool> {
    if is_online(cpu) == online {
        return Ok(false);
    }
    match fs::write(online_path(cpu), if online { "1" } else { "0" }) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::ResourceBusy => Ok(false),
        Err(e) => Err(e),
    }
}
