//! Bounded memory: what does not fit is counted, and nothing else is affected.

use std::cell::Cell;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::resource::{Resource, setrlimit};
use serde_json::Value;

use crate::cpus::on_cpu;
use crate::support::{scenario, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("more_connections_than_max_conns_are_counted", max_conns),
        scenario(
            "more_seeded_connections_than_max_conns_are_counted",
            max_conns_seeded,
        ),
        scenario(
            "room_for_pairs_of_addresses_is_made_as_they_come",
            room_for_pairs,
        ),
        scenario("a_dry_pool_interrupts_nobody", dry_pool),
        scenario("nodes_freed_on_another_cpu_are_found", freed_elsewhere),
        scenario(
            "seeding_over_the_limit_asks_other_cpus_once",
            seeding_over_limit,
        ),
        scenario("the_limit_follows_the_kernels_own", limit_of_the_kernel),
        scenario("a_ring_that_memory_cannot_hold_is_refused", ring_too_large),
    ]
}

const MAX: usize = 100;

/// On one CPU: no other one has free nodes, which a connection would find in a later step only.
fn max_conns() {
    on_cpu(0, exceed_max_conns);
}

fn exceed_max_conns() {
    tool::activate(&format!("max-conns={MAX}"));
    let before = tool::report("peek=1").number("/tracked");
    let listener = traffic::listen(traffic::V4);
    let pairs: Vec<_> = (0..250).map(|_| traffic::pair(&listener)).collect();
    let report = tool::report("transitions=1 connections=1");
    assert_eq!(report.connections.len(), MAX, "all nodes are in use");
    assert_eq!(report.number("/tracked"), MAX as u64);
    // 250 connections have 500 ends, plus the listener.
    let untracked = report.number("/untracked");
    assert_eq!(untracked, 501 - (MAX as u64 - before));
    let established = report
        .transitions
        .iter()
        .filter(|r| r["new"] == "ESTABLISHED")
        .count();
    assert_eq!(established, 500, "transitions are recorded all the same");
    for (client, server) in pairs {
        // So that no TIME_WAIT remains.
        traffic::close_by_reset(client);
        drop(server);
    }
    drop(listener);
    // Freed nodes are reused, and at the end there is no trace of the old connections.
    let listener = traffic::listen(traffic::V4);
    let again: Vec<_> = (0..20).map(|_| traffic::pair(&listener)).collect();
    let port = listener.local_addr().expect("bound").port();
    let report = tool::report(&format!("connections=1 port={port}"));
    assert_eq!(report.connections.len(), 41, "both ends and the listener");
    assert_eq!(report.number("/untracked"), untracked);
    drop(again);
    tool::tcpstates(&["--deactivate"]);
}

/// A recording with room for them reports how many connections there are, in all namespaces.
fn max_conns_seeded() {
    tool::fresh();
    let listener = traffic::listen(traffic::V4);
    let pairs: Vec<_> = (0..250).map(|_| traffic::pair(&listener)).collect();
    tool::activate("");
    let all = tool::report("peek=1").number("/tracked");
    assert!(all >= 501, "{all} sockets");
    tool::activate(&format!("max-conns={MAX}"));
    let report = tool::report("connections=1");
    assert_eq!(report.connections.len(), MAX);
    assert_eq!(report.number("/untracked"), all - MAX as u64);
    drop(pairs);
    tool::tcpstates(&["--deactivate"]);
}

/// Truth: interrupts of this kind since boot, on all CPUs.
fn interrupts(kind: &str) -> u64 {
    let text = fs::read_to_string("/proc/interrupts").expect("/proc/interrupts");
    let line = text.lines().find_map(|l| l.trim().strip_prefix(kind));
    let words = line.expect("such interrupts").split_whitespace();
    words.map_while(|n| n.parse::<u64>().ok()).sum()
}

/// All nodes are in use, and connections are opened and closed: none of them wakes the worker,
/// which runs by itself.
fn dry_pool() {
    const MANY: u64 = 300;
    tool::fresh();
    let listener = traffic::listen(traffic::V4);
    let held: Vec<_> = (0..MAX).map(|_| traffic::pair(&listener)).collect();
    tool::activate(&format!("max-conns={MAX}"));
    let churn = |count| {
        for _ in 0..count {
            let (client, server) = traffic::pair(&listener);
            traffic::close_by_reset(client);
            drop(server);
        }
    };
    churn(10);
    let (before, untracked) = (interrupts("IWI:"), tool::report("").number("/untracked"));
    let began = Instant::now();
    churn(MANY);
    let (count, took) = (interrupts("IWI:") - before, began.elapsed());
    println!("{count} interrupts of {MANY} connections in {took:?}");
    assert_eq!(tool::report("").number("/untracked"), untracked + 2 * MANY);
    assert!(count < MANY / 10, "{count} interrupts");
    drop(held);
    tool::tcpstates(&["--deactivate"]);
}

