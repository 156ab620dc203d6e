//! The connections of each process, or of each container, by state.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;

use crate::model::state::State;
use crate::model::top::screen::{By, Order};
use crate::render::tui::middle;
use crate::render::tui::number::{bytes, short};
use crate::render::tui::table::{Cell, Column, Table, number, styled, text};
use crate::render::tui::view::{GroupRow, View};

/// Place of the bar.
const BAR: usize = 2;

/// The columns of states: their titles are the same in each language.
const STATES: [(&str, &[State], u16, u8); 3] = [
    ("ESTAB", &[State::ESTABLISHED], 7, 0),
    ("CLOSE_WAIT", &[State::CLOSE_WAIT], 10, 0),
    ("TIME_WAIT", &[State::TIME_WAIT], 9, 1),
];
const OPENING: &[State] = &[State::SYN_SENT, State::SYN_RECV];
const CLOSING: &[State] = &[
    State::FIN_WAIT1,
    State::FIN_WAIT2,
    State::CLOSING,
    State::LAST_ACK,
];

fn columns(view: &View, by: By) -> Vec<Column> {
    let (t, l) = (view.texts, view.labels);
    let (title, widths) = match by {
        By::Process => (l.process, [16, 30]),
        By::Container => (t.container, [30, 90]),
    };
    let mut columns = vec![
        text(title, widths, 0).order(Order::Name),
        number(t.total, 7, 0).order(Order::Count),
        text("", [6, 24], 4),
    ];
    let states = STATES.map(|(head, _, width, rank)| number(head, width, rank));
    columns.extend(states);
    columns.extend([
        number(t.opening, 7, 2),
        number(t.closing, 7, 3),
        number("LISTEN", 6, 5),
        number(l.sent, 7, 6).order(Order::Bytes),
        number(l.received, 7, 6).order(Order::Bytes),
        number(l.retrans_short, 7, 7).order(Order::Retrans),
    ]);
    columns
}

/// Draws the screen.
pub fn draw(buffer: &mut Buffer, area: Rect, view: &View, by: By, rows: &[GroupRow]) {
    let columns = columns(view, by);
    let mut table = Table::new(buffer, area, view.theme, &columns, view.order);
    let most = rows.iter().map(|row| row.group.total).max().unwrap_or(0);
    for (at, row) in rows.iter().enumerate() {
        let selected = view.lines.first + at == view.lines.selected;
        let bar = view.theme.bar(row.group.total, most, table.width(BAR));
        table.line(buffer, &cells(view, row, bar), selected);
    }
    if rows.is_empty() {
        middle(buffer, area, &[(view.nothing(), view.theme.dim())]);
    }
}

fn cells(view: &View, row: &GroupRow, bar: String) -> Vec<Cell> {
    let (theme, group) = (view.theme, &row.group);
    let number = |count: u64, state: State| match count {
        0 => styled("0", theme.dim()),
        count => styled(short(count), theme.state(state)),
    };
    let mut cells = vec![
        row.name.as_str().into(),
        styled(short(group.total), theme.title()),
        styled(bar, theme.chart()),
    ];
    let states = STATES.iter();
    cells.extend(states.map(|(_, states, ..)| number(group.count(states), states[0])));
    cells.extend([
        number(group.count(OPENING), State::SYN_SENT),
        number(group.count(CLOSING), State::FIN_WAIT1),
        number(group.count(&[State::LISTEN]), State::LISTEN),
        bytes(group.sent).into(),
        bytes(group.received).into(),
        match group.retrans {
            0 => styled("0", theme.dim()),
            some => styled(short(some), theme.warn()),
        },
    ]);
    cells
}
