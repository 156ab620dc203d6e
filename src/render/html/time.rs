//! Connections by state over time: a small picture for each state, and a table.

use std::io;

use crate::model::timeline::Course;
use crate::render::html::markup::Markup;
use crate::render::html::svg::{Caption, area};
use crate::render::html::table::{Cell, Table};
use crate::render::html::{View, grouped};

/// Writes the section.
pub fn write(m: &mut Markup, view: &View) -> io::Result<()> {
    let (w, timeline) = (view.w, &view.page.timeline);
    if timeline.transitions == 0 {
        return m.leaf("p", &[], w.no_transitions);
    }
    m.leaf("p", &[("class", &"note")], w.over_time_note)?;
    let stats = &view.page.summary.stats;
    let lacking = [
        stats.filtered,
        stats.too_short,
        stats.ringless,
        stats.kprobe_missed,
    ];
    if lacking.iter().any(|count| *count > 0) {
        m.leaf("p", &[("class", &"note")], w.inexact)?;
    }
    let (used, unused): (Vec<_>, Vec<_>) = timeline.states.iter().partition(|c| c.most() > 0);
    let times = [timeline.from_ns, timeline.to_ns].map(|ns| view.style.clock.local(ns));
    m.element("div", &[("class", &"small")], |m| {
        used.iter()
            .try_for_each(|course| figure(m, view, course, &times))
    })?;
    if !unused.is_empty() {
        let names: Vec<_> = unused.iter().map(|course| course.state.name()).collect();
        let text = format!("{} {}", w.always_none, names.join(", "));
        m.leaf("p", &[("class", &"note")], text)?;
    }
    table(view, &used).write(m)
}

fn figure(m: &mut Markup, view: &View, course: &Course, times: &[String; 2]) -> io::Result<()> {
    let w = view.w;
    let state = course.state.name();
    let numbers = format!(
        "{} {}, {} {}, {} {}",
        w.now,
        grouped(course.last()),
        w.lowest,
        grouped(course.least()),
        w.highest,
        grouped(course.most())
    );
    m.element("figure", &[], |m| {
        m.element("figcaption", &[], |m| {
            m.leaf("b", &[], &state)?;
            m.text(" ")?;
            m.leaf("span", &[], &numbers)
        })?;
        let caption = Caption {
            id: &format!("time-{}", course.state.0),
            title: &format!("{}: {state}", w.over_time),
            description: &numbers,
        };
        area::write(m, &caption, course, [short(&times[0]), short(&times[1])])
    })
}

/// The time of `2023-11-14 22:13:20.000` without its milliseconds, and without the year.
fn short(time: &str) -> &str {
    time.get(5..19).unwrap_or(time)
}

fn table<'a>(view: &View<'a>, used: &[&Course]) -> Table<'a> {
    let (l, w) = (view.l, view.w);
    let row = |course: &&Course| {
        let start = course.parts.first().map_or(0, |part| part.last);
        let numbers = [start, course.least(), course.most(), course.last()];
        let numbers = numbers.map(|number| Cell::number(grouped(number)));
        [Cell::text(course.state.name())]
            .into_iter()
            .chain(numbers)
            .collect()
    };
    Table {
        caption: w.over_time,
        heads: [l.state, w.at_start, w.lowest, w.highest, w.now]
            .map(String::from)
            .into(),
        numbers: 1,
        rows: used.iter().map(row).collect(),
    }
}
