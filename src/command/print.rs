//! Prints the data of a session, for `--report` and `--follow`.

use std::io::{self, Write};

use crate::backend::session::Session;
use crate::command::options::{Parts, ReportOptions};
use crate::error::{Result, write_error};
use crate::host::Host;
use crate::host::held::held;
use crate::model::clock::ClockChange;
use crate::model::conn::Conn;
use crate::model::event::Event;
use crate::model::filter::Show;
use crate::model::handshakes;
use crate::model::holders::{self, Attachment, ListenerInodes};
use crate::model::ident::Ident;
use crate::model::listener::Listener;
use crate::model::order::Selection;
use crate::model::summary::{FindingCounts, Summary, ThisReport};
use crate::render::Sink;

/// Prints the selected parts, filtered by the keys.
pub struct Printer<'a> {
    options: &'a ReportOptions,
    parts: Parts,
    /// Whether the keys select everything: then events need not be matched against the filter.
    all: bool,
    sink: &'a mut dyn Sink,
    out: &'a mut dyn Write,
    /// Counts of what was printed.
    pub this: ThisReport,
}

impl<'a> Printer<'a> {
    /// Starts the output.
    ///
    /// # Errors
    /// Writing to stdout fails.
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

    /// Adds changes of the wall clock, which apply to the times that are printed from now on.
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

    /// Prints and counts an event.
    ///
    /// # Errors
    /// Writing to stdout fails.
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

    /// Prints that events of a CPU were lost.
    ///
    /// # Errors
    /// Writing to stdout fails.
    pub fn lost(&mut self, cpu: u32, count: u64) -> Result<()> {
        self.sink.lost(self.out, cpu, count).map_err(write_error)
    }

    /// Prints the current live connections and listeners, with the processes that have them open.
    ///
    /// # Errors
    /// Not active, or writing to stdout fails.
    pub fn now(&mut self, session: &Session, host: &mut dyn Host) -> Result<()> {
        let mut inodes = None;
        if self.parts.connections {
            let mut found = ListenerInodes::default();
            self.this.connections = self.live(session, host, &mut found)?;
            inodes = Some(found);
        }
        if self.parts.listeners {
            self.this.listeners = self.listeners(session, host, inodes)?;
        }
        Ok(())
    }

    /// Prints live connections and returns their number; adds the sockets of listeners to `inodes`.
    fn live(
        &mut self,
        session: &Session,
        host: &mut dyn Host,
        inodes: &mut ListenerInodes,
    ) -> Result<u64> {
        let options = self.options;
        let mut selection = Selection::new(options.sort, options.limit);
        let mut now_ns = 0;
        for batch in session.live() {
            let batch = batch?;
            now_ns = batch.now_ns;
            holders::add_listeners(inodes, &batch.conns);
            let shown = |conn: &Conn| {
                options.show.connection(conn, now_ns)
                    && has_process(options, host, &conn.who, || Attachment::of(conn))
            };
            let shown = batch.conns.into_iter().filter(shown);
            shown.for_each(|conn| selection.push(conn));
        }
        print_all(selection.into_sorted(), |conn| {
            let held = held(host, &conn.who, Attachment::of(&conn));
            let conn = Conn {
                who: held.who,
                ..conn
            };
            self.sink.connection(self.out, &conn, &held.holders, now_ns)
        })
    }

    /// Prints listeners and returns their number; `inodes` are their sockets, if they are known.
    fn listeners(
        &mut self,
        session: &Session,
        host: &mut dyn Host,
        inodes: Option<ListenerInodes>,
    ) -> Result<u64> {
        let options = self.options;
        let mut selection = Selection::new(options.sort, options.limit);
        let all = session.listeners()?;
        let shown = |listener: &Listener| options.show.listener(listener, all.now_ns);
        let shown: Vec<_> = all.listeners.into_iter().filter(shown).collect();
        let inodes = match inodes {
            Some(inodes) => inodes,
            None if shown.is_empty() => ListenerInodes::default(),
            None => inodes_of(session)?,
        };
        let socket = |who: &Ident| holders::of_listener(&inodes, who);
        let shown = shown.into_iter().filter(|listener| {
            let who = &listener.who;
            has_process(options, host, who, || socket(who))
        });
        shown.for_each(|listener| selection.push(listener));
        print_all(selection.into_sorted(), |listener| {
            let held = held(host, &listener.who, socket(&listener.who));
            let listener = Listener {
                who: held.who,
                ..listener
            };
            let counters = handshakes::counters(&listener.handshakes, &all.hooks);
            self.sink
                .listener(self.out, &listener, &held.holders, &counters, all.now_ns)
        })
    }

    /// Prints the totals.
    ///
    /// # Errors
    /// Writing to stdout fails.
    pub fn summary(&mut self, summary: &Summary) -> Result<()> {
        self.sink.summary(self.out, summary).map_err(write_error)
    }

    /// Prints the number of findings.
    ///
    /// # Errors
    /// Writing to stdout fails.
    pub fn findings(&mut self, findings: FindingCounts) -> Result<()> {
        self.sink.findings(self.out, findings).map_err(write_error)
    }

    /// Flushes the output.
    ///
    /// # Errors
    /// Writing to stdout fails.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(write_error)
    }

    /// Ends the output. On success everything is written.
    ///
    /// # Errors
    /// Writing to stdout fails.
    pub fn finish(self) -> Result<()> {
        self.sink.finish(self.out).map_err(write_error)
    }
}

/// Whether a process of a live socket is one of those that the keys select.
fn has_process(
    options: &ReportOptions,
    host: &mut dyn Host,
    who: &Ident,
    socket: impl Fn() -> Attachment,
) -> bool {
    let show = &options.show;
    !show.by_process() || show.processes(&held(host, who, socket()).shown())
}

/// The sockets of all listeners.
fn inodes_of(session: &Session) -> Result<ListenerInodes> {
    let mut inodes = ListenerInodes::default();
    for batch in session.live() {
        holders::add_listeners(&mut inodes, &batch?.conns);
    }
    Ok(inodes)
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
