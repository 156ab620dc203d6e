//! Messages on stderr, one line each, with the program's name. A closed stderr is not an error.

use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicBool, Ordering};

const NAME: &str = env!("CARGO_PKG_NAME");

/// Whether a live view has the terminal.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// Says whether a live view has the terminal: notes would be drawn over it.
pub fn drawn_over(drawn: bool) {
    DRAWN.store(drawn, Ordering::Relaxed);
}

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

/// Prints a note if stderr is a terminal without a live view.
pub fn note(text: &str) {
    if stderr().is_terminal() && !DRAWN.load(Ordering::Relaxed) {
        say(text);
    }
}
