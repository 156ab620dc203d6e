//! The virtual machine that the tests run in.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Set inside the machine, to the name of the group of scenarios to run.
const GROUP: &str = "DIAGNOSE_TOOLS_GUEST";
const OTHER_MODULES: &str = "DIAGNOSE_TOOLS_OTHER_MODULES";

/// The configuration of the machine.
pub struct Machine {
    pub cpus: u32,
    /// Number of possible CPUs: the additional ones never come online.
    pub max_cpus: Option<u32>,
    pub memory: &'static str,
    /// Guest time is derived from the number of instructions.
    pub icount: bool,
    /// Emulated CPUs run alternately on a single host CPU: see `scripts/vm --help`.
    pub turns: bool,
    pub timeout_s: u32,
    /// Builds a module whose calls have another version.
    pub other_modules: bool,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cpus: 2,
            max_cpus: None,
            memory: "2G",
            icount: false,
            turns: false,
            timeout_s: 1500,
            other_modules: false,
        }
    }
}

/// The group of scenarios to run here; `None` on the host.
pub fn group() -> Option<String> {
    env::var(GROUP).ok()
}

/// Which kernel of `scripts/sanitized-kernel` is booted; `None` for others.
pub fn sanitizer() -> Option<String> {
    const SANITIZED: [&str; 3] = ["kasan", "kcsan", "reduced"];
    let kernel = env::var("DIAGNOSE_TOOLS_KERNEL").ok()?;
    let (_, name) = kernel.rsplit_once('-')?;
    SANITIZED.contains(&name).then(|| name.to_owned())
}

/// A divisor for numbers of connections: ten where each connection takes ten times as long.
pub fn share() -> usize {
    if sanitizer().is_some() { 10 } else { 1 }
}

/// How long to wait for an event before it counts as a failure.
pub fn patience(seconds: u64) -> Duration {
    slowed(Duration::from_secs(seconds))
}

/// A duration, extended where a sanitizer slows everything down.
pub fn slowed(time: Duration) -> Duration {
    time * if sanitizer().is_some() { 8 } else { 1 }
}

/// Path of the module whose calls have another version, inside the machine.
pub fn other_modules() -> PathBuf {
    env::var_os(OTHER_MODULES)
        .expect("the host has built it")
        .into()
}

/// Builds the module from a copy of the sources in which a macro of one file has another value;
/// returns its path.
pub fn build_variant(name: &str, file: &str, defined: &str, value: &str) -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let script = r#"
        mkdir -p "$2" && cp -r "$1/kmod" "$1/include" "$1/scripts" "$2" &&
        sed -i "s/^\(#define $4\)[[:space:]].*/\1 $5/" "$2/$3" &&
        grep -q "^#define $4 $5\$" "$2/$3" && "$2/scripts/build-module""#;
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", script, "sh"]).arg(top).arg(&copy);
    let output = shell.args([file, defined, value]).output().expect("sh(1)");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let path = String::from_utf8(output.stdout).expect("a path");
    path.trim_end().into()
}

/// The folder of the module whose calls have another version.
fn build_other_modules() -> PathBuf {
    let header = "include/tcpstates.h";
    let path = build_variant("other-version", header, "TCPSTATES_CALL_VERSION", "99");
    // .../modules/RELEASE/tcpstates.ko
    let folder = path.ancestors().nth(2);
    folder.expect("a folder of modules").to_owned()
}

/// The command that boots the machine and runs this program in it, with the same arguments, for a
/// group of scenarios.
pub fn vm(machine: &Machine, group: &str) -> Command {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut vm = Command::new(top.join("scripts/vm"));
    vm.args([
        "--cpus",
        &machine.cpus.to_string(),
        "--memory",
        machine.memory,
    ]);
    if let Some(possible) = machine.max_cpus {
        vm.args(["--maxcpus", &possible.to_string()]);
    }
    // A sanitizer slows everything down.
    let slow = if sanitizer().is_some() { 4 } else { 1 };
    vm.args(["--timeout", &(slow * machine.timeout_s).to_string()]);
    vm.args(machine.icount.then_some("--icount"));
    vm.args(machine.turns.then_some("--turns"));
    let program = env::current_exe().expect("path of this program");
    vm.arg("--")
        .arg("env")
        .arg(format!("{GROUP}={group}"))
        .arg(program);
    vm.args(env::args_os().skip(1)).current_dir(top);
    if sanitizer().is_some() {
        // Resolving the symbols of a backtrace takes minutes there.
        vm.env("RUST_BACKTRACE", "0");
    }
    // The script need not build a controller: the tests have their own.
    vm.env(
        "DIAGNOSE_TOOLS_BIN_DIR",
        Path::new(super::tool::PROGRAM).parent().expect("a folder"),
    );
    if machine.other_modules {
        vm.env(OTHER_MODULES, build_other_modules());
    }
    vm
}

/// Runs a group of this program's scenarios in the machine, and prints its output: immediately, or
/// all of it at the end. True when they all passed; a machine that could not run is a failure.
pub fn boot(machine: &Machine, group: &str, at_its_end: bool) -> bool {
    let mut vm = vm(machine, group);
    #[allow(clippy::disallowed_methods, reason = "it is no message of the program")]
    let status = if at_its_end {
        vm.output().map(|output| {
            // Both are a log: an error of the output does not matter.
            let _ = io::stdout().write_all(&output.stdout);
            let _ = io::stderr().write_all(&output.stderr);
            output.status
        })
    } else {
        vm.status()
    };
    match status {
        Ok(status) if status.success() => true,
        Ok(status) => {
            eprintln!("the virtual machine of the group '{group}' ended with {status}");
            false
        }
        Err(err) => {
            eprintln!("scripts/vm could not be started: {err}");
            false
        }
    }
}
