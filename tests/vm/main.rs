//! Scenario tests of the whole tool on a real kernel.
//!
//! Started on the host, this program boots a virtual machine and runs itself inside, where it runs
//! the tool with real sockets and compares its output with an independent source.
//!
//! `--smoke` runs only one scenario of each kind. `DIAGNOSE_TOOLS_KERNEL` names the kernel to boot,
//! see `scripts/vm --help`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a scenario fails by panicking"
)]

mod alarms;
mod asked;
mod bad_input;
mod beginnings;
mod captures;
mod counters;
mod cpus;
mod diagnose;
mod durations;
mod faults;
mod filters;
mod follow;
mod fuzz;
mod handshake_ends;
mod handshakes;
mod holders;
mod hooks;
mod install;
mod life_cycle;
mod limits;
mod listeners;
mod live;
mod lives;
mod lockdown;
mod loss;
mod mapping;
mod outputs;
mod owner;
mod privilege;
mod protocols;
mod races;
mod reasons;
mod sanitizers;
mod scope;
mod security;
mod simultaneous;
mod soak;
mod states;
mod support;
#[path = "../top/tmux.rs"]
mod tmux;
mod top;
mod transitions;
mod waits;
mod wall_clock;

use std::env;
use std::process::ExitCode;
use std::thread;

use libtest_mimic::{Arguments, Trial};
use support::guest::{self, Machine};
use support::{is_long, is_quick};

/// The scenarios of `--smoke`: one of each kind, enough to see whether the tool works on a kernel
/// at all.
const SMOKE: [&str; 16] = [
    "without_the_module_each_option_says_so",
    "hooks_are_attached_where_the_kernel_has_the_function",
    "transitions_equal_the_trace_event_by_tracepoint",
    "transitions_equal_the_trace_event_by_kprobes",
    "the_live_table_equals_ss",
    "durations_are_what_was_measured_around_them",
    "an_overrun_ring_tells_exactly_what_it_lost",
    "a_follower_sees_events_at_once_and_moves_nothing",
    "a_ring_cannot_be_made_writable",
    "other_users_are_refused_by_tool_and_device",
    "a_busy_module_stays_and_names_its_users",
    "handshake_lasts_as_long_as_the_link_makes_it",
    "each_end_of_a_request_has_its_reason",
    "a_simultaneous_close_is_told_as_it_was",
    "the_listener_table_equals_ss_under_load",
    "an_alarm_of_a_half_open_queue_comes_once",
];

/// The scenarios of `--smoke` on a slow kernel that checks each access: those that go through all
/// hooks, calls and mappings. All scenarios of faults and signatures run in addition.
const SANITIZED_SMOKE: [&str; 6] = [
    "hooks_are_attached_where_the_kernel_has_the_function",
    "transitions_equal_the_trace_event_by_tracepoint",
    "each_end_of_a_request_has_its_reason",
    "a_simultaneous_close_is_told_as_it_was",
    "only_whole_rings_are_mapped",
    "a_busy_module_stays_and_names_its_users",
];

fn is_quick_trial(group: &str, name: &str) -> bool {
    match guest::sanitizer() {
        Some(_) => [FAULTS, LOCKED_DOWN].contains(&group) || SANITIZED_SMOKE.contains(&name),
        None => SMOKE.contains(&name),
    }
}

/// Scenarios of a group, in the order in which they run: one at a time, because there is one module
/// and one source to compare it with. Only those that wait for a long time share a recording and
/// run in parallel.
fn trials(group: &str, smoke: bool) -> Vec<Trial> {
    let modules = match group {
        AT_ONCE => vec![
            bad_input::without_module(),
            install::trials(),
            hooks::trials(),
            sanitizers::trials(),
            transitions::trials(),
            live::trials(),
            durations::trials(),
            handshakes::trials(),
            handshake_ends::trials(),
            listeners::trials(),
            alarms::trials(),
            captures::trials(),
            counters::trials(),
            simultaneous::trials(),
            reasons::trials(),
            owner::trials(),
            holders::trials(),
            protocols::trials(),
            filters::trials(),
            scope::trials(),
            lives::trials(),
            asked::trials(),
            diagnose::trials(),
            outputs::trials(),
            loss::trials(),
            follow::trials(),
            top::trials(),
            limits::trials(),
            cpus::trials(),
            mapping::trials(),
            privilege::trials(),
            security::trials(),
            bad_input::with_module(),
            // It covers the transitions of all scenarios before it.
            states::trials(),
        ],
        SIDE_BY_SIDE => vec![waits::trials()],
        POSSIBLE_CPUS => vec![cpus::of_many_possible()],
        FAULTS => vec![faults::trials()],
        // No other module can be loaded in this machine afterwards.
        LOCKED_DOWN => vec![lockdown::trials()],
        SITUATIONS => vec![diagnose::beside()],
        SOAK => vec![soak::trials()],
        CHURN => vec![
            beginnings::trials(),
            live::under_churn(),
            life_cycle::trials(),
            wall_clock::trials(),
            fuzz::trials(),
        ],
        RACES => vec![races::trials()],
        other => panic!("no group '{other}'"),
    };
    let all = modules.into_iter().flatten();
    all.filter(|trial| !smoke || is_quick_trial(group, trial.name()))
        .collect()
}

