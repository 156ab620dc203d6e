//! Lines under construction: values are appended directly, without temporary strings. A report may
//! have millions of lines, so one buffer is reused.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The bytes so far: valid UTF-8.
pub type Line = Vec<u8>;

/// A value that can be appended to a line.
pub trait Put {
    /// Appends it.
    fn put(&self, line: &mut Line);
}

/// A closure that appends a value.
impl<F: Fn(&mut Line)> Put for F {
    fn put(&self, line: &mut Line) {
        self(line);
    }
}

impl Put for &str {
    #[inline(always)]
    fn put(&self, line: &mut Line) {
        line.extend_from_slice(self.as_bytes());
    }
}

impl Put for Cow<'_, str> {
    fn put(&self, line: &mut Line) {
        (&**self).put(line);
    }
}

/// Appends `-` for an unknown value.
impl<T: Put> Put for Option<T> {
    fn put(&self, line: &mut Line) {
        match self {
            Some(known) => known.put(line),
            None => line.push(b'-'),
        }
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Put for $number {
            fn put(&self, line: &mut Line) {
                put_number(line, u64::from(*self));
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 }

// Digits are formatted here and not with itoa: with itoa a line of JSON takes 9 % more time.

/// First number that needs more than eight digits.
const EIGHT: u64 = 100_000_000;

#[inline]
fn put_number(line: &mut Line, number: u64) {
    if number < 10 {
        line.push(b'0' + number as u8);
    } else if number < EIGHT {
        let digits = u64::from_le_bytes(digits(number));
        let zeros = (digits ^ ZEROS).trailing_zeros() / 8;
        put_word(line, digits >> (8 * zeros), 8 - zeros as usize);
    } else {
        put_long(line, number);
    }
}

#[inline(never)]
fn put_long(line: &mut Line, number: u64) {
    put_number(line, number / EIGHT);
    line.extend_from_slice(&digits(number % EIGHT));
}

/// Appends the first `count` bytes of a word, starting with the lowest.
fn put_word(line: &mut Line, word: u64, count: usize) {
    put_first(line, &word.to_le_bytes(), count);
}

/// Appends the first `count` bytes. All are copied and the rest is truncated: a copy of constant
/// length needs no function call.
#[inline]
pub fn put_first<const N: usize>(line: &mut Line, bytes: &[u8; N], count: usize) {
    let end = line.len() + count;
    line.extend_from_slice(bytes);
    line.truncate(end);
}

const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// The digits of a number of at most eight digits. They are computed in parallel in parts of one
/// word: two groups of four digits, four of two, eight of one. The lowest part holds the first
/// group.
fn digits(number: u64) -> [u8; 8] {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    // Exact quotients: by 100 for numbers below 10,000, by 10 for numbers below 100.
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - tens * 10) << 8);
    (ones | ZEROS).to_le_bytes()
}

/// The last digits of a number, at most eight.
pub fn last_digits<const N: usize>(number: u64) -> [u8; N] {
    let mut last = [0; N];
    last.copy_from_slice(&digits(number % EIGHT)[8 - N..]);
    last
}

impl Put for IpAddr {
    fn put(&self, line: &mut Line) {
        match self {
            Self::V4(address) => address.put(line),
            Self::V6(address) => address.put(line),
        }
    }
}

impl Put for Ipv4Addr {
    fn put(&self, line: &mut Line) {
        let (mut text, mut end) = ([0; 16], 0);
        for octet in self.octets() {
            let (word, count) = OCTETS[usize::from(octet)];
            text[end..end + 4].copy_from_slice(&word.to_le_bytes());
            end += count;
        }
        // Without the last dot.
        put_first(line, &text, end - 1);
    }
}

/// Each octet followed by a dot, and the number of bytes.
const OCTETS: [(u32, usize); 256] = {
    let mut octets = [(b'.' as u32, 1); 256];
    let mut octet = 0;
    while octet < octets.len() {
        let mut left = octet;
        loop {
            let (word, count) = octets[octet];
            octets[octet] = ((word << 8) | (b'0' as u32 + left as u32 % 10), count + 1);
            left /= 10;
            if left == 0 {
                break;
            }
        }
        octet += 1;
    }
    octets
};

/// Formats the address as RFC 5952 and the standard library do.
impl Put for Ipv6Addr {
    fn put(&self, line: &mut Line) {
        if let Some(mapped) = self.to_ipv4_mapped() {
            "::ffff:".put(line);
            return mapped.put(line);
        }
        let segments = self.segments();
        let (start, end) = longest_zeros(&segments);
        if end - start < 2 {
            return put_segments(line, &segments);
        }
        put_segments(line, &segments[..start]);
        "::".put(line);
        put_segments(line, &segments[end..]);
    }
}

/// Start and end of the first of the longest runs of zero segments.
fn longest_zeros(segments: &[u16; 8]) -> (usize, usize) {
    let (mut longest, mut start) = ((0, 0), 0);
    for (index, segment) in segments.iter().enumerate() {
        if *segment != 0 {
            start = index + 1;
        } else if index + 1 - start > longest.1 - longest.0 {
            longest = (start, index + 1);
        }
    }
    longest
}

fn put_segments(line: &mut Line, segments: &[u16]) {
    for (index, segment) in segments.iter().enumerate() {
        let digit = |shift: u32| b"0123456789abcdef"[usize::from((segment >> shift) & 0xf)];
        let text = [digit(12), digit(8), digit(4), digit(0), 0, 0, 0, 0];
        let zeros = (segment.leading_zeros() / 4).min(3);
        let digits = u64::from_le_bytes(text) >> (8 * zeros);
        let count = 4 - zeros as usize;
        match index {
            // The first segment has no colon before it.
            0 => put_word(line, digits, count),
            _ => put_word(line, (digits << 8) | u64::from(b':'), count + 1),
        }
    }
}

/// Inserts spaces before the bytes from `start` on.
pub fn put_spaces_before(line: &mut Line, start: usize, count: usize) {
    let end = line.len();
    put_spaces(line, count);
    line.copy_within(start..end, start + count);
    line[start..start + count].fill(b' ');
}

/// Appends spaces.
#[inline]
pub fn put_spaces(line: &mut Line, count: usize) {
    const MANY: [u8; 32] = [b' '; 32];
    let end = line.len() + count;
    // As in [`put_first`], copies of constant length.
    while line.len() < end {
        line.extend_from_slice(&MANY);
    }
    line.truncate(end);
}

/// The value as a string.
pub fn text(what: &impl Put) -> String {
    let mut line = Line::new();
    what.put(&mut line);
    String::from_utf8_lossy(&line).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::random::random_bytes;

    #[test]
    fn numbers_are_those_of_std() {
        for number in [0, 9, 10, 99, 100, 65_535, 4_294_967_296, u64::MAX] {
            assert_eq!(text(&number), number.to_string());
        }
        assert_eq!(text(&Some(7u8)) + &text(&None::<u8>), "7-");
        let mut seed = 0x005e_ed0f_d161;
        for number in 0..100_000u64 {
            assert_eq!(text(&number), number.to_string());
        }
        for round in 0..100_000 {
            let number = u64::from_ne_bytes(random_bytes(&mut seed)) >> (round % 64);
            assert_eq!(text(&number), number.to_string());
        }
        assert_eq!((last_digits(1_007), last_digits(1_007)), (*b"007", *b"07"));
    }

    #[test]
    fn any_number_of_spaces_is_put() {
        for count in [0, 1, 31, 32, 33, 100] {
            assert_eq!(
                text(&|line: &mut Line| put_spaces(line, count)),
                " ".repeat(count)
            );
        }
    }

    #[test]
    fn addresses_are_those_of_std() {
        let same = |address: IpAddr| assert_eq!(text(&address), address.to_string());
        let mut seed = 0x00c0_ffee_dead_beef;
        for round in 0..100_000u32 {
            let mut octets: [u8; 16] = random_bytes(&mut seed);
            same(IpAddr::from([octets[0], octets[1], octets[2], octets[3]]));
            // A quarter of the segments is short, and every run of zeroes occurs.
            let zeros = octets[0] ^ octets[1];
            for segment in (0..8).filter(|s| (zeros >> s) & 1 == 1 || (round >> s) & 1 == 1) {
                octets[2 * segment] = 0;
                octets[2 * segment + 1] &= if round % 2 == 0 { 0 } else { 0x1f };
            }
            same(IpAddr::from(octets));
            same(
                Ipv4Addr::new(octets[0], octets[1], octets[2], 0)
                    .to_ipv6_mapped()
                    .into(),
            );
        }
        for address in [
            "::",
            "::1",
            "1::",
            "::1.2.3.4",
            "::ffff:0:0",
            "1:0:0:2:0:0:0:3",
        ] {
            same(address.parse().unwrap());
        }
    }
}
