//! `--follow`: events as they happen. It has its own positions, so it never
//! takes an event from a report, and it says when it was too slow.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

use crate::backend::session::{active_settings, clocks, summarize};
use crate::backend::wait::{Wake, Watch};
use crate::backend::{Backend, Events, Recorder, Start, positions};
use crate::command::options::{Parts, ReportOptions, parts};
use crate::command::report::{print_event, print_now, shows};
use crate::error::{Error, Result, write_error};
use crate::model::activation::Settings;
use crate::model::event::{Event, Progress};
use crate::model::summary::{Summary, ThisReport};
use crate::render::Sink;

/// How old the totals may get, in milliseconds: after the deactivation nobody
/// can ask for newer ones.
const REFRESH_MS: u16 = 1_000;
/// Pause after a wake-up that brought nothing: a record is half-written.
const PAUSE: Duration = Duration::from_millis(1);

/// Why following ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Limit,
    Signal,
    Deactivated,
}

/// Prints events until a signal, a closed stdout, `limit=` or the deactivation.
///
/// # Errors
/// Not active, stdout does not take them, a call fails.
pub fn follow(
    backend: &dyn Backend,
    options: &ReportOptions,
    sink: &mut dyn Sink,
    stdout: &File,
) -> Result<()> {
    let recorder = backend.recorder().ok_or(Error::ReadOnly)?;
    let watch = Watch::new()?;
    let mut out = BufWriter::new(watch.guard(stdout));
    let mut follower = Follower::new(backend, recorder, options, sink)?;
    follower.start(&mut out)?;
    let end = loop {
        if let Some(end) = follower.batch(&mut out)? {
            break end;
        }
        match watch.wait(recorder.poll_fd(), stdout.as_fd(), follower.patience())? {
            Wake::More | Wake::Idle => {}
            Wake::Signal => break End::Signal,
            Wake::Closed => return Err(Error::ClosedPipe),
            Wake::HungUp => follower.hung_up = true,
        }
    };
    follower.finish(end, &mut out)
}

struct Follower<'a> {
    backend: &'a dyn Backend,
    recorder: &'a dyn Recorder,
    options: &'a ReportOptions,
    sink: &'a mut dyn Sink,
    settings: Settings,
    parts: Parts,
    events: Box<dyn Events + 'a>,
    /// Losses already told, by ring.
    told: Vec<u64>,
    this: ThisReport,
    /// The last totals, and when they were asked for.
    totals: (Summary, Instant),
    /// Whether there were events since.
    news: bool,
    hung_up: bool,
}

impl<'a> Follower<'a> {
    /// Begins at what is recorded from now on.
    fn new(
        backend: &'a dyn Backend,
        recorder: &'a dyn Recorder,
        options: &'a ReportOptions,
        sink: &'a mut dyn Sink,
    ) -> Result<Self> {
        let settings = active_settings(backend)?;
        let events = backend.events(&settings, Start::Now)?;
        let this = ThisReport::default();
        let totals = (summarize(backend, &settings, None, this)?, Instant::now());
        Ok(Self {
            told: Vec::new(),
            backend,
            recorder,
            options,
            sink,
            parts: parts(options, settings.activation.verbose),
            settings,
            events,
            this,
            totals,
            news: false,
            hung_up: false,
        })
    }

    /// Prints what is there already, if it is wanted.
    fn start(&mut self, out: &mut dyn Write) -> Result<()> {
        print_now(
            self.backend,
            self.options,
            self.parts,
            self.sink,
            out,
            &mut self.this,
        )?;
        out.flush().map_err(write_error)
    }

    /// Prints all that there is now, and tells the module so.
    fn batch(&mut self, out: &mut dyn Write) -> Result<Option<End>> {
        let before = positions(&self.events.progress());
        let ended = !self.events.extend()? || self.hung_up;
        self.sink.clock().learn(&clocks(self.backend)?);
        let full = self.print(out)?;
        let read = self.events.progress();
        self.print_lost(&read, out)?;
        out.flush().map_err(write_error)?;
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
    fn print(&mut self, out: &mut dyn Write) -> Result<bool> {
        let limit = self.options.limit;
        let full = |this: &ThisReport| {
            let shown = this.shown + this.alarms_shown;
            limit.is_some_and(|limit| shown >= limit)
        };
        if full(&self.this) {
            return Ok(true);
        }
        let this = &mut self.this;
        self.events.try_each(&mut |event| {
            match event {
                Event::Transition(_) => this.transitions += 1,
                Event::Alarm(_) => this.alarms += 1,
            }
            if shows(self.options, self.parts, event) {
                print_event(event, self.sink, out, this)?;
            }
            Ok(match full(this) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })?;
        Ok(full(&self.this))
    }

    fn print_lost(&mut self, read: &[Progress], out: &mut dyn Write) -> Result<()> {
        self.told.resize(read.len(), 0);
        for (told, ring) in self.told.iter_mut().zip(read) {
            let new = ring.overwritten - *told;
            *told = ring.overwritten;
            if new > 0 {
                self.sink.lost(out, ring.cpu, new).map_err(write_error)?;
            }
        }
        Ok(())
    }

    /// False when the recording has ended, or another one has begun.
    fn tell_seen(&self, read: &[Progress]) -> Result<bool> {
        match self.recorder.seen(read) {
            Err(Error::NotActive) => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// How long to wait for events before the totals are asked for again.
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
        let generation = self.settings.generation;
        let same = |now: Option<Settings>| now.is_some_and(|now| now.generation == generation);
        if !self.backend.settings().is_ok_and(same) {
            return;
        }
        if let Ok(summary) = summarize(self.backend, &self.settings, None, self.this) {
            self.totals.0 = summary;
        }
    }

    fn finish(mut self, end: End, out: &mut dyn Write) -> Result<()> {
        if end == End::Deactivated {
            crate::stderr::progress("the recording was deactivated: nothing more will come");
        } else {
            self.ask_totals();
            // Not each second: the module looks at each live connection.
            if let Ok(cgroups) = self.backend.cgroups() {
                self.totals.0.cgroups = cgroups;
            }
        }
        if self.options.summary {
            let (transitions, alarms) = (self.this.transitions, self.this.alarms);
            self.this.add(&self.events.progress());
            let this_report = ThisReport {
                transitions,
                alarms,
                ..self.this
            };
            let summary = Summary {
                this_report,
                ..self.totals.0
            };
            self.sink.summary(out, &summary).map_err(write_error)?;
        }
        out.flush().map_err(write_error)
    }
}
