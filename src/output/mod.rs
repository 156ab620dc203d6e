//! How reports look: JSON lines, one line each, or all fields.

mod columns;
mod detail;
mod json;
mod listeners;
mod look;
mod room;
mod settings;
mod summary;
mod table;

use std::io::{self, Write};

use crate::alarm::Alarm;
use crate::diagnose::finding::Counts;
use crate::handshakes::Counter;
use crate::listener::Listener;
use crate::merge::Recorded;
use crate::options::Format;
use crate::places::Places;
use crate::record::{Conn, Transition};
use crate::summary::Summary;
use crate::time::Clock;

pub use look::Look;
pub use settings::{SettingsView, settings_json, settings_text};

/// Prints the parts of a report, in one format.
pub trait Output {
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
    fn findings(&mut self, out: &mut dyn Write, findings: Counts) -> io::Result<()>;
}

/// The output in this format.
pub fn output(format: Format, look: Look, places: Places) -> Box<dyn Output> {
    match format {
        Format::Json => Box::new(json::Json::new(look.clock, places)),
        Format::Table => Box::new(table::Table::new(look, places)),
        Format::Detail => Box::new(detail::Detail::new(look, places)),
    }
}
