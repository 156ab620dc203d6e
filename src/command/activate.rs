//! `--activate` and `--deactivate`.

use std::io::Write;

use crate::backend::{Backend, Recorder, session};
use crate::error::{Error, Result, write_error};
use crate::fmt::escape::printable;
use crate::fmt::lang::Lang;
use crate::fmt::size::size;
use crate::fmt::text::{Text, text, words};
use crate::model::activation::{Activation, Settings};
use crate::model::hook::Hook;
use crate::model::stats::Stats;
use crate::render::i18n::hooks::lost_without;

/// Starts recording, and prints a one-line summary.
///
/// # Errors
/// Already active, a hook is missing, no memory.
pub fn activate(
    backend: &dyn Backend,
    activation: &Activation,
    lang: Lang,
    out: &mut dyn Write,
) -> Result<()> {
    recorder_of(backend)?.activate(activation)?;
    let (settings, stats) = (session::active_settings(backend)?, backend.stats()?);
    let rings = backend.rings()?.len();
    for hook in backend.hooks()?.iter().filter(|hook| !hook.attached) {
        crate::stderr::warn(&missing(hook));
    }
    print(out, lang, &activated(&settings, rings, &stats))
}

/// Prints a line.
pub fn print(out: &mut dyn Write, lang: Lang, text: &Text) -> Result<()> {
    writeln!(out, "{}", text.of(lang))
        .and_then(|()| out.flush())
        .map_err(write_error)
}

fn recorder_of(backend: &dyn Backend) -> Result<&dyn Recorder> {
    backend.recorder().ok_or(Error::ReadOnly)
}

fn missing(hook: &Hook) -> Text {
    let symbol = printable(&hook.symbol);
    let text = text!(
        "this kernel has no `{symbol}` to hook",
        "该内核没有可挂钩的 `{symbol}`"
    );
    match lost_without(hook.id) {
        Some(feeds) => text.then(text!("; lost: {feeds}", "；因此缺少：{feeds}"; feeds)),
        None => text,
    }
}

fn activated(settings: &Settings, rings: usize, stats: &Stats) -> Text {
    let (hook, records) = (settings.hook_used.name(), settings.ring_records);
    let (found, memory) = (stats.seeded, size(settings.memory_bytes));
    let most = settings.activation.max_conns.unwrap_or(0);
    text!(
        "active: {hook}, {rings} CPUs x {records} records, at most {most} connections, {memory}; \
         {found} connections found",
        "已激活：{hook}，{rings} 个 CPU x {records} 条记录，最多 {most} 个连接，{memory}；发现 {found} \
         个已有连接"
    )
}

/// Stops recording. Events that no report has printed are discarded, with a warning on stderr.
///
/// # Errors
/// Not active.
pub fn deactivate(backend: &dyn Backend, lang: Lang, out: &mut dyn Write) -> Result<()> {
    let lost = session::unreported(backend)?;
    recorder_of(backend)?.deactivate()?;
    warn_discarded(lost);
    print(out, lang, &words!("deactivated", "已停用").into())
}

/// Warns that this many events were discarded, unless it is 0.
pub fn warn_discarded(events: u64) {
    if events > 0 {
        crate::stderr::warn(&text!(
            "{events} events that no --report had given were discarded",
            "丢弃了 {events} 个尚未由 --report 输出的事件"
        ));
    }
}
