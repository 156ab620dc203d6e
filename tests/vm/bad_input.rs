//! Errors of the system or the user: one clear line for each, compared literally, and nothing
//! changed. Errors of the command line itself are in `tests/cli_errors.rs`, which needs no module.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;

use diagnose_tools::abi;
use libtest_mimic::Trial;
use nix::fcntl::{Flock, FlockArg};
use nix::kmod::{ModuleInitFlags, finit_module};

use crate::support::tool::{self, Outcome};
use crate::support::{device, guest, scenario, traffic};

pub fn without_module() -> Vec<Trial> {
    vec![
        scenario("without_the_module_each_option_says_so", no_module),
        scenario("a_module_that_cannot_be_loaded_says_why", not_a_module),
        scenario("another_version_of_the_module_is_refused", other_version),
    ]
}

pub fn with_module() -> Vec<Trial> {
    vec![
        scenario("an_option_at_the_wrong_time_says_so", wrong_time),
        scenario(
            "a_wrong_option_anywhere_means_that_nothing_is_done",
            nothing_done,
        ),
        scenario("the_first_failure_stops_the_chain", stops_the_chain),
        scenario("a_busy_module_stays_and_names_its_users", busy),
        scenario("a_second_report_waits_and_gives_up", report_running),
        scenario("what_cannot_be_written_fails", cannot_write),
    ]
}

const NOT_LOADED: &str = "diagnose-tools: the module is not loaded: run `diagnose-tools install`\n";
const NOT_ACTIVE: &str = "diagnose-tools: not active: use --activate first\n";
const ALREADY: &str = "diagnose-tools: already active: use --deactivate first\n";
const RUNNING: &str = "diagnose-tools: another --report is running: wait for it, or use peek=1\n";

/// Asserts a failure: nothing on stdout, this text on stderr.
fn assert_fails(args: &[&str], status: i32, stderr: &str) {
    let expected = Outcome {
        status,
        stdout: String::new(),
        stderr: stderr.to_owned(),
    };
    assert_eq!(tool::run(args), expected, "{args:?}");
}

fn assert_says(args: &[&str], stdout: &str) {
    let expected = Outcome {
        status: 0,
        stdout: stdout.to_owned(),
        stderr: String::new(),
    };
    assert_eq!(tool::run(args), expected, "{args:?}");
}

