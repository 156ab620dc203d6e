//! Formats of reports: JSON lines, a table, or all fields.

mod columns;
mod counts;
mod detail;
pub mod findings;
pub mod html;
pub mod i18n;
mod json;
mod layout;
pub(crate) mod listeners;
pub(crate) mod process;
mod settings;
mod style;
mod summary;
mod table;
pub mod terminal;
pub mod time;
pub mod tui;

use std::io::{self, Write};

use crate::host::names::Names;
use crate::model::alarm::Alarm;
use crate::model::conn::Conn;
use crate::model::count::CountTable;
use crate::model::event::Recorded;
use crate::model::handshakes::Counter;
use crate::model::holders::Holders;
use crate::model::life::Life;
use crate::model::listener::Listener;
use crate::model::summary::{FindingCounts, Summary};
use crate::model::transition::Transition;
use crate::render::time::Clock;

pub use settings::{SettingsView, settings_json, settings_text};
pub use style::Style;

/// Receives a report, and writes it to `out` in one format.
///
/// The order of calls is: [`Sink::begin`]; events, losses, lives, connections, listeners and counts;
/// [`Sink::summary`] and [`Sink::findings`], if there are any; [`Sink::finish`]. The report is
/// complete, and its events may be marked as reported, only after that has succeeded.
pub trait Sink {
    /// Starts the report.
    ///
    /// # Errors
    /// Errors of `out`.
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
    /// Writes a transition.
    ///
    /// # Errors
    /// Errors of `out`.
    fn transition(&mut self, out: &mut dyn Write, event: &Recorded<Transition>) -> io::Result<()>;
    /// Writes an alarm.
    ///
    /// # Errors
    /// Errors of `out`.
    fn alarm(&mut self, out: &mut dyn Write, event: &Recorded<Alarm>) -> io::Result<()>;
    /// Writes a connection that has ended.
    ///
    /// # Errors
    /// Errors of `out`.
    fn life(&mut self, out: &mut dyn Write, life: &Life) -> io::Result<()>;
    /// Writes counts.
    ///
    /// # Errors
    /// Errors of `out`.
    fn counts(&mut self, out: &mut dyn Write, counts: &CountTable) -> io::Result<()>;
    /// Writes a live connection at `now_ns` (monotonic).
    ///
    /// # Errors
    /// Errors of `out`.
    fn connection(
        &mut self,
        out: &mut dyn Write,
        conn: &Conn,
        holders: &Holders,
        now_ns: u64,
    ) -> io::Result<()>;
    /// Writes a listener at `now_ns` (monotonic), with the counters of its handshakes.
    ///
    /// # Errors
    /// Errors of `out`.
    fn listener(
        &mut self,
        out: &mut dyn Write,
        listener: &Listener,
        holders: &Holders,
        handshakes: &[Counter],
        now_ns: u64,
    ) -> io::Result<()>;
    /// Writes that `count` events of a CPU were overwritten before they could be printed.
    ///
    /// # Errors
    /// Errors of `out`.
    fn lost(&mut self, out: &mut dyn Write, cpu: u32, count: u64) -> io::Result<()>;
    /// The clock, which must be given changes of the wall clock.
    fn clock(&self) -> &Clock;
    /// Writes the totals.
    ///
    /// # Errors
    /// Errors of `out`.
    fn summary(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()>;
    /// Writes that a diagnosis has findings, as the last line. In JSON the totals contain them.
    ///
    /// # Errors
    /// Errors of `out`.
    fn findings(&mut self, out: &mut dyn Write, findings: FindingCounts) -> io::Result<()>;
    /// Ends the report: writes buffered lines, and flushes `out`.
    ///
    /// # Errors
    /// Errors of `out`.
    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.flush()
    }
}

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A table, one line per record.
    #[default]
    Table,
    /// All fields, on several lines.
    Detail,
    /// JSON lines.
    Json,
}

impl Format {
    /// The names.
    pub const NAMES: &[(&str, Self)] = &[
        ("table", Self::Table),
        ("detail", Self::Detail),
        ("json", Self::Json),
    ];
}

/// Creates the sink for a format.
pub fn sink(format: Format, style: Style, names: Names) -> Box<dyn Sink> {
    match format {
        Format::Json => Box::new(json::Json::new(style.clock, names)),
        Format::Table => Box::new(table::Table::new(style, names)),
        Format::Detail => Box::new(detail::Detail::new(style, names)),
    }
}
