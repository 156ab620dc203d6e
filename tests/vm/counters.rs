//! Counters that CPUs write at the same time: exact whenever there is no traffic, and without a
//! cache line that all CPUs write.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use diagnose_tools::backend::Backend;
use diagnose_tools::backend::device::Device;
use diagnose_tools::model::pair::Pair;
use libtest_mimic::Trial;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::handshakes::patient;
use crate::listeners::{number, told};
use crate::support::netns::Netns;
use crate::support::nstat::Counters;
use crate::support::raw::{HOST, Peer, Wire, peer_addr};
use crate::support::segment::SYN;
use crate::support::{scenario, ss, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("counters_of_both_cpus_are_exact_at_any_time", exact),
        scenario("a_busy_listener_has_no_line_that_all_cpus_write", shared),
        scenario("a_pair_far_above_its_limit_has_none_either", far_above),
        scenario("a_flood_of_cookies_writes_no_line_of_all_cpus", cookies),
    ]
}

/// Number of threads, each on its own CPU.
const CPUS: usize = 2;

/// Runs on both CPUs at once; `work` gets the number of its CPU.
fn on_each_cpu(netns: &Netns, work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for cpu in 0..CPUS {
            let work = &work;
            scope.spawn(move || {
                netns.run(|| {
                    let mut set = CpuSet::new();
                    set.set(cpu).expect("a CPU");
                    sched_setaffinity(Pid::from_raw(0), &set).expect("affinity");
                    work(cpu);
                });
            });
        }
    });
}

/// The module's atomic operations on data that CPUs share, since it was loaded.
fn shared_ops() -> u64 {
    let text = fs::read_to_string("/sys/module/tcpstates/parameters/shared_ops");
    let text = text.expect("the module is loaded");
    text.trim().parse().expect("a number")
}

/// More than there are slots, so that two listeners share one.
const LISTENERS: usize = 20;
const CLIENTS: u8 = 5;
const ROUNDS: usize = 4;
const EACH: usize = 60;

fn client(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 9, 0, 1 + (number % usize::from(CLIENTS)) as u8)
}

/// All pairs of a namespace by their addresses, as the module counts them.
fn pairs(netns: &Netns) -> BTreeMap<(IpAddr, IpAddr), Pair> {
    let inode = netns.inode();
    let pairs = Device::open().and_then(|device| device.pairs());
    let mut own = pairs.expect("a recording");
    own.retain(|p| u64::from(p.netns) == inode);
    own.iter().map(|p| ((p.local(), p.remote()), *p)).collect()
}

/// Sockets in these states between two addresses.
fn sockets(rows: &[ss::Row], ends: (IpAddr, IpAddr), states: &[&str]) -> u32 {
    let is = |addr: Ipv6Addr, ip: IpAddr| match ip {
        IpAddr::V4(v4) => addr == v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => addr == v6,
    };
    let meets =
        |r: &&ss::Row| is(r.1.0, ends.0) && is(r.2.0, ends.1) && states.contains(&r.0.as_str());
    rows.iter().filter(meets).count() as u32
}

const CLOSING: [&str; 5] = [
    "FIN_WAIT1",
    "FIN_WAIT2",
    "CLOSE_WAIT",
    "CLOSING",
    "LAST_ACK",
];

/// With no traffic: all tables equal `ss` and `nstat`, and each has `made` connections.
fn assert_exact(netns: &Netns, made: &[usize], ports: &[u16]) {
    let rows = ss::table(Some(&netns.name));
    let truth = Counters::of(&netns.name);
    let lines = told(netns);
    for (port, made) in ports.iter().zip(made) {
        let line = &lines[&u64::from(*port)];
        for counter in ["syns", "requests", "promoted"] {
            let told = number(&line["handshakes"], counter);
            assert_eq!(told, *made as u64, "{counter}: {line}");
        }
        for (class, states) in [
            ("established", &["ESTABLISHED"][..]),
            ("closing", &CLOSING),
            ("timewait", &["TIME_WAIT"]),
        ] {
            let here = |r: &&ss::Row| r.1.1 == *port && states.contains(&r.0.as_str());
            let there = rows.iter().filter(here).count() as u64;
            assert_eq!(number(line, class), there, "{class}: {line}");
        }
    }
    let pairs = pairs(netns);
    let sum = |of: fn(&Pair) -> u64| pairs.values().map(of).sum::<u64>();
    let [active, passive] = ["TcpActiveOpens", "TcpPassiveOpens"].map(|name| truth.get(name));
    assert_eq!(passive, made.iter().sum::<usize>() as u64);
    assert_eq!(sum(|p| p.started), active + passive);
    assert_eq!(pairs.len(), 2 * usize::from(CLIENTS));
    for (ends, pair) in &pairs {
        let count = |states: &[&str]| sockets(&rows, *ends, states);
        assert_eq!(pair.established, count(&["ESTABLISHED"]), "{pair:?}");
        assert_eq!(pair.closing, count(&CLOSING), "{pair:?}");
        assert_eq!(pair.timewait, count(&["TIME_WAIT"]), "{pair:?}");
        assert_eq!((pair.half_open, pair.unfinished), (0, 0), "{pair:?}");
        assert!(pair.peak >= pair.connections(), "{pair:?}");
    }
}

