//! Cost as the number of live connections, and of pairs of addresses, grows: instructions per
//! transition, bytes per connection, and the cost of an activation.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::child;
use crate::common::held::Held;
use crate::common::{
    assert_counts_instructions, connections, median, mount_debugfs, per_connection,
};
use crate::figure::emit;
use crate::stretch;
use crate::support::memory::{self, KernelMemory};
use crate::support::tool;

const PART: &str = "growth";
/// Fewer where an activation takes long.
const ROUNDS: [usize; 2] = [4, 2];
const CONNECTIONS: u32 = 1000;
const LIVE: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Pairs of addresses, in addition to those of the measured connections.
const PAIRS: [usize; 3] = [1, 10_000, 100_000];
const LIVE_WITH_PAIRS: usize = 100_000;
const KEYS: &str = "max-conns=1200000 max-pairs=262144";

/// Instructions that recording adds to a transition, with this number of open connections.
fn per_transition(live: usize) -> f64 {
    let mut added = Vec::new();
    let mut transitions = 0.0;
    for _ in 0..ROUNDS[usize::from(live > 100_000)] {
        tool::fresh();
        let idle = per_connection(CONNECTIONS);
        tool::activate(KEYS);
        // Its worker refills the reserve of nodes that were taken at once.
        thread::sleep(Duration::from_secs(1));
        let before = recorded();
        let with = per_connection(CONNECTIONS);
        transitions = (recorded() - before) as f64 / f64::from(CONNECTIONS);
        added.push(with - idle);
    }
    median(added) / transitions
}

fn recorded() -> u64 {
    tool::report("peek=1 transitions=0").number("/recorded")
}

fn settings() -> Value {
    let text = tool::tcpstates(&["--settings=json=1"]);
    serde_json::from_str(&text).expect("settings are JSON")
}

/// Kernel memory of a recording without its rings, according to the kernel.
fn memory_of(keys: &str) -> (u64, Value) {
    let used = |m: KernelMemory| m.slab + m.vmalloc + m.percpu;
    tool::fresh();
    memory::settle();
    let before = used(KernelMemory::now());
    tool::activate(keys);
    memory::settle();
    let settings = settings();
    let rings = settings["ring_bytes"].as_u64().expect("a size");
    let all = used(KernelMemory::now()).saturating_sub(before);
    (all.saturating_sub(rings), settings)
}

fn memory_per_connection(live: usize) {
    let case = format!("live_{live}");
    let keys = if live < 200_000 {
        ""
    } else {
        "max-conns=1200000"
    };
    let (bytes, settings) = memory_of(keys);
    let tracked = settings["tracked"].as_u64().expect("a number");
    assert!(tracked >= live as u64, "all {live} are tracked: {settings}");
    emit(
        PART,
        &case,
        "memory",
        bytes as f64 / tracked as f64,
        "bytes/connection",
    );
    let told = settings["memory_bytes"].as_u64().expect("a size")
        - settings["ring_bytes"].as_u64().expect("a size");
    emit(
        PART,
        &case,
        "memory_told",
        told as f64 / tracked as f64,
        "bytes/connection",
    );
}

/// Sets whether the kernel can be preempted wherever no lock forbids it, or only at explicit
/// preemption points.
fn preempt(mode: &str) {
    const FILE: &str = "/sys/kernel/debug/sched/preempt";
    mount_debugfs();
    fs::write(FILE, mode).expect("CONFIG_PREEMPT_DYNAMIC");
}

/// Sets a kprobe with the kernel's own interface; the kernel searches all of its code patches for
/// it.
fn set_kprobe() {
    const EVENTS: &str = "/sys/kernel/debug/tracing/kprobe_events";
    // Truncating the file on opening removes all kprobes.
    for events in ["p:growth tcp_connect", ""] {
        fs::write(EVENTS, events).expect("CONFIG_KPROBE_EVENTS");
    }
}

/// Cost of `--activate` with this number of connections to find, and how long the CPU is not
/// available for an urgent thread: during the activation, with no load, and while one kprobe is
/// set.
fn activation(live: usize) {
    let case = format!("live_{live}");
    let mut took = 0.0;
    tool::fresh();
    preempt("full");
    let nothing = stretch::of(|| thread::sleep(Duration::from_secs(1)));
    let kprobe = stretch::of(set_kprobe);
    let activation = stretch::of(|| {
        let mut command = tool::command(&["tcpstates", "--activate=max-conns=1200000"]);
        command.stdout(Stdio::null());
        took = child::run(command).cpu;
    });
    preempt("voluntary");
    emit(PART, &case, "activation", took, "s");
    for (what, waits) in [
        ("activation", &activation),
        ("kprobe", &kprobe),
        ("idle", &nothing),
    ] {
        let longest = waits.longest.as_secs_f64() * 1e3;
        emit(PART, &case, &format!("{what}_stretch"), longest, "ms");
    }
    emit(
        PART,
        &case,
        "activation_long_stretches",
        f64::from(activation.long),
        "stretches over 1 ms",
    );
}

pub fn measure() {
    assert_counts_instructions();
    connections(CONNECTIONS);
    let mut held = Held::new("held");
    for live in LIVE {
        let began = Instant::now();
        held.keep(live, 1);
        eprintln!(
            "{live} live after {:.0} s of the machine",
            began.elapsed().as_secs_f64()
        );
        let case = format!("live_{live}");
        emit(
            PART,
            &case,
            "per_transition",
            per_transition(live),
            "instructions/transition",
        );
        if live >= 100_000 {
            memory_per_connection(live);
        }
        activation(live);
    }
    held.keep(0, 1);
    for pairs in PAIRS {
        held.keep(LIVE_WITH_PAIRS, pairs);
        let value = per_transition(LIVE_WITH_PAIRS);
        let counted = settings()["pairs"].as_u64().expect("a number");
        let wanted = pairs as u64;
        assert!(
            (wanted..wanted + 10).contains(&counted),
            "{counted} pairs of {wanted}"
        );
        emit(
            PART,
            &format!("pairs_{pairs}"),
            "per_transition",
            value,
            "instructions/transition",
        );
        held.keep(0, 1);
    }
    tool::fresh();
}
