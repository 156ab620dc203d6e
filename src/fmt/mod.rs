//! Formatting of bytes and text; independent of TCP.

pub mod escape;
pub mod json;
pub mod line;
pub mod nearest;
#[cfg(test)]
pub(crate) mod random;
pub mod size;
pub mod width;