/// Both CPUs open connections between all clients and all listeners; some stay, some end on another
/// CPU than they started on. The tables are read after each round.
fn exact() {
    let netns = Netns::new("counted");
    let listen = || netns.run(|| traffic::listen_with_backlog(traffic::V4, 128));
    tool::activate("");
    let listeners: Vec<TcpListener> = (0..LISTENERS).map(|_| listen()).collect();
    let ports: Vec<u16> = listeners
        .iter()
        .map(|l| l.local_addr().expect("bound").port())
        .collect();
    let mut made = vec![0; LISTENERS];
    let held = [const { Mutex::new(Vec::<(TcpStream, TcpStream)>::new()) }; CPUS];
    for round in 0..ROUNDS {
        on_each_cpu(&netns, |cpu| {
            // One thread accepts from each listener.
            for n in 0..EACH {
                let listener = &listeners[(n * CPUS + cpu) % LISTENERS];
                let to = listener.local_addr().expect("bound");
                let client = traffic::connect_from(client(n + round), to);
                let (mut server, _) = listener.accept().expect("accept");
                if n % 4 == 0 {
                    held[cpu].lock().expect("a lock").push((client, server));
                } else {
                    drop(client);
                    traffic::wait_for_fin(&mut server);
                }
            }
            // The connections that the other CPU held end here.
            if round % 2 == 1 {
                let others: Vec<_> = held[1 - cpu].lock().expect("a lock").drain(..5).collect();
                for (mut client, server) in others {
                    drop(server);
                    traffic::wait_for_fin(&mut client);
                }
            }
        });
        for cpu in 0..CPUS {
            for n in 0..EACH {
                made[(n * CPUS + cpu) % LISTENERS] += 1;
            }
        }
        traffic::until("all last ACKs have come", || {
            let rows = ss::table(Some(&netns.name));
            !rows.iter().any(|r| CLOSING.contains(&r.0.as_str()))
        });
        assert_exact(&netns, &made, &ports);
    }
    drop(held);
    drop(listeners);
    assert!(told(&netns).is_empty(), "all are closed");
    drop(netns);
    tool::end();
}

/// Both CPUs call one listener, and all connections are counted for one pair.
fn shared() {
    share("", 0);
}

/// The same, while the alarm of the pair is raised, and stays raised.
fn far_above() {
    const HELD: usize = 250;
    share("threshold=100", HELD);
}

fn share(keys: &str, held: usize) {
    const FIRST: usize = 40;
    const CONNECTIONS: usize = 400;
    let netns = Netns::new("busy");
    let listener = netns.run(|| traffic::listen_with_backlog(traffic::V4, 64));
    tool::activate(keys);
    let held: Vec<_> = netns.run(|| (0..held).map(|_| traffic::pair(&listener)).collect());
    let both = Barrier::new(CPUS);
    let run = |count: usize| {
        on_each_cpu(&netns, |_| {
            both.wait();
            (0..count).for_each(|_| traffic::client_first(&listener));
        });
    };
    // Slots are taken, and tables grow, at the start.
    run(FIRST);
    let before = shared_ops();
    run(CONNECTIONS);
    let spent = shared_ops() - before;
    let made = (CPUS * CONNECTIONS) as u64;
    println!("{spent} shared operations for {made} connections");
    assert!(spent <= made / 2, "{spent} for {made}");
    let line = told(&netns).into_values().next().expect("it listens");
    let promoted = number(&line["handshakes"], "promoted");
    let all = CPUS * (CONNECTIONS + FIRST) + held.len();
    assert_eq!(promoted, all as u64, "{line}");
    assert_eq!(promoted, Counters::of(&netns.name).get("TcpPassiveOpens"));
    let alarms = tool::report("").alarms;
    let raised = held.len() > 100;
    assert_eq!(alarms.len(), usize::from(raised), "{alarms:?}");
    drop(held);
    let cleared = || tool::report("peek=1").alarms.len() == usize::from(raised);
    traffic::until("the alarm is over with its connections", cleared);
    drop((listener, netns));
    tool::end();
}

/// Each CPU sends SYNs from its own sources to one listener, which answers only with cookies.
fn cookies() {
    const SYNS: u16 = 4000;
    let netns = patient("cookies", 0);
    netns.sysctl("net.ipv4.tcp_syncookies", "2");
    let wire = Wire::new(&netns);
    let listener = netns.run(|| traffic::listen_with_backlog(HOST, 64));
    let SocketAddr::V4(to) = listener.local_addr().expect("bound") else {
        panic!("HOST is an IPv4 address");
    };
    tool::activate("unfinished=0");
    let flood = |wire: &Wire, cpu: usize, from: u16, count: u16| {
        for n in from..from + count {
            let source = SocketAddrV4::new(peer_addr(n), 10_000 + cpu as u16);
            wire.send(&Peer::new(wire, source, to).segment(SYN));
            if n % 500 == 0 {
                wire.drain(Duration::ZERO);
            }
        }
    };
    let wires = [wire.twin(), wire.twin()].map(Mutex::new);
    let run = |from: u16, count: u16| {
        on_each_cpu(&netns, |cpu| {
            flood(&wires[cpu].lock().expect("a lock"), cpu, from, count);
        });
    };
    run(0, 10);
    let before = shared_ops();
    run(100, SYNS);
    let spent = shared_ops() - before;
    let sent = CPUS as u64 * u64::from(SYNS + 10);
    println!("{spent} shared operations for {sent} SYNs");
    // One CPU handles the end of each second.
    assert!(spent < sent / 50, "{spent} for {sent}");
    let line = told(&netns).into_values().next().expect("it listens");
    let truth = Counters::of(&netns.name).get("TcpExtSyncookiesSent");
    assert_eq!(truth, sent, "each is answered");
    for counter in ["syns", "cookies_sent"] {
        assert_eq!(number(&line["handshakes"], counter), truth, "{line}");
    }
    drop(netns);
    tool::end();
}
