//! Faults that the kernel injects: the n-th place where what a thread asks for
//! can fail does. Only kernels that are built for it do this.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;

const DEBUGFS: &str = "/sys/kernel/debug";

/// Lets allocations fail that may wait, which they do not by themselves, and
/// keeps each of many faults from filling the kernel's log.
pub fn prepare() {
    for (name, value) in [
        ("failslab/ignore-gfp-wait", "N"),
        ("fail_page_alloc/ignore-gfp-wait", "N"),
        ("fail_page_alloc/ignore-gfp-highmem", "N"),
        ("fail_page_alloc/min-order", "0"),
    ] {
        set(name, value);
    }
    for place in ["failslab", "fail_page_alloc", "fail_tcpstates"] {
        if fs::exists(format!("{DEBUGFS}/{place}")).is_ok_and(|there| there) {
            set(&format!("{place}/verbose"), "0");
        }
    }
}

/// A warning that the kernel itself gives of a fault is no complaint: see `scripts/vm --help`.
pub fn expect_warning(text: &str) {
    let line = format!("<5>diagnose-tools-vm: expected: {text}");
    fs::write("/dev/kmsg", line).expect("the kernel's log");
}

fn set(name: &str, value: &str) {
    let path = format!("{DEBUGFS}/{name}");
    fs::write(&path, value).unwrap_or_else(|e| panic!("{path}={value}: {e}"));
}

/// While this is there, the module finds no memory for nodes and chunks of
/// tables, whoever asks, and no hook can be attached.
pub struct NoGrowth;

impl NoGrowth {
    pub fn begin() -> Self {
        set("fail_tcpstates/verbose", "0");
        set("fail_tcpstates/times", "-1");
        set("fail_tcpstates/probability", "100");
        Self
    }
}

impl Drop for NoGrowth {
    fn drop(&mut self) {
        set("fail_tcpstates/probability", "0");
    }
}

/// The fault of the calling thread. Its file stays open: to open it allocates, too.
pub struct Fault {
    file: File,
}

impl Fault {
    pub fn of_this_thread() -> Self {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true);
        let file = file.open("/proc/thread-self/fail-nth");
        Self {
            file: file.expect("a kernel that injects faults"),
        }
    }

    /// Calls, with the n-th place failing; gives what came of it, if there was
    /// such a place.
    pub fn at<T>(&self, nth: u32, call: impl FnOnce() -> T) -> Option<T> {
        let text = nth.to_string();
        self.write(text.as_bytes());
        let outcome = call();
        let mut left = [0; 16];
        let len = self.file.read_at(&mut left, 0).expect("fail-nth");
        self.write(b"0");
        (left[..len] == *b"0\n").then_some(outcome)
    }

    fn write(&self, text: &[u8]) {
        self.file.write_at(text, 0).expect("fail-nth");
    }
}

/// Which of the places fail, one after the other: from some on, every so manieth.
#[derive(Clone, Copy)]
pub struct Places {
    first: u32,
    step: usize,
}

impl Places {
    pub const ALL: Self = Self { first: 1, step: 1 };

    pub fn new(first: u32, step: usize) -> Self {
        Self { first, step }
    }

    /// The same, counted from behind these.
    pub fn after(self, places: u32) -> Self {
        Self::new(self.first + places, self.step)
    }
}

/// Calls again and again, and lets one place after the other fail, until there
/// is none any more; what comes of each goes to `judge`. Gives the number of
/// faults.
pub fn at<T>(places: Places, mut call: impl FnMut() -> T, mut judge: impl FnMut(u32, T)) -> u32 {
    const MOST: u32 = 100_000;
    let fault = Fault::of_this_thread();
    for (faults, nth) in (0..).zip((places.first..MOST).step_by(places.step)) {
        match fault.at(nth, &mut call) {
            Some(outcome) => judge(nth, outcome),
            None => return faults,
        }
    }
    panic!("a call with {MOST} places that can fail");
}
