//! Truth: the kernel's own accounts of its memory.

use std::fs;

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
}

/// Areas of vmalloc that functions of the module have made.
pub fn vmalloc_areas() -> Vec<String> {
    let text = fs::read_to_string("/proc/vmallocinfo").expect("/proc/vmallocinfo");
    text.lines()
        .filter(|l| l.contains("[tcpstates]") && !l.contains("load_module"))
        .map(str::to_owned)
        .collect()
}

/// Objects in use of the module's own slab cache, if it exists.
pub fn slab_objects() -> Option<u64> {
    let text = fs::read_to_string("/proc/slabinfo").expect("/proc/slabinfo");
    let line = text.lines().find(|l| l.starts_with("tcpstates_conn "))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Frees what the kernel caches, so that two readings can be compared.
pub fn settle() {
    fs::write("/proc/sys/vm/drop_caches", "3").expect("root may drop caches");
    fs::write("/proc/sys/vm/compact_memory", "1").expect("root may compact memory");
}
