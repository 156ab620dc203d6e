//! Printing what a session reads, for `--report` and `--follow`.

use std::io::{self, Write};

use crate::backend::session::Session;
use crate::command::options::{Parts, ReportOptions};
use crate::error::{Result, write_error};
use crate::model::clock::ClockChange;
use crate::model::conn::Conn;
use crate::model::event::Event;
use crate::model::filter::Show;
use crate::model::handshakes;
use crate::model::listener::Listener;
use crate::model::order::Selection;
use crate::model::summary::{FindingCounts, Summary, ThisReport};
use crate::render::Sink;

/// Prints the parts that are wanted, and of these what the keys let through.
pub struct Printer<'a> {
    options: &'a ReportOptions,
    parts: Parts,
    /// Whether the keys let all through: most reports need not look at each rule for each event.
    all: bool,
    sink: &'a mut dyn Sink,
    out: &'a mut dyn Write,
    /// What was printed.
    pub this: ThisReport,
}

impl<'a> Printer<'a> {
    /// Begins.
    ///
    /// # Errors
    /// Stdout does not take it.
    pub fn new(
        options: &'a ReportOptions,
        parts: Parts,
        sink: &'a mut dyn Sink,
        out: &'a mut dyn Write,
    ) -> Result<Self> {
        sink.begin(out).map_err(write_error)?;
        Ok(Self {
            all: options.show == Show::default(),
            this: ThisReport::default(),
            options,
            parts,
            sink,
            out,
        })
    }

    /// From now on times are those of the wall clock as it was set then.
    pub fn learn(&self, clocks: &[ClockChange]) {
        self.sink.clock().learn(clocks);
    }

    /// Whether an event is to be printed.
    pub fn wants(&self, event: &Event) -> bool {
        let (part, show) = (self.parts, &self.options.show);
        match event {
            Event::Transition(event) => {
                part.transitions && (self.all || show.transition(&event.record))
            }
            Event::Alarm(event) => part.alarms && (self.all || show.alarm(&event.record)),
        }
    }

    /// Prints an event, and counts it.
    ///
    /// # Errors
    /// Stdout does not take it.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Transition(event) => {
                self.this.shown += 1;
                self.sink.transition(self.out, event)
            }
            Event::Alarm(event) => {
                self.this.alarms_shown += 1;
                self.sink.alarm(self.out, event)
            }
        }
        .map_err(write_error)
    }

    /// Prints that events of a CPU are lost.
    ///
    /// # Errors
    /// Stdout does not take it.
    pub fn lost(&mut self, cpu: u32, count: u64) -> Result<()> {
        self.sink.lost(self.out, cpu, count).map_err(write_error)
    }

    /// Prints what is there now: live connections and listeners.
    ///
    /// # Errors
    /// Not active, or stdout does not take them.
    pub fn now(&mut self, session: &Session) -> Result<()> {
        if self.parts.connections {
            self.this.connections = self.live(session)?;
        }
        if self.parts.listeners {
            self.this.listeners = self.listeners(session)?;
        }
        Ok(())
    }

    /// Prints live connections; returns how many.
    fn live(&mut self, session: &Session) -> Result<u64> {
        let options = self.options;
        let mut selection = Selection::new(options.sort, options.limit);
        let mut now_ns = 0;
        for batch in session.live() {
            let batch = batch?;
            now_ns = batch.now_ns;
            let shown = |conn: &Conn| options.show.connection(conn, now_ns);
            let shown = batch.conns.into_iter().filter(shown);
            shown.for_each(|conn| selection.push(conn));
        }
        print_all(selection.into_sorted(), |conn| {
            self.sink.connection(self.out, &conn, now_ns)
        })
    }

    /// Prints listeners; returns how many.
    fn listeners(&mut self, session: &Session) -> Result<u64> {
        let options = self.options;
        let mut selection = Selection::new(options.sort, options.limit);
        let all = session.listeners()?;
        let shown = |listener: &Listener| options.show.listener(listener, all.now_ns);
        let shown = all.listeners.into_iter().filter(shown);
        shown.for_each(|listener| selection.push(listener));
        print_all(selection.into_sorted(), |listener| {
            let counters = handshakes::counters(&listener.handshakes, &all.hooks);
            self.sink
                .listener(self.out, &listener, &counters, all.now_ns)
        })
    }

    /// Prints the totals.
    ///
    /// # Errors
    /// Stdout does not take them.
    pub fn summary(&mut self, summary: &Summary) -> Result<()> {
        self.sink.summary(self.out, summary).map_err(write_error)
    }

    /// Prints what a diagnosis has found.
    ///
    /// # Errors
    /// Stdout does not take it.
    pub fn findings(&mut self, findings: FindingCounts) -> Result<()> {
        self.sink.findings(self.out, findings).map_err(write_error)
    }

    /// Hands on what was printed so far.
    ///
    /// # Errors
    /// Stdout does not take it.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(write_error)
    }

    /// Ends: with success all is printed.
    ///
    /// # Errors
    /// Stdout does not take it.
    pub fn finish(self) -> Result<()> {
        self.sink.finish(self.out).map_err(write_error)
    }
}

fn print_all<T>(
    lines: impl Iterator<Item = T>,
    mut print: impl FnMut(T) -> io::Result<()>,
) -> Result<u64> {
    let mut count = 0;
    for line in lines {
        print(line).map_err(write_error)?;
        count += 1;
    }
    Ok(count)
}
