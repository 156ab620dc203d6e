//! Runs a program to its end, and measures what it used.

use std::process::Command;
use std::time::Duration;
use std::{fs, mem, thread};

/// Resources that a program used.
pub struct Spent {
    /// CPU seconds, its own and the kernel's for it, without the time that it waits, for example
    /// for the host's files.
    pub cpu: f64,
    /// Peak memory, in bytes.
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
    // SAFETY: integers only, so all zero is a valid value.
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

/// Peak memory of a program, from its own status file: that of `wait4` also counts the parent's
/// memory at the fork.
fn watch_peak(id: u32) -> f64 {
    let mut peak = 0.0;
    loop {
        // A program that has ended, but has not been waited for, has no memory.
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let Some(kib) = line.and_then(|l| l.trim().strip_suffix(" kB")) else {
            return peak;
        };
        peak = kib.parse::<f64>().expect("a number") * 1024.0;
        thread::sleep(Duration::from_millis(5));
    }
}
