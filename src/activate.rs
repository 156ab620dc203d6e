//! `--activate` and `--deactivate`.

use std::io::Write;

use crate::abi::{self, Config, Hook, Settings, Stats, padded_text};
use crate::error::{Result, write_error};
use crate::options::hook_name;
use crate::recorder::Recorder;
use crate::text::{mebibytes, printable};

/// Starts recording, and says in one line what that came to.
///
/// # Errors
/// Already active, a hook is missing, no memory.
pub fn activate(recorder: &impl Recorder, config: &Config, out: &mut dyn Write) -> Result<()> {
    recorder.activate(config)?;
    let (settings, stats) = (recorder.settings()?, recorder.stats()?);
    let rings = recorder.rings()?.len();
    for hook in recorder
        .hooks()?
        .iter()
        .filter(|h| h.flags & abi::TCPSTATES_HOOK_ATTACHED == 0)
    {
        crate::say::warn(&missing(hook));
    }
    writeln!(out, "{}", activated(&settings, rings, &stats))
        .and_then(|()| out.flush())
        .map_err(write_error)
}

fn missing(hook: &Hook) -> String {
    let (symbol, feeds) = (padded_text(&hook.symbol), padded_text(&hook.feeds));
    format!(
        "this kernel has no `{}` to hook; lost: {}",
        printable(&symbol),
        printable(&feeds)
    )
}

fn activated(settings: &Settings, rings: usize, stats: &Stats) -> String {
    format!(
        "active: {}, {} CPUs x {} records, at most {} connections, {}; {} connections found",
        hook_name(settings.hook_used),
        rings,
        settings.config.ring_records,
        settings.config.max_conns,
        mebibytes(settings.memory_bytes),
        stats.seeded
    )
}

/// Stops recording. What no report has given is gone, which is said on stderr.
///
/// # Errors
/// Not active.
pub fn deactivate(recorder: &impl Recorder, out: &mut dyn Write) -> Result<()> {
    let lost = unreported(recorder)?;
    recorder.deactivate()?;
    warn_discarded(lost);
    writeln!(out, "deactivated")
        .and_then(|()| out.flush())
        .map_err(write_error)
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

/// Says that so many events are gone, if there are any.
pub fn warn_discarded(events: u64) {
    if events > 0 {
        crate::say::warn(&format!(
            "{events} events that no --report had given were discarded"
        ));
    }
}
