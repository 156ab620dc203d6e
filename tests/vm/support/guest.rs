//! The virtual machine that the tests run in.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

const INSIDE: &str = "DIAGNOSE_TOOLS_GUEST";

/// What the machine looks like.
pub struct Machine {
    pub cpus: u32,
    pub memory: &'static str,
    /// Guest time counts instructions.
    pub icount: bool,
    pub timeout_s: u32,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cpus: 2,
            memory: "2G",
            icount: false,
            timeout_s: 1500,
        }
    }
}

/// Does this process run inside of the machine?
pub fn inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Boots the machine and runs this program in it with the same arguments.
/// Its exit status is the answer; a machine that could not run is a failure.
pub fn boot(machine: &Machine) -> ExitCode {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut vm = Command::new(top.join("scripts/vm"));
    vm.args([
        "--cpus",
        &machine.cpus.to_string(),
        "--memory",
        machine.memory,
    ]);
    vm.args(["--timeout", &machine.timeout_s.to_string()]);
    if machine.icount {
        vm.arg("--icount");
    }
    let program = env::current_exe().expect("path of this program");
    vm.arg("--")
        .arg("env")
        .arg(format!("{INSIDE}=1"))
        .arg(program);
    vm.args(env::args_os().skip(1)).current_dir(top);
    match vm.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("the virtual machine ended with {status}");
            ExitCode::FAILURE
        }
        Err(err) => {
            eprintln!("scripts/vm could not be started: {err}");
            ExitCode::FAILURE
        }
    }
}
