//! Words and numbers for people: safe on a terminal, and of known width.

use unicode_width::UnicodeWidthStr;

use crate::fmt::line::{self, Line, Put};

/// Columns that a text without control characters takes on a terminal.
pub fn width(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => UnicodeWidthStr::width(text),
    }
}

/// The same of a part of a line.
pub fn columns(part: &[u8]) -> usize {
    match part.is_ascii() {
        true => part.len(),
        false => width(&String::from_utf8_lossy(part)),
    }
}

/// Whether there are only ASCII letters, digits, signs and spaces: what is printed as it is,
/// one column each.
fn is_plain(bytes: &[u8]) -> bool {
    // Without a way out in between, several bytes are looked at together.
    bytes
        .iter()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// The same of a name, whose padding of NULs counts as plain. Of known length, it is looked at as
/// a whole; put into a caller that takes it apart, it is not.
#[inline(never)]
pub(crate) fn is_plain_padded(name: &[u8; 16]) -> bool {
    name.iter()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~' | 0))
}

/// `text` with spaces behind it up to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text));
    format!("{text}{:spaces$}", "")
}

/// Bytes as MiB with one decimal.
pub fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
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

/// At most `columns` columns of an endpoint: its address loses its middle, the port stays.
pub fn shorten(text: &str, columns: usize) -> String {
    let count = text.chars().count();
    if count <= columns || columns < 4 {
        return text.to_owned();
    }
    let tail = text.rfind(':').map_or(0, |at| count - at);
    let tail = (tail + 2).min(columns - 2);
    let head = columns - 1 - tail;
    let chars = || text.chars();
    chars()
        .take(head)
        .chain(['~'])
        .chain(chars().skip(count - tail))
        .collect()
}

/// At most `columns` columns of a text: it loses its end.
pub fn cut(text: &str, columns: usize) -> String {
    let mut start = text;
    while width(start) + usize::from(start.len() < text.len()) > columns {
        let mut chars = start.chars();
        if chars.next_back().is_none() {
            break;
        }
        start = chars.as_str();
    }
    match start.len() == text.len() {
        true => text.to_owned(),
        false => format!("{start}~"),
    }
}

/// At most `columns` columns of a path: it loses its beginning.
pub fn shorten_path(text: &str, columns: usize) -> String {
    let mut end = text;
    while width(end) + usize::from(end.len() < text.len()) > columns {
        let mut chars = end.chars();
        if chars.next().is_none() {
            break;
        }
        end = chars.as_str();
    }
    match end.len() == text.len() {
        true => text.to_owned(),
        false => format!("~{end}"),
    }
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

    #[test]
    fn a_short_column_keeps_the_port() {
        let long = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535";
        assert_eq!(shorten(long, 20), "[2001:db8:1~8]:65535");
        assert_eq!(shorten("1.2.3.4:80", 20), "1.2.3.4:80");
        for columns in 4..50 {
            assert_eq!(shorten(long, columns).len(), columns.min(long.len()));
        }
    }

    #[test]
    fn a_short_column_keeps_the_end_of_a_path() {
        let long = "/system.slice/nginx.service";
        assert_eq!(shorten_path(long, 14), "~nginx.service");
        assert_eq!(shorten_path(long, 27), long);
        assert_eq!(shorten_path("/容器/状态", 6), "~/状态");
        for columns in 1..40 {
            assert_eq!(shorten_path(long, columns).len(), columns.min(long.len()));
        }
    }

    #[test]
    fn a_short_column_keeps_the_beginning_of_a_text() {
        assert_eq!(cut("1234/nginx", 8), "1234/ng~");
        assert_eq!(cut("1234/nginx", 10), "1234/nginx");
        assert_eq!(cut("1/状态", 5), "1/状~");
        assert_eq!(cut("ab", 0), "~");
    }

    #[test]
    fn chinese_takes_two_columns() {
        assert_eq!((width("状态"), columns("状态".as_bytes())), (4, 4));
        assert_eq!((width("a b~"), columns(b"a b~")), (4, 4));
        assert_eq!(pad("状态", 6), "状态  ");
        assert_eq!(pad("state", 3), "state");
    }

    #[test]
    fn bytes_are_rounded_down() {
        assert_eq!(mebibytes(0), "0.0 MiB");
        assert_eq!(mebibytes(36_805_017), "35.0 MiB");
        assert_eq!(mebibytes(u64::MAX), "1759218604441.5 MiB");
    }
}
