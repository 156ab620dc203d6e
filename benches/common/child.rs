//! A program that runs to its end, and what it took.

use std::process::Command;
use std::time::Duration;
use std::{fs, mem, thread};

/// What a program took.
pub struct Spent {
    /// CPU seconds, its own and the kernel's for it: what it waits for, such
    /// as the host's files, is not in there.
    pub cpu: f64,
    /// The most memory that it had, in bytes.
    pub peak: f64,
}

#[allow(unsafe_code, reason = "nix has no wait4")]
#[allow(clippy::zombie_processes, reason = "wait4 is a wait")]
pub fn run(mut command: Command) -> Spent {
    let child = command
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let id = child.id();
    let watcher = thread::spawn(move || watch_peak(id));
    // SAFETY: integers only: all zero is a value of it.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    let mut status = 0;
    // SAFETY: the kernel writes one number and one rusage there.
    let pid = unsafe { libc::wait4(id as i32, &raw mut status, 0, &raw mut usage) };
    assert!(pid > 0 && status == 0, "{command:?} ended with {status}");
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Spent {
        cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak: watcher.join().expect("the watcher"),
    }
}

/// The most memory that a program has until it ends, by its own account: that
/// of `wait4` has what its parent had when it was made, too.
fn watch_peak(id: u32) -> f64 {
    let mut peak = 0.0;
    loop {
        // One that has ended, but is still known, has no memory.
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let Some(kib) = line.and_then(|l| l.trim().strip_suffix(" kB")) else {
            return peak;
        };
        peak = kib.parse::<f64>().expect("a number") * 1024.0;
        thread::sleep(Duration::from_millis(5));
    }
}
