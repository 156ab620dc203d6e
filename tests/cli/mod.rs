//! Runs the program without a module: the path of the device does not exist.

#![allow(dead_code, reason = "shared by tests that each use a part")]

use std::process::{Command, Output, Stdio};

/// The result of a run.
pub struct Done {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The program, with an empty environment.
pub fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diagnose-tools"));
    command.args(args).stdin(Stdio::null());
    command.env("DIAGNOSE_TOOLS_DEVICE", "/nonexistent/device");
    for name in ["LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

/// Runs the program.
pub fn run(args: &[&str]) -> Done {
    program(args).output().unwrap().into()
}
