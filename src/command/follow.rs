//! `--follow`: prints events as they happen. It has its own positions, so it never takes events
//! from a report. It reports events that it lost because it was too slow.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

use crate::backend::session::Session;
use crate::backend::wait::{Wake, Watch};
use crate::backend::{Backend, Recorder, positions};
use crate::command::options::{ReportOptions, parts};
use crate::command::print::Printer;
use crate::error::{Error, Result};
use crate::fmt::text::words;
use crate::host::Host;
use crate::model::event::{Event, Progress};
use crate::model::filter::window::Within;
use crate::model::summary::{Summary, ThisReport};
use crate::render::Sink;

/// Maximum age of the totals in milliseconds: after the deactivation they can no longer be read.
const REFRESH_MS: u16 = 1_000;
/// Pause after a wake-up without new events: a record is still being written.
const PAUSE: Duration = Duration::from_millis(1);

/// Why `--follow` ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Limit,
    Signal,
    Deactivated,
}

/// Prints events until a signal, a closed stdout, `limit=` or the deactivation.
///
/// # Errors
/// Not active, writing to stdout fails, a call fails.
pub fn follow(
    backend: &dyn Backend,
    host: &mut dyn Host,
    options: &ReportOptions,
    sink: &mut dyn Sink,
    stdout: &File,
) -> Result<()> {
    let recorder = backend.recorder().ok_or(Error::ReadOnly)?;
    let watch = Watch::new()?;
    let mut out = BufWriter::new(watch.guard(stdout));
    let mut follower = Follower::new((backend, recorder), host, options, sink, &mut out)?;
    let end = loop {
        if let Some(end) = follower.batch()? {
            break end;
        }
        match watch.wait(recorder.poll_fd(), stdout.as_fd(), follower.patience())? {
            Wake::More | Wake::Idle => {}
            Wake::Signal => break End::Signal,
            Wake::Closed => return Err(Error::ClosedPipe),
            Wake::HungUp => follower.hung_up = true,
        }
    };
    follower.finish(end)
}

struct Follower<'a> {
    recorder: &'a dyn Recorder,
    options: &'a ReportOptions,
    session: Session<'a>,
    host: &'a mut dyn Host,
    printer: Printer<'a>,
    /// Losses already printed, by ring.
    told: Vec<u64>,
    /// The last totals, and when they were read.
    totals: (Summary, Instant),
    /// Whether there were events since then.
    news: bool,
    hung_up: bool,
}

impl<'a> Follower<'a> {
    /// Starts at the events that are recorded from now on. Prints the live connections and
    /// listeners if wanted.
    fn new(
        (backend, recorder): (&'a dyn Backend, &'a dyn Recorder),
        host: &'a mut dyn Host,
        options: &'a ReportOptions,
        sink: &'a mut dyn Sink,
        out: &'a mut dyn Write,
    ) -> Result<Self> {
        let session = Session::follow(backend)?;
        let totals = (session.totals(ThisReport::default())?, Instant::now());
        let parts = parts(options, session.settings().activation.verbose);
        let mut printer = Printer::new(options, parts, Within::default(), sink, out)?;
        printer.now(&session, host)?;
        if printer.wants_lives() {
            session.earlier(&mut |event| {
                printer.earlier(event);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        printer.flush()?;
        Ok(Self {
            recorder,
            options,
            session,
            host,
            printer,
            told: Vec::new(),
            totals,
            news: false,
            hung_up: false,
        })
    }

    /// Prints all new events, and reports the new position to the module.
    fn batch(&mut self) -> Result<Option<End>> {
        let before = positions(&self.session.progress());
        let ended = !self.session.extend()? || self.hung_up;
        self.printer.learn(&self.session.clocks()?);
        let full = self.print()?;
        let read = self.session.progress();
        self.print_lost(&read)?;
        self.printer.flush()?;
        if full {
            return Ok(Some(End::Limit));
        }
        if ended || !self.tell_seen(&read)? {
            return Ok(Some(End::Deactivated));
        }
        match positions(&read) == before {
            true => sleep(PAUSE),
            false => self.news = true,
        }
        self.refresh();
        Ok(None)
    }

    /// Prints a batch of events; returns whether `limit=` is reached.
    fn print(&mut self) -> Result<bool> {
        let limit = self.options.limit;
        let full = |this: &ThisReport| {
            let shown = this.shown + this.alarms_shown + this.lives;
            limit.is_some_and(|limit| shown >= limit)
        };
        if full(&self.printer.this) {
            return Ok(true);
        }
        let (printer, host) = (&mut self.printer, &mut *self.host);
        self.session.events(&mut |event| {
            match event {
                Event::Transition(_) => printer.this.transitions += 1,
                Event::Alarm(_) => printer.this.alarms += 1,
            }
            if printer.take(event, host)? {
                printer.event(event)?;
            }
            Ok(match full(&printer.this) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })?;
        Ok(full(&self.printer.this))
    }

    fn print_lost(&mut self, read: &[Progress]) -> Result<()> {
        self.told.resize(read.len(), 0);
        for (told, ring) in self.told.iter_mut().zip(read) {
            let new = ring.overwritten - *told;
            *told = ring.overwritten;
            if new > 0 {
                self.printer.lost(ring.cpu, new)?;
            }
        }
        Ok(())
    }

    /// Returns false if nothing is recorded any more. Another recording takes the position, too; that
    /// this one has ended is then known from its rings.
    fn tell_seen(&self, read: &[Progress]) -> Result<bool> {
        match self.recorder.seen(read) {
            Err(Error::NotActive) => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// How long to wait for events before the totals are read again.
    fn patience(&self) -> PollTimeout {
        if self.news {
            REFRESH_MS.into()
        } else {
            PollTimeout::NONE
        }
    }

    fn refresh(&mut self) {
        let age = self.totals.1.elapsed();
        if self.news && age >= Duration::from_millis(REFRESH_MS.into()) {
            self.ask_totals();
        }
    }

    fn ask_totals(&mut self) {
        (self.totals.1, self.news) = (Instant::now(), false);
        if !self.session.is_current() {
            return;
        }
        if let Ok(summary) = self.session.totals(self.printer.this) {
            self.totals.0 = summary;
        }
    }

    fn finish(mut self, end: End) -> Result<()> {
        if end == End::Deactivated {
            let text = words!(
                "the recording was deactivated: nothing more will come",
                "记录已停止：不会再有新的事件"
            );
            crate::stderr::progress(&text.into());
        } else {
            self.ask_totals();
            // Not every second: the module iterates over all live connections.
            if let Ok(cgroups) = self.session.cgroups() {
                self.totals.0.cgroups = cgroups;
            }
        }
        if self.options.summary {
            let mut this_report = self.printer.this;
            this_report.add(&self.session.progress());
            // Events that were read but not printed because of `limit=` do not count.
            let ThisReport {
                transitions,
                alarms,
                ..
            } = self.printer.this;
            self.printer.summary(&Summary {
                this_report: ThisReport {
                    transitions,
                    alarms,
                    ..this_report
                },
                ..self.totals.0
            })?;
        }
        self.printer.finish()
    }
}
