//! The totals, which add up, the handshakes, and what was lost.

use std::io;

use crate::render::html::markup::Markup;
use crate::render::html::table::{Cell, Table};
use crate::render::html::{View, grouped};
use crate::render::summary::{Count, counts};

/// Writes the section.
pub fn write(m: &mut Markup, view: &View) -> io::Result<()> {
    m.leaf("p", &[("class", &"note")], view.w.totals_note)?;
    m.element("dl", &[("class", &"sums")], |m| {
        counts(view.l, &view.page.summary)
            .iter()
            .try_for_each(|(title, counts)| {
                m.leaf("dt", &[], title)?;
                m.element("dd", &[], |m| {
                    counts.iter().try_for_each(|count| one(m, count))
                })
            })
    })?;
    let table = handshakes(view);
    match table.rows.is_empty() {
        true => Ok(()),
        false => table.write(m),
    }
}

/// `+ alarms 3`; numbers that are not added have no sign.
fn one(m: &mut Markup, (sign, label, count): &Count) -> io::Result<()> {
    let sign = sign.trim_matches([' ', ',']);
    let class = if *count == 0 { "none" } else { "some" };
    m.element("span", &[("class", &class)], |m| {
        if !sign.is_empty() {
            m.leaf("i", &[], sign)?;
            m.text(" ")?;
        }
        m.text(format!("{label} "))?;
        m.leaf("b", &[], grouped(*count))
    })
}

/// The counters that are not 0.
fn handshakes<'a>(view: &View<'a>) -> Table<'a> {
    let l = view.l;
    let counters = view.page.summary.handshakes.iter();
    let counters = counters.filter_map(|c| Some((c.name, c.count.filter(|n| *n > 0)?)));
    let counters: Vec<_> = counters.collect();
    let most = counters.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let row = |(name, count): &(&'static str, u64)| {
        vec![
            Cell::text(l.handshake(name)),
            Cell::bar(grouped(*count), *count, most),
        ]
    };
    Table {
        caption: l.handshakes,
        heads: [l.handshakes, l.count].map(String::from).into(),
        numbers: 1,
        rows: counters.iter().map(row).collect(),
    }
}
