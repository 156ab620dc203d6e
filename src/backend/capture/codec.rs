//! Encoding of values: integers are little-endian; an option is a byte followed by its value; a
//! text or list is its length followed by its elements. The decoder never reads beyond its input,
//! and never allocates more than that input can hold.

use std::net::IpAddr;

use byteorder::{ByteOrder, LittleEndian};

/// The bytes do not encode a value of this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// A decoded value, or an error if the bytes do not encode one.
pub type Taken<T> = Result<T, Malformed>;

/// A value that can be written to and read from a capture.
pub trait Codec: Sized {
    /// Appends the encoded value, at least one byte.
    fn put(&self, out: &mut Vec<u8>);
    /// Decodes a value from the front of `bytes` and removes it from there.
    ///
    /// # Errors
    /// The bytes end early, or do not encode a value of this type.
    fn take(bytes: &mut &[u8]) -> Taken<Self>;
}

/// Encodes a structure as its fields in this order.
macro_rules! fields {
    ($($name:ty { $($field:ident)* })*) => {$(
        impl $crate::backend::capture::codec::Codec for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::backend::capture::codec::Codec::put(&self.$field, out);)*
            }

            fn take(
                bytes: &mut &[u8],
            ) -> $crate::backend::capture::codec::Taken<Self> {
                Ok(Self {
                    $($field: $crate::backend::capture::codec::Codec::take(bytes)?,)*
                })
            }
        }
    )*};
}
pub(crate) use fields;

/// Encodes an enumeration as one byte with these values.
macro_rules! choices {
    ($($name:ident { $($choice:ident = $number:literal)* })*) => {$(
        impl $crate::backend::capture::codec::Codec for $name {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self {
                    $(Self::$choice => $number,)*
                });
            }

            fn take(
                bytes: &mut &[u8],
            ) -> $crate::backend::capture::codec::Taken<Self> {
                match <u8 as $crate::backend::capture::codec::Codec>::take(bytes)? {
                    $($number => Ok(Self::$choice),)*
                    _ => Err($crate::backend::capture::codec::Malformed),
                }
            }
        }
    )*};
}
pub(crate) use choices;

/// Removes `N` bytes from the front.
fn first<'a, const N: usize>(bytes: &mut &'a [u8]) -> Taken<&'a [u8; N]> {
    let (first, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    *bytes = rest;
    Ok(first)
}

macro_rules! integers {
    ($($name:ident: $write:ident $read:ident;)*) => {$(
        impl Codec for $name {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                let mut bytes = [0; size_of::<Self>()];
                LittleEndian::$write(&mut bytes, *self);
                out.extend_from_slice(&bytes);
            }

            #[inline]
            fn take(bytes: &mut &[u8]) -> Taken<Self> {
                first::<{ size_of::<Self>() }>(bytes).map(|bytes| LittleEndian::$read(bytes))
            }
        }
    )*};
}

integers! {
    u16: write_u16 read_u16;
    u32: write_u32 read_u32;
    u64: write_u64 read_u64;
    i64: write_i64 read_i64;
}

impl Codec for u8 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    #[inline]
    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        first(bytes).map(|[byte]| *byte)
    }
}

impl Codec for bool {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    #[inline]
    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        match u8::take(bytes)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

/// Encodes an address or a name.
impl Codec for [u8; 16] {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    #[inline]
    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        first(bytes).copied()
    }
}

/// Encodes the family (4 or 6), then the octets.
impl Codec for IpAddr {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::V4(addr) => {
                out.push(4);
                out.extend_from_slice(&addr.octets());
            }
            Self::V6(addr) => {
                out.push(6);
                out.extend_from_slice(&addr.octets());
            }
        }
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        match u8::take(bytes)? {
            4 => first::<4>(bytes).map(|octets| (*octets).into()),
            6 => first::<16>(bytes).map(|octets| (*octets).into()),
            _ => Err(Malformed),
        }
    }
}

impl<T: Codec> Codec for Option<T> {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    #[inline]
    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        match bool::take(bytes)? {
            true => T::take(bytes).map(Some),
            false => Ok(None),
        }
    }
}

