//! Changes of the wall clock.

use crate::abi;

/// From `since_ns` (monotonic) on, wall-clock time is monotonic time plus `offset_ns`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockChange {
    /// Monotonic nanoseconds.
    pub since_ns: u64,
    /// Nanoseconds.
    pub offset_ns: i64,
}

impl ClockChange {
    /// Converts from the ABI structure.
    pub fn from_abi(raw: &abi::ClockChange) -> Self {
        Self {
            since_ns: raw.since_ns,
            offset_ns: raw.offset_ns,
        }
    }
}
