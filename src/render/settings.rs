//! The settings of the activation, as text and as a JSON line.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style as Ansi};
use serde::{Serialize, Serializer};

use crate::fmt::escape::printable;
use crate::fmt::json;
use crate::fmt::size::size;
use crate::fmt::text::Words;
use crate::model::activation::{self, Activation, Settings};
use crate::model::hook::Hook;
use crate::model::key::{Pair, joined};
use crate::model::stats::Stats;
use crate::render::i18n::hooks::lost_without;
use crate::render::i18n::labels::Labels;
use crate::render::json::CausesJson;
use crate::render::style::Style;
use crate::render::summary::table;
use crate::render::time::{Clock, duration};

/// Data that `--settings` prints.
pub struct SettingsView {
    /// The settings; `None`: not active.
    pub settings: Option<Settings>,
    /// The counters.
    pub stats: Stats,
    /// The hooks.
    pub hooks: Vec<Hook>,
    /// Records that were overwritten before any report could read them.
    pub overwritten: u64,
    /// Number of CPUs with a ring.
    pub rings: u64,
}

impl SettingsView {
    fn causes(&self) -> CausesJson {
        CausesJson {
            overwritten: self.overwritten,
            kprobe_missed: self.stats.kprobe_missed,
            ringless: self.stats.ringless,
            stale: self.stats.stale,
            evicted: self.stats.evicted,
            uncounted: self.stats.uncounted,
            unlisted: self.stats.unlisted,
        }
    }
}

#[derive(Serialize)]
struct SettingsJson<'a> {
    r#type: &'static str,
    ts: String,
    active: bool,
    #[serde(flatten)]
    activation: Option<ActivationJson<'a>>,
}

#[derive(Serialize)]
struct ActivationJson<'a> {
    since: String,
    active_ns: u64,
    generation: u64,
    #[serde(serialize_with = "pairs")]
    settings: Vec<Pair>,
    hook_used: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_report: Option<String>,
    rings: u64,
    ring_bytes: u64,
    memory_bytes: u64,
    nodes: u64,
    tracked: u64,
    untracked: u64,
    seeded: u64,
    pairs: u64,
    listeners: u64,
    alarms: u64,
    hooks: Vec<HookJson<'a>>,
    lost: CausesJson,
}

#[derive(Serialize)]
struct HookJson<'a> {
    symbol: &'a str,
    kind: &'static str,
    required: bool,
    attached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    feeds: Option<&'static str>,
    missed: u64,
}

/// A value in JSON: a number if the key only allows numbers, otherwise the text as the user writes
/// it.
#[derive(Serialize)]
#[serde(untagged)]
enum Setting<'a> {
    Number(u64),
    Text(&'a str),
}

fn setting(pair: &Pair) -> Setting<'_> {
    match pair.value.parse() {
        Ok(number) if pair.is_number => Setting::Number(number),
        _ => Setting::Text(&pair.value),
    }
}

fn pairs<S: Serializer>(pairs: &[Pair], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(pairs.iter().map(|pair| (pair.key, setting(pair))))
}

impl<'a> HookJson<'a> {
    fn new(hook: &'a Hook) -> Self {
        Self {
            symbol: &hook.symbol,
            kind: hook.kind.name(),
            required: hook.required,
            attached: hook.attached,
            feeds: lost_without(hook.id).map(Words::en),
            missed: hook.missed,
        }
    }
}

fn activation<'a>(
    settings: &Settings,
    view: &'a SettingsView,
    clock: &Clock,
) -> ActivationJson<'a> {
    let stats = &view.stats;
    ActivationJson {
        since: clock.rfc3339(settings.activated_ns),
        active_ns: stats.now_ns.saturating_sub(settings.activated_ns),
        generation: settings.generation,
        settings: activation::pairs(&settings.activation),
        hook_used: settings.hook_used.name(),
        last_report: settings.consumed_ns.map(|ns| clock.rfc3339(ns)),
        rings: view.rings,
        ring_bytes: settings.ring_bytes,
        memory_bytes: settings.memory_bytes,
        nodes: stats.nodes,
        tracked: stats.tracked,
        untracked: stats.untracked,
        seeded: stats.seeded,
        pairs: stats.pairs,
        listeners: stats.listeners,
        alarms: stats.alarms,
        hooks: view.hooks.iter().map(HookJson::new).collect(),
        lost: view.causes(),
    }
}

/// Writes the settings as one JSON line.
///
/// # Errors
/// Errors of `out`.
pub fn settings_json(out: &mut dyn Write, clock: &Clock, view: &SettingsView) -> io::Result<()> {
    let settings = view.settings.as_ref();
    let object = SettingsJson {
        r#type: "settings",
        ts: clock.rfc3339(view.stats.now_ns),
        active: settings.is_some(),
        activation: settings.map(|settings| activation(settings, view, clock)),
    };
    json::line(out, &object)
}

