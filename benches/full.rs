//! `make bench`: measures this tool beside the tools that are in use today, in one run. Each part
//! has its own machine; it sends its measurements to the host as figures, which become a table, a
//! file and plots.
//!
//!   cargo bench --bench full -- [PART...] [--cases=NAME,...] [--publish]
//!
//! `--cases` selects from the parts `recording` and `decode`. With `--publish`, the results of all
//! parts are written to docs/benchmarks.md and docs/bench; with `--redraw` alone, these are made
//! again from docs/bench/results.json.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement fails by panicking"
)]

#[path = "full/bars.rs"]
mod bars;
#[path = "full/burst.rs"]
mod burst;
#[path = "common/mod.rs"]
mod common;
#[path = "full/cookies.rs"]
mod cookies;
#[path = "full/cpus.rs"]
mod cpus;
#[path = "decode/mod.rs"]
mod decode;
#[path = "common/figure.rs"]
mod figure;
#[path = "full/growth.rs"]
mod growth;
#[path = "full/host.rs"]
mod host;
#[path = "full/looking.rs"]
mod looking;
#[path = "full/peers.rs"]
mod peers;
#[path = "full/plot.rs"]
mod plot;
#[path = "full/recording.rs"]
mod recording;
#[path = "full/results.rs"]
mod results;
#[path = "full/stretch.rs"]
mod stretch;
#[path = "../tests/vm/support/mod.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod support;
#[path = "full/table.rs"]
mod table;

use std::fs;
use std::process::ExitCode;

use support::guest::{self, Machine};
use support::netns;

/// Marks the name of the kernel in a machine's output.
const KERNEL: &str = "kernel ";

/// One machine, and its measurements.
struct Part {
    name: &'static str,
    machine: Machine,
    measure: fn(),
}

/// A machine with one CPU, whose time counts instructions.
fn counting(memory: &'static str) -> Machine {
    Machine {
        cpus: 1,
        memory,
        icount: true,
        timeout_s: 3600,
        ..Default::default()
    }
}

/// A machine with CPUs that run in parallel.
fn parallel(cpus: u32) -> Machine {
    Machine {
        cpus,
        timeout_s: 1800,
        ..Default::default()
    }
}

fn parts() -> [Part; 9] {
    let of_a_million = Machine {
        memory: "8G",
        ..parallel(1)
    };
    let part = |name, machine, measure| Part {
        name,
        machine,
        measure,
    };
    [
        part("growth", counting("8G"), growth::measure),
        part("recording", counting("4G"), recording::measure),
        part("burst", counting("2G"), burst::measure),
        part("looking", counting("4G"), || looking::measure(100_000, 3)),
        // Too slow in a machine that counts instructions.
        part("looking-million", of_a_million, || {
            looking::measure(1_000_000, 1);
        }),
        // The loss with one CPU does not come from contention.
        part("cpus-1", parallel(1), || cpus::measure(1)),
        part("cpus-2", parallel(2), || cpus::measure(2)),
        part("cpus-4", parallel(4), || cpus::measure(4)),
        part("cookies", parallel(2), || cookies::measure(2)),
    ]
}

/// Release, and its package version, such as `Debian 6.1.192-1`.
fn kernel() -> String {
    let text = |file| fs::read_to_string(file).unwrap_or_default();
    let release = text("/proc/sys/kernel/osrelease");
    let version = text("/proc/sys/kernel/version");
    let source = version.find("Debian").map_or("", |at| &version[at..]);
    let source = source.split(" (").next().unwrap_or_default();
    format!("{} ({})", release.trim(), source.trim())
}

fn main() -> ExitCode {
    if let Some(name) = guest::group() {
        let part = parts().into_iter().find(|part| part.name == name);
        println!("{KERNEL}{}", kernel());
        netns::alone(part.expect("a part of this name").measure);
        return ExitCode::SUCCESS;
    }
    match host::run(&parts()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}