fn is_active() -> bool {
    tool::tcpstates(&["--settings=json=1"]).contains(r#""active":true"#)
}

fn no_module() {
    tool::unloaded();
    for option in [
        "--activate",
        "--deactivate",
        "--settings",
        "--report",
        "--follow",
    ] {
        assert_fails(&["tcpstates", option], 1, NOT_LOADED);
    }
    assert_fails(
        &["tcpstates", "--report=json=1", "--deactivate"],
        1,
        NOT_LOADED,
    );
    assert_says(&["uninstall"], "not installed: the module is not loaded\n");
}

fn not_a_module() {
    tool::unloaded();
    let modules = Path::new("/tmp/no-modules");
    let folder = modules.join(tool::release());
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("tcpstates.ko"), "this is no module").expect("a file");
    let outcome = tool::install_from(modules);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(
        outcome
            .stderr
            .starts_with("diagnose-tools: loading /tmp/no-modules/"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("Exec format error"), "{outcome:?}");
    assert!(
        outcome.stderr.contains("built for another kernel"),
        "{outcome:?}"
    );
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    assert_fails(&["tcpstates", "--settings"], 1, NOT_LOADED);
}

/// A loaded module whose calls have version 99: every command refuses it, it stays loaded, and it
/// can still be unloaded.
fn other_version() {
    tool::unloaded();
    let path = guest::other_modules().join(tool::release());
    let module = File::open(path.join("tcpstates.ko")).expect("the host has built it");
    finit_module(&module, c"", ModuleInitFlags::empty()).expect("a module of this kernel");
    let (call, record) = (abi::TCPSTATES_CALL_VERSION, abi::TCPSTATES_RECORD_VERSION);
    let mismatch = format!(
        "diagnose-tools: version mismatch: the module 0.1.0 has call version 99 and record version \
         {record}, diagnose-tools 0.1.0 has {call} and {record}: "
    );
    let advice = "it is loaded already: run `diagnose-tools uninstall`, which ends its recording, \
                  then `diagnose-tools install`\n";
    assert_fails(&["install"], 1, &format!("{mismatch}{advice}"));
    for option in [
        "--activate",
        "--deactivate",
        "--settings",
        "--report",
        "--follow",
    ] {
        let outcome = tool::run(&["tcpstates", option]);
        assert_eq!(
            (outcome.status, outcome.stdout.as_str()),
            (1, ""),
            "{option}: {outcome:?}"
        );
        assert!(
            outcome.stderr.starts_with(&mismatch),
            "{option}: {outcome:?}"
        );
        assert_eq!(outcome.stderr.lines().count(), 1, "{option}: {outcome:?}");
    }
    assert_says(&["uninstall"], "uninstalled\n");
    let outcome = tool::run(&["install"]);
    assert_eq!(
        outcome.status, 0,
        "the right one can be loaded again: {outcome:?}"
    );
}

fn wrong_time() {
    tool::fresh();
    assert_says(&["install"], "already installed: module 0.1.0\n");
    for option in ["--deactivate", "--report", "--report=peek=1", "--follow"] {
        assert_fails(&["tcpstates", option], 1, NOT_ACTIVE);
    }
    assert_eq!(tool::run(&["tcpstates", "--settings"]).status, 0);
    tool::tcpstates(&["--activate"]);
    assert_fails(&["tcpstates", "--activate"], 1, ALREADY);
    assert_fails(&["tcpstates", "--activate=hook=kprobe"], 1, ALREADY);
    assert!(
        tool::tcpstates(&["--settings"]).contains("hook=auto"),
        "the first one goes on"
    );
    tool::tcpstates(&["--deactivate"]);
}

fn nothing_done() {
    tool::fresh();
    for wrong in [
        "--report=foo=1",
        "--activate=ring=3",
        "--frobnicate",
        "--activate=netns=nosuch",
    ] {
        let outcome = tool::run(&["tcpstates", "--activate", wrong]);
        assert_eq!(
            (outcome.status, outcome.stdout.as_str()),
            (2, ""),
            "{outcome:?}"
        );
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        assert!(!is_active(), "{wrong}");
    }
}

fn stops_the_chain() {
    tool::fresh();
    assert_fails(&["tcpstates", "--deactivate", "--activate"], 1, NOT_ACTIVE);
    assert!(!is_active());
    let outcome = tool::run(&["tcpstates", "--activate", "--activate", "--deactivate"]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (1, ALREADY));
    assert!(is_active(), "what was done before the failure stays done");
    let chain = ["--deactivate", "--activate=verbose=1", "--settings"];
    let text = tool::tcpstates(&chain);
    let found = ["deactivated", "active:", "verbose=1"].map(|word| text.find(word));
    assert!(
        found.iter().all(Option::is_some) && found.is_sorted(),
        "left to right: {text}"
    );
    tool::tcpstates(&["--deactivate"]);
}

fn busy() {
    tool::activate("");
    let held = device::open();
    let comm = fs::read_to_string("/proc/self/comm").expect("a name");
    let user = format!("{} ({})", std::process::id(), comm.trim_end());
    let message = format!("diagnose-tools: the module is in use by {user}: end them first\n");
    assert_fails(&["uninstall"], 1, &message);
    assert!(is_active(), "the recording goes on");
    drop(held);
    assert_says(&["uninstall"], "uninstalled\n");
}

fn report_running() {
    tool::activate("");
    traffic::refused(traffic::V4);
    let device = OwnedFd::from(device::open());
    let lock = Flock::lock(device, FlockArg::LockExclusiveNonblock).expect("nobody else reports");
    assert_fails(&["tcpstates", "--report=transitions=1"], 1, RUNNING);
    let peek = tool::report("peek=1 transitions=1");
    assert_eq!(peek.transitions.len(), 4, "a peek needs not wait");
    drop(lock);
    assert_eq!(tool::report("transitions=1").transitions.len(), 4);
    tool::tcpstates(&["--deactivate"]);
}

/// A full disk under every command that prints.
fn cannot_write() {
    tool::activate("");
    for option in [
        "--settings",
        "--settings=json=1",
        "--report",
        "--report=json=1",
    ] {
        let mut command = tool::command(&["tcpstates", option]);
        command.stdout(
            File::options()
                .write(true)
                .open("/dev/full")
                .expect("/dev/full"),
        );
        let outcome = tool::outcome(command);
        let message =
            "diagnose-tools: cannot write to stdout: No space left on device (os error 28)\n";
        assert_eq!(
            (outcome.status, outcome.stderr.as_str()),
            (1, message),
            "{option}"
        );
    }
    tool::tcpstates(&["--deactivate"]);
}
