//! Widths of text on a terminal, in columns.

use unicode_width::UnicodeWidthStr;

/// Columns that a text without control characters takes on a terminal.
pub fn width(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => UnicodeWidthStr::width(text),
    }
}

/// Columns that a part of a line takes.
pub fn columns(part: &[u8]) -> usize {
    match part.is_ascii() {
        true => part.len(),
        false => width(&String::from_utf8_lossy(part)),
    }
}

/// `text`, padded with spaces to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text));
    format!("{text}{:spaces$}", "")
}

/// Shortens an endpoint to at most `columns` columns: the middle of the address is removed, the
/// port stays.
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

/// Shortens a text to at most `columns` columns by removing its end.
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

/// Shortens a path to at most `columns` columns by removing its beginning.
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
}
