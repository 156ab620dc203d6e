//! What can go wrong. Each message says what failed, on what, and the way out;
//! the command line puts `diagnose-tools: ` before it and prints one line.

use std::io;

use crate::abi;

/// Every failure of a command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is wrong; nothing was done.
    #[error("{0}")]
    Usage(String),
    /// The reader of stdout went away: not a failure, and said to nobody.
    #[error("stdout was closed")]
    ClosedPipe,
    /// Stdout does not take the data.
    #[error("cannot write to stdout: {0}")]
    Write(#[source] io::Error),
    /// There is no device.
    #[error("the module is not loaded: run `diagnose-tools install`")]
    NotLoaded,
    /// The device, or a call, wants more rights.
    #[error("permission denied: run as root (with CAP_NET_ADMIN in the initial user namespace)")]
    Permission,
    /// What was opened does not answer as the module does.
    #[error("{0} is not the module's device: run `diagnose-tools install`")]
    NotTheDevice(String),
    /// Controller and module do not speak the same.
    #[error(
        "version mismatch: the module {module} has call version {module_call} and record version \
         {module_record}, diagnose-tools {controller} has {call} and {record}: {advice}",
        controller = env!("CARGO_PKG_VERSION"),
        call = abi::TCPSTATES_CALL_VERSION,
        record = abi::TCPSTATES_RECORD_VERSION
    )]
    Version {
        /// The module's own version.
        module: String,
        /// Its call version.
        module_call: u32,
        /// Its record version.
        module_record: u32,
        /// What to reinstall.
        advice: &'static str,
    },
    /// `--activate` while active.
    #[error("already active: use --deactivate first")]
    AlreadyActive,
    /// A backend that does not record was told something.
    #[error("a capture is not a recording: what it has can only be read")]
    ReadOnly,
    /// A call that needs an activation.
    #[error("not active: use --activate first")]
    NotActive,
    /// A required hook does not exist in this kernel.
    #[error(
        "cannot activate: this kernel has no `{0}` to hook: try another hook=, or another kernel"
    )]
    NoHook(String),
    /// The kernel does not call hooks of functions.
    #[error(
        "ftrace is disabled, and no function can be hooked without it: run `sysctl kernel.ftrace_enabled=1`"
    )]
    FtraceDisabled,
    /// Rings or nodes do not fit.
    #[error("not enough memory for {0}: lower ring=, max-conns=, max-pairs= or max-listeners=")]
    NoMemory(String),
    /// The positions moved under a report.
    #[error(
        "the recording was restarted, or another program moved its position, during this report: \
         nothing was marked as reported, report again"
    )]
    Stale,
    /// The lock of draining reports was not to be had in time.
    #[error("another --report is running: wait for it, or use peek=1")]
    ReportRunning,
    /// A ring that the module gave makes no sense.
    #[error("ring of CPU {cpu}: {reason}: reinstall the module with `diagnose-tools install`")]
    Ring {
        /// Number of the ring.
        cpu: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Another failure of the system.
    #[error("{what}: {source}{advice}")]
    System {
        /// What was tried, on what.
        what: String,
        /// What the system says.
        source: io::Error,
        /// What to do, after `: `; may be empty.
        advice: &'static str,
    },
    /// `--diagnose='check=1'` found so many things that are at least warnings: they are on
    /// stdout, and nothing is said on stderr.
    #[error("{0} findings")]
    Found(u64),
    /// A failure that needs its own words.
    #[error("{0}")]
    Other(String),
}

/// What the fallible functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failed system call or file operation without special advice.
    pub fn system(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System {
            what: what.into(),
            source: source.into(),
            advice: "",
        }
    }

    /// The exit status: 2 wrong usage, 3 something was found, 0 a closed pipe, 1 all else.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Found(_) => 3,
            Self::ClosedPipe => 0,
            _ => 1,
        }
    }
}

/// Sorts a failed write to stdout: a closed pipe is no error to the user.
pub fn write_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::ClosedPipe,
        _ => Error::Write(error),
    }
}
