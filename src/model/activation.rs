//! The settings of an activation, as the keys of `--activate` name them.

use crate::abi::{self, Config};
use crate::model::filter::Filter;

const NS_PER_MS: u64 = 1_000_000;

/// The name of a hook's number.
pub fn hook_name(number: u32) -> &'static str {
    match number {
        abi::TCPSTATES_HOOK_TRACEPOINT => "tracepoint",
        abi::TCPSTATES_HOOK_KPROBE => "kprobe",
        _ => "auto",
    }
}

/// The pairs that would make this activation, every key with its value; not those that leave a
/// size to the module.
pub fn pairs(config: &Config) -> Vec<(String, String)> {
    let mut pairs = vec![("verbose".to_owned(), config.verbose.to_string())];
    pairs.extend(Filter::from_abi(&config.filter).pairs());
    let min_ms = config.min_ns / NS_PER_MS;
    pairs.push(("min-ms".into(), min_ms.to_string()));
    match (config.ring_records, config.ring_budget >> 20) {
        (0, 0) => (),
        (0, mebibytes) => pairs.push(("ring-memory".into(), mebibytes.to_string())),
        (records, _) => pairs.push(("ring".into(), records.to_string())),
    }
    if config.max_conns != 0 {
        pairs.push(("max-conns".into(), config.max_conns.to_string()));
    }
    pairs.push(("hook".into(), hook_name(config.hook).into()));
    pairs.push(("threshold".into(), config.threshold.to_string()));
    pairs.push(("unfinished".into(), config.unfinished.to_string()));
    pairs.push(("max-pairs".into(), config.max_pairs.to_string()));
    pairs.push(("max-listeners".into(), config.max_listeners.to_string()));
    pairs
}
