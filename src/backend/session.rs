//! One reading of a backend: what was recorded, what is there now, the totals, and at last the
//! marking of what was read as reported.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::backend::{Backend, DrainLock, Events, Recorder, Start, Take};
use crate::error::{Error, Result};
use crate::model::activation::Settings;
use crate::model::clock::ClockChange;
use crate::model::conn::Conn;
use crate::model::event::Progress;
use crate::model::hook::Hook;
use crate::model::listener::Listener;
use crate::model::lives::InCgroup;
use crate::model::summary::{Summary, ThisReport, unconsumed_of};

/// How long a draining report waits for another one, and after how long it says so.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_NOTE: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// One reading. Nothing is marked as reported before [`Session::commit`].
pub struct Session<'a> {
    backend: &'a dyn Backend,
    settings: Settings,
    /// None where no events are wanted.
    events: Option<(Start, Box<dyn Events + 'a>)>,
    /// Where the events are to be marked.
    drain: Option<Drain<'a>>,
}

/// The right to mark events, which nobody else has.
struct Drain<'a> {
    recorder: &'a dyn Recorder,
    _lock: DrainLock,
}

/// Live connections, as of `now_ns` (monotonic): none entered its state later than that.
pub struct Live {
    /// The connections.
    pub conns: Vec<Conn>,
    /// Monotonic nanoseconds.
    pub now_ns: u64,
}

/// All listeners, as of `now_ns` (monotonic).
pub struct Listeners {
    /// The listeners.
    pub listeners: Vec<Listener>,
    /// The hooks that feed the counters of their handshakes.
    pub hooks: Vec<Hook>,
    /// Monotonic nanoseconds: none listens since later than that.
    pub now_ns: u64,
}

impl<'a> Session<'a> {
    /// Of what is there now: without events.
    ///
    /// # Errors
    /// Not active.
    pub fn now(backend: &'a dyn Backend) -> Result<Self> {
        Self::open(backend, None, None)
    }

    /// Of the events that no report has given, which stay so.
    ///
    /// # Errors
    /// Not active, or the events cannot be read.
    pub fn peek(backend: &'a dyn Backend) -> Result<Self> {
        Self::open(backend, Some(Start::Consumed), None)
    }

    /// Of the events that no report has given, to mark them as reported. Of a backend that does
    /// not record it is the same as [`Session::peek`].
    ///
    /// # Errors
    /// Not active, another process drains for too long, or the events cannot be read.
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

    /// Of the events that are recorded from now on.
    ///
    /// # Errors
    /// Not active, or the events cannot be read.
    pub fn follow(backend: &'a dyn Backend) -> Result<Self> {
        Self::open(backend, Some(Start::Now), None)
    }

    fn open(
        backend: &'a dyn Backend,
        start: Option<Start>,
        drain: Option<Drain<'a>>,
    ) -> Result<Self> {
        // Read under the lock: another report may have ended just before.
        let settings = active_settings(backend)?;
        let events = start.map(|start| Ok((start, backend.events(&settings, start)?)));
        Ok(Self {
            events: events.transpose()?,
            backend,
            settings,
            drain,
        })
    }

    /// What is active.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the same activation is active still.
    pub fn is_current(&self) -> bool {
        let generation = self.settings.generation;
        let now = self.backend.settings();
        now.is_ok_and(|now| now.is_some_and(|now| now.generation == generation))
    }

    /// When the wall clock was set, up to the last of the events.
    ///
    /// # Errors
    /// The call fails.
    pub fn clocks(&self) -> Result<Vec<ClockChange>> {
        clocks(self.backend)
    }

    /// Lends each event, as [`Events::try_each`].
    ///
    /// # Errors
    /// As there.
    pub fn events(&mut self, take: &mut Take) -> Result<()> {
        match &mut self.events {
            Some((_, events)) => events.try_each(take),
            None => Ok(()),
        }
    }

    /// How far each ring is read.
    pub fn progress(&self) -> Vec<Progress> {
        let events = self.events.as_ref();
        events.map_or(Vec::new(), |(_, events)| events.progress())
    }

    /// Goes on to what was recorded meanwhile; false: nothing will come after that.
    ///
    /// # Errors
    /// As [`Events::extend`].
    pub fn extend(&mut self) -> Result<bool> {
        match &mut self.events {
            Some((_, events)) => events.extend(),
            None => Ok(false),
        }
    }

    /// The live connections, in batches.
    pub fn live(&self) -> impl Iterator<Item = Result<Live>> + '_ {
        self.backend.live().map(|conns| {
            Ok(Live {
                conns: conns?,
                // Read after them.
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
            // Read after them.
            now_ns: self.backend.stats()?.now_ns,
        })
    }

    /// Live connections by cgroup. The module looks at each connection for them.
    ///
    /// # Errors
    /// Not active, or the call fails.
    pub fn cgroups(&self) -> Result<Vec<InCgroup>> {
        self.backend.cgroups()
    }

    /// The totals, without cgroups. What is to be marked as reported counts as reported.
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

    /// Marks the events that were read as reported, in a session that drains: to be called when
    /// whoever was to get them has got them.
    ///
    /// # Errors
    /// The recording was restarted, or another program has moved a position: nothing is marked.
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

/// What is active.
///
/// # Errors
/// Nothing is.
pub fn active_settings(backend: &dyn Backend) -> Result<Settings> {
    backend.settings()?.ok_or(Error::NotActive)
}

/// Events that a report would still give, or count as overwritten; 0 when not active.
///
/// # Errors
/// The call fails.
pub fn unreported(backend: &dyn Backend) -> Result<u64> {
    let stats = backend.stats()?;
    let given = stats.reported.saturating_add(stats.overwritten);
    Ok(stats.recorded.saturating_sub(given))
}

/// When the wall clock was set; none when not active, because what is known then is all that will
/// ever be.
///
/// # Errors
/// The call fails.
pub fn clocks(backend: &dyn Backend) -> Result<Vec<ClockChange>> {
    match backend.clocks() {
        Err(Error::NotActive) => Ok(Vec::new()),
        other => other,
    }
}

/// Waits for the right to drain.
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
            crate::stderr::note("another --report is running, waiting for it");
        }
        sleep(LOCK_RETRY);
    }
}