/// Encodes counters as a list in the order of their numbers: a later version may have more.
impl<const N: usize> Codec for [u64; N] {
    fn put(&self, out: &mut Vec<u8>) {
        length(N).put(out);
        self.iter().for_each(|count| count.put(out));
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        let mut counts = [0; N];
        let known = counts.get_mut(..u32::take(bytes)? as usize);
        for count in known.ok_or(Malformed)? {
            *count = u64::take(bytes)?;
        }
        Ok(counts)
    }
}

impl<T: Codec> Codec for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        length(self.len()).put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        let count = u32::take(bytes)?;
        // No memory is reserved in advance: each element takes at least one byte, so a wrong count
        // ends at the end of the input.
        (0..count).map(|_| T::take(bytes)).collect()
    }
}

impl Codec for String {
    fn put(&self, out: &mut Vec<u8>) {
        length(self.len()).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        let length = u32::take(bytes)? as usize;
        let (text, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
        *bytes = rest;
        String::from_utf8(text.to_vec()).map_err(|_| Malformed)
    }
}

impl<A: Codec, B: Codec> Codec for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        Ok((A::take(bytes)?, B::take(bytes)?))
    }
}

/// A longer value does not fit in a block, and the writer reports that.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fmt::Debug;

    use super::*;

    /// Checks that the encoded value decodes to itself, and that no prefix of it decodes.
    pub(crate) fn assert_round_trip<T: Codec + PartialEq + Debug>(value: &T) {
        let mut out = Vec::new();
        value.put(&mut out);
        let mut bytes = &out[..];
        assert_eq!(T::take(&mut bytes).as_ref(), Ok(value));
        assert!(bytes.is_empty());
        for length in 0..out.len() {
            assert!(T::take(&mut &out[..length]).is_err(), "{length}: {value:?}");
        }
    }

    #[test]
    fn the_byte_order_is_little_endian() {
        let mut out = Vec::new();
        0x0102_u16.put(&mut out);
        0x0304_0506_u32.put(&mut out);
        (-2_i64).put(&mut out);
        Some(true).put(&mut out);
        "é".to_owned().put(&mut out);
        vec![7_u8, 8].put(&mut out);
        let expected = [
            &[
                2, 1, 6, 5, 4, 3, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1,
            ][..],
            &[2, 0, 0, 0, 0xc3, 0xa9, 2, 0, 0, 0, 7, 8],
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn values_come_back() {
        assert_round_trip(&u64::MAX);
        assert_round_trip(&i64::MIN);
        assert_round_trip(&Some((7_u16, String::from("x"))));
        assert_round_trip(&None::<u8>);
        assert_round_trip(&vec![[1_u8; 16], [2; 16]]);
        assert_round_trip(&[1_u64, 2, 3]);
        assert_round_trip(&(String::new(), Vec::<u64>::new()));
        for addr in ["10.1.2.3", "::ffff:10.1.2.3", "fe80::1"] {
            assert_round_trip(&addr.parse::<IpAddr>().unwrap());
        }
    }

    #[test]
    fn what_no_writer_has_written_is_refused() {
        assert_eq!(bool::take(&mut &[2_u8][..]), Err(Malformed));
        assert_eq!(String::take(&mut &[1, 0, 0, 0, 0xff][..]), Err(Malformed));
        // A length of 4 GiB followed by three bytes.
        let mut long = &[0xff, 0xff, 0xff, 0xff, 1, 2, 3][..];
        assert_eq!(Vec::<u8>::take(&mut long), Err(Malformed));
        let mut out = Vec::new();
        [1_u64, 2].put(&mut out);
        assert_eq!(<[u64; 3]>::take(&mut &out[..]), Ok([1, 2, 0]));
        assert_eq!(<[u64; 1]>::take(&mut &out[..]), Err(Malformed));
        let mut long = &[0xff, 0xff, 0xff, 0xff, 1, 2, 3][..];
        assert_eq!(String::take(&mut long), Err(Malformed));
    }
}