/// Frees fewer nodes on a CPU than are moved to other CPUs by themselves: the worker moves them.
fn freed_elsewhere() {
    const NODES: usize = 1000;
    setrlimit(Resource::RLIMIT_NOFILE, 32_768, 32_768).expect("RLIMIT_NOFILE");
    tool::activate(&format!("max-conns={NODES}"));
    let listener = traffic::listen(traffic::V4);
    let mut held = Vec::new();
    on_cpu(0, || {
        held.extend((0..NODES / 2).map(|_| traffic::pair(&listener)));
        // Sockets that earlier scenarios have left in TIME_WAIT may end now, also on another CPU.
        traffic::within(Duration::from_secs(20), "all nodes are in use", || {
            held.extend((0..20).map(|_| traffic::pair(&listener)));
            tool::report("peek=1").number("/tracked") == NODES as u64
        });
        for (client, server) in held.drain(..8) {
            traffic::close_by_reset(client);
            drop(server);
        }
    });
    // The worker runs ten times per second, once a connection has found no node. It may have run
    // before all nodes were freed, and runs again when those are used up.
    let new = Cell::new(Vec::new());
    let untracked = || tool::report("peek=1").number("/untracked");
    traffic::within(Duration::from_secs(5), "another CPU has the nodes", || {
        let before = untracked();
        new.set(Vec::new());
        on_cpu(1, || {
            new.set((0..4).map(|_| traffic::pair(&listener)).collect());
        });
        untracked() == before
    });
    drop((held, new));
    tool::tcpstates(&["--deactivate"]);
}

/// Each bucket of the kernel's hash is searched; none of them interrupts all CPUs.
fn seeding_over_limit() {
    tool::fresh();
    let listener = traffic::listen(traffic::V4);
    let held: Vec<_> = (0..400).map(|_| traffic::pair(&listener)).collect();
    let calls = |keys: &str| {
        tool::fresh();
        let before = interrupts("CAL:");
        tool::activate(keys);
        interrupts("CAL:") - before
    };
    let enough = calls("");
    let all = tool::report("peek=1").number("/tracked");
    let too_few = calls("max-conns=50");
    println!("function calls of an activation: {enough}, {too_few} where nodes run out");
    assert_eq!(tool::report("peek=1").number("/untracked"), all - 50);
    assert!(too_few < enough + 200, "{enough} and {too_few}");
    drop(held);
    tool::tcpstates(&["--deactivate"]);
}

/// A setting of the initial namespace; the scenario itself is in another namespace.
fn initial_sysctl(arguments: &[&str]) -> String {
    const IN_INITIAL: [&str; 5] = ["--target", "1", "--net", "--", "sysctl"];
    let output = Command::new("nsenter")
        .args(IN_INITIAL)
        .args(arguments)
        .output()
        .expect("nsenter");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn limit_of_the_kernel() {
    const NAME: &str = "net.ipv4.tcp_max_tw_buckets";
    let set = |most: &str| initial_sysctl(&["-w", &format!("{NAME}={}", most.trim())]);
    let before = initial_sysctl(&["-n", NAME]);
    let limit = |timewaits: u64| {
        set(&timewaits.to_string());
        tool::activate("");
        let text = tool::tcpstates(&["--settings=json=1"]);
        let settings: Value = serde_json::from_str(&text).expect("settings are JSON");
        settings["settings"]["max-conns"]
            .as_u64()
            .expect("a number")
    };
    assert_eq!(limit(1000), 262_144, "at least");
    assert_eq!(limit(600_000) - limit(500_000), 100_000);
    let most = limit(100_000_000);
    let memory = crate::cpus::mem_total();
    assert!(
        (memory / 40..=memory / 32).contains(&(most * 128)),
        "{most}"
    );
    set(&before);
    tool::end();
}

/// A setting, from the JSON output.
fn setting(name: &str) -> u64 {
    let text = tool::tcpstates(&["--settings=json=1"]);
    let settings: Value = serde_json::from_str(&text).expect("settings are JSON");
    settings[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name}: {text}"))
}

/// More pairs than preallocated, some older than the recording and some new: each one is counted,
/// none is evicted, and memory grows only with their number.
fn room_for_pairs() {
    const EACH: u32 = 2_500;
    setrlimit(Resource::RLIMIT_NOFILE, 32_768, 32_768).expect("RLIMIT_NOFILE");
    tool::fresh();
    let listener = traffic::listen(traffic::V4);
    let to = listener.local_addr().expect("bound");
    let connect = |first: u32| -> Vec<_> {
        let from = |n| Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + first + n);
        let pair = |n| {
            let client = traffic::connect_from(from(n), to);
            (client, listener.accept().expect("accept"))
        };
        (0..EACH).map(pair).collect()
    };
    tool::activate("");
    let empty = setting("memory_bytes");
    tool::fresh();
    let older = connect(0);
    tool::activate("");
    // Both ends of a connection are in this namespace: two pairs.
    let found = tool::report("peek=1");
    assert!(found.number("/pairs") >= u64::from(2 * EACH), "{found:?}");
    let new = connect(EACH);
    let all = tool::report("peek=1");
    let counted = all.number("/pairs") - found.number("/pairs");
    assert_eq!(counted, u64::from(2 * EACH));
    assert_eq!(all.number("/lost/evicted"), 0);
    assert_eq!(all.number("/lost/uncounted"), 0);
    let grown = setting("memory_bytes") - empty;
    // 192 bytes for each pair and 128 for each end, of 2 x 2 x 2,500.
    assert!((1 << 20..8 << 20).contains(&grown), "{grown} bytes");
    drop((older, new));
    tool::end();
}

fn ring_too_large() {
    tool::fresh();
    // 4 Mi records of 256 bytes on two CPUs: 2 GiB of the machine's 4.
    let outcome = tool::run(&["tcpstates", "--activate=ring=4194304"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.stderr.contains("ring="), "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    let settings = tool::tcpstates(&["--settings=json=1"]);
    assert!(settings.contains(r#""active":false"#), "{settings}");
}
