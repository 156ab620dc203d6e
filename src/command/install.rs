//! `install` and `uninstall`.

use std::io::Write;

use crate::command::activate::warn_discarded;
use crate::error::{Result, write_error};
use crate::module::load;

/// Loads the module, and prints which one in one line.
///
/// # Errors
/// Errors of [`load::install`].
pub fn install(out: &mut dyn Write) -> Result<()> {
    let loaded = load::install()?;
    let word = match loaded.new {
        true => "installed",
        false => "already installed",
    };
    let version = loaded.version.name;
    let from = loaded.path;
    let from = from.map_or(String::new(), |path| format!(" from {}", path.display()));
    print(out, &format!("{word}: module {version}{from}"))
}

/// Unloads the module. Events that no report has printed are discarded, with a warning on stderr.
///
/// # Errors
/// Errors of [`load::uninstall`].
pub fn uninstall(out: &mut dyn Write) -> Result<()> {
    match load::uninstall()? {
        Some(lost) => {
            warn_discarded(lost);
            print(out, "uninstalled")
        }
        None => print(out, "not installed: the module is not loaded"),
    }
}

fn print(out: &mut dyn Write, text: &str) -> Result<()> {
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(write_error)
}
