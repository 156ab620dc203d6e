//! Text from strangers, escaped: safe on a terminal.

use crate::fmt::line::{self, Line, Put};

/// Whether there are only ASCII letters, digits, signs and spaces: what is printed as it is,
/// one column each.
fn is_plain(bytes: &[u8]) -> bool {
    // Without a way out in between, several bytes are looked at together.
    bytes
        .iter()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// The same of a name that is padded with NULs, which count as plain. Of known length, it is looked at as
/// a whole; put into a caller that takes it apart, it is not.
#[inline(never)]
pub fn is_plain_padded(name: &[u8; 16]) -> bool {
    name.iter()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~' | 0))
}

/// Bytes from strangers: letters, digits and ASCII signs as they are, all else
/// (control characters, bad UTF-8, direction marks …) escaped.
pub struct Printable<'a>(pub &'a [u8]);

impl<'a> Printable<'a> {
    /// The same of text.
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

/// The same as a text.
pub fn printable_bytes(bytes: &[u8]) -> String {
    line::text(&Printable(bytes))
}

/// Letters, digits, ASCII signs and spaces: a terminal shows them, and no more.
pub fn is_harmless(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric()
}

/// As [`printable_bytes`], of text.
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
