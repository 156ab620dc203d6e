//! Why connections ended, how long they lived, and how long they waited for `accept()`.

use std::cmp::Reverse;
use std::io;

use crate::diagnose::tally::sum;
use crate::model::histogram::octaves;
use crate::model::lives::{Durations, Ended, reason_name};
use crate::model::reason::Reason;
use crate::render::html::markup::Markup;
use crate::render::html::svg::{Caption, bars};
use crate::render::html::table::{Cell, Table};
use crate::render::html::{View, grouped};
use crate::render::time::duration;

/// Writes the section.
pub fn write(m: &mut Markup, view: &View) -> io::Result<()> {
    let lives = &view.page.summary.lives;
    m.leaf("p", &[("class", &"note")], view.w.ends_note)?;
    let table = reasons(view, &lives.ended);
    match table.rows.is_empty() {
        true => m.leaf("p", &[], view.w.none)?,
        false => table.write(m)?,
    }
    let of_roles = lives
        .ended
        .iter()
        .map(|ended| (ended.role_name(), &ended.life));
    let waits = (view.l.accept_wait_all, &lives.accept_wait);
    let known: Vec<_> = of_roles
        .chain([waits])
        .filter(|(_, d)| d.times.is_some())
        .collect();
    if known.is_empty() {
        return Ok(());
    }
    let is_lost = |d: &Durations| d.hist.iter().all(|count| *count == 0);
    if known.iter().all(|(_, d)| is_lost(d)) {
        m.leaf("p", &[("class", &"note")], view.w.no_histogram)?;
    }
    m.element("div", &[("class", &"small")], |m| {
        (0..)
            .zip(known.iter().copied().filter(|(_, d)| !is_lost(d)))
            .try_for_each(|(number, named)| figure(m, view, number, named))
    })?;
    times(view, &known).write(m)?;
    counts(m, view, &known)
}

/// Reasons as rows, sides as columns.
fn reasons<'a>(view: &View<'a>, ended: &[Ended]) -> Table<'a> {
    let (l, w) = (view.l, view.w);
    let sides: Vec<_> = ended.iter().filter(|e| !e.ends.is_empty()).collect();
    let count = |side: &Ended, reason: Reason| {
        let found = side.ends.iter().find(|(known, _)| *known == reason);
        found.map_or(0, |(_, count)| *count)
    };
    let mut all: Vec<Reason> = Vec::new();
    for (reason, _) in sides.iter().flat_map(|side| &side.ends) {
        if !all.contains(reason) {
            all.push(*reason);
        }
    }
    let total = |reason: &Reason| sum(sides.iter().map(|side| count(side, *reason)));
    all.sort_by_key(|reason| Reverse(total(reason)));
    let most = all.iter().map(total).max().unwrap_or(0);
    let row = |reason: &Reason| {
        let of_sides = sides.iter().map(|side| count(side, *reason));
        let of_sides = of_sides.map(|n| Cell::bar(grouped(n), n, most));
        let total = Cell::bar(grouped(total(reason)), total(reason), most);
        [Cell::text(reason_name(*reason))]
            .into_iter()
            .chain(of_sides)
            .chain([total])
            .collect()
    };
    let names = sides.iter().map(|side| side.role_name());
    let heads = [l.reason].into_iter().chain(names).chain([l.total]);
    Table {
        caption: w.ended,
        heads: heads.map(String::from).collect(),
        numbers: 1,
        rows: all.iter().map(row).collect(),
    }
}

/// A name and durations.
type Named<'a> = (&'a str, &'a Durations);

fn figure(m: &mut Markup, view: &View, number: u32, (name, of): Named) -> io::Result<()> {
    let Some([median, p99, longest]) = of.times else {
        return Ok(());
    };
    let l = view.l;
    let numbers = format!(
        "{} {}, {} {}, {} {}, {} {}",
        l.count,
        grouped(of.count),
        l.median,
        duration(median),
        l.p99,
        duration(p99),
        l.longest,
        duration(longest)
    );
    m.element("figure", &[], |m| {
        m.element("figcaption", &[], |m| {
            m.leaf("b", &[], name)?;
            m.text(" ")?;
            m.leaf("span", &[], &numbers)
        })?;
        let caption = Caption {
            id: &format!("duration-{number}"),
            title: &format!("{}: {name}", view.w.how_long),
            description: &format!("{} {numbers}", view.w.durations_are),
        };
        let marks = [(l.median, median), (l.p99, p99)];
        bars::write(m, &caption, &octaves(&of.hist), &marks)
    })
}

fn times<'a>(view: &View<'a>, known: &[Named]) -> Table<'a> {
    let (l, w) = (view.l, view.w);
    let row = |(name, of): &Named| {
        let times = of.times.unwrap_or_default().map(duration).map(Cell::number);
        [Cell::text(*name), Cell::number(grouped(of.count))]
            .into_iter()
            .chain(times)
            .collect()
    };
    Table {
        caption: w.how_long,
        heads: [l.lived, l.count, l.median, l.p99, l.longest]
            .map(String::from)
            .into(),
        numbers: 1,
        rows: known.iter().map(row).collect(),
    }
}

/// The bars of all histograms as tables.
fn counts(m: &mut Markup, view: &View, known: &[Named]) -> io::Result<()> {
    let tables = known.iter().map(|(name, of)| Table {
        caption: name,
        heads: vec![view.w.duration.into(), view.l.count.into()],
        numbers: 1,
        rows: octaves(&of.hist)
            .iter()
            .map(|o| vec![Cell::text(bars::range(o)), Cell::number(grouped(o.count))])
            .collect(),
    });
    let tables: Vec<_> = tables.filter(|table| !table.rows.is_empty()).collect();
    if tables.is_empty() {
        return Ok(());
    }
    m.element("details", &[], |m| {
        m.leaf("summary", &[], view.w.as_table)?;
        m.element("div", &[("class", &"small")], |m| {
            tables.iter().try_for_each(|table| table.write(m))
        })
    })
}
