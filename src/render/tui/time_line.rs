//! One connection: what is known of it, how long it stayed in each state, and its events.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Style;

use crate::fmt::width::{pad, width};
use crate::model::state::State;
use crate::render::time::duration;
use crate::render::tui::events;
use crate::render::tui::put;
use crate::render::tui::table::Table;
use crate::render::tui::theme::mark;
use crate::render::tui::view::{TimeLine, View};

/// Draws the time line.
pub fn draw(buffer: &mut Buffer, area: Rect, view: &View, line: &TimeLine) {
    let mut y = facts(buffer, area, view, line);
    y = stays(buffer, area, y, view, &line.stays);
    if line.cut && y < area.bottom() {
        let row = Rect {
            y,
            height: 1,
            ..area
        };
        put(
            buffer,
            row,
            area.x + 1,
            view.texts.earlier_lost,
            view.theme.warn(),
        );
        y += 1;
    }
    let rest = Rect {
        y,
        height: area.bottom().saturating_sub(y),
        ..area
    };
    if rest.height < 2 {
        return;
    }
    let columns = events::columns(view, false);
    let mut table = Table::new(buffer, rest, view.theme, &columns, None);
    for row in &line.rows {
        table.line(buffer, &events::cells(view, row, false), false);
    }
}

/// Draws labels and values in two columns; returns the next line.
fn facts(buffer: &mut Buffer, area: Rect, view: &View, line: &TimeLine) -> u16 {
    let half = area.width / 2;
    let labels = line
        .facts
        .iter()
        .map(|(label, _)| width(label))
        .max()
        .unwrap_or(0);
    let mut y = area.y;
    for pair in line.facts.chunks(2) {
        if y >= area.bottom() {
            break;
        }
        for (at, (label, value)) in pair.iter().enumerate() {
            let x = area.x + half * u16::try_from(at).unwrap_or(0);
            // A cell does not reach into the next one.
            let cell = Rect {
                x,
                y,
                width: if pair.len() == 1 { area.width } else { half },
                height: 1,
            };
            let next = put(buffer, cell, x + 1, &pad(label, labels), view.theme.dim());
            put(buffer, cell, next + 1, value, Style::new());
        }
        y += 1;
    }
    y
}

/// Draws a bar whose parts are the times in each state, and what they are; returns the next line.
fn stays(buffer: &mut Buffer, area: Rect, y: u16, view: &View, stays: &[(State, u64)]) -> u16 {
    if stays.is_empty() || y + 2 >= area.bottom() {
        return y;
    }
    let room = area.width.saturating_sub(2);
    let row = Rect {
        y,
        height: 1,
        ..area
    };
    let mut x = area.x + 1;
    for ((state, _), part) in stays.iter().zip(parts(stays, room)) {
        let text = mark(*state).to_string().repeat(part.into());
        let style = view.theme.state(*state).patch(view.theme.selected());
        x = put(buffer, row, x, &text, style);
    }
    let below = Rect { y: y + 1, ..row };
    let mut x = area.x + 1;
    for (state, ns) in stays {
        let text = format!("{} {} {}", mark(*state), state.shown(), duration(*ns));
        x = put(buffer, below, x, &text, view.theme.state(*state)) + 3;
    }
    y + 2
}

/// The columns of each state: at least one, and together all of them, as far as they fit.
fn parts(stays: &[(State, u64)], room: u16) -> Vec<u16> {
    let all: u128 = stays.iter().map(|(_, ns)| u128::from(*ns)).sum();
    let spare = usize::from(room).saturating_sub(stays.len());
    let (mut done, mut used) = (0, 0);
    let part = |(_, ns): &(State, u64)| {
        done += u128::from(*ns);
        let until = (done * spare as u128).checked_div(all).unwrap_or(0) as usize;
        let columns = until.saturating_sub(used);
        used = until;
        u16::try_from(columns + 1).unwrap_or(u16::MAX)
    };
    stays.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_the_bar() {
        let stays = [
            (State::SYN_SENT, 1),
            (State::ESTABLISHED, 98),
            (State::TIME_WAIT, 1),
        ];
        let parts_of = |room| parts(&stays, room);
        assert_eq!(parts_of(103), [2, 99, 2]);
        assert_eq!(parts_of(20).iter().sum::<u16>(), 20);
        assert_eq!(parts_of(3), [1, 1, 1]);
        assert_eq!(parts_of(0), [1, 1, 1]);
        assert_eq!(parts(&[(State::CLOSE, 0)], 9), [1]);
        let huge = [(State::CLOSE, u64::MAX); 3];
        assert_eq!(parts(&huge, 60), [20, 20, 20]);
    }
}
