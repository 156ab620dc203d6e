//! The tool, used like its users do.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::utsname::uname;
use serde_json::Value;

use super::{guest, netns, ss, transition_counts};

/// The controller that was built together with these tests.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_diagnose-tools");

/// The result of a run of the tool.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A command line of the tool, in the C locale.
pub fn command(args: &[&str]) -> Command {
    command_of(Path::new(PROGRAM), args)
}

/// The same for a copy of the program.
pub fn command_of(program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    for name in ["LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub fn outcome(mut command: Command) -> Outcome {
    let output = command.output().expect("the program starts");
    Outcome {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

/// Runs the tool.
pub fn run(args: &[&str]) -> Outcome {
    outcome(command(args))
}

/// Runs `diagnose-tools tcpstates`, which must succeed, and returns its stdout.
pub fn tcpstates(args: &[&str]) -> String {
    let all: Vec<&str> = ["tcpstates"].iter().chain(args).copied().collect();
    let outcome = run(&all);
    assert_eq!(outcome.status, 0, "{all:?}: {outcome:?}");
    outcome.stdout
}

/// Makes sure that the module is loaded, and nothing is active.
pub fn fresh() {
    let outcome = run(&["install"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let outcome = run(&["tcpstates", "--deactivate"]);
    assert!(outcome.status <= 1, "{outcome:?}");
}

/// A copy of the tool that finds no sources to build the module from.
fn without_sources() -> PathBuf {
    static COPIED: Once = Once::new();
    let copy = PathBuf::from("/run/diagnose-tools-alone/diagnose-tools");
    COPIED.call_once(|| {
        fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder");
        fs::copy(PROGRAM, &copy).expect("a copy");
    });
    copy
}

/// `install` with a separate module folder, and no other source of a module.
pub fn install_from(modules: &Path) -> Outcome {
    let mut install = command_of(&without_sources(), &["install"]);
    install.env("DIAGNOSE_TOOLS_MODULES", modules);
    outcome(install)
}

/// Release of the kernel.
pub fn release() -> String {
    let name = uname().expect("uname");
    name.release().to_string_lossy().into_owned()
}

/// The module that `install` loads.
pub fn module() -> PathBuf {
    let all = env::var_os("DIAGNOSE_TOOLS_MODULES").expect("the host has built it");
    Path::new(&all).join(release()).join("tcpstates.ko")
}

/// Makes sure that the module is not loaded.
pub fn unloaded() {
    let outcome = run(&["uninstall"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
}

/// Starts a new recording.
pub fn activate(keys: &str) {
    fresh();
    tcpstates(&[&format!("--activate={keys}")]);
}

/// The same, for this namespace only: sockets that earlier scenarios have left in TIME_WAIT may end
/// at any time.
pub fn activate_here(keys: &str) {
    activate(&format!("netns={} {keys}", netns::current_inode()));
}

/// Starts the recording that is shared by scenarios which run in parallel.
pub fn activate_beside() {
    static ACTIVE: Once = Once::new();
    ACTIVE.call_once(|| {
        netns::keep_all();
        activate("ring=262144");
    });
}

/// Ends a recording: asserts that it has no impossible transition, and no connection that does not
/// exist any more.
pub fn end() {
    let report = when_all_have_ended(guest::patience(20));
    transition_counts::check(&report.summary);
    tcpstates(&["--deactivate"]);
}

/// Waits until the recording has only connections that `ss` shows, and returns the report of that
/// moment. The kernel removes namespaces some time after their last process has exited, and each
/// socket that ends then is recorded. With thousands of sockets in TIME_WAIT, those that started in
/// the same two seconds end at once: the reports must take less time than that, so they list
/// nothing.
pub fn when_all_have_ended(patience: Duration) -> Report {
    let deadline = Instant::now() + patience;
    loop {
        let looked = report("peek=1 transitions=0");
        let (tracked, truth) = (looked.number("/tracked"), ss::everywhere());
        if tracked == truth as u64 {
            return looked;
        }
        if Instant::now() >= deadline {
            let mut some = report("peek=1 transitions=0 connections=1").connections;
            some.truncate(50);
            panic!("ss shows {truth} sockets, not {tracked}, such as {some:#?}");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// JSON lines of a report, by type.
#[derive(Debug)]
pub struct Report {
    pub transitions: Vec<Value>,
    pub lives: Vec<Value>,
    pub counts: Vec<Value>,
    pub alarms: Vec<Value>,
    pub connections: Vec<Value>,
    pub listeners: Vec<Value>,
    pub lost: Vec<Value>,
    pub summary: Value,
}

impl Report {
    /// Every line must be an object, and the last one the summary.
    pub fn parse(text: &str) -> Self {
        let mut lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        let summary = lines.pop().expect("a report has a summary");
        assert_eq!(summary["type"], "summary", "the last line of a report");
        let of = |kind: &str| {
            lines
                .iter()
                .filter(|l| l["type"] == kind)
                .cloned()
                .collect()
        };
        let report = Self {
            transitions: of("transition"),
            lives: of("life"),
            counts: of("count"),
            alarms: of("alarm"),
            connections: of("connection"),
            listeners: of("listener"),
            lost: of("lost"),
            summary,
        };
        let events = report.transitions.len() + report.alarms.len() + report.lost.len();
        let live = report.connections.len() + report.listeners.len();
        let known = events + live + report.lives.len() + report.counts.len();
        assert_eq!(known, lines.len(), "lines of another type");
        report
    }

    /// Asserts that all events that were seen, raised and cleared are recorded or counted as lost.
    pub fn assert_totals_balance(&self) {
        let sum = |paths: &[&str]| paths.iter().map(|p| self.number(p)).sum::<u64>();
        assert_eq!(
            sum(&["/seen", "/alarms"]),
            sum(&["/recorded", "/filtered", "/too_short", "/lost/ringless"]),
            "{}",
            self.summary
        );
    }

    /// Transitions in the rings, without alarms.
    pub fn recorded_transitions(&self) -> u64 {
        self.number("/recorded") - self.number("/alarms")
    }

    /// A number from the summary, by its path.
    pub fn number(&self, path: &str) -> u64 {
        self.summary
            .pointer(path)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no number at {path}: {}", self.summary))
    }
}

/// A report in JSON, with these keys in addition. It has no diagnosis, which takes long in an
/// emulated machine with many reports.
pub fn report(keys: &str) -> Report {
    Report::parse(&tcpstates(&[&format!("--report=json=1 findings=0 {keys}")]))
}
