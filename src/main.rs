//! `diagnose-tools`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    diagnose_tools::app::run(std::env::args_os()).into()
}
