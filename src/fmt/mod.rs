//! Formatting of bytes and text; independent of TCP.

pub mod errno;
pub mod escape;
pub mod json;
pub mod lang;
pub mod line;
pub mod nearest;
#[cfg(test)]
pub(crate) mod random;
pub mod size;
pub mod text;
pub mod width;
