//! What goes to stderr: one line each, with the program's name. Nobody to
//! hear it is no reason to fail.

use std::io::{IsTerminal, Write, stderr};

const NAME: &str = env!("CARGO_PKG_NAME");

fn say(text: &str) {
    let _ = writeln!(stderr(), "{NAME}: {text}");
}

/// The reason of a failure.
pub fn error(text: &str) {
    say(text);
}

/// Something that the user should know though all went well.
pub fn warn(text: &str) {
    say(&format!("warning: {text}"));
}

/// What is done right now, or has come to its end.
pub fn progress(text: &str) {
    say(text);
}

/// For somebody who waits at a terminal.
pub fn note(text: &str) {
    if stderr().is_terminal() {
        say(text);
    }
}
