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
use crate::fmt::errno;
use crate::fmt::text::{Text, Words, text, words};
use crate::model::event::RingState;

/// A problem with a file that should be a capture.
#[derive(Debug)]
pub enum Problem {
    /// It is not a capture.
    Foreign,
    /// This version cannot read it.
    Newer {
        /// The part that is newer.
        what: Text,
    },
    /// Its end is missing.
    Truncated {
        /// Length of the file.
        at: u64,
    },
    /// Its contents have changed since it was written.
    Damaged {
        /// Position in the file.
        at: u64,
        /// How the damage was detected.
        what: Text,
    },
    /// The system cannot read it.
    Io(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Problem {
    /// The problem, after the name of the file.
    pub fn text(&self) -> Text {
        match self {
            Self::Foreign => words!(
                "it is not a capture of diagnose-tools",
                "它不是 diagnose-tools 的捕获文件"
            )
            .into(),
            Self::Newer { what } => {
                let version = env!("CARGO_PKG_VERSION");
                text!(
                    "it was written by a newer version of diagnose-tools ({what}; this one is \
                     {version}): read it with that version",
                    "它由较新版本的 diagnose-tools 写出（{what}；本程序为 {version}）：请用该版本读取";
                    what
                )
            }
            Self::Truncated { at } => text!(
                "it ends at byte {at}, before its last block: it was not written or copied whole",
                "它在第 {at} 字节处结束，缺少最后的块：没有完整写出或复制"
            ),
            Self::Damaged { at, what } => text!(
                "it is damaged at byte {at}: {what}: copy it again",
                "它在第 {at} 字节处损坏：{what}：请重新复制";
                what
            ),
            Self::Io(error) => errno::of(error),
        }
    }

    /// An error that names the file.
    pub fn of(self, name: &str) -> Error {
        let problem = self.text();
        Error::Other(text!("{name}: {problem}", "捕获文件 {name}：{problem}"; problem))
    }

    fn damaged(at: u64, what: impl Into<Text>) -> Self {
        let what = what.into();
        Self::Damaged { at, what }
    }

    fn newer(what: impl Into<Text>) -> Self {
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
    pub name: Words,
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
    SETTINGS = Kind::table(1, 1, words!("settings", "设置"));
    HOOKS = Kind::table(2, 1 << 10, words!("hooks", "挂钩"));
    EVENTS = Kind::stream(3, words!("events", "事件"));
    CONNECTIONS = Kind::stream(4, words!("connections", "连接")).version(2);
    LISTENERS = Kind::table(5, abi::TCPSTATES_LISTENERS_MAX as usize, words!("listeners", "监听端"));
    PAIRS = Kind::table(6, abi::TCPSTATES_PAIRS_MAX as usize, words!("pairs", "地址对"));
    TRANSITION_COUNTS = Kind::table(7, 1 << 16, words!("transition counts", "状态转换计数"));
    LIVES = Kind::table(8, 1, words!("lives", "连接寿命")).version(2);
    CGROUPS = Kind::table(9, abi::TCPSTATES_CGROUPS_MAX as usize + 1, words!("cgroups", "控制组"));
    CLOCKS = Kind::table(10, abi::TCPSTATES_CLOCKS_MAX as usize, words!("clocks", "时钟"));
    RINGS = Kind::table(11, 1 << 16, words!("rings", "环形缓冲区"));
    STATS = Kind::table(12, 1, words!("counters", "计数器"));
    CGROUP_PATHS = Kind::table(32, NAMES, words!("cgroup paths", "控制组路径"));
    NETNS_NAMES = Kind::table(33, NAMES, words!("names of namespaces", "命名空间名称"));
    DEVICES = Kind::table(34, NAMES, words!("devices", "网络设备"));
    NAMESPACES = Kind::table(35, 1 << 16, words!("namespaces", "命名空间"));
    SOCKETS = Kind::table(36, NAMES, words!("listening sockets", "监听套接字"));
    DESCRIPTORS = Kind::table(37, NAMES, words!("open files", "打开的文件"));
    PROCESSES = Kind::table(38, NAMES, words!("processes", "进程"));
    OPEN_SOCKETS = Kind::table(39, OPEN, words!("open sockets", "打开的套接字"));
    SCANS = Kind::table(40, 1, words!("scans of processes", "进程扫描"));
}

/// An upper bound for the names of a host.
pub const NAMES: usize = 1 << 20;
/// An upper bound for pairs of a socket and a process that has it open.
pub const OPEN: usize = 1 << 24;

impl Kind {
    const fn table(number: u16, most: usize, name: Words) -> Self {
        Self {
            number,
            version: 1,
            most,
            name,
        }
    }

    const fn stream(number: u16, name: Words) -> Self {
        Self::table(number, usize::MAX, name)
    }

    const fn version(self, version: u8) -> Self {
        Self { version, ..self }
    }
}
