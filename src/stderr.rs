//! Messages on stderr, one line each, with the program's name. A closed stderr is not an error.

use std::io::{IsTerminal, Write, stderr};

const NAME: &str = env!("CARGO_PKG_NAME");

fn say(text: &str) {
    let _ = writeln!(stderr(), "{NAME}: {text}");
}

/// Prints an error.
pub fn error(text: &str) {
    say(text);
}

/// Prints a warning, which is not a failure.
pub fn warn(text: &str) {
    say(&format!("warning: {text}"));
}

/// Prints what the program is doing or has finished.
pub fn progress(text: &str) {
    say(text);
}

/// Prints a note if stderr is a terminal.
pub fn note(text: &str) {
    if stderr().is_terminal() {
        say(text);
    }
}
