//! One session with a backend: reads the recorded events, the live objects and the totals, and
//! finally marks the events that were read as reported.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::backend::{Backend, DrainLock, Events, Recorder, Start, Take};
use crate::error::{Error, Result};
use crate::fmt::text::words;
use crate::model::activation::Settings;
use crate::model::clock::ClockChange;
use crate::model::conn::Conn;
use crate::model::event::{Position, Progress};
use crate::model::hook::Hook;
use crate::model::listener::Listener;
use crate::model::lives::InCgroup;
use crate::model::summary::{Summary, ThisReport, unconsumed_of};

/// Waiting for another draining report: time until it fails, until a note is printed, and between
/// two tries.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_NOTE: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// One session. No event is marked as reported before [`Session::commit`].
pub struct Session<'a> {
    backend: &'a dyn Backend,
    settings: Settings,
    /// `None`: no events are wanted.
    events: Option<(Start, Box<dyn Events + 'a>)>,
    /// Set if the events are to be marked.
    drain: Option<Drain<'a>>,
}

/// The exclusive right to mark events.
struct Drain<'a> {
    recorder: &'a dyn Recorder,
    _lock: DrainLock,
}

/// Live connections at `now_ns` (monotonic): none entered its state after that.
pub struct Live {
    /// The connections.
    pub conns: Vec<Conn>,
    /// Monotonic nanoseconds.
    pub now_ns: u64,
}

/// All listeners at `now_ns` (monotonic).
pub struct Listeners {
    /// The listeners.
    pub listeners: Vec<Listener>,
    /// The hooks that feed the counters of their handshakes.
    pub hooks: Vec<Hook>,
    /// Monotonic nanoseconds: no listener was created after that.
    pub now_ns: u64,
}

impl<'a> Session<'a> {
    /// A session without events, for the current state only.
    ///
    /// # Errors
    /// Not active.
    pub fn now(backend: &'a dyn Backend) -> Result<Self> {
        Self::open(backend, None, None)
    }

    /// A session that reads the unreported events without marking them.
    ///
    /// # Errors
    /// Not active, or the events cannot be read.
    pub fn peek(backend: &'a dyn Backend) -> Result<Self> {
        Self::open(backend, Some(Start::Consumed), None)
    }

    /// A session that reads the unreported events and marks them as reported. On a backend that
    /// does not record it is the same as [`Session::peek`].
    ///
    /// # Errors
    /// Not active, another process holds the lock for too long, or the events cannot be read.
    pub fn drain(backend: &'a dyn Backend) -> Result<Self> {
        let Some(recorder) = backend.recorder() else {
            return Self::peek(backend);
        };
        let drain = Drain {
            recorder,
            _lock: lock(recorder)?,
        };
        Self::open(backend, Some(Start::Consumed), Some(drain))
    }

    /// A session that reads the events that are recorded from now on.
    ///
    /// # Errors
    /// Not active, or the events cannot be read.
    pub fn follow(backend: &'a dyn Backend) -> Result<Self> {
        Self::open(backend, Some(Start::Now), None)
    }

    /// A session that reads the events from these positions on.
    ///
    /// # Errors
    /// Not active, or the events cannot be read.
    pub fn at(backend: &'a dyn Backend, positions: Vec<Position>) -> Result<Self> {
        Self::open(backend, Some(Start::At(positions)), None)
    }

    /// A session that reads all events that are available.
    ///
    /// # Errors
    /// Not active, or the events cannot be read.
    pub fn all(backend: &'a dyn Backend) -> Result<Self> {
        Self::open(backend, Some(Start::Since(0)), None)
    }

    fn open(
        backend: &'a dyn Backend,
        start: Option<Start>,
        drain: Option<Drain<'a>>,
    ) -> Result<Self> {
        // Read while the lock is held: another report may have just ended.
        let settings = active_settings(backend)?;
        let events = start.map(|start| Ok((start.clone(), backend.events(&settings, start)?)));
        Ok(Self {
            events: events.transpose()?,
            backend,
            settings,
            drain,
        })
    }

    /// The settings of the activation.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the same activation is still active.
    pub fn is_current(&self) -> bool {
        let generation = self.settings.generation;
        let now = self.backend.settings();
        now.is_ok_and(|now| now.is_some_and(|now| now.generation == generation))
    }

    /// Changes of the wall clock, up to the last of the events.
    ///
    /// # Errors
    /// The call fails.
    pub fn clocks(&self) -> Result<Vec<ClockChange>> {
        clocks(self.backend)
    }

    /// Passes each event to `take`; see [`Events::try_each`].
    ///
    /// # Errors
    /// Errors of [`Events::try_each`].
    pub fn events(&mut self, take: &mut Take) -> Result<()> {
        match &mut self.events {
            Some((_, events)) => events.try_each(take),
            None => Ok(()),
        }
    }

