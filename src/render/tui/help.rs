//! The keys, and the marks of states.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Style;

use crate::model::state::State;
use crate::render::findings::wrap;
use crate::render::tui::put;
use crate::render::tui::theme::mark;
use crate::render::tui::view::View;

/// Column of the texts.
const INDENT: u16 = 28;

/// Draws the screen.
pub fn draw(buffer: &mut Buffer, area: Rect, view: &View) {
    let (t, theme) = (view.texts, view.theme);
    let keys = [
        ("1-6 Tab Shift-Tab", t.help_screens),
        ("Up Down j k PgUp PgDn g G", t.help_move),
        ("Enter", t.help_open),
        ("s r", t.help_sort),
        ("/", t.help_filter),
        ("c", t.help_by),
        ("Space p", t.help_pause),
        ("Left Right [ ] Home End", t.help_time),
        ("Ctrl-L", t.help_redraw),
        ("Esc", t.help_back),
        ("q Ctrl-C", t.help_quit),
    ];
    let marks = [
        (State::SYN_SENT, t.mark_opening),
        (State::ESTABLISHED, t.mark_open),
        (State::LISTEN, t.mark_listen),
        (State::FIN_WAIT1, t.mark_closing),
        (State::CLOSE_WAIT, t.mark_waits),
        (State::TIME_WAIT, t.mark_over),
    ];
    let skip = view.lines.first;
    let mut lines = Lines {
        area,
        y: area.y,
        skip,
    };
    lines.add(buffer, &[(0, t.help_title, theme.title())]);
    let room = usize::from(area.width.saturating_sub(INDENT + 1)).max(1);
    for (key, what) in keys {
        let mut key = (1, key, theme.key());
        for what in wrap(what, room) {
            lines.add(buffer, &[key, (INDENT, what.as_str(), Style::new())]);
            key.1 = "";
        }
    }
    lines.add(buffer, &[(0, t.help_marks, theme.title())]);
    for pair in marks.chunks(2) {
        let mut cells = Vec::new();
        let texts: Vec<_> = pair
            .iter()
            .map(|(state, _)| mark(*state).to_string())
            .collect();
        for (at, ((state, what), mark)) in pair.iter().zip(&texts).enumerate() {
            let x = 1 + INDENT * u16::try_from(at).unwrap_or(0);
            cells.push((x, mark.as_str(), theme.state(*state)));
            cells.push((x + 2, *what, theme.state(*state)));
        }
        lines.add(buffer, &cells);
    }
}

struct Lines {
    area: Rect,
    y: u16,
    /// Lines that are scrolled away.
    skip: usize,
}

impl Lines {
    /// Draws a line of texts, each at its column.
    fn add(&mut self, buffer: &mut Buffer, cells: &[(u16, &str, Style)]) {
        if self.skip > 0 || self.y >= self.area.bottom() {
            self.skip = self.skip.saturating_sub(1);
            return;
        }
        let row = Rect {
            y: self.y,
            height: 1,
            ..self.area
        };
        for (x, text, style) in cells {
            put(buffer, row, row.x + x, text, *style);
        }
        self.y += 1;
    }
}
