//! When the wall clock was set.

use crate::abi;

/// From `since_ns` (monotonic) on, wall-clock time is `offset_ns` more than monotonic time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockChange {
    /// Monotonic nanoseconds.
    pub since_ns: u64,
    /// Nanoseconds.
    pub offset_ns: i64,
}

impl ClockChange {
    /// From the form of the ABI.
    pub fn from_abi(raw: &abi::ClockChange) -> Self {
        Self {
            since_ns: raw.since_ns,
            offset_ns: raw.offset_ns,
        }
    }
}
