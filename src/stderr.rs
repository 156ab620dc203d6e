//! Messages on stderr, one line each, with the program's name. A closed stderr is not an error.
//!
//! This is the only way to stderr, which `clippy.toml` enforces, and it takes only texts in all
//! languages: a message that lacks a translation does not compile.

use std::io::{IsTerminal, Write, stderr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fmt::lang::Lang;
use crate::fmt::text::{Text, text};

const NAME: &str = env!("CARGO_PKG_NAME");

/// The language of all messages of this process.
static LANG: OnceLock<Lang> = OnceLock::new();

/// Whether a live view has the terminal.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// Chooses the language of all messages; English without a choice. Only the first choice counts.
pub fn speak(lang: Lang) {
    let _ = LANG.set(lang);
}

/// Says whether a live view has the terminal: notes would be drawn over it.
pub fn drawn_over(drawn: bool) {
    DRAWN.store(drawn, Ordering::Relaxed);
}

#[allow(clippy::disallowed_methods, reason = "this is the way to stderr")]
fn say(text: &Text) {
    let lang = LANG.get().copied().unwrap_or_default();
    let _ = writeln!(stderr(), "{NAME}: {}", text.of(lang));
}

/// Prints an error.
pub fn error(text: &Text) {
    say(text);
}

/// Prints a warning, which is not a failure.
pub fn warn(text: &Text) {
    say(&text!("warning: {text}", "警告：{text}"; text));
}

/// Prints what the program is doing or has finished.
pub fn progress(text: &Text) {
    say(text);
}

/// Prints a note if stderr is a terminal without a live view.
#[allow(clippy::disallowed_methods, reason = "this is the way to stderr")]
pub fn note(text: &Text) {
    if stderr().is_terminal() && !DRAWN.load(Ordering::Relaxed) {
        say(text);
    }
}
