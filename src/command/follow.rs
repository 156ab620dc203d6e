//! `--follow`: events as they happen. It has its own positions, so it never
//! takes an event from a report, and it says when it was too slow.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

use crate::abi::Settings;
use crate::backend::Backend;
use crate::backend::events::Merge;
use crate::backend::session::{active_settings, clocks, map, summarize};
use crate::backend::wait::{Wake, Watch};
use crate::command::options::{Parts, ReportOptions, parts};
use crate::command::report::{print_event, print_now, shows};
use crate::error::{Error, Result, write_error};
use crate::model::event::Event;
use crate::model::lives;
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
    backend: &impl Backend,
    options: &ReportOptions,
    sink: &mut dyn Sink,
    stdout: &File,
) -> Result<()> {
    let watch = Watch::new()?;
    let mut out = BufWriter::new(watch.guard(stdout));
    let mut follower = Follower::new(backend, options, sink)?;
    follower.start(&mut out)?;
    let end = loop {
        if let Some(end) = follower.batch(&mut out)? {
            break end;
        }
        match watch.wait(backend.poll_fd(), stdout.as_fd(), follower.patience())? {
            Wake::More | Wake::Idle => {}
            Wake::Signal => break End::Signal,
            Wake::Closed => return Err(Error::ClosedPipe),
            Wake::HungUp => follower.hung_up = true,
        }
    };
    follower.finish(end, &mut out)
}

struct Follower<'a, R> {
    backend: &'a R,
    options: &'a ReportOptions,
    sink: &'a mut dyn Sink,
    settings: Settings,
    parts: Parts,
    merge: Merge,
    /// Losses already told, by ring.
    told: Vec<u64>,
    this: ThisReport,
    /// The last totals, and when they were asked for.
    totals: (Summary, Instant),
    /// Whether there were events since.
    news: bool,
    hung_up: bool,
}

impl<'a, R: Backend> Follower<'a, R> {
    /// Begins at what is recorded from now on.
    fn new(backend: &'a R, options: &'a ReportOptions, sink: &'a mut dyn Sink) -> Result<Self> {
        let settings = active_settings(backend)?;
        let sources = backend.rings()?.into_iter().map(|ring| {
            let mut reader = map(backend, &settings, ring.cpu)?;
            reader.seek(ring.head);
            Ok((reader, ring.head))
        });
        let merge = Merge::new(sources.collect::<Result<Vec<_>>>()?);
        let this = ThisReport::default();
        let totals = (summarize(backend, &settings, None, this)?, Instant::now());
        Ok(Self {
            told: vec![0; merge.progress().len()],
            backend,
            options,
            sink,
            parts: parts(options, settings.config.verbose),
            settings,
            merge,
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
        // Before the heads are loaded: they are final when this is true.
        let ended = self.hung_up || self.merge.ended();
        if !ended {
            self.add_rings()?;
        }
        let before = self.merge.positions();
        self.merge.extend();
        self.sink.clock().learn(&clocks(self.backend)?);
        let full = self.print(out)?;
        self.print_lost(out)?;
        out.flush().map_err(write_error)?;
        if full {
            return Ok(Some(End::Limit));
        }
        if ended || !self.tell_seen()? {
            return Ok(Some(End::Deactivated));
        }
        match self.merge.positions() == before {
            true => sleep(PAUSE),
            false => self.news = true,
        }
        self.refresh();
        Ok(None)
    }

    /// A CPU that comes online gets a ring, all of whose events are new.
    fn add_rings(&mut self) -> Result<()> {
        let rings = match self.backend.rings() {
            // What is mapped can still be read to its end.
            Err(Error::NotActive) => return Ok(()),
            other => other?,
        };
        for ring in rings {
            if self.merge.has(ring.cpu) {
                continue;
            }
            match map(self.backend, &self.settings, ring.cpu) {
                Ok(reader) => self.merge.add(reader),
                Err(Error::NotActive | Error::Stale) => return Ok(()),
                Err(error) => return Err(error),
            }
            self.told.push(0);
        }
        Ok(())
    }

    /// Prints a batch of events; returns whether `limit=` is reached.
    fn print(&mut self, out: &mut dyn Write) -> Result<bool> {
        let full = |shown| self.options.limit.is_some_and(|limit| shown >= limit);
        while !full(self.this.shown + self.this.alarms_shown) {
            let Some(event) = self.merge.next() else {
                return Ok(false);
            };
            match event {
                Event::Transition(_) => self.this.transitions += 1,
                Event::Alarm(_) => self.this.alarms += 1,
            }
            if shows(self.options, self.parts, &event) {
                print_event(&event, self.sink, out, &mut self.this)?;
            }
        }
        Ok(true)
    }

    fn print_lost(&mut self, out: &mut dyn Write) -> Result<()> {
        for (told, ring) in self.told.iter_mut().zip(self.merge.progress()) {
            let new = ring.overwritten - *told;
            *told = ring.overwritten;
            if new > 0 {
                self.sink.lost(out, ring.cpu, new).map_err(write_error)?;
            }
        }
        Ok(())
    }

    /// False when the recording has ended, or another one has begun.
    fn tell_seen(&self) -> Result<bool> {
        match self.backend.seen(self.merge.positions()) {
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
        let same = |settings: Settings| settings.generation == self.settings.generation;
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
                self.totals.0.cgroups = lives::cgroups(&cgroups);
            }
        }
        if self.options.summary {
            let (transitions, alarms) = (self.this.transitions, self.this.alarms);
            self.this.add(&self.merge.progress());
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
