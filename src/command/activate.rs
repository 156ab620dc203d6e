//! `--activate` and `--deactivate`.

use std::io::Write;

use crate::abi::{self, Config, Hook, Settings, Stats, padded_text};
use crate::backend::{Backend, session};
use crate::error::{Result, write_error};
use crate::fmt::escape::printable;
use crate::fmt::size::mebibytes;
use crate::model::activation::hook_name;

/// Starts recording, and says in one line what that came to.
///
/// # Errors
/// Already active, a hook is missing, no memory.
pub fn activate(backend: &impl Backend, config: &Config, out: &mut dyn Write) -> Result<()> {
    backend.activate(config)?;
    let (settings, stats) = (backend.settings()?, backend.stats()?);
    let rings = backend.rings()?.len();
    for hook in backend
        .hooks()?
        .iter()
        .filter(|h| h.flags & abi::TCPSTATES_HOOK_ATTACHED == 0)
    {
        crate::stderr::warn(&missing(hook));
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
pub fn deactivate(backend: &impl Backend, out: &mut dyn Write) -> Result<()> {
    let lost = session::unreported(backend)?;
    backend.deactivate()?;
    warn_discarded(lost);
    writeln!(out, "deactivated")
        .and_then(|()| out.flush())
        .map_err(write_error)
}

/// Says that so many events are gone, if there are any.
pub fn warn_discarded(events: u64) {
    if events > 0 {
        crate::stderr::warn(&format!(
            "{events} events that no --report had given were discarded"
        ));
    }
}
