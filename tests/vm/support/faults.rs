//! Fault injection by the kernel: the n-th operation of a thread that can fail does fail. Only
//! kernels that are built for it support this.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;

const DEBUGFS: &str = "/sys/kernel/debug";

/// Makes allocations that may wait fail, too, which is not the default, and keeps each of the many
/// faults from filling the kernel's log.
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

/// A warning that the kernel itself prints about a fault is not an error: see `scripts/vm --help`.
pub fn expect_warning(text: &str) {
    let line = format!("<5>diagnose-tools-vm: expected: {text}");
    fs::write("/dev/kmsg", line).expect("the kernel's log");
}

fn set(name: &str, value: &str) {
    let path = format!("{DEBUGFS}/{name}");
    fs::write(&path, value).unwrap_or_else(|e| panic!("{path}={value}: {e}"));
}

/// While this exists, the module gets no memory for nodes and chunks of tables in any thread, and
/// no hook can be attached.
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

/// Fault injection for the calling thread. Its file stays open, because opening it allocates
/// memory, too.
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

    /// Runs `call` with a failure of the n-th operation; returns the result if there was such an
    /// operation.
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

/// Which of the operations fail, one after the other: every n-th one, from a first one.
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

    /// The same, after skipping this number of operations.
    pub fn after(self, places: u32) -> Self {
        Self::new(self.first + places, self.step)
    }
}

/// Repeats `call` and makes one operation after the other fail, until there are no more; passes
/// each result to `judge`. Returns the number of faults.
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
