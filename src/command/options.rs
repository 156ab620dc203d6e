//! The options of the commands as values; `cli::parse` reads them from the command line.

use std::path::PathBuf;

use crate::diagnose::Scope;
use crate::model::count::Field;
use crate::model::filter::Show;
use crate::model::filter::window::Window;
use crate::model::order::Sort;
use crate::model::top::screen::{Order, Screen};
use crate::render::Format;

/// The value of `--report` or `--follow`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportOptions {
    /// Print transitions; `None`: according to `verbose` of the activation.
    pub transitions: Option<bool>,
    /// Print alarms.
    pub alarms: bool,
    /// Print live connections; `None`: according to `verbose` of the activation.
    pub connections: Option<bool>,
    /// Print listeners; `None`: if the live connections are printed.
    pub listeners: Option<bool>,
    /// Print one line per connection that has ended.
    pub lives: bool,
    /// Print counts by these fields instead of lines.
    pub by: Vec<Field>,
    /// Print the totals.
    pub summary: bool,
    /// Output format.
    pub format: Format,
    /// Run a diagnosis as well, and print the number of findings.
    pub findings: bool,
    /// Do not move the report position.
    pub peek: bool,
    /// Read all events that are available, and do not move the report position.
    pub reported: bool,
    /// The name of the position to read from and to move, instead of that of all reports.
    pub cursor: Option<String>,
    /// The capture to read instead of the module.
    pub from: Option<PathBuf>,
    /// Filter of the output.
    pub show: Show,
    /// Events to print.
    pub window: Window,
    /// Order of the output.
    pub sort: Sort,
    /// Maximum number of lines of each part.
    pub limit: Option<u64>,
}

/// The parts of a report to print, without the totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the keys")]
pub struct Parts {
    pub transitions: bool,
    pub alarms: bool,
    pub connections: bool,
    pub listeners: bool,
    pub lives: bool,
    /// Counts instead of lines.
    pub counts: bool,
    /// Count recorded events.
    pub counted_events: bool,
    /// Count live connections.
    pub counted_connections: bool,
}

/// The value of `--settings`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsOptions {
    /// Print one JSON line instead of text.
    pub json: bool,
    /// The capture to read instead of the module.
    pub from: Option<PathBuf>,
}

/// The value of `--diagnose`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiagnoseOptions {
    /// Print JSON lines.
    pub json: bool,
    /// Fail if a finding is at least a warning.
    pub check: bool,
    /// Rules and connections to check.
    pub scope: Scope,
    /// The capture to read instead of the module.
    pub from: Option<PathBuf>,
    /// The folder in which findings are remembered; `None`: they are not compared with earlier
    /// ones. It is no key.
    pub memory: Option<PathBuf>,
}

/// The value of `--top`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopOptions {
    /// Milliseconds between two looks.
    pub interval_ms: u32,
    /// Whether the user has given them.
    pub interval_given: bool,
    /// The first screen.
    pub screen: Screen,
    /// Order of the lines; `None`: that of each screen.
    pub sort: Option<Order>,
    /// The capture to read instead of the module.
    pub from: Option<PathBuf>,
    /// The first filter.
    pub show: Show,
    /// The same as the user would write it.
    pub filter: String,
}

/// The value of `--dump`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DumpOptions {
    /// Path of the file to write.
    pub file: PathBuf,
}

/// The value of `--html`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HtmlOptions {
    /// Path of the file to write.
    pub file: PathBuf,
    /// The capture to read instead of the module.
    pub from: Option<PathBuf>,
    /// Rules and connections to check; its filter applies to the rest of the page, too.
    pub scope: Scope,
}

/// The parts to print; parts that are not given depend on `verbose`. Lives and counts take the place
/// of transitions and connections.
pub fn parts(options: &ReportOptions, verbose: u32) -> Parts {
    if !options.by.is_empty() {
        return Parts {
            counts: true,
            counted_events: options.transitions.unwrap_or(true),
            counted_connections: options.connections.unwrap_or(true),
            ..Parts::default()
        };
    }
    let lives = options.lives;
    let connections = options.connections.unwrap_or(verbose >= 1 && !lives);
    Parts {
        transitions: options.transitions.unwrap_or(verbose != 1 && !lives),
        alarms: options.alarms,
        connections,
        listeners: options.listeners.unwrap_or(connections),
        lives,
        ..Parts::default()
    }
}
