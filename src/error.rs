//! The errors. Each message says what failed, on which object, and the remedy; the command line
//! prints it as one line after `diagnose-tools: `.

use std::io;

use crate::abi;
use crate::fmt::errno;
use crate::fmt::text::{Text, Words, text, words};

/// Any failure of a command.
#[derive(Debug)]
pub enum Error {
    /// The command line is invalid; nothing was done.
    Usage(Text),
    /// The reader closed stdout: not a failure, and no message is printed.
    ClosedPipe,
    /// Writing to stdout failed.
    Write(io::Error),
    /// There is no device.
    NotLoaded,
    /// The device, or a call, requires more privileges.
    Permission,
    /// The opened device does not answer like the module.
    NotTheDevice(String),
    /// The versions of controller and module do not match.
    Version {
        /// The module's own version.
        module: String,
        /// Its call version.
        module_call: u32,
        /// Its record version.
        module_record: u32,
        /// What to reinstall.
        advice: Words,
    },
    /// `--activate` while active.
    AlreadyActive,
    /// The backend does not record, so it cannot be controlled.
    ReadOnly,
    /// A call that needs an activation.
    NotActive,
    /// A required hook does not exist in this kernel.
    NoHook(String),
    /// The kernel does not call hooks of functions.
    FtraceDisabled,
    /// The rings or nodes do not fit in memory.
    NoMemory(Text),
    /// The positions changed during a report.
    Stale,
    /// The lock of draining reports was not available in time.
    ReportRunning,
    /// A ring of the module is invalid.
    Ring {
        /// CPU of the ring.
        cpu: u32,
        /// The problem.
        reason: Words,
    },
    /// Another system error.
    System {
        /// The operation and its object.
        what: Text,
        /// The error of the system.
        source: io::Error,
        /// Advice, starting with `: `; may be empty.
        advice: Text,
    },
    /// `--diagnose='check=1'` has this many findings that are at least warnings. They are on
    /// stdout; nothing is printed on stderr.
    Found(u64),
    /// A failure with its own message.
    Other(Text),
}

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failed system call or file operation without special advice.
    pub fn system(what: impl Into<Text>, source: impl Into<io::Error>) -> Self {
        Self::System {
            what: what.into(),
            source: source.into(),
            advice: Text::default(),
        }
    }

    /// The message: what failed, on which object, and the remedy.
    pub fn text(&self) -> Text {
        match self {
            Self::Usage(text) | Self::Other(text) => text.clone(),
            Self::ClosedPipe => words!("stdout was closed", "标准输出已关闭").into(),
            Self::Write(error) => {
                let error = errno::of(error);
                text!("cannot write to stdout: {error}", "无法写入标准输出：{error}"; error)
            }
            Self::Found(number) => text!("{number} findings", "发现 {number} 个问题"),
            Self::System {
                what,
                source,
                advice,
            } => {
                let error = errno::of(source);
                text!("{what}: {error}{advice}", "{what}失败：{error}{advice}"; what, error, advice)
            }
            Self::NotTheDevice(_)
            | Self::Version { .. }
            | Self::NoHook(_)
            | Self::NoMemory(_)
            | Self::Ring { .. } => self.of_module(),
            Self::NotLoaded
            | Self::Permission
            | Self::AlreadyActive
            | Self::ReadOnly
            | Self::NotActive
            | Self::FtraceDisabled
            | Self::Stale
            | Self::ReportRunning => self.fixed().into(),
        }
    }

    /// The messages about the module and its device.
    fn of_module(&self) -> Text {
        match self {
            Self::NotTheDevice(name) => text!(
                "{name} is not the module's device: run `diagnose-tools install`",
                "{name} 不是内核模块的设备：请运行 `diagnose-tools install`"
            ),
            Self::Version {
                module,
                module_call,
                module_record,
                advice,
            } => mismatch(module, (*module_call, *module_record), *advice),
            Self::NoHook(symbol) => text!(
                "cannot activate: this kernel has no `{symbol}` to hook: try another hook=, or \
                 another kernel",
                "无法激活：该内核没有可挂钩的 `{symbol}`：请换用其他 hook=，或更换内核"
            ),
            Self::NoMemory(wanted) => text!(
                "not enough memory for {wanted}: lower ring= or ring-memory=, max-conns=, \
                 max-pairs= or max-listeners=",
                "内存不足，无法分配{wanted}：请调小 ring= 或 ring-memory=、max-conns=、max-pairs= 或 \
                 max-listeners=";
                wanted
            ),
            Self::Ring { cpu, reason } => text!(
                "ring of CPU {cpu}: {reason}: reinstall the module with `diagnose-tools install`",
                "CPU {cpu} 的环形缓冲区：{reason}：请用 `diagnose-tools install` 重新安装内核模块";
                reason
            ),
            _ => self.fixed().into(),
        }
    }

    /// The messages that have no arguments.
    fn fixed(&self) -> Words {
        match self {
            Self::Permission => words!(
                "permission denied: run as root (with CAP_NET_ADMIN in the initial user namespace)",
                "权限不够：请以 root 身份运行（需要初始用户命名空间中的 CAP_NET_ADMIN）"
            ),
            Self::AlreadyActive => words!(
                "already active: use --deactivate first",
                "已激活：请先使用 --deactivate"
            ),
            Self::ReadOnly => words!(
                "a capture is not a recording: what it has can only be read",
                "捕获文件不是正在进行的记录：只能读取其中的内容"
            ),
            Self::NotActive => words!(
                "not active: use --activate first",
                "未激活：请先使用 --activate"
            ),
            Self::FtraceDisabled => words!(
                "ftrace is disabled, and no function can be hooked without it: run \
                 `sysctl kernel.ftrace_enabled=1`",
                "ftrace 已禁用，无法挂钩任何函数：请运行 `sysctl kernel.ftrace_enabled=1`"
            ),
            Self::Stale => words!(
                "the recording was restarted, or another program moved its position, during this \
                 report: nothing was marked as reported, report again",
                "报告期间记录被重新启动，或其他程序移动了位置：没有标记为已报告，请重新报告"
            ),
            Self::ReportRunning => words!(
                "another --report is running: wait for it, or use peek=1",
                "另一个 --report 正在运行：请等待它结束，或使用 peek=1"
            ),
            _ => words!(
                "the module is not loaded: run `diagnose-tools install`",
                "内核模块未加载：请运行 `diagnose-tools install`"
            ),
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

/// The versions of the module, and those that this controller was built with.
fn mismatch(module: &str, (module_call, module_record): (u32, u32), advice: Words) -> Text {
    let controller = env!("CARGO_PKG_VERSION");
    let call = abi::TCPSTATES_CALL_VERSION;
    let record = abi::TCPSTATES_RECORD_VERSION;
    text!(
        "version mismatch: the module {module} has call version {module_call} and record version \
         {module_record}, diagnose-tools {controller} has {call} and {record}: {advice}",
        "版本不匹配：内核模块 {module} 的调用版本为 {module_call}，记录版本为 {module_record}；\
         diagnose-tools {controller} 的分别为 {call} 和 {record}：{advice}";
        advice
    )
}

/// Converts a failed write to stdout into an error: a closed pipe is not a failure.
pub fn write_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::ClosedPipe,
        _ => Error::Write(error),
    }
}
