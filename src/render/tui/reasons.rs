//! Why connections ended.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Style;

use crate::model::lives::reason_name;
use crate::model::reason::Reason;
use crate::model::top::screen::Order;
use crate::render::tui::middle;
use crate::render::tui::number::{count, rate};
use crate::render::tui::table::{Cell, Column, Table, number, styled, text};
use crate::render::tui::view::{ReasonView, View};

/// Places of the columns whose contents depend on their width.
const SHARE: usize = 5;
const TREND: usize = 6;

fn columns(view: &View) -> Vec<Column> {
    let (t, l) = (view.texts, view.labels);
    vec![
        text(l.reason, [20, 22], 0).order(Order::Name),
        number(t.per_second, 10, 0).order(Order::Rate),
        number(t.total, 11, 0).order(Order::Count),
        number(t.client, 11, 1),
        number(t.server, 11, 1),
        text(t.share, [8, 24], 2),
        text(t.trend, [10, 60], 3),
    ]
}

/// Draws the screen.
pub fn draw(buffer: &mut Buffer, area: Rect, view: &View, rows: &[ReasonView]) {
    let columns = columns(view);
    let mut table = Table::new(buffer, area, view.theme, &columns, view.order);
    let most = rows
        .iter()
        .map(|reason| reason.row.total)
        .max()
        .unwrap_or(0);
    for (at, reason) in rows.iter().enumerate() {
        let selected = view.lines.first + at == view.lines.selected;
        let cells = cells(view, reason, most, &table);
        table.line(buffer, &cells, selected);
    }
    if rows.is_empty() {
        middle(buffer, area, &[(view.texts.no_ends, view.theme.dim())]);
    }
}

fn cells(view: &View, reason: &ReasonView, most: u64, table: &Table) -> Vec<Cell> {
    let (theme, row) = (view.theme, &reason.row);
    let [client, server] = row.sides;
    let bar = theme.bar(row.total, most, table.width(SHARE));
    let trend = theme.spark(&reason.trend, table.width(TREND));
    let (mark, style) = style(view, row.reason);
    vec![
        styled(format!("{mark} {}", reason_name(row.reason)), style),
        styled(rate(row.rate), theme.title()),
        count(row.total).into(),
        count(client).into(),
        count(server).into(),
        styled(bar, style),
        styled(trend, theme.chart()),
    ]
}

/// The mark and the style of a reason: an orderly end, or a failure.
fn style(view: &View, reason: Reason) -> (char, Style) {
    let theme = view.theme;
    match reason.0 {
        0 => ('?', theme.dim()),
        1..=3 => ('=', theme.good()),
        4 | 5 | 12 => ('x', theme.warn()),
        6..=11 | 13..=17 | 23..=25 => ('!', theme.bad()),
        _ => ('.', Style::new()),
    }
}
