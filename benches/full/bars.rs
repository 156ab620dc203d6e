//! The targets that the measurements must reach.

use crate::results::{Bar, Results};

fn at_most(what: &str, bar: f64, measured: Option<f64>, unit: &str) -> Option<Bar> {
    // More digits are not significant, and differ between the files.
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let (bar, measured) = (rounded(bar), rounded(measured?));
    Some(Bar {
        what: what.into(),
        at_most: true,
        bar,
        measured,
        unit: unit.into(),
        holds: measured <= bar,
    })
}

fn at_least(what: &str, bar: f64, measured: Option<f64>, unit: &str) -> Option<Bar> {
    let bar = at_most(what, bar, measured, unit)?;
    Some(Bar {
        at_most: false,
        holds: bar.measured >= bar.bar,
        ..bar
    })
}

/// The targets whose numbers were measured.
pub fn judge(results: &Results) -> Vec<Bar> {
    let over = |case| results.get("recording", case, "over_idle");
    let ratio = |one: Option<f64>, other: Option<f64>| Some(one? / other?);
    let growth = |case, what| results.get("growth", case, what);
    let looking = |what| results.get("looking", "live_100000", what);
    let main_hook = over("main_hook").zip(over("floor")).map(|(a, b)| a - b);
    let (ours, drained) = (over("all"), over("drained"));
    let per_transition = |case| growth(case, "per_transition");
    let memory = |case| results.get("decode", case, "memory_growth");
    let long_stretches = |case| growth(case, "activation_long_stretches");
    let growth_of_decoding = memory("json").zip(memory("table")).map(|(a, b)| a.max(b));
    let per = "instructions/connection";
    [
        at_most("recording everything, over idle", 5000.0, ours, per),
        at_most(
            "of the kernel part of libbpf-tools tcpstates",
            0.5,
            ratio(ours, over("libbpf_stopped")),
            "x",
        ),
        at_most("the main hook, over an empty probe", 2500.0, main_hook, per),
        at_most(
            "recording and a report every second, of libbpf-tools tcpstates",
            0.25,
            ratio(drained, over("libbpf")),
            "x",
        ),
        at_most(
            "events lost meanwhile",
            0.0,
            results.get("recording", "drained", "lost"),
            "events",
        ),
        at_most(
            "a transition at 1,000,000 live connections, of one at 1,000",
            1.5,
            ratio(per_transition("live_1000000"), per_transition("live_1000")),
            "x",
        ),
        at_most(
            "kernel memory with 100,000 live connections",
            192.0,
            growth("live_100000", "memory"),
            "bytes/connection",
        ),
        at_most(
            "kernel memory with 1,000,000 live connections",
            192.0,
            growth("live_1000000", "memory"),
            "bytes/connection",
        ),
        at_most(
            "activation with 100,000 live connections",
            1.0,
            growth("live_100000", "activation"),
            "s",
        ),
        at_most(
            "longest that it keeps a CPU",
            1.0,
            growth("live_100000", "activation_stretch"),
            "ms",
        ),
        at_most(
            "times that it does so for over 1 ms, beyond those with 1,000 live",
            0.0,
            long_stretches("live_100000")
                .zip(long_stretches("live_1000"))
                .map(|(many, few)| many - few),
            "times",
        ),
        at_most(
            "a look at 100,000 live connections, of ss -tan",
            1.0 / 3.0,
            ratio(looking("table"), looking("ss_tan")),
            "x",
        ),
        at_least(
            "decoded and formatted, as a table",
            3e6,
            results.get("decode", "table", "rate"),
            "records/s",
        ),
        at_least(
            "decoded and formatted, as JSON",
            2e6,
            results.get("decode", "json", "rate"),
            "records/s",
        ),
        at_most(
            "memory that more records take",
            f64::from(256 << 10),
            growth_of_decoding,
            "bytes",
        ),
        at_least(
            "throughput of two CPUs, of that without",
            0.95,
            results.get("cpus", "2_cpus", "ratio"),
            "x",
        ),
        at_least(
            "SYN cookies of two CPUs at one listener, of those without",
            0.95,
            results.get("cookies", "2_cpus", "ratio"),
            "x",
        ),
        at_most(
            "atomic operations on what CPUs share, per SYN cookie",
            0.01,
            results.get("cookies", "2_cpus", "shared_per_syn"),
            "operations",
        ),
        at_most(
            "the same per connection",
            2.0,
            results.get("cookies", "2_cpus", "shared_per_connection"),
            "operations",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
