//! Live connections.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;

use crate::fmt::line::text as line_text;
use crate::model::endpoint::End;
use crate::model::meters::Meters;
use crate::model::top::screen::Order;
use crate::render::time::duration;
use crate::render::tui::middle;
use crate::render::tui::number::{bytes, short};
use crate::render::tui::table::{Cell, Column, Table, endpoint, number, styled, text};
use crate::render::tui::theme::mark;
use crate::render::tui::view::{ConnRow, View};

fn columns(view: &View) -> Vec<Column> {
    let (t, l) = (view.texts, view.labels);
    vec![
        endpoint(l.local),
        endpoint(l.remote),
        text(l.state, [13, 13], 0),
        number(l.in_state, 9, 1).order(Order::Age),
        number(t.speed, 7, 3).order(Order::Rate),
        number(l.sent, 7, 4).order(Order::Bytes),
        number(l.received, 7, 4).order(Order::Bytes),
        number(l.retrans_short, 7, 5).order(Order::Retrans),
        number(t.rtt, 8, 6),
        text(l.process, [12, 28], 2),
        text(l.container, [12, 12], 7),
    ]
}

/// Draws the screen.
pub fn draw(buffer: &mut Buffer, area: Rect, view: &View, rows: &[ConnRow]) {
    let columns = columns(view);
    let mut table = Table::new(buffer, area, view.theme, &columns, view.order);
    for (at, row) in rows.iter().enumerate() {
        let selected = view.lines.first + at == view.lines.selected;
        table.line(buffer, &cells(view, row), selected);
    }
    if rows.is_empty() {
        middle(buffer, area, &[(view.nothing(), view.theme.dim())]);
    }
}

fn cells(view: &View, row: &ConnRow) -> Vec<Cell> {
    let (theme, conn) = (view.theme, &row.conn);
    let dev = row.dev.as_ref();
    let meter = |of: &dyn Fn(&Meters) -> String| match &conn.meters {
        Some(meters) => of(meters),
        None => "-".into(),
    };
    let retrans = conn.meters.map_or(0, |meters| meters.retrans);
    let rtt = |meters: &Meters| match meters.srtt_us {
        0 => "-".into(),
        us => duration(u64::from(us) * 1_000),
    };
    let state = format!("{} {}", mark(conn.state), conn.state.shown());
    vec![
        line_text(&End::local(&conn.who, dev)).into(),
        line_text(&End::remote(&conn.who, dev)).into(),
        styled(state, theme.state(conn.state)),
        line_text(&row.age).into(),
        row.speed
            .map_or("-".into(), |speed| bytes(speed.whole()))
            .into(),
        meter(&|m| bytes(m.bytes_sent)).into(),
        meter(&|m| bytes(m.bytes_received)).into(),
        match retrans {
            0 => meter(&|_| "0".into()).into(),
            some => styled(short(some.into()), theme.warn()),
        },
        meter(&rtt).into(),
        row.process.as_str().into(),
        row.container.as_str().into(),
    ]
}
