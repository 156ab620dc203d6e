//! Shared by the measurements: numbers that the machine sends to the host, and time that counts
//! instructions.

pub mod child;
pub mod held;

use std::env;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::traffic;

pub fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 {
        values[half]
    } else {
        (values[half - 1] + values[half]) / 2.0
    }
}

/// Whether a case is selected: all are, unless some are named.
pub fn is_chosen(case: &str) -> bool {
    env::args()
        .find_map(|arg| Some(arg.strip_prefix("--cases=")?.to_owned()))
        .is_none_or(|names| names.split(',').any(|name| name == case))
}

/// Nanoseconds that `work` takes; in a machine that counts instructions, they are instructions.
pub fn timed(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_nanos() as f64
}

/// Connects, accepts and closes `count` times, at a separate listener.
pub fn connections(count: u32) {
    let listener = traffic::listen(traffic::V4);
    for _ in 0..count {
        drop(traffic::pair(&listener));
    }
}

/// Instructions per connection, measured with `count` connections.
pub fn per_connection(count: u32) -> f64 {
    timed(|| connections(count)) / f64::from(count)
}

/// Waits until no socket of earlier connections is left in this namespace.
pub fn rest() {
    let left = || {
        let text = fs::read_to_string("/proc/thread-self/net/sockstat").expect("sockstat");
        let line = text.lines().find_map(|l| l.strip_prefix("TCP: "));
        let mut words = line.expect("TCP").split(' ').skip_while(|w| *w != "tw");
        words.nth(1).expect("tw").parse::<u64>().expect("a number")
    };
    let deadline = Instant::now() + Duration::from_secs(200);
    while left() > 0 {
        assert!(Instant::now() < deadline, "TIME_WAIT does not end");
        thread::sleep(Duration::from_secs(1));
    }
}

/// Needed by some programs, and by some settings of the kernel.
pub fn mount_debugfs() {
    const MOUNT: &str =
        "mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug";
    let status = Command::new("sh").args(["-c", MOUNT]).status();
    assert!(status.is_ok_and(|s| s.success()), "debugfs");
}

/// Asserts that the time of this machine is derived from its instructions.
pub fn assert_counts_instructions() {
    let spin = || {
        timed(|| {
            (0..1_000_000u64).fold(0, |a, b| std::hint::black_box(a ^ b));
        })
    };
    let (one, two) = (spin(), spin());
    assert!(
        (one - two).abs() * 100.0 < one,
        "{one} and {two}: time does not count instructions"
    );
}
