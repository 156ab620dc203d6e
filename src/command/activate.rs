//! `--activate` and `--deactivate`.

use std::io::Write;

use crate::backend::{Backend, Recorder, session};
use crate::error::{Error, Result, write_error};
use crate::fmt::escape::printable;
use crate::fmt::size::mebibytes;
use crate::model::activation::{Activation, Settings};
use crate::model::hook::Hook;
use crate::model::stats::Stats;
use crate::render::i18n::Lang;

/// Starts recording, and prints a one-line summary.
///
/// # Errors
/// Already active, a hook is missing, no memory.
pub fn activate(backend: &dyn Backend, activation: &Activation, out: &mut dyn Write) -> Result<()> {
    recorder_of(backend)?.activate(activation)?;
    let (settings, stats) = (session::active_settings(backend)?, backend.stats()?);
    let rings = backend.rings()?.len();
    for hook in backend.hooks()?.iter().filter(|hook| !hook.attached) {
        crate::stderr::warn(&missing(hook));
    }
    writeln!(out, "{}", activated(&settings, rings, &stats))
        .and_then(|()| out.flush())
        .map_err(write_error)
}

fn recorder_of(backend: &dyn Backend) -> Result<&dyn Recorder> {
    backend.recorder().ok_or(Error::ReadOnly)
}

fn missing(hook: &Hook) -> String {
    let text = format!("this kernel has no `{}` to hook", printable(&hook.symbol));
    match Lang::En.lost_without(hook.id) {
        Some(feeds) => format!("{text}; lost: {feeds}"),
        None => text,
    }
}

fn activated(settings: &Settings, rings: usize, stats: &Stats) -> String {
    format!(
        "active: {}, {} CPUs x {} records, at most {} connections, {}; {} connections found",
        settings.hook_used.name(),
        rings,
        settings.ring_records,
        settings.activation.max_conns.unwrap_or(0),
        mebibytes(settings.memory_bytes),
        stats.seeded
    )
}

/// Stops recording. Events that no report has printed are discarded, with a warning on stderr.
///
/// # Errors
/// Not active.
pub fn deactivate(backend: &dyn Backend, out: &mut dyn Write) -> Result<()> {
    let lost = session::unreported(backend)?;
    recorder_of(backend)?.deactivate()?;
    warn_discarded(lost);
    writeln!(out, "deactivated")
        .and_then(|()| out.flush())
        .map_err(write_error)
}

/// Warns that this many events were discarded, unless it is 0.
pub fn warn_discarded(events: u64) {
    if events > 0 {
        crate::stderr::warn(&format!(
            "{events} events that no --report had given were discarded"
        ));
    }
}