/// Writes the settings as text.
///
/// # Errors
/// Errors of `out`.
pub fn settings_text(out: &mut dyn Write, style: &Style, view: &SettingsView) -> io::Result<()> {
    let l = style.labels;
    let Some(settings) = &view.settings else {
        return writeln!(out, "{}", l.not_active);
    };
    let stats = &view.stats;
    let since = style.clock.local(settings.activated_ns);
    let active = duration(stats.now_ns.saturating_sub(settings.activated_ns));
    writeln!(out, "{}: {since} ({active})", style.heading(l.active))?;
    let pairs = joined(&activation::pairs(&settings.activation));
    writeln!(out, "{}: {pairs}", l.settings)?;
    writeln!(out, "{}: {}", l.hook, settings.hook_used.name())?;
    write_resources(out, style, settings, view)?;
    write_missing(out, style, &view.hooks)?;
    writeln!(out, "\n{}", hooks(style, &view.hooks))
}

fn write_resources(
    out: &mut dyn Write,
    style: &Style,
    settings: &Settings,
    view: &SettingsView,
) -> io::Result<()> {
    let (l, stats, asked) = (style.labels, &view.stats, &settings.activation);
    let reported = match settings.consumed_ns {
        None => l.never.to_owned(),
        Some(ns) => style.clock.local(ns),
    };
    writeln!(out, "{}: {reported}", l.last_report)?;
    writeln!(
        out,
        "{}: {} x {} {}, {}; {}: {}",
        l.rings,
        view.rings,
        settings.ring_records,
        l.records_each,
        size(view.rings.saturating_mul(settings.ring_bytes)),
        l.memory,
        size(settings.memory_bytes)
    )?;
    write_tables(out, l, asked, stats)?;
    write_losses(out, l, &view.causes())
}

/// Writes how full the tables are, and what did not fit.
fn write_tables(
    out: &mut dyn Write,
    l: &Labels,
    asked: &Activation,
    stats: &Stats,
) -> io::Result<()> {
    let used =
        |label: &str, now: u64, most: u64| format!("{label}: {} {now} {} {most}", l.tracked, l.of);
    let most = u64::from(asked.max_conns.unwrap_or(0));
    let connections = used(l.connections, stats.tracked, most);
    writeln!(out, "{connections}, {} {}", l.untracked, stats.untracked)?;
    let pairs = used(l.pairs, stats.pairs, asked.max_pairs.into());
    writeln!(
        out,
        "{pairs}, {} {}, {} {}",
        l.evicted, stats.evicted, l.uncounted, stats.uncounted
    )?;
    let listeners = used(l.listeners, stats.listeners, asked.max_listeners.into());
    writeln!(out, "{listeners}, {} {}", l.untracked, stats.unlisted)
}

/// Writes how many events were lost, by cause.
fn write_losses(out: &mut dyn Write, l: &Labels, causes: &CausesJson) -> io::Result<()> {
    writeln!(
        out,
        "{}: {} {}, {} {}, {} {}, {} {}",
        l.lost,
        l.overwritten,
        causes.overwritten,
        l.kprobe_missed,
        causes.kprobe_missed,
        l.ringless,
        causes.ringless,
        l.stale,
        causes.stale
    )
}

/// Writes which data is missing because this kernel lacks hooks.
fn write_missing(out: &mut dyn Write, style: &Style, hooks: &[Hook]) -> io::Result<()> {
    let l = style.labels;
    let red = Ansi::new().fg_color(Some(AnsiColor::Red.into()));
    for hook in hooks.iter().filter(|hook| !hook.attached) {
        let mut text = format!("{}: {}", l.not_attached, printable(&hook.symbol));
        if let Some(feeds) = lost_without(hook.id).map(|words| words.of(l.lang)) {
            text += &format!("; {}: {feeds}", l.loses);
        }
        writeln!(out, "{}", style.paint(red, &text))?;
    }
    Ok(())
}

fn hooks(style: &Style, hooks: &[Hook]) -> String {
    let l = style.labels;
    let mut table = table(style, &[l.hook, l.kind, l.status, l.missed, l.feeds], 3);
    for hook in hooks {
        let status = if hook.attached { l.attached } else { l.missing };
        let status = match hook.required {
            true => format!("{status}, {}", l.required),
            false => status.to_owned(),
        };
        let missed = hook.missed.to_string();
        let (symbol, kind) = (printable(&hook.symbol), hook.kind.name().to_owned());
        let feeds = lost_without(hook.id).map_or("", |words| words.of(l.lang));
        let feeds = feeds.to_owned();
        table.add_row([symbol, kind, status, missed, feeds]);
    }
    if let Some(column) = table.column_mut(4) {
        column.set_cell_alignment(comfy_table::CellAlignment::Left);
    }
    table.trim_fmt()
}
