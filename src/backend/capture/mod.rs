//! Captures: all data of an activation, in one file that any later version can read on any machine.
//! [`format`](self::format) describes the container, [`codec`] the encoding of values.
//!
//! A file is read twice: first to check that it is complete, before any of its contents are used,
//! then on demand. Either pass holds in memory at most one block, and tables that are no longer
//! than those of the module.

pub mod backend;
pub mod codec;
mod elements;
pub mod file;
pub mod format;
pub mod read;
pub mod write;

use std::io;

use crate::abi;
use crate::error::Error;
use crate::model::event::RingState;

/// A problem with a file that should be a capture.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is not a capture.
    #[error("it is not a capture of diagnose-tools")]
    Foreign,
    /// This version cannot read it.
    #[error(
        "it was written by a newer version of diagnose-tools ({what}; this one is {}): read it \
         with that version",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The part that is newer.
        what: String,
    },
    /// Its end is missing.
    #[error("it ends at byte {at}, before its last block: it was not written or copied whole")]
    Truncated {
        /// Length of the file.
        at: u64,
    },
    /// Its contents have changed since it was written.
    #[error("it is damaged at byte {at}: {what}: copy it again")]
    Damaged {
        /// Position in the file.
        at: u64,
        /// How the damage was detected.
        what: String,
    },
    /// The system cannot read it.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Problem {
    /// An error that names the file.
    pub fn of(self, name: &str) -> Error {
        Error::Other(format!("{name}: {self}"))
    }

    fn damaged(at: u64, what: impl Into<String>) -> Self {
        let what = what.into();
        Self::Damaged { at, what }
    }

    fn newer(what: impl Into<String>) -> Self {
        let what = what.into();
        Self::Newer { what }
    }
}

/// A ring and the result of reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring {
    /// State of the ring before it was read.
    pub state: RingState,
    /// Position after the last record that was read.
    pub read_to: u64,
    /// Number of records that no report has printed and that were overwritten before they were
    /// read.
    pub lost: u64,
    /// Records of a type that this controller does not know.
    pub unknown: u64,
}

/// A kind of element. The file contains the number, and kinds are written in the order of their
/// numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Number of the kind in the file.
    pub number: u16,
    /// Version of its elements that is written; the newest one that is read.
    pub version: u8,
    /// Maximum number of elements, for kinds that are kept in memory.
    pub most: usize,
    /// Name used in messages.
    pub name: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $kind:expr;)*) => {
        $(
            #[allow(missing_docs, reason = "it has a name")]
            pub const $name: Kind = $kind;
        )*

        /// All kinds that this version reads.
        pub const KINDS: &[Kind] = &[$($name),*];
    };
}

kinds! {
    SETTINGS = Kind::table(1, 1, "settings");
    HOOKS = Kind::table(2, 1 << 10, "hooks");
    EVENTS = Kind::stream(3, "events");
    CONNECTIONS = Kind::stream(4, "connections").version(2);
    LISTENERS = Kind::table(5, abi::TCPSTATES_LISTENERS_MAX as usize, "listeners");
    PAIRS = Kind::table(6, abi::TCPSTATES_PAIRS_MAX as usize, "pairs");
    TRANSITION_COUNTS = Kind::table(7, 1 << 16, "transition counts");
    LIVES = Kind::table(8, 1, "lives").version(2);
    CGROUPS = Kind::table(9, abi::TCPSTATES_CGROUPS_MAX as usize + 1, "cgroups");
    CLOCKS = Kind::table(10, abi::TCPSTATES_CLOCKS_MAX as usize, "clocks");
    RINGS = Kind::table(11, 1 << 16, "rings");
    STATS = Kind::table(12, 1, "counters");
    CGROUP_PATHS = Kind::table(32, NAMES, "cgroup paths");
    NETNS_NAMES = Kind::table(33, NAMES, "names of namespaces");
    DEVICES = Kind::table(34, NAMES, "devices");
    NAMESPACES = Kind::table(35, 1 << 16, "namespaces");
    SOCKETS = Kind::table(36, NAMES, "listening sockets");
    DESCRIPTORS = Kind::table(37, NAMES, "open files");
    PROCESSES = Kind::table(38, NAMES, "processes");
    OPEN_SOCKETS = Kind::table(39, OPEN, "open sockets");
    SCANS = Kind::table(40, 1, "scans of processes");
}

/// An upper bound for the names of a host.
pub const NAMES: usize = 1 << 20;
/// An upper bound for pairs of a socket and a process that has it open.
pub const OPEN: usize = 1 << 24;

impl Kind {
    const fn table(number: u16, most: usize, name: &'static str) -> Self {
        Self {
            number,
            version: 1,
            most,
            name,
        }
    }

    const fn stream(number: u16, name: &'static str) -> Self {
        Self::table(number, usize::MAX, name)
    }

    const fn version(self, version: u8) -> Self {
        Self { version, ..self }
    }
}
