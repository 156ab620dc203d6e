//! Prints the data of a session, for `--report` and `--follow`.

use std::io::{self, Write};

use crate::backend::session::{Live, Session};
use crate::command::count::Counter;
use crate::command::options::{Parts, ReportOptions};
use crate::command::select::Selector;
use crate::error::{Result, write_error};
use crate::host::Host;
use crate::host::held::held;
use crate::model::clock::ClockChange;
use crate::model::conn::Conn;
use crate::model::event::Event;
use crate::model::filter::window::Within;
use crate::model::handshakes;
use crate::model::holders::{self, Attachment, ListenerInodes};
use crate::model::ident::Ident;
use crate::model::life::{Life, LifeBuilder};
use crate::model::listener::Listener;
use crate::model::order::Selection;
use crate::model::summary::{FindingCounts, Summary, ThisReport};
use crate::render::Sink;

/// Prints the selected parts, filtered by the keys.
pub struct Printer<'a> {
    options: &'a ReportOptions,
    parts: Parts,
    selector: Selector<'a>,
    /// Whether events are only printed, and all of them.
    plain: bool,
    sink: &'a mut dyn Sink,
    out: &'a mut dyn Write,
    /// Connections that have not ended yet.
    unfinished: LifeBuilder,
    /// Ended connections that are printed after all events; `None`: each is printed at its end.
    ended: Option<Selection<Life>>,
    counter: Counter,
    /// Counts of what was printed.
    pub this: ThisReport,
}

impl<'a> Printer<'a> {
    /// Starts the output. Events are printed if they are in this range of time.
    ///
    /// # Errors
    /// Writing to stdout fails.
    pub fn new(
        options: &'a ReportOptions,
        parts: Parts,
        within: Within,
        sink: &'a mut dyn Sink,
        out: &'a mut dyn Write,
    ) -> Result<Self> {
        sink.begin(out).map_err(write_error)?;
        let selector = Selector::new(&options.show, within);
        let assembles = parts.lives || parts.counts && parts.counted_events;
        Ok(Self {
            plain: !assembles && selector.takes_all(),
            selector,
            this: ThisReport::default(),
            unfinished: LifeBuilder::default(),
            ended: None,
            counter: Counter::new(&options.by),
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

    /// Prints ended connections after all events, in the order that `sort=` and `limit=` say.
    pub fn collect_lives(&mut self) {
        self.ended = Some(Selection::new(self.options.sort, self.options.limit));
    }

    /// Learns an event that is older than those of the report: a connection may have ended since.
    pub fn earlier(&mut self, event: &Event) {
        if let Event::Transition(event) = event {
            self.unfinished.add(&event.record);
        }
    }

    /// Whether transitions are printed.
    pub fn prints_transitions(&self) -> bool {
        self.parts.transitions
    }

    /// Whether lives are assembled.
    pub fn wants_lives(&self) -> bool {
        self.parts.lives || self.counts_events()
    }

    fn counts_events(&self) -> bool {
        self.parts.counts && self.parts.counted_events
    }

    /// Takes the next event: prints, collects or counts the connection that has ended with it.
    /// Returns whether the event itself is to be printed.
    ///
    /// # Errors
    /// Writing to stdout fails.
    #[inline]
    pub fn take(&mut self, event: &Event, host: &mut dyn Host) -> Result<bool> {
        if !self.plain {
            self.look(event, host)?;
        }
        let wanted = match event {
            Event::Transition(_) => self.parts.transitions,
            Event::Alarm(_) => self.parts.alarms,
        };
        Ok(wanted && (self.plain || self.selector.event(event, self.sink.clock(), host)))
    }

    /// Prints, collects or counts what an event is a part of.
    fn look(&mut self, event: &Event, host: &mut dyn Host) -> Result<()> {
        let Event::Transition(transition) = event else {
            return Ok(());
        };
        if self.wants_lives() {
            if let Some(life) = self.unfinished.add(&transition.record) {
                self.end(life, host)?;
            }
        }
        if self.counts_events() && self.selector.event(event, self.sink.clock(), host) {
            self.counter.transition(&transition.record, host);
        }
        Ok(())
    }

    /// A connection has ended.
    fn end(&mut self, life: Life, host: &mut dyn Host) -> Result<()> {
        if !self.selector.life(&life, self.sink.clock(), host) {
            return Ok(());
        }
        match &mut self.ended {
            _ if self.parts.counts => self.counter.life(&life, host),
            Some(ended) => ended.push(life),
            None => self.life(&life)?,
        }
        Ok(())
    }

    fn life(&mut self, life: &Life) -> Result<()> {
        self.this.lives += 1;
        self.sink.life(self.out, life).map_err(write_error)
    }

    /// Prints the ended connections that were collected.
    ///
    /// # Errors
    /// Writing to stdout fails.
    pub fn lives(&mut self) -> Result<()> {
        let ended = self.ended.take();
        let mut sorted = ended.into_iter().flat_map(Selection::into_sorted);
        sorted.try_for_each(|life| self.life(&life))
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
        if self.parts.counts {
            self.counts(session, host)?;
        }
        Ok(())
    }

    /// Counts the live connections if they are wanted, and prints all counts.
    fn counts(&mut self, session: &Session, host: &mut dyn Host) -> Result<()> {
        if self.parts.counted_connections {
            for batch in session.live() {
                let Live { conns, now_ns } = batch?;
                for conn in &conns {
                    if self.selector.connection(conn, now_ns, host) {
                        self.counter.connection(conn, now_ns, host);
                    }
                }
            }
        }
        let counts = std::mem::take(&mut self.counter.counts);
        let fields = self.counter.fields().to_vec();
        let table = counts.into_table(fields, self.options.sort, self.options.limit);
        self.sink.counts(self.out, &table).map_err(write_error)
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
            let shown = |conn: &Conn| self.selector.connection(conn, now_ns, host);
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
        let shown = |listener: &Listener| self.selector.listener(listener, all.now_ns);
        let shown: Vec<_> = all.listeners.into_iter().filter(shown).collect();
        let inodes = match inodes {
            Some(inodes) => inodes,
            None if shown.is_empty() => ListenerInodes::default(),
            None => inodes_of(session)?,
        };
        let socket = |who: &Ident| holders::of_listener(&inodes, who);
        let shown = shown.into_iter().filter(|listener| {
            let who = &listener.who;
            self.selector.live(who, || socket(who), host)
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