    /// Passes each available event to `take` that is older than those of this session.
    ///
    /// # Errors
    /// Errors of [`Events::try_each`].
    pub fn earlier(&self, take: &mut Take) -> Result<()> {
        if let None | Some((Start::Since(_), _)) = self.events {
            return Ok(());
        }
        let first = |ring: &Progress| Position {
            cpu: ring.cpu,
            next: ring.from,
        };
        let before = self.progress().iter().map(first).collect();
        let mut events = self.backend.events(&self.settings, Start::Before(before))?;
        events.try_each(take)
    }

    /// Progress of each ring.
    pub fn progress(&self) -> Vec<Progress> {
        let events = self.events.as_ref();
        events.map_or(Vec::new(), |(_, events)| events.progress())
    }

    /// Continues with events that were recorded since; returns false if no more will follow.
    ///
    /// # Errors
    /// Errors of [`Events::extend`].
    pub fn extend(&mut self) -> Result<bool> {
        match &mut self.events {
            Some((_, events)) => events.extend(),
            None => Ok(false),
        }
    }

    /// The live connections in batches.
    pub fn live(&self) -> impl Iterator<Item = Result<Live>> + '_ {
        self.backend.live().map(|conns| {
            Ok(Live {
                conns: conns?,
                // Read after the connections.
                now_ns: self.backend.stats()?.now_ns,
            })
        })
    }

    /// The listeners.
    ///
    /// # Errors
    /// Not active, or a call fails.
    pub fn listeners(&self) -> Result<Listeners> {
        Ok(Listeners {
            listeners: self.backend.listeners()?,
            hooks: self.backend.hooks()?,
            // Read after the listeners.
            now_ns: self.backend.stats()?.now_ns,
        })
    }

    /// Live connections by cgroup. The module iterates over all connections for this.
    ///
    /// # Errors
    /// Not active, or the call fails.
    pub fn cgroups(&self) -> Result<Vec<InCgroup>> {
        self.backend.cgroups()
    }

    /// The totals, without cgroups. Events that this session will mark count as reported.
    ///
    /// # Errors
    /// Not active, or a call fails.
    pub fn totals(&self, this: ThisReport) -> Result<Summary> {
        let read = self.progress();
        let unconsumed = match self.events {
            Some((Start::Consumed, _)) => sum(&read, |ring| ring.overwritten),
            _ => unconsumed_of(&self.backend.rings()?, self.settings.ring_records),
        };
        let (transitions, hooks) = (self.backend.transition_counts()?, self.backend.hooks()?);
        let lives = self.backend.lives()?;
        let mut stats = self.backend.stats()?;
        if self.drain.is_some() {
            let given = sum(&read, |ring| {
                (ring.to - ring.from).saturating_sub(ring.overwritten)
            });
            stats.reported = stats.reported.saturating_add(given);
        }
        let counted = (&transitions[..], lives);
        Ok(Summary::new(stats, counted, &hooks, unconsumed, this))
    }

    /// Marks the events that were read as reported, in a session that drains. To be called after
    /// the output is completely written.
    ///
    /// # Errors
    /// The recording was restarted, or another program has moved a position. Nothing is marked.
    pub fn commit(self) -> Result<()> {
        let read = self.progress();
        match self.drain {
            Some(drain) => drain.recorder.consume(self.settings.generation, &read),
            None => Ok(()),
        }
    }
}

fn sum(read: &[Progress], of: impl Fn(&Progress) -> u64) -> u64 {
    read.iter().map(of).fold(0, u64::saturating_add)
}

/// The settings of the activation.
///
/// # Errors
/// Not active.
pub fn active_settings(backend: &dyn Backend) -> Result<Settings> {
    backend.settings()?.ok_or(Error::NotActive)
}

/// Number of events that a report would still print, or count as overwritten; 0 when not active.
///
/// # Errors
/// The call fails.
pub fn unreported(backend: &dyn Backend) -> Result<u64> {
    let stats = backend.stats()?;
    let given = stats.reported.saturating_add(stats.overwritten);
    Ok(stats.recorded.saturating_sub(given))
}

/// Changes of the wall clock; empty when not active, because those read before are then final.
///
/// # Errors
/// The call fails.
pub fn clocks(backend: &dyn Backend) -> Result<Vec<ClockChange>> {
    match backend.clocks() {
        Err(Error::NotActive) => Ok(Vec::new()),
        other => other,
    }
}

/// Waits for the lock for draining.
fn lock(recorder: &dyn Recorder) -> Result<DrainLock> {
    let start = Instant::now();
    let mut noted = false;
    loop {
        if let Some(lock) = recorder.try_lock()? {
            return Ok(lock);
        }
        if start.elapsed() >= LOCK_WAIT {
            return Err(Error::ReportRunning);
        }
        if !noted && start.elapsed() >= LOCK_NOTE {
            noted = true;
            let text = words!(
                "another --report is running, waiting for it",
                "另一个 --report 正在运行，等待它结束"
            );
            crate::stderr::note(&text.into());
        }
        sleep(LOCK_RETRY);
    }
}
