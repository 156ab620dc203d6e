//! What the user asks for, as values: `cli::parse` reads them from the command line.

use std::path::PathBuf;

use crate::diagnose::Scope;
use crate::model::filter::Show;
use crate::model::order::Sort;
use crate::render::Format;

/// The value of `--report` or `--follow`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportOptions {
    /// Print transitions; `None`: as `verbose` of the activation says.
    pub transitions: Option<bool>,
    /// Print alarms.
    pub alarms: bool,
    /// Print live connections; `None`: as `verbose` of the activation says.
    pub connections: Option<bool>,
    /// Print listeners; `None`: where the live connections are printed.
    pub listeners: Option<bool>,
    /// Print the totals.
    pub summary: bool,
    /// How it looks.
    pub format: Format,
    /// Diagnose as well, and say how many findings there are.
    pub findings: bool,
    /// Leave the position where it is.
    pub peek: bool,
    /// The capture to read instead of the module.
    pub from: Option<PathBuf>,
    /// What is shown.
    pub show: Show,
    /// In which order.
    pub sort: Sort,
    /// Most lines of each part.
    pub limit: Option<u64>,
}

/// Which parts of a report are printed, the totals aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the keys")]
pub struct Parts {
    pub transitions: bool,
    pub alarms: bool,
    pub connections: bool,
    pub listeners: bool,
}

/// The value of `--settings`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsOptions {
    /// One JSON line instead of text.
    pub json: bool,
    /// The capture to read instead of the module.
    pub from: Option<PathBuf>,
}

/// The value of `--diagnose`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiagnoseOptions {
    /// JSON lines.
    pub json: bool,
    /// Fail when something is at least a warning.
    pub check: bool,
    /// What to look for.
    pub scope: Scope,
    /// The capture to read instead of the module.
    pub from: Option<PathBuf>,
}

/// The value of `--dump`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DumpOptions {
    /// The file to write.
    pub file: PathBuf,
}

/// The parts that are wanted, where their keys may have left it to `verbose`.
pub fn parts(options: &ReportOptions, verbose: u32) -> Parts {
    let connections = options.connections.unwrap_or(verbose >= 1);
    Parts {
        transitions: options.transitions.unwrap_or(verbose != 1),
        alarms: options.alarms,
        connections,
        listeners: options.listeners.unwrap_or(connections),
    }
}
