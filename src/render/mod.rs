//! How reports look: JSON lines, one line each, or all fields.

mod columns;
mod detail;
pub mod findings;
pub mod i18n;
mod json;
mod layout;
mod listeners;
mod settings;
mod style;
mod summary;
mod table;
pub mod terminal;
pub mod time;

use std::io::{self, Write};

use crate::host::names::Names;
use crate::model::alarm::Alarm;
use crate::model::conn::Conn;
use crate::model::event::Recorded;
use crate::model::handshakes::Counter;
use crate::model::listener::Listener;
use crate::model::summary::{FindingCounts, Summary};
use crate::model::transition::Transition;
use crate::render::time::Clock;

pub use settings::{SettingsView, settings_json, settings_text};
pub use style::Style;

/// Takes a report, in one format, and writes it to `out`.
///
/// The calls come in this order: [`Sink::begin`]; events, losses, connections and listeners;
/// [`Sink::summary`] and [`Sink::findings`], if there are any; [`Sink::finish`]. Only when that has
/// succeeded the report is out, and its events may be marked as reported.
pub trait Sink {
    /// The report starts.
    ///
    /// # Errors
    /// Those of `out`.
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
    /// One transition.
    ///
    /// # Errors
    /// Those of `out`.
    fn transition(&mut self, out: &mut dyn Write, event: &Recorded<Transition>) -> io::Result<()>;
    /// One alarm.
    ///
    /// # Errors
    /// Those of `out`.
    fn alarm(&mut self, out: &mut dyn Write, event: &Recorded<Alarm>) -> io::Result<()>;
    /// One live connection, as of `now_ns` (monotonic).
    ///
    /// # Errors
    /// Those of `out`.
    fn connection(&mut self, out: &mut dyn Write, conn: &Conn, now_ns: u64) -> io::Result<()>;
    /// One listener, with the counters of its handshakes, as of `now_ns` (monotonic).
    ///
    /// # Errors
    /// Those of `out`.
    fn listener(
        &mut self,
        out: &mut dyn Write,
        listener: &Listener,
        handshakes: &[Counter],
        now_ns: u64,
    ) -> io::Result<()>;
    /// So many events of a CPU were overwritten before they could be shown.
    ///
    /// # Errors
    /// Those of `out`.
    fn lost(&mut self, out: &mut dyn Write, cpu: u32, count: u64) -> io::Result<()>;
    /// What tells the time, to be told when the wall clock was set.
    fn clock(&self) -> &Clock;
    /// The totals.
    ///
    /// # Errors
    /// Those of `out`.
    fn summary(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()>;
    /// That a diagnosis has found something; to be the last line of all. In JSON the totals
    /// tell it.
    ///
    /// # Errors
    /// Those of `out`.
    fn findings(&mut self, out: &mut dyn Write, findings: FindingCounts) -> io::Result<()>;
    /// The report ends: what is held back is written, and `out` has handed on all of it.
    ///
    /// # Errors
    /// Those of `out`.
    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.flush()
    }
}

/// How a report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One line each.
    #[default]
    Table,
    /// All fields, over several lines.
    Detail,
    /// JSON lines.
    Json,
}

impl Format {
    /// Each with its name.
    pub const NAMES: &[(&str, Self)] = &[
        ("table", Self::Table),
        ("detail", Self::Detail),
        ("json", Self::Json),
    ];
}

/// The output in this format.
pub fn sink(format: Format, style: Style, names: Names) -> Box<dyn Sink> {
    match format {
        Format::Json => Box::new(json::Json::new(style.clock, names)),
        Format::Table => Box::new(table::Table::new(style, names)),
        Format::Detail => Box::new(detail::Detail::new(style, names)),
    }
}
