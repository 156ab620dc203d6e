//! A flood of SYNs, each from another source, that CPUs answer with cookies at the same time, all
//! at one listener. Measures the throughput with everything recorded compared with that without,
//! and how often the module accesses data that CPUs share, per SYN and per connection to one
//! listener. Both run alternately, as in `cpus`.

use std::fs;
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::common::median;
use crate::figure::emit;
use crate::support::netns::Netns;
use crate::support::raw::{HOST, Peer, Wire, peer_addr};
use crate::support::segment::{SYN, Segment};
use crate::support::{tool, traffic};

const PART: &str = "cookies";
const TURNS: usize = 8;
const TURN: Duration = Duration::from_secs(2);
/// SYNs between two readings of the clock.
const BATCH: usize = 500;
const CONNECTIONS: u64 = 1000;

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).expect("a CPU");
    sched_setaffinity(Pid::from_raw(0), &set).expect("affinity");
}

/// Runs `work` on this number of CPUs at once; returns the sum of the results.
fn on_each_cpu(netns: &Netns, cpus: usize, work: impl Fn(usize) -> f64 + Sync) -> f64 {
    let ready = Barrier::new(cpus);
    let one = |cpu| {
        netns.run(|| {
            pin(cpu);
            ready.wait();
            work(cpu)
        })
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..cpus).map(|cpu| scope.spawn(move || one(cpu))).collect();
        all.into_iter().map(|t| t.join().expect("a CPU")).sum()
    })
}

/// Shared operations of the module since it was loaded; 0 if it is not.
fn shared_ops() -> u64 {
    let text = fs::read_to_string("/sys/module/tcpstates/parameters/shared_ops");
    text.map_or(0, |text| text.trim().parse().expect("a number"))
}

/// SYNs per second of all CPUs together, and shared operations per SYN.
fn flood(cpus: usize) -> [f64; 2] {
    let netns = Netns::new("flooded");
    netns.sysctl("net.ipv4.tcp_syncookies", "2");
    let wire = Wire::new(&netns);
    let listener = netns.run(|| traffic::listen_with_backlog(HOST, 64));
    let Ok(SocketAddr::V4(to)) = listener.local_addr() else {
        panic!("HOST is an IPv4 address");
    };
    let syns = |cpu: usize| -> Vec<Segment> {
        let from = |n| SocketAddrV4::new(peer_addr(n), 10_000 + cpu as u16);
        (0..BATCH as u16)
            .map(|n| Peer::new(&wire, from(n), to).segment(SYN))
            .collect()
    };
    let hands: Vec<_> = (0..cpus)
        .map(|cpu| Mutex::new((wire.twin(), syns(cpu))))
        .collect();
    let sent = Mutex::new(0);
    let before = shared_ops();
    let rate = on_each_cpu(&netns, cpus, |cpu| {
        let hand = hands[cpu].lock().expect("a lock");
        let began = Instant::now();
        let mut count = 0;
        while began.elapsed() < TURN {
            hand.1.iter().for_each(|syn| hand.0.send(syn));
            hand.0.drain(Duration::ZERO);
            count += BATCH;
        }
        *sent.lock().expect("a lock") += count;
        count as f64 / began.elapsed().as_secs_f64()
    });
    let sent: usize = sent.into_inner().expect("a lock");
    [rate, (shared_ops() - before) as f64 / sent as f64]
}

/// Shared operations per connection when all CPUs call one listener.
fn per_connection(cpus: usize) -> f64 {
    let netns = Netns::new("called");
    let listener: TcpListener = netns.run(|| traffic::listen_with_backlog(traffic::V4, 64));
    let before = shared_ops();
    let count = on_each_cpu(&netns, cpus, |_| {
        (0..CONNECTIONS).for_each(|_| traffic::client_first(&listener));
        CONNECTIONS as f64
    });
    (shared_ops() - before) as f64 / count
}

pub fn measure(cpus: usize) {
    let case = format!("{cpus}_cpus");
    tool::fresh();
    flood(cpus);
    let [mut without, mut with, mut ratios, mut shared] = [const { Vec::new() }; 4];
    for turn in 0..TURNS {
        let mut pair = [0.0; 2];
        for which in [turn % 2, 1 - turn % 2] {
            match which {
                0 => tool::fresh(),
                _ => tool::activate(""),
            }
            let [rate, ops] = flood(cpus);
            pair[which] = rate;
            if which == 1 {
                shared.push(ops);
            }
        }
        without.push(pair[0]);
        with.push(pair[1]);
        ratios.push(pair[1] / pair[0]);
    }
    tool::activate("");
    let connection = per_connection(cpus);
    tool::fresh();
    emit(PART, &case, "idle", median(without), "SYNs/s");
    emit(PART, &case, "recording", median(with), "SYNs/s");
    emit(
        PART,
        &case,
        "ratio",
        median(ratios),
        "of the throughput without",
    );
    emit(PART, &case, "shared_per_syn", median(shared), "operations");
    emit(
        PART,
        &case,
        "shared_per_connection",
        connection,
        "operations",
    );
}
