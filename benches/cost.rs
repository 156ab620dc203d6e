//! What recording costs: instructions per connection (connect, accept, close
//! on loopback), in a machine whose time counts instructions, so that the
//! figures repeat. The cases take turns, and the median of each is compared
//! with that of nothing attached.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement fails by panicking"
)]

#[path = "cost/flood.rs"]
mod flood;
#[path = "../tests/vm/support/mod.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod support;

use std::process::ExitCode;
use std::time::Instant;

use libtest_mimic::{Arguments, Trial};
use support::{guest, scenario, tool, traffic};

const CONNECTIONS: u32 = 1000;
const ROUNDS: usize = 4;

/// Instructions per connection over idle that are allowed, with all hooks.
const TRACEPOINT_MOST: i64 = 6000;
const KPROBE_MOST: i64 = 8000;

fn main() -> ExitCode {
    // `cargo bench` says so, which would make these trials be left out.
    let mut arguments = Arguments::from_iter(std::env::args().filter(|arg| arg != "--bench"));
    arguments.test_threads = Some(1);
    if guest::group().is_none() && !arguments.list {
        let machine = guest::Machine {
            cpus: 1,
            icount: true,
            timeout_s: 900,
            ..Default::default()
        };
        return if guest::boot(&machine, "cost") {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let trials: Vec<Trial> = vec![
        scenario("recording_costs_no_more_than_allowed", cost),
        scenario("a_flood_costs_no_more_than_allowed", flood::cost),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Guest nanoseconds, which are instructions, of one connection.
fn per_connection() -> i64 {
    let listener = traffic::listen(traffic::V4);
    let began = Instant::now();
    for _ in 0..CONNECTIONS {
        drop(traffic::pair(&listener));
    }
    let total = i64::try_from(began.elapsed().as_nanos()).expect("a short time");
    total / i64::from(CONNECTIONS)
}

fn idle() {
    tool::fresh();
}

fn tracepoint() {
    tool::activate("hook=tracepoint");
}

fn kprobe() {
    tool::activate("hook=kprobe");
}

fn median(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    let half = values.len() / 2;
    if values.len() % 2 == 1 {
        values[half]
    } else {
        (values[half - 1] + values[half]) / 2
    }
}

/// Is the time of this machine that of its instructions?
fn assert_counts_instructions() {
    let spin = || {
        let began = Instant::now();
        (0..1_000_000u64).fold(0, |a, b| std::hint::black_box(a ^ b));
        began.elapsed().as_nanos()
    };
    let (one, two) = (spin(), spin());
    assert!(
        one.abs_diff(two) * 100 < one,
        "{one} and {two}: time does not count instructions"
    );
}

fn cost() {
    let cases: [(&str, fn()); 3] = [
        ("idle", idle),
        ("tracepoint", tracepoint),
        ("kprobe", kprobe),
    ];
    let mut measured = [const { Vec::new() }; 3];
    assert_counts_instructions();
    per_connection();
    for _ in 0..ROUNDS {
        for (case, values) in cases.iter().zip(&mut measured) {
            case.1();
            values.push(per_connection());
        }
    }
    tool::fresh();
    let [idle, tracepoint, kprobe] = measured.map(median);
    println!("instructions per connection, median of {ROUNDS} x {CONNECTIONS}:");
    println!("  nothing attached  {idle:>8}");
    println!(
        "  tracepoint        {tracepoint:>8}  {:+}",
        tracepoint - idle
    );
    println!("  kprobes           {kprobe:>8}  {:+}", kprobe - idle);
    assert!(
        tracepoint - idle <= TRACEPOINT_MOST,
        "more than +{TRACEPOINT_MOST}"
    );
    assert!(kprobe - idle <= KPROBE_MOST, "more than +{KPROBE_MOST}");
    assert!(
        tracepoint > idle && kprobe > idle,
        "a recording that costs nothing does not record"
    );
}
