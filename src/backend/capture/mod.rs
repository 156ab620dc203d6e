//! Captures: everything that an activation knows, in one file that any later version reads on any
//! machine. [`format`](self::format) describes the container, [`codec`] how values are written.
//!
//! A file is read twice: once to see that it is whole, before anything is said of what is in it,
//! and then as far as somebody asks. Neither takes more memory than a block and the tables that
//! are no longer than those of the module.

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

/// What is wrong with a file that should be a capture.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It never was one.
    #[error("it is not a capture of diagnose-tools")]
    Foreign,
    /// This version cannot read it.
    #[error(
        "it was written by a newer version of diagnose-tools ({what}; this one is {}): read it \
         with that version",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// What is newer.
        what: String,
    },
    /// Its end is missing.
    #[error("it ends at byte {at}, before its last block: it was not written or copied whole")]
    Truncated {
        /// How long it is.
        at: u64,
    },
    /// It is not what was written.
    #[error("it is damaged at byte {at}: {what}: copy it again")]
    Damaged {
        /// Where.
        at: u64,
        /// How that shows.
        what: String,
    },
    /// The system does not give it.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Problem {
    /// As an error that says which file it is.
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

/// A ring, and what reading it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring {
    /// Before it was read.
    pub state: RingState,
    /// Position after the last record that was read.
    pub read_to: u64,
    /// Records that no report has given and that were overwritten before they were read.
    pub lost: u64,
    /// Records of a type that this controller does not know.
    pub unknown: u64,
}

/// What the elements of a block are. The number stands in the file, and their order too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// By which it is known.
    pub number: u16,
    /// Version of its elements that is written, and the newest that is read.
    pub version: u8,
    /// Most elements, where they are kept in memory.
    pub most: usize,
    /// What messages call it.
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
    CONNECTIONS = Kind::stream(4, "connections");
    LISTENERS = Kind::table(5, abi::TCPSTATES_LISTENERS_MAX as usize, "listeners");
    PAIRS = Kind::table(6, abi::TCPSTATES_PAIRS_MAX as usize, "pairs");
    TRANSITION_COUNTS = Kind::table(7, 1 << 16, "transition counts");
    LIVES = Kind::table(8, 1, "lives");
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
}

/// More names than a host has.
const NAMES: usize = 1 << 20;

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
}
