//! Feeds arbitrary input to the code that reads bytes and words from outside: it must not panic,
//! and its output must have the documented properties.
//!
//! Each target is a function of the input. `fuzz_targets/` passes them to libFuzzer, and
//! `tests/replay.rs` runs them on the corpora and on inputs that have failed before.

mod captures;
mod config;
mod expressions;
mod output;
mod page;
mod words;

pub use captures::captures;
pub use config::limits;
pub use expressions::filters;
pub use output::records;
pub use words::options;

/// A function of an input, which panics when a property does not hold.
pub type Target = fn(&[u8]);

/// The targets of `fuzz_targets/`, by their names.
pub const TARGETS: [(&str, Target); 5] = [
    ("records", records),
    ("options", options),
    ("filters", filters),
    ("limits", limits),
    ("captures", captures),
];

/// Characters that change how a terminal shows others: never in text for people.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

/// Asserts that an error message is one line and safe on a terminal.
fn assert_message(text: &str) {
    assert!(!text.is_empty(), "nothing is said");
    assert!(!text.contains(is_harmful), "not one plain line: {text:?}");
}
