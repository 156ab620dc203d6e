//! Escapes untrusted text, so that it is safe to print on a terminal.

use crate::fmt::line::{self, Line, Put};

/// Whether there are only printable ASCII characters, which are printed unchanged, one column each.
fn is_plain(bytes: &[u8]) -> bool {
    // No early exit, so the compiler can check several bytes at once.
    bytes
        .iter()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// The same for a name that is padded with NULs, which count as plain. Not inlined: only in a
/// separate function does the compiler check all bytes of the constant length at once.
#[inline(never)]
pub fn is_plain_padded(name: &[u8; 16]) -> bool {
    name.iter()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~' | 0))
}

/// Untrusted bytes: printable ASCII characters are unchanged, all others (control characters,
/// invalid UTF-8, direction marks …) are escaped.
pub struct Printable<'a>(pub &'a [u8]);

impl<'a> Printable<'a> {
    /// Untrusted text.
    pub fn text(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl Put for Printable<'_> {
    fn put(&self, line: &mut Line) {
        if is_plain(self.0) {
            return line.extend_from_slice(self.0);
        }
        for chunk in self.0.utf8_chunks() {
            printable(chunk.valid()).as_str().put(line);
            for byte in chunk.invalid() {
                format!("\\x{byte:02x}").as_str().put(line);
            }
        }
    }
}

/// The escaped bytes as a string.
pub fn printable_bytes(bytes: &[u8]) -> String {
    line::text(&Printable(bytes))
}

/// Printable ASCII characters, which have no special effect on a terminal.
pub fn is_harmless(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric()
}

/// The escaped text as a string; see [`printable_bytes`].
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmless(c) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_strangers_reaches_the_terminal() {
        assert_eq!(printable_bytes(b"nginx"), "nginx");
        assert_eq!(printable_bytes(b"a b\x1b[2J"), "a b\\u{1b}[2J");
        assert_eq!(printable_bytes(b"x\xff\xfe"), "x\\xff\\xfe");
        assert_eq!(
            printable_bytes("é\x07~ \x7f".as_bytes()),
            "é\\u{7}~ \\u{7f}"
        );
        assert_eq!(printable("a\nb\t"), "a\\nb\\t");
        assert_eq!(printable("\u{202e}evil"), "\\u{202e}evil");
        assert_eq!(printable("进程"), "进程");
    }
}
