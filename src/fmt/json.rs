//! JSON with untrusted texts. Characters with an effect on a terminal are escaped, which does not
//! change the parsed value.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::fmt::escape::is_harmless;

/// Escapes more characters than serde_json, which escapes only the control characters that JSON
/// requires.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| !is_harmless(*c)) {
            out.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

/// Writes a value.
///
/// # Errors
/// Errors of `out`.
pub fn write(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Harmless))?;
    Ok(())
}

/// Writes one object as a line.
///
/// # Errors
/// Errors of `out`.
pub fn line(out: &mut dyn Write, object: &impl Serialize) -> io::Result<()> {
    write(&mut *out, object)?;
    out.write_all(b"\n")
}

/// A JSON string, with its quotes.
pub fn text(text: &str) -> String {
    let mut bytes = Vec::new();
    // Writing to a vector cannot fail, and JSON is UTF-8.
    write(&mut bytes, &text).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_terminal_acts_upon_is_escaped() {
        assert_eq!(super::text("a/b c é进程"), r#""a/b c é进程""#);
        assert_eq!(super::text("\"\\\n\u{1b}"), r#""\"\\\n\u001b""#);
        assert_eq!(
            super::text("x\u{7f}y\u{9b}2J\u{202e}z"),
            r#""x\u007fy\u009b2J\u202ez""#
        );
        assert_eq!(super::text("\u{e0001}"), r#""\udb40\udc01""#);
    }

    #[test]
    fn who_parses_it_gets_the_text() {
        for text in ["", "a\u{0}b", "\u{9b}\u{2028}\u{1f600}\"", "\u{7f}\u{7f}"] {
            assert_eq!(
                serde_json::from_str::<String>(&super::text(text)).unwrap(),
                text
            );
        }
    }
}
