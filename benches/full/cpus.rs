//! CPUs that make connections at the same time: their throughput with everything recorded, compared
//! with that without recording. Both run alternately, so that a change of the host's speed affects
//! both; each turn has its own namespace, so that no socket of an earlier one is left.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::common::median;
use crate::figure::emit;
use crate::support::netns::Netns;
use crate::support::{tool, traffic};

const TURN: Duration = Duration::from_secs(2);
const TURNS: usize = 16;
/// Connections before a turn.
const FIRST: u32 = 200;

/// Connections per second, of all CPUs together.
fn throughput(cpus: usize) -> f64 {
    let netns = Netns::new("turn");
    let value = netns.run(|| all_together(cpus));
    drop(netns);
    // Sockets in TIME_WAIT are removed with the namespace, a little later.
    thread::sleep(Duration::from_millis(500));
    value
}

fn all_together(cpus: usize) -> f64 {
    let ready = &Barrier::new(cpus);
    let one = move |cpu| {
        let mut set = CpuSet::new();
        set.set(cpu).expect("a CPU");
        sched_setaffinity(Pid::from_raw(0), &set).expect("affinity");
        let listener = traffic::listen(traffic::V4);
        // The emulator has to translate the code again that an activation has patched.
        (0..FIRST).for_each(|_| drop(traffic::pair(&listener)));
        ready.wait();
        let began = Instant::now();
        let mut count = 0;
        while began.elapsed() < TURN {
            for _ in 0..20 {
                drop(traffic::pair(&listener));
            }
            count += 20;
        }
        f64::from(count) / began.elapsed().as_secs_f64()
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..cpus).map(|cpu| scope.spawn(move || one(cpu))).collect();
        all.into_iter().map(|t| t.join().expect("a CPU")).sum()
    })
}

pub fn measure(cpus: usize) {
    let case = format!("{cpus}_cpus");
    tool::fresh();
    throughput(cpus);
    let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let mut pair = [0.0; 2];
        for which in [turn % 2, 1 - turn % 2] {
            match which {
                0 => tool::fresh(),
                _ => tool::activate(""),
            }
            pair[which] = throughput(cpus);
        }
        without.push(pair[0]);
        with.push(pair[1]);
        ratios.push(pair[1] / pair[0]);
    }
    tool::fresh();
    emit("cpus", &case, "idle", median(without), "connections/s");
    emit("cpus", &case, "recording", median(with), "connections/s");
    emit(
        "cpus",
        &case,
        "ratio",
        median(ratios),
        "of the throughput without",
    );
}
