//! Listening sockets and how full their queues are.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;

use crate::fmt::line::text as line_text;
use crate::model::alarm::AlarmKind;
use crate::model::endpoint::End;
use crate::model::listener::{Listener, Queue};
use crate::model::top::screen::Order;
use crate::render::time::duration;
use crate::render::tui::number::{percent, short};
use crate::render::tui::table::{Cell, Column, Table, endpoint, number, styled, text};
use crate::render::tui::view::{ListenerRow, View};
use crate::render::tui::{middle, number::count};

/// Places of the bars.
const BARS: [usize; 2] = [2, 4];

fn columns(view: &View) -> Vec<Column> {
    let (t, l) = (view.texts, view.labels);
    vec![
        endpoint(l.listener).order(Order::Name),
        number(t.queue, 12, 0).order(Order::Queue),
        text("", [6, 20], 1),
        number(t.half_open, 11, 0),
        text("", [6, 20], 3),
        number(l.established_short, 7, 2).order(Order::Count),
        number(t.peak, 6, 5),
        number(l.overflows, 9, 4),
        number(l.drops, 7, 6),
        number(l.accept_wait, 9, 7),
        text(l.process, [12, 24], 2),
    ]
}

/// Draws the screen.
pub fn draw(buffer: &mut Buffer, area: Rect, view: &View, rows: &[ListenerRow]) {
    let columns = columns(view);
    let mut table = Table::new(buffer, area, view.theme, &columns, view.order);
    for (at, row) in rows.iter().enumerate() {
        let selected = view.lines.first + at == view.lines.selected;
        let cells = cells(view, row, &table);
        table.line(buffer, &cells, selected);
    }
    if rows.is_empty() {
        middle(buffer, area, &[(view.nothing(), view.theme.dim())]);
    }
}

fn cells(view: &View, row: &ListenerRow, table: &Table) -> Vec<Cell> {
    let listener = &row.listener;
    let accepting = [AlarmKind::ACCEPT_QUEUE];
    let opening = [AlarmKind::HALF_OPEN, AlarmKind::UNFINISHED];
    let known = |number: Option<u64>| number.map_or("-".into(), short);
    let wait = listener.accept_wait();
    vec![
        line_text(&End::local(&listener.who, row.dev.as_ref())).into(),
        queue(view, &listener.accept_queue, raised(listener, &accepting)),
        bar(view, &listener.accept_queue, table.width(BARS[0])),
        queue(view, &listener.half_open, raised(listener, &opening)),
        bar(view, &listener.half_open, table.width(BARS[1])),
        count(listener.established.into()).into(),
        short(listener.accept_queue.max.into()).into(),
        known(row.overflows).into(),
        short(listener.drops).into(),
        wait.map_or("-".into(), |[average, _]| duration(average))
            .into(),
        row.process.as_str().into(),
    ]
}

fn raised(listener: &Listener, kinds: &[AlarmKind]) -> bool {
    listener.raised().any(|kind| kinds.contains(&kind))
}

/// `!` marks a raised alarm.
fn queue(view: &View, queue: &Queue, raised: bool) -> Cell {
    let Queue { length, limit, .. } = queue;
    let fill = percent((*length).into(), (*limit).into());
    let mark = if raised { "!" } else { "" };
    let style = match (raised, length) {
        (true, _) => view.theme.bad(),
        (false, 0) => view.theme.dim(),
        (false, _) => view.theme.fill(fill),
    };
    styled(format!("{mark}{length}/{limit}"), style)
}

fn bar(view: &View, queue: &Queue, width: u16) -> Cell {
    let [length, limit] = [queue.length, queue.limit].map(u64::from);
    let style = view.theme.fill(percent(length, limit));
    // The accept queue holds one more than its limit.
    if length > limit {
        let full = view.texts.full;
        let bar = view.theme.bar(1, 1, width);
        let rest: String = bar
            .chars()
            .skip(crate::fmt::width::width(full) + 1)
            .collect();
        return styled(format!("{full} {rest}"), style);
    }
    styled(view.theme.bar(length, limit, width), style)
}
