//! CPUs that go on- and offline, and possible CPUs that never come online: which of them have a
//! ring, and how much memory it takes.

use std::fs;

use libtest_mimic::Trial;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::Value;

use crate::follow::follow;
use crate::support::memory::{self, KernelMemory};
use crate::support::storm::switch;
use crate::support::{scenario, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("a_cpu_that_comes_online_has_its_ring", comes_online),
        scenario("rings_fit_into_their_memory", budget),
    ]
}

/// Scenarios for a machine with [`POSSIBLE`] possible CPUs, if the kernel supports that many.
pub fn of_many_possible() -> Vec<Trial> {
    vec![scenario(
        "memory_is_taken_for_cpus_that_are_there",
        for_those_that_are_there,
    )]
}

pub const POSSIBLE: u32 = 64;
const MIB: u64 = 1 << 20;
const KIB: u64 = 1 << 10;

fn settings() -> Value {
    let text = tool::tcpstates(&["--settings=json=1"]);
    serde_json::from_str(&text).expect("settings are JSON")
}

fn number(settings: &Value, path: &str) -> u64 {
    let number = settings.pointer(path).and_then(Value::as_u64);
    number.unwrap_or_else(|| panic!("no {path}: {settings}"))
}

/// Truth: number of CPUs in a list of the kernel, such as `0-3,8`.
fn cpus(list: &str) -> u64 {
    let text = fs::read_to_string(format!("/sys/devices/system/cpu/{list}")).expect("sysfs");
    let parse = |n: &str| n.parse::<u64>().expect("a number");
    let count = |range: &str| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        parse(high) - parse(low) + 1
    };
    text.trim().split(',').map(count).sum()
}

/// Truth: number of the module's areas with the size of a ring, in the kernel's list; each has a
/// guard page.
fn rings_in_memory(settings: &Value) -> u64 {
    let guarded = number(settings, "/ring_bytes") + 4 * KIB;
    let is_ring = |area: &String| area.split_whitespace().nth(1) == Some(&guarded.to_string());
    let areas = memory::vmalloc_areas();
    areas.iter().filter(|area| is_ring(area)).count() as u64
}

pub fn mem_total() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    let number = line.and_then(|l| l.split_whitespace().next());
    number.and_then(|n| n.parse::<u64>().ok()).expect("kB") * KIB
}

/// Runs `work` on one CPU, which also processes the packets on loopback.
pub fn on_cpu(cpu: usize, work: impl FnOnce()) {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).expect("affinity");
    let mut only = CpuSet::new();
    only.set(cpu).expect("a CPU");
    sched_setaffinity(this, &only).expect("affinity");
    work();
    sched_setaffinity(this, &before).expect("affinity");
}

/// Brings CPU 1 back online, also after a failure: other scenarios need two CPUs.
struct BackOnline;

impl Drop for BackOnline {
    fn drop(&mut self) {
        let _ = switch(1, true);
    }
}

