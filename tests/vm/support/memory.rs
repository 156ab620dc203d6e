//! Truth: the kernel's own memory statistics.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::guest;

const MIB: u64 = 1 << 20;
/// How long the kernel may take to free the memory of namespaces and sockets in its workers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kernel memory that could leak, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct KernelMemory {
    pub slab: u64,
    pub vmalloc: u64,
    pub percpu: u64,
}

impl KernelMemory {
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
        let field = |name: &str| {
            text.lines()
                .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))
                .and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok())
                .unwrap_or_else(|| panic!("no {name} in /proc/meminfo"))
                * 1024
        };
        Self {
            slab: field("Slab"),
            vmalloc: field("VmallocUsed"),
            percpu: field("Percpu"),
        }
    }

    /// The sum that was allocated since `before`, without the slab where it cannot be compared:
    /// KASAN pads each object, and keeps freed ones.
    pub fn taken_since(&self, before: &Self) -> u64 {
        let sum = |memory: &Self| match guest::sanitizer().as_deref() {
            Some("kasan") => memory.vmalloc + memory.percpu,
            _ => memory.vmalloc + memory.percpu + memory.slab,
        };
        sum(self).saturating_sub(sum(before))
    }

    /// Whether no more is used than at `before`. A single ring of 4096 records is 1 MiB, its shards
    /// 256 KiB: fifty leaks of either would exceed the variation of the slab that traffic causes.
    fn is_back_at(&self, before: &Self) -> bool {
        // KASAN keeps up to a 32nd of all memory after it is freed: there, kmemleak finds leaks.
        let kept = match guest::sanitizer().as_deref() {
            Some("kasan") => 128 * MIB,
            _ => 0,
        };
        self.vmalloc <= before.vmalloc + MIB / 2
            && self.percpu <= before.percpu + MIB
            && self.slab <= before.slab + kept + 8 * MIB
    }

    /// Asserts that the kernel uses no more memory than before.
    pub fn assert_back_at(before: &Self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            settle();
            let after = Self::now();
            if after.is_back_at(before) {
                return;
            }
            assert!(Instant::now() < deadline, "{before:?} {after:?}");
            thread::sleep(Duration::from_secs(1));
        }
    }
}

/// Areas of vmalloc that the module's functions have allocated.
pub fn vmalloc_areas() -> Vec<String> {
    let text = fs::read_to_string("/proc/vmallocinfo").expect("/proc/vmallocinfo");
    text.lines()
        .filter(|l| l.contains("[tcpstates]") && !l.contains("load_module"))
        .map(str::to_owned)
        .collect()
}

/// Objects in use in the module's own slab cache, if it exists. Free objects that are cached per
/// CPU, or by KASAN, count as used: shrinking the cache releases them.
pub fn slab_objects() -> Option<u64> {
    // There is none if the module is not loaded.
    let _ = fs::write("/sys/kernel/slab/tcpstates_conn/shrink", "1");
    let text = fs::read_to_string("/proc/slabinfo").expect("/proc/slabinfo");
    let line = text.lines().find(|l| l.starts_with("tcpstates_conn "))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Asserts that no memory of the module is left.
pub fn assert_none_left() {
    assert_eq!(vmalloc_areas(), Vec::<String>::new());
    assert_eq!(slab_objects().unwrap_or(0), 0);
}

/// Frees the kernel's caches, so that two readings can be compared.
pub fn settle() {
    fs::write("/proc/sys/vm/drop_caches", "3").expect("root may drop caches");
    fs::write("/proc/sys/vm/compact_memory", "1").expect("root may compact memory");
}
