//! Bytes and text: lines, escapes, widths, JSON. Nothing of TCP.

pub mod json;
pub mod line;
#[cfg(test)]
pub(crate) mod random;
pub mod text;
pub mod width;
