//! What one reading asks the module for: the settings, the rings and the totals of an activation.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::abi::{ClockChange, Consumed, RingState, Settings};
use crate::backend::Backend;
use crate::backend::ring::RingReader;
use crate::error::{Error, Result};
use crate::model::event::Progress;
use crate::model::summary::{Summary, ThisReport, unconsumed_of};

/// How long a draining report waits for another one, and after how long it says so.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_NOTE: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// The settings of the activation.
///
/// # Errors
/// Not active.
pub fn active_settings(backend: &impl Backend) -> Result<Settings> {
    match backend.settings()? {
        settings if settings.active == 0 => Err(Error::NotActive),
        settings => Ok(settings),
    }
}

/// Maps a ring of the activation that `settings` describes.
///
/// # Errors
/// The recording was restarted meanwhile, or the mapping fails.
pub fn map(backend: &impl Backend, settings: &Settings, cpu: u32) -> Result<RingReader> {
    let reader = match backend.map_ring(settings, cpu) {
        Ok(reader) => reader,
        Err(Error::NotActive) => return Err(Error::NotActive),
        // The rings of another activation may be shorter or longer.
        Err(_) if backend.settings()?.generation != settings.generation => {
            return Err(Error::Stale);
        }
        Err(error) => return Err(error),
    };
    if reader.generation() != settings.generation {
        return Err(Error::Stale);
    }
    if reader.cpu() != cpu {
        return Err(Error::Ring {
            cpu,
            reason: "it is the ring of another CPU",
        });
    }
    Ok(reader)
}

/// Makes the totals, without cgroups: for these the module looks at each live connection.
/// `unconsumed` overwritten events are counted anew when not given.
///
/// # Errors
/// Not active, or a call fails.
pub fn summarize(
    backend: &impl Backend,
    settings: &Settings,
    unconsumed: Option<u64>,
    this: ThisReport,
) -> Result<Summary> {
    let unconsumed = match unconsumed {
        Some(count) => count,
        None => unconsumed_overwritten(backend, settings.config.ring_records)?,
    };
    let (transitions, hooks) = (backend.transition_counts()?, backend.hooks()?);
    let lives = backend.lives()?;
    let stats = backend.stats()?;
    let counted = (&transitions[..], &lives);
    Ok(Summary::new(&stats, counted, &hooks, unconsumed, this))
}

/// Records that were overwritten since the last report consumed any.
///
/// # Errors
/// Not active, or the calls fail.
fn unconsumed_overwritten(backend: &impl Backend, ring_records: u32) -> Result<u64> {
    Ok(unconsumed_of(&backend.rings()?, ring_records))
}

/// Events that a report would still give, or count as overwritten; 0 when not active.
///
/// # Errors
/// The call fails.
pub fn unreported(backend: &impl Backend) -> Result<u64> {
    let stats = backend.stats()?;
    let given = stats.reported.saturating_add(stats.overwritten);
    Ok(stats.recorded.saturating_sub(given))
}

/// When the wall clock was set; none when not active, because what is known then is all that will
/// ever be.
///
/// # Errors
/// The call fails.
pub fn clocks(backend: &impl Backend) -> Result<Vec<ClockChange>> {
    match backend.clocks() {
        Err(Error::NotActive) => Ok(Vec::new()),
        other => other,
    }
}

/// What to tell the module: all rings, those without news too, so that it
/// compares every position.
pub fn consumed(rings: &[RingState], progress: &[Progress]) -> Vec<Consumed> {
    let one = |ring: &RingState| {
        let read = progress.iter().find(|p| p.cpu == ring.cpu);
        Consumed {
            cpu: ring.cpu,
            reserved: 0,
            from: ring.consumed,
            to: read.map_or(ring.consumed, |p| p.to),
            overwritten: read.map_or(0, |p| p.overwritten),
        }
    };
    rings.iter().map(one).collect()
}

/// Waits for the right to drain.
///
/// # Errors
/// Another process has it for too long, or the call fails.
pub fn lock<R: Backend>(backend: &R) -> Result<R::Lock> {
    let start = Instant::now();
    let mut noted = false;
    loop {
        if let Some(lock) = backend.try_lock()? {
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
