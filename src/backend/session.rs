//! What one reading asks a backend for: the settings and the totals of an activation.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::backend::{Backend, DrainLock, Recorder};
use crate::error::{Error, Result};
use crate::model::activation::Settings;
use crate::model::clock::ClockChange;
use crate::model::summary::{Summary, ThisReport, unconsumed_of};

/// How long a draining report waits for another one, and after how long it says so.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_NOTE: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// The settings of the activation.
///
/// # Errors
/// Not active.
pub fn active_settings(backend: &dyn Backend) -> Result<Settings> {
    backend.settings()?.ok_or(Error::NotActive)
}

/// Makes the totals, without cgroups: for these the module looks at each live connection.
/// `unconsumed` overwritten events are counted anew when not given.
///
/// # Errors
/// Not active, or a call fails.
pub fn summarize(
    backend: &dyn Backend,
    settings: &Settings,
    unconsumed: Option<u64>,
    this: ThisReport,
) -> Result<Summary> {
    let unconsumed = match unconsumed {
        Some(count) => count,
        None => unconsumed_overwritten(backend, settings.ring_records)?,
    };
    let (transitions, hooks) = (backend.transition_counts()?, backend.hooks()?);
    let lives = backend.lives()?;
    let stats = backend.stats()?;
    let counted = (&transitions[..], lives);
    Ok(Summary::new(stats, counted, &hooks, unconsumed, this))
}

/// Records that were overwritten since the last report consumed any.
///
/// # Errors
/// Not active, or the calls fail.
fn unconsumed_overwritten(backend: &dyn Backend, ring_records: u32) -> Result<u64> {
    Ok(unconsumed_of(&backend.rings()?, ring_records))
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
///
/// # Errors
/// Another process has it for too long, or the call fails.
pub fn lock(recorder: &dyn Recorder) -> Result<DrainLock> {
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
