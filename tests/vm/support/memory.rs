//! Truth: the kernel's own accounts of its memory.

use std::fs;

const MIB: u64 = 1 << 20;

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

    /// After whole lives of the module it is what it was before: a ring's
    /// megabytes and shards' hundreds of KiB would stand out from what traffic
    /// makes the slab breathe.
    pub fn assert_back(&self, before: &Self) {
        assert!(
            self.vmalloc <= before.vmalloc + MIB / 2,
            "{before:?} {self:?}"
        );
        assert!(self.percpu <= before.percpu + MIB, "{before:?} {self:?}");
        assert!(self.slab <= before.slab + 8 * MIB, "{before:?} {self:?}");
    }
}

/// Areas of vmalloc that functions of the module have made.
pub fn vmalloc_areas() -> Vec<String> {
    let text = fs::read_to_string("/proc/vmallocinfo").expect("/proc/vmallocinfo");
    text.lines()
        .filter(|l| l.contains("[tcpstates]") && !l.contains("load_module"))
        .map(str::to_owned)
        .collect()
}

/// Objects in use of the module's own slab cache, if it exists. Without
/// slab_nomerge it may be a part of another one, which has another name.
pub fn slab_objects() -> Option<u64> {
    let text = fs::read_to_string("/proc/slabinfo").expect("/proc/slabinfo");
    let line = text.lines().find(|l| l.starts_with("tcpstates_conn "))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Of an unloaded module nothing is left: neither areas nor a cache.
pub fn assert_none() {
    assert_eq!(vmalloc_areas(), Vec::<String>::new());
    assert_eq!(slab_objects(), None);
}

/// Frees what the kernel caches, so that two readings can be compared.
pub fn settle() {
    fs::write("/proc/sys/vm/drop_caches", "3").expect("root may drop caches");
    fs::write("/proc/sys/vm/compact_memory", "1").expect("root may compact memory");
}
