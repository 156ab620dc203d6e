//! What one reading asks the module for: the settings, the rings and the totals of an activation.

use crate::abi::Settings;
use crate::backend::Recorder;
use crate::backend::ring::RingReader;
use crate::error::{Error, Result};
use crate::model::summary::{Summary, ThisReport, unconsumed_of};

/// The settings of the activation.
///
/// # Errors
/// Not active.
pub fn active_settings(recorder: &impl Recorder) -> Result<Settings> {
    match recorder.settings()? {
        settings if settings.active == 0 => Err(Error::NotActive),
        settings => Ok(settings),
    }
}

/// Maps a ring of the activation that `settings` describes.
///
/// # Errors
/// The recording was restarted meanwhile, or the mapping fails.
pub fn map(recorder: &impl Recorder, settings: &Settings, cpu: u32) -> Result<RingReader> {
    let reader = match recorder.map_ring(settings, cpu) {
        Ok(reader) => reader,
        Err(Error::NotActive) => return Err(Error::NotActive),
        // The rings of another activation may be shorter or longer.
        Err(_) if recorder.settings()?.generation != settings.generation => {
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
    recorder: &impl Recorder,
    settings: &Settings,
    unconsumed: Option<u64>,
    this: ThisReport,
) -> Result<Summary> {
    let unconsumed = match unconsumed {
        Some(count) => count,
        None => unconsumed_overwritten(recorder, settings.config.ring_records)?,
    };
    let (edges, hooks) = (recorder.edges()?, recorder.hooks()?);
    let lives = recorder.lives()?;
    let stats = recorder.stats()?;
    let counted = (&edges[..], &lives);
    Ok(Summary::new(&stats, counted, &hooks, unconsumed, this))
}

/// Records that were overwritten since the last report consumed any.
///
/// # Errors
/// Not active, or the calls fail.
fn unconsumed_overwritten(recorder: &impl Recorder, ring_records: u32) -> Result<u64> {
    Ok(unconsumed_of(&recorder.rings()?, ring_records))
}

/// Events that a report would still give, or count as overwritten; 0 when not active.
///
/// # Errors
/// The call fails.
pub fn unreported(recorder: &impl Recorder) -> Result<u64> {
    let stats = recorder.stats()?;
    let given = stats.reported.saturating_add(stats.overwritten);
    Ok(stats.recorded.saturating_sub(given))
}
