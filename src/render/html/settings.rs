//! The settings of the activation, and its hooks.

use std::io;

use crate::fmt::size::size;
use crate::model::activation::{self, Settings};
use crate::model::hook::Hook;
use crate::render::html::markup::Markup;
use crate::render::html::table::{Cell, Table};
use crate::render::html::{View, grouped, name};
use crate::render::i18n::hooks::lost_without;

/// Most hooks in the page; the module has fewer.
const MOST: usize = 100;

/// Writes the section.
pub fn write(m: &mut Markup, view: &View) -> io::Result<()> {
    let (l, w, shown) = (view.l, view.w, &view.page.settings);
    let Some(settings) = &shown.settings else {
        return m.leaf("p", &[], l.not_active);
    };
    keys(view, settings).write(m)?;
    for hook in shown.hooks.iter().filter(|hook| !hook.attached).take(MOST) {
        let mut text = format!("{}: {}", l.not_attached, name(&hook.symbol));
        if let Some(feeds) = lost_without(hook.id).map(|words| words.of(l.lang)) {
            text += &format!("; {}: {feeds}", l.loses);
        }
        m.leaf("p", &[("class", &"alert")], text)?;
    }
    m.element("details", &[], |m| {
        m.leaf("summary", &[], w.hooks)?;
        hooks(view, &shown.hooks).write(m)
    })
}

fn keys<'a>(view: &View<'a>, settings: &Settings) -> Table<'a> {
    let (l, w, shown) = (view.l, view.w, &view.page.settings);
    let given = activation::pairs(&settings.activation).into_iter();
    let given = given.map(|pair| (pair.key.to_owned(), name(&pair.value)));
    let rings = format!(
        "{} x {} {}, {}",
        shown.rings,
        grouped(settings.ring_records.into()),
        l.records_each,
        size(shown.rings.saturating_mul(settings.ring_bytes))
    );
    let reported = match settings.consumed_ns {
        None => l.never.to_owned(),
        Some(ns) => view.style.clock.local(ns),
    };
    let others = [
        (l.hook, settings.hook_used.name().to_owned()),
        (l.rings, rings),
        (l.memory, size(settings.memory_bytes)),
        (l.last_report, reported),
    ];
    let others = others.map(|(label, value)| (label.to_owned(), value));
    let row = |(key, value)| vec![Cell::text(key), Cell::text(value)];
    Table {
        caption: l.settings,
        heads: [w.key, w.value].map(String::from).into(),
        numbers: usize::MAX,
        rows: given.chain(others).map(row).collect(),
    }
}

fn hooks<'a>(view: &View<'a>, hooks: &[Hook]) -> Table<'a> {
    let (l, w) = (view.l, view.w);
    let row = |hook: &Hook| {
        let status = if hook.attached { l.attached } else { l.missing };
        let status = match hook.required {
            true => format!("{status}, {}", l.required),
            false => status.to_owned(),
        };
        vec![
            Cell::text(name(&hook.symbol)),
            Cell::text(hook.kind.name()),
            Cell::text(status),
            Cell::text(grouped(hook.missed)),
            Cell::text(lost_without(hook.id).map_or("", |words| words.of(l.lang))),
        ]
    };
    let mut rows: Vec<_> = hooks.iter().take(MOST).map(row).collect();
    view.add_more(&mut rows, hooks.len().saturating_sub(MOST) as u64);
    Table {
        caption: w.hooks,
        heads: [l.hook, l.kind, l.status, l.missed, l.feeds]
            .map(String::from)
            .into(),
        numbers: usize::MAX,
        rows,
    }
}