fn comes_online() {
    tool::fresh();
    let _back = BackOnline;
    switch(1, false).expect("a CPU that can be switched");
    tool::activate_here("ring=256");
    assert_eq!((number(&settings(), "/rings"), cpus("online")), (1, 1));
    assert_eq!(rings_in_memory(&settings()), 1);
    let follower = follow("");
    switch(1, true).expect("a CPU that can be switched");
    assert_eq!((number(&settings(), "/rings"), cpus("online")), (2, 2));
    on_cpu(1, || traffic::client_first(&traffic::listen(traffic::V4)));
    let report = tool::report("transitions=1 peek=1");
    report.assert_totals_balance();
    assert_eq!(report.number("/lost/ringless"), 0);
    let there = |event: &&Value| event["cpu"] == 1;
    let told: Vec<_> = report.transitions.iter().filter(there).cloned().collect();
    // Both ends of the connection, and the listener's start and end.
    assert_eq!(told.len(), 12, "{told:#?}");
    // This ring did not exist when the follower started.
    let mut followed = Vec::new();
    while followed.len() < told.len() {
        let line = follower.next().1;
        if line["type"] == "transition" && line["cpu"] == 1 {
            followed.push(line);
        }
    }
    assert_eq!(followed, told);
    // The CPU goes offline, and the events recorded on it are still reported.
    switch(1, false).expect("a CPU that can be switched");
    assert_eq!((number(&settings(), "/rings"), cpus("online")), (2, 1));
    let report = tool::report("transitions=1");
    assert_eq!(report.transitions.iter().filter(there).count(), told.len());
    // It comes back online, to the same ring.
    switch(1, true).expect("a CPU that can be switched");
    assert_eq!(rings_in_memory(&settings()), 2);
    on_cpu(1, || traffic::client_first(&traffic::listen(traffic::V4)));
    let report = tool::report("transitions=1");
    report.assert_totals_balance();
    assert!(report.transitions.iter().filter(there).count() >= 12);
    tool::end();
    drop(follower);
}

/// The number of records is the largest power of two with which all rings fit.
fn budget() {
    for (keys, budget) in [
        ("ring-memory=1", MIB),
        ("ring-memory=8", 8 * MIB),
        ("ring-memory=64", 64 * MIB),
        ("", (mem_total() / 64).clamp(16 * MIB, 512 * MIB)),
    ] {
        tool::activate(keys);
        let settings = settings();
        let rings = rings_in_memory(&settings);
        assert_eq!(rings, cpus("online"));
        assert_eq!(rings, number(&settings, "/rings"));
        let records = number(&settings, "/settings/ring");
        assert!(records.is_power_of_two(), "{records}");
        let all = rings * number(&settings, "/ring_bytes");
        let twice = rings * (4 * KIB + 2 * records * 256);
        println!("{keys:14} {records:7} records, {} of {budget} bytes", all);
        assert!(all <= budget, "{keys}: {all} of {budget}");
        // Without a key, 65536 records are enough.
        let enough = keys.is_empty() && records == 65_536;
        assert!(twice > budget || enough, "{keys}: {all} of {budget}");
    }
    let both = tool::run(&["tcpstates", "--activate=ring=64 ring-memory=1"]);
    assert_eq!(both.status, 2, "{both:?}");
    tool::end();
}

/// Maximum number of CPUs that the kernel supports (`CONFIG_NR_CPUS`).
fn most_cpus() -> u64 {
    let text = fs::read_to_string("/sys/devices/system/cpu/kernel_max").expect("sysfs");
    text.trim().parse::<u64>().expect("a number") + 1
}

fn for_those_that_are_there() {
    let possible = most_cpus().min(POSSIBLE.into());
    assert_eq!((cpus("possible"), cpus("online")), (possible, 2));
    tool::fresh();
    memory::settle();
    let before = KernelMemory::now();
    tool::activate_here("");
    let settings = settings();
    let rings = rings_in_memory(&settings);
    assert_eq!((number(&settings, "/rings"), rings), (2, 2));
    let after = KernelMemory::now();
    let taken = after.taken_since(&before);
    let of_rings = rings * number(&settings, "/ring_bytes");
    println!(
        "{} of {possible} CPUs: {} MiB of rings, {} MiB in all, of which {} MiB are told",
        rings,
        of_rings / MIB,
        taken / MIB,
        number(&settings, "/memory_bytes") / MIB
    );
    // Shards, nodes, tables and the counters of two CPUs take some more memory, which is less than
    // a ring for each of the other CPUs would take.
    let more = 12 * MIB;
    let of_others = (possible - rings) * number(&settings, "/ring_bytes");
    assert!(of_others > more, "{of_others} bytes would not be seen");
    assert!(taken < of_rings + more, "{before:?} {after:?}");
    let report = tool::report("");
    report.assert_totals_balance();
    tool::end();
}
