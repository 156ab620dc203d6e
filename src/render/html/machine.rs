//! The state machine, and the transition counts as a table.

use std::cmp::Reverse;
use std::io;

use crate::model::rfc::Way;
use crate::model::summary::TransitionTotal;
use crate::render::html::markup::Markup;
use crate::render::html::svg::Caption;
use crate::render::html::svg::machine::{self, class};
use crate::render::html::table::{Cell, Table};
use crate::render::html::{View, grouped};
use crate::render::time::duration;

/// Most rows: more pairs of states than there are transitions in the kernel.
const MOST: usize = 60;

/// Writes the section.
pub fn write(m: &mut Markup, view: &View) -> io::Result<()> {
    let w = view.w;
    m.leaf("p", &[("class", &"note")], w.machine_note)?;
    m.element("ul", &[("class", &"legend")], |m| {
        let ways = [Way::Opening, Way::Closing, Way::Failure, Way::Forbidden];
        for way in ways {
            legend(m, class(way), words(view, way))?;
        }
        legend(m, "unused", w.unused)
    })?;
    let region: [(_, &dyn std::fmt::Display); 4] = [
        ("class", &"scroll"),
        ("role", &"region"),
        ("tabindex", &0),
        ("aria-label", &w.machine),
    ];
    let caption = Caption {
        id: "machine-p",
        title: w.machine,
        description: w.machine_is,
    };
    m.element("div", &region, |m| machine::write(m, view, &caption))?;
    table(view).write(m)
}

fn legend(m: &mut Markup, class: &str, text: &str) -> io::Result<()> {
    m.element("li", &[("class", &class)], |m| {
        m.leaf(
            "span",
            &[("class", &"swatch"), ("aria-hidden", &"true")],
            "",
        )?;
        m.text(format!(" {text}"))
    })
}

fn words(view: &View, way: Way) -> &'static str {
    let w = view.w;
    match way {
        Way::Opening => w.opening,
        Way::Closing => w.closing,
        Way::Failure => w.failure,
        Way::Forbidden => w.forbidden,
    }
}

/// The transitions, the most frequent first; those that must not be stand above them.
fn table<'a>(view: &View<'a>) -> Table<'a> {
    let (l, w) = (view.l, view.w);
    let mut all: Vec<_> = view.page.summary.transition_counts.iter().collect();
    all.sort_by_key(|t| {
        let is_allowed = Way::of(t.old, t.new) != Way::Forbidden;
        (is_allowed, Reverse(t.count))
    });
    let most = all.iter().map(|t| t.count).max().unwrap_or(0);
    let mut rows: Vec<_> = all
        .iter()
        .take(MOST)
        .map(|total| row(view, total, most))
        .collect();
    view.add_more(&mut rows, all.len().saturating_sub(MOST) as u64);
    Table {
        caption: w.transitions,
        heads: [l.old, l.new, w.kind, l.count, l.median, l.p99, l.longest]
            .map(String::from)
            .into(),
        numbers: 3,
        rows,
    }
}

fn row(view: &View, total: &TransitionTotal, most: u64) -> Vec<Cell> {
    let time = |ns: Option<u64>| Cell::number(ns.map_or("-".into(), duration));
    let way = Way::of(total.old, total.new);
    let times = total.percentiles;
    vec![
        Cell::text(total.old.name()),
        Cell::text(total.new.name()),
        Cell::text(words(view, way)).class(class(way)),
        Cell::bar(grouped(total.count), total.count, most),
        time(times.map(|[median, _]| median)),
        time(times.map(|[_, p99]| p99)),
        time(total.max_ns),
    ]
}
