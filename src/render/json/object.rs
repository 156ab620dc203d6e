//! Appends JSON objects directly to a line. The fields of an event are known and flat, and there
//! are millions of events: a serializer that processes each name would take most of the time.

use std::net::IpAddr;

use serde::Serialize;

use crate::fmt::json;
use crate::fmt::line::{Line, Put};

/// A value of a field.
pub trait Value {
    /// Whether the value is known; otherwise the field is omitted.
    fn is_known(&self) -> bool {
        true
    }

    /// Appends the value.
    fn put_json(&self, line: &mut Line);
}

/// Appends one field after others. `name` includes the comma, quotes and colon. Inlined, its length
/// is constant, so appending it takes two instructions instead of a call.
#[inline(always)]
pub fn put_field(line: &mut Line, name: &str, value: impl Value) {
    if value.is_known() {
        name.put(line);
        value.put_json(line);
    }
}

/// Appends fields after others.
macro_rules! put_fields {
    ($line:expr, $($name:literal: $value:expr,)*) => {$(
        put_field($line, concat!(",\"", $name, "\":"), $value);
    )*};
}
pub(super) use put_fields;

impl<T: Value> Value for Option<T> {
    fn is_known(&self) -> bool {
        self.is_some()
    }

    fn put_json(&self, line: &mut Line) {
        if let Some(known) = self {
            known.put_json(line);
        }
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Value for $number {
            fn put_json(&self, line: &mut Line) {
                self.put(line);
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 }

impl Value for bool {
    fn put_json(&self, line: &mut Line) {
        if *self { "true" } else { "false" }.put(line);
    }
}

/// Any text.
impl Value for &str {
    fn put_json(&self, line: &mut Line) {
        // No early exit, so the compiler can check several bytes at once.
        let escaped = |byte: u8| !matches!(byte, b' '..=b'~') || byte == b'"' || byte == b'\\';
        let any = self.bytes().fold(false, |any, byte| any | escaped(byte));
        match any {
            false => Word(*self).put_json(line),
            true => Any(self).put_json(line),
        }
    }
}

/// Untrusted bytes; invalid UTF-8 is replaced.
impl Value for &[u8] {
    fn put_json(&self, line: &mut Line) {
        match std::str::from_utf8(self) {
            Ok(text) => text.put_json(line),
            Err(_) => (&*String::from_utf8_lossy(self)).put_json(line),
        }
    }
}

/// A rare value, formatted by serde, with characters escaped that have an effect on a terminal.
pub struct Any<T>(pub T);

impl<T: Serialize> Value for Any<T> {
    fn put_json(&self, line: &mut Line) {
        // Our own structures always serialize, and writing to a line cannot fail.
        json::write(line, &self.0).unwrap_or_default();
    }
}

/// A value that is already JSON.
pub struct Raw<'a>(pub &'a str);

impl Value for Raw<'_> {
    fn put_json(&self, line: &mut Line) {
        self.0.put(line);
    }
}

/// A value without characters to escape.
pub struct Word<T>(pub T);

impl<T: Put> Value for Word<T> {
    fn put_json(&self, line: &mut Line) {
        line.push(b'"');
        self.0.put(line);
        line.push(b'"');
    }
}

impl Value for IpAddr {
    fn put_json(&self, line: &mut Line) {
        Word(*self).put_json(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_any_value() {
        for text in [
            "",
            "a/b c",
            "\"",
            "\\",
            "a\nb\u{7}\u{1f}",
            "\u{7f}é进程\u{202e}",
        ] {
            let mut line = Line::new();
            text.put_json(&mut line);
            let mut expected = Line::new();
            Any(text).put_json(&mut expected);
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut line = Line::new();
        put_fields!(&mut line,
            "a": 1u8,
            "b": None::<u8>,
            "c": Some(true),
            "d": IpAddr::from([1, 2, 3, 4]),
            "e": Word("x"),
        );
        assert_eq!(line, br#","a":1,"c":true,"d":"1.2.3.4","e":"x""#);
    }
}
