//! Versions of the controller and of the module.

use crate::abi::{self, padded_text};

/// What one of them is, and what it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its own version.
    pub name: String,
    /// Of the calls.
    pub call: u32,
    /// Of the records.
    pub record: u32,
}

impl Version {
    /// The controller's.
    pub fn of_controller() -> Self {
        Self {
            name: env!("CARGO_PKG_VERSION").into(),
            call: abi::TCPSTATES_CALL_VERSION,
            record: abi::TCPSTATES_RECORD_VERSION,
        }
    }

    /// The module's, from the form of the ABI.
    pub fn from_abi(raw: &abi::Version) -> Self {
        Self {
            name: padded_text(&raw.module_version),
            call: raw.call_version,
            record: raw.record_version,
        }
    }
}
