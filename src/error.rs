//! The errors. Each message says what failed, on which object, and the remedy; the command line
//! prints it as one line after `diagnose-tools: `.

use std::io;

use crate::abi;

/// Any failure of a command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is invalid; nothing was done.
    #[error("{0}")]
    Usage(String),
    /// The reader closed stdout: not a failure, and no message is printed.
    #[error("stdout was closed")]
    ClosedPipe,
    /// Writing to stdout failed.
    #[error("cannot write to stdout: {0}")]
    Write(#[source] io::Error),
    /// There is no device.
    #[error("the module is not loaded: run `diagnose-tools install`")]
    NotLoaded,
    /// The device, or a call, requires more privileges.
    #[error("permission denied: run as root (with CAP_NET_ADMIN in the initial user namespace)")]
    Permission,
    /// The opened device does not answer like the module.
    #[error("{0} is not the module's device: run `diagnose-tools install`")]
    NotTheDevice(String),
    /// The versions of controller and module do not match.
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
    /// The backend does not record, so it cannot be controlled.
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
    /// The rings or nodes do not fit in memory.
    #[error(
        "not enough memory for {0}: lower ring= or ring-memory=, max-conns=, max-pairs= or max-listeners="
    )]
    NoMemory(String),
    /// The positions changed during a report.
    #[error(
        "the recording was restarted, or another program moved its position, during this report: \
         nothing was marked as reported, report again"
    )]
    Stale,
    /// The lock of draining reports was not available in time.
    #[error("another --report is running: wait for it, or use peek=1")]
    ReportRunning,
    /// A ring of the module is invalid.
    #[error("ring of CPU {cpu}: {reason}: reinstall the module with `diagnose-tools install`")]
    Ring {
        /// CPU of the ring.
        cpu: u32,
        /// The problem.
        reason: &'static str,
    },
    /// Another system error.
    #[error("{what}: {source}{advice}")]
    System {
        /// The operation and its object.
        what: String,
        /// The error of the system.
        source: io::Error,
        /// Advice, starting with `: `; may be empty.
        advice: &'static str,
    },
    /// `--diagnose='check=1'` has this many findings that are at least warnings. They are on
    /// stdout; nothing is printed on stderr.
    #[error("{0} findings")]
    Found(u64),
    /// A failure with its own message.
    #[error("{0}")]
    Other(String),
}

/// The result type of this crate.
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

    /// The exit status: 2 usage error, 3 findings, 0 closed pipe, 1 any other error.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Found(_) => 3,
            Self::ClosedPipe => 0,
            _ => 1,
        }
    }
}

/// Converts a failed write to stdout into an error: a closed pipe is not a failure.
pub fn write_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::ClosedPipe,
        _ => Error::Write(error),
    }
}
