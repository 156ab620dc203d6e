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
use support::guest::{self, Machine};

/// Scenarios of a group, in the order in which they run: one at a time,
/// because there is one module and one truth.
fn trials(group: &str) -> Vec<Trial> {
    let modules = match group {
        AT_ONCE => vec![
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
        ],
        // These patch the running kernel's code again and again.
        IN_TURNS => vec![life_cycle::trials(), fuzz::trials()],
        other => panic!("no group '{other}'"),
    };
    modules.into_iter().flatten().collect()
}

const AT_ONCE: &str = "at-once";
const IN_TURNS: &str = "in-turns";

fn machine(group: &str) -> Machine {
    Machine {
        cpus: 2,
        memory: "4G",
        turns: group == IN_TURNS,
        ..Machine::default()
    }
}

/// Boots a machine for each group that has a scenario which was asked for.
fn run_on_host(arguments: &Arguments) -> ExitCode {
    let mut passed = true;
    for group in [AT_ONCE, IN_TURNS] {
        if trials(group)
            .iter()
            .any(|trial| is_wanted(arguments, trial))
        {
            passed &= guest::boot(&machine(group), group);
        }
    }
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn is_wanted(arguments: &Arguments, trial: &Trial) -> bool {
    let names = |wanted: &String| match arguments.exact {
        true => trial.name() == wanted,
        false => trial.name().contains(wanted.as_str()),
    };
    arguments.filter.as_ref().is_none_or(names) && !arguments.skip.iter().any(names)
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    match guest::group() {
        Some(group) => libtest_mimic::run(&arguments, trials(&group)).exit_code(),
        None if arguments.list => {
            let all = [AT_ONCE, IN_TURNS].into_iter().flat_map(trials).collect();
            libtest_mimic::run(&arguments, all).exit_code()
        }
        None => run_on_host(&arguments),
    }
}
