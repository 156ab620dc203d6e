//! Scenario tests of the whole tool on a real kernel.
//!
//! Started on the host, this program boots a virtual machine and runs itself
//! inside, where it drives the tool with real sockets and compares what it
//! says with a truth that the tool did not make.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a scenario fails by panicking"
)]

mod bad_input;
mod durations;
mod filters;
mod follow;
mod fuzz;
mod life_cycle;
mod limits;
mod live;
mod loss;
mod mapping;
mod outputs;
mod privilege;
mod support;
mod transitions;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use support::guest;

/// All scenarios, in the order in which they run: one at a time, because
/// there is one module and one truth.
fn trials() -> Vec<Trial> {
    [
        bad_input::without_module(),
        transitions::trials(),
        live::trials(),
        durations::trials(),
        filters::trials(),
        outputs::trials(),
        loss::trials(),
        follow::trials(),
        limits::trials(),
        mapping::trials(),
        privilege::trials(),
        bad_input::with_module(),
        fuzz::trials(),
        life_cycle::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if !guest::inside() && !arguments.list {
        return guest::boot(&guest::Machine {
            cpus: 2,
            memory: "4G",
            ..Default::default()
        });
    }
    arguments.test_threads = Some(1);
    let conclusion = libtest_mimic::run(&arguments, trials());
    conclusion.exit_code()
}
