//! What is read of an activation by several calls.

use crate::abi::Settings;
use crate::backend::Recorder;
use crate::backend::ring::RingReader;
use crate::error::{Error, Result};
use crate::model::summary::unconsumed_of;

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

/// Records that were overwritten since the last report consumed any.
///
/// # Errors
/// Not active, or the calls fail.
pub fn unconsumed_overwritten(recorder: &impl Recorder, ring_records: u32) -> Result<u64> {
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
