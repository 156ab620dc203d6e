//! The listeners with their queues.

use std::io;

use crate::fmt::line;
use crate::model::alarm::AlarmKind;
use crate::model::endpoint::End;
use crate::model::listener::Queue;
use crate::render::html::markup::Markup;
use crate::render::html::table::{Cell, Table};
use crate::render::html::{Listed, View, grouped};
use crate::render::listeners::overflows;
use crate::render::process::Live;
use crate::render::time::duration;

/// Writes the section.
pub fn write(m: &mut Markup, view: &View) -> io::Result<()> {
    let (l, w, page) = (view.l, view.w, view.page);
    if page.listeners.is_empty() {
        return m.leaf("p", &[], w.none);
    }
    m.leaf("p", &[("class", &"note")], w.listeners_note)?;
    let mut rows: Vec<_> = page.listeners.iter().map(row).collect();
    view.add_more(&mut rows, page.more_listeners);
    let wait = format!("{}, {}", l.accept_wait, w.average_longest);
    let heads = [
        l.listener,
        l.process,
        l.accept_queue,
        l.half_open,
        l.established,
        l.closing,
        l.timewait,
        l.unfinished,
        l.overflows,
        l.drops,
        &wait,
    ];
    let table = Table {
        caption: l.listeners,
        heads: heads.map(String::from).into(),
        numbers: 2,
        rows,
    };
    table.write(m)
}

fn row(listed: &Listed) -> Vec<Cell> {
    let listener = &listed.listener;
    let end = line::text(&End::local(&listener.who, listed.dev.as_ref()));
    let process = line::text(&Live(listener.who.owner, &listed.holders));
    let number = |number: u64| Cell::number(grouped(number));
    let overflows = overflows(&listed.handshakes);
    let wait = listener.accept_wait().map(|times| times.map(duration));
    let half_open = [AlarmKind::HALF_OPEN, AlarmKind::UNFINISHED];
    vec![
        Cell::text(end),
        Cell::text(process),
        // The accept queue holds one more than its limit.
        queue(
            listed,
            &listener.accept_queue,
            &[AlarmKind::ACCEPT_QUEUE],
            1,
        ),
        queue(listed, &listener.half_open, &half_open, 0),
        number(listener.established.into()),
        number(listener.closing.into()),
        number(listener.timewait.into()),
        number(listener.unfinished.into()),
        Cell::number(overflows.map_or("-".into(), grouped)),
        number(listener.drops),
        Cell::number(wait.map_or("-".into(), |[average, longest]| {
            format!("{average} / {longest}")
        })),
    ]
}

/// A queue; it is marked if it is full, with `extra` more than its limit, or one of the alarms is
/// raised.
fn queue(listed: &Listed, queue: &Queue, alarms: &[AlarmKind], extra: u32) -> Cell {
    let Queue { length, max, limit } = queue;
    let [length, max, limit_text] = [length, max, limit].map(|n| grouped(u64::from(*n)));
    let is_full = *limit > 0 && queue.length >= limit.saturating_add(extra);
    let is_raised = listed.listener.raised().any(|kind| alarms.contains(&kind));
    let cell = Cell::number(format!("{length} / {max} / {limit_text}"));
    match is_full || is_raised {
        true => cell.class("critical"),
        false => cell,
    }
}