/// Number of scenarios of a group that run at a time. Situations have their own clients, and are to be
/// found in time: an emulated machine is too slow for all of them, and one that checks each access for
/// more than a few.
fn threads(group: &str) -> usize {
    match (group, guest::sanitizer().as_deref()) {
        (SIDE_BY_SIDE | SITUATIONS, Some("kasan")) => 3,
        (SIDE_BY_SIDE, _) => trials(group, false).len(),
        (SITUATIONS, _) => 8,
        _ => 1,
    }
}

/// Scenarios of all groups.
fn all_trials(smoke: bool) -> Vec<Trial> {
    let groups = groups().into_iter();
    groups.flat_map(|group| trials(group, smoke)).collect()
}

const AT_ONCE: &str = "at-once";
const SIDE_BY_SIDE: &str = "side-by-side";
const SITUATIONS: &str = "situations";
/// Scenarios that start and stop repeatedly while connections are opened and closed.
const CHURN: &str = "churn";
const RACES: &str = "races";
const FAULTS: &str = "faults";
const LOCKED_DOWN: &str = "locked-down";
/// A machine with many more possible CPUs than online ones.
const POSSIBLE_CPUS: &str = "possible-cpus";
/// Has scenarios only in the long run.
const SOAK: &str = "soak";

/// Groups that the booted kernel cannot run are left out.
fn groups() -> Vec<&'static str> {
    let mut groups = vec![
        AT_ONCE,
        SIDE_BY_SIDE,
        SITUATIONS,
        CHURN,
        RACES,
        POSSIBLE_CPUS,
        SOAK,
    ];
    match guest::sanitizer().as_deref() {
        Some("kasan") => groups.push(FAULTS),
        // Both kernels support module signatures.
        Some("reduced") | None => groups.push(LOCKED_DOWN),
        Some(_) => (),
    }
    groups
}

/// Whether a group may run in parallel with the one that takes longest. On a fast kernel it would
/// disturb the scenarios that measure time; on a slow one that matters less than the waiting time.
fn runs_beside(group: &str) -> bool {
    guest::sanitizer().is_some() && matches!(group, CHURN | RACES | FAULTS)
}

fn machine(group: &str, smoke: bool) -> Machine {
    Machine {
        cpus: if group == RACES { 4 } else { 2 },
        max_cpus: (group == POSSIBLE_CPUS).then_some(cpus::POSSIBLE),
        // The search for leaks scans all memory.
        memory: if smoke { "3G" } else { "4G" },
        // Races are searched for where CPUs run in parallel, if there is enough time.
        turns: runs_beside(group) && guest::sanitizer().as_deref() == Some("kasan"),
        other_modules: group == AT_ONCE && !smoke,
        timeout_s: match group {
            SOAK => soak::TIMEOUT_S,
            _ if is_long() => 6000,
            _ => Machine::default().timeout_s,
        },
        ..Machine::default()
    }
}

/// Boots a machine for each group with a requested scenario, two at a time where that does no harm.
fn run_on_host(arguments: &Arguments, smoke: bool) -> ExitCode {
    let has_wanted = |group: &&str| {
        let trials = trials(group, smoke);
        trials.iter().any(|trial| is_wanted(arguments, trial))
    };
    let groups = groups().into_iter().filter(has_wanted);
    let (beside, first): (Vec<_>, Vec<_>) = groups.partition(|group| runs_beside(group));
    let boot = |group: &&str, at_its_end| guest::boot(&machine(group, smoke), group, at_its_end);
    // The lines of two machines would be mixed up.
    let at_its_end = !first.is_empty();
    let boot_all = |groups: &[&str], at_its_end| {
        let failed = groups.iter().filter(|group| !boot(group, at_its_end));
        failed.count() == 0
    };
    let passed = thread::scope(|scope| {
        let beside = scope.spawn(|| boot_all(&beside, at_its_end));
        let first = boot_all(&first, false);
        beside.join().is_ok_and(|passed| passed) && first
    });
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
    let smoke = is_quick();
    let all = all_trials(false);
    let is_there_once = |name: &&str| all.iter().filter(|t| t.name() == *name).count() == 1;
    assert!(
        SMOKE.iter().chain(&SANITIZED_SMOKE).all(is_there_once),
        "a quick selection names each of its scenarios once, and none that is not there"
    );
    let mut arguments = Arguments::from_iter(env::args().filter(|arg| arg != "--smoke"));
    match guest::group() {
        Some(group) => {
            arguments.test_threads = Some(threads(&group));
            libtest_mimic::run(&arguments, trials(&group, smoke)).exit_code()
        }
        None if arguments.list => libtest_mimic::run(&arguments, all_trials(smoke)).exit_code(),
        None => run_on_host(&arguments, smoke),
    }
}
