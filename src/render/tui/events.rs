//! Lists of events: those of a moment, and those of one connection.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;

use crate::fmt::line::text as line_text;
use crate::render::tui::number::count;
use crate::render::tui::put;
use crate::render::tui::table::{Cell, Column, Table, number, styled, text};
use crate::render::tui::theme::mark;
use crate::render::tui::view::{EventRow, View};

/// Columns of an event; without its ends where all events are of one connection.
pub fn columns(view: &View, ends: bool) -> Vec<Column> {
    let (t, l) = (view.texts, view.labels);
    let mut columns = vec![
        text(t.time, [12, 12], 0),
        text(t.change, [27, 27], 0),
        number(t.in_old, 9, 1),
        text(t.reason, [14, 40], 2),
    ];
    if ends {
        columns.insert(1, text(l.connection, [20, 70], 3));
    }
    columns
}

/// The cells of an event.
pub fn cells(view: &View, row: &EventRow, ends: bool) -> Vec<Cell> {
    let theme = view.theme;
    let change = match row.change {
        Some((old, new)) => styled(
            format!("{} {} > {}", mark(new), old.shown(), new.shown()),
            theme.state(new),
        ),
        None => styled(format!("! {}", view.labels.alarm), theme.bad()),
    };
    let mut cells = vec![
        row.time.as_str().into(),
        change,
        line_text(&row.in_old).into(),
        row.reason.as_str().into(),
    ];
    if ends {
        cells.insert(1, row.ends.as_str().into());
    }
    cells
}

/// Draws the latest events of a moment.
pub fn below(buffer: &mut Buffer, area: Rect, view: &View, rows: &[EventRow], all: usize) {
    if area.height < 3 {
        return;
    }
    let (t, theme) = (view.texts, view.theme);
    let title = Rect { height: 1, ..area };
    let x = put(buffer, title, area.x, t.events_here, theme.title());
    let how_many = match all {
        0 => t.none_here.to_owned(),
        all => count(all as u64),
    };
    put(buffer, title, x, &format!(": {how_many}"), theme.title());
    if all == 0 {
        return;
    }
    let rest = Rect {
        y: area.y + 1,
        height: area.height - 1,
        ..area
    };
    let columns = columns(view, true);
    let mut table = Table::new(buffer, rest, theme, &columns, None);
    // The latest are nearest to the moment.
    let fit = usize::from(table.left());
    for row in &rows[rows.len().saturating_sub(fit)..] {
        table.line(buffer, &cells(view, row, true), false);
    }
}
