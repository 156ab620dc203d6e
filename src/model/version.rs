//! Versions of the controller and the module.

use crate::abi::{self, padded_text};

/// Name and interface versions of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Version of the component.
    pub name: String,
    /// Version of the calls.
    pub call: u32,
    /// Version of the records.
    pub record: u32,
}

impl Version {
    /// Versions of the controller.
    pub fn of_controller() -> Self {
        Self {
            name: env!("CARGO_PKG_VERSION").into(),
            call: abi::TCPSTATES_CALL_VERSION,
            record: abi::TCPSTATES_RECORD_VERSION,
        }
    }

    /// Versions of the module, from the ABI structure.
    pub fn from_abi(raw: &abi::Version) -> Self {
        Self {
            name: padded_text(&raw.module_version),
            call: raw.call_version,
            record: raw.record_version,
        }
    }
}
