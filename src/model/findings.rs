//! How many findings a diagnosis had.

use serde::Serialize;

/// How many findings there are of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Critical ones.
    pub critical: u64,
    /// Warnings.
    pub warning: u64,
    /// The rest.
    pub info: u64,
}

impl Counts {
    /// Those that are at least warnings.
    pub fn bad(self) -> u64 {
        self.critical + self.warning
    }

    /// All of them.
    pub fn all(self) -> u64 {
        self.bad() + self.info
    }
}
