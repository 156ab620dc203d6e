//! Connections in each state, how many enter and leave it, and how long they stay.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;

use crate::model::top::screen::Order;
use crate::render::time::duration;
use crate::render::tui::number::{count, rate};
use crate::render::tui::table::{Cell, Column, Table, number, styled, text};
use crate::render::tui::theme::mark;
use crate::render::tui::view::{Below, StateView, View};
use crate::render::tui::{events, put};

/// Places of the columns whose contents depend on their width.
const SHARE: usize = 2;
const TREND: usize = 9;
/// Most lines of the chart.
const CHART: u16 = 12;

fn columns(view: &View) -> Vec<Column> {
    let (t, l) = (view.texts, view.labels);
    vec![
        text(l.state, [13, 13], 0).order(Order::Name),
        number(t.count, 10, 0).order(Order::Count),
        text(t.share, [8, 24], 4),
        number(t.entered, 7, 1).order(Order::Rate),
        number(t.left, 7, 2),
        number(t.median, 9, 0),
        number(t.p99, 9, 0),
        number(t.median_lately, 9, 3),
        number(t.p99_lately, 9, 3),
        text(t.trend, [10, 40], 5),
    ]
}

/// Draws the screen.
pub fn draw(buffer: &mut Buffer, area: Rect, view: &View, rows: &[StateView], below: &Below) {
    let columns = columns(view);
    let mut table = Table::new(buffer, area, view.theme, &columns, view.order);
    let most = rows.iter().map(|state| state.row.count).max().unwrap_or(0);
    for (at, state) in rows.iter().enumerate() {
        let selected = view.lines.first + at == view.lines.selected;
        let cells = cells(view, state, most, &table);
        table.line(buffer, &cells, selected);
    }
    let left = table.left();
    let rest = Rect {
        y: area.bottom() - left,
        height: left,
        ..area
    };
    match below {
        Below::Chart => chart(buffer, rest, view),
        Below::Events(rows, all) => events::below(buffer, rest, view, rows, *all),
    }
}

fn cells(view: &View, state: &StateView, most: u64, table: &Table) -> Vec<Cell> {
    let (theme, row) = (view.theme, &state.row);
    let style = theme.state(row.state);
    let idle = row.count == 0;
    let name = format!("{} {}", mark(row.state), row.state.shown());
    let times = |times: Option<[u64; 2]>| match times {
        Some(times) => times.map(duration),
        None => ["-", "-"].map(String::from),
    };
    let ([median, p99], [median_lately, p99_lately]) = (times(row.times), times(row.recent));
    let bar = theme.bar(row.count, most, table.width(SHARE));
    let trend = theme.spark(&state.trend, table.width(TREND));
    vec![
        styled(name, if idle { theme.dim() } else { style }),
        styled(
            count(row.count),
            if idle { theme.dim() } else { theme.title() },
        ),
        styled(bar, style),
        rate(row.entered).into(),
        rate(row.left).into(),
        median.into(),
        p99.into(),
        median_lately.into(),
        p99_lately.into(),
        styled(trend, theme.chart()),
    ]
}

/// Draws the transitions per second of the last looks.
fn chart(buffer: &mut Buffer, area: Rect, view: &View) {
    if area.height < 4 {
        return;
    }
    let (theme, t) = (view.theme, view.texts);
    let values = &view.head.trend;
    let most = values.iter().copied().max().unwrap_or(0);
    let title = Rect {
        y: area.y + 1,
        height: 1,
        ..area
    };
    let most = rate(Some(crate::model::top::rates::Rate(most)));
    let x = put(buffer, title, title.x, t.changes, theme.head());
    put(
        buffer,
        title,
        x,
        &format!("  {} {most}", t.peak),
        theme.dim(),
    );
    let height = (area.height - 2).min(CHART);
    let rows = theme.columns(values, area.width, height);
    for (at, row) in rows.iter().enumerate() {
        let y = area.y + 2 + u16::try_from(at).unwrap_or(0);
        let line = Rect {
            y,
            height: 1,
            ..area
        };
        put(buffer, line, area.x, row, theme.chart());
    }
}
