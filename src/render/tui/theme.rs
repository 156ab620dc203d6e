//! Colours and symbols. Only the sixteen colours of the terminal are used, and never a colour
//! alone: a mark or a word says the same.

use ratatui_core::style::{Color, Modifier, Style};

use crate::diagnose::finding::Severity;
use crate::model::state::State;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Colours are wanted.
    pub color: bool,
    /// The locale has block characters.
    pub unicode: bool,
}

/// Parts of a cell, from one eighth to all of it: horizontal, and vertical.
const ACROSS: [&str; 9] = [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];
const UP: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// The same without block characters.
const ASCII_ACROSS: [&str; 9] = [" ", " ", " ", " ", "-", "-", "-", "=", "#"];
const ASCII_UP: [&str; 9] = [" ", ".", ".", ":", ":", "-", "=", "+", "#"];

impl Theme {
    fn colored(self, color: Color) -> Style {
        match self.color {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }

    /// The title line.
    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Headings of columns.
    pub fn head(self) -> Style {
        let head = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
        head.patch(self.colored(Color::Cyan))
    }

    /// What is selected.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What is less important.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// A key of the keyboard.
    pub fn key(self) -> Style {
        self.colored(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// What is as it should be.
    pub fn good(self) -> Style {
        self.colored(Color::Green).add_modifier(Modifier::BOLD)
    }

    /// What needs attention.
    pub fn warn(self) -> Style {
        self.colored(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// What is wrong.
    pub fn bad(self) -> Style {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Bars and charts.
    pub fn chart(self) -> Style {
        self.colored(Color::Blue)
    }

    /// A severity.
    pub fn severity(self, severity: Severity) -> Style {
        match severity {
            Severity::Critical => self.bad(),
            Severity::Warning => self.warn(),
            Severity::Info => self.key(),
        }
    }

    /// A state.
    pub fn state(self, state: State) -> Style {
        match state.known_as() {
            State::ESTABLISHED | State::LISTEN => self.colored(Color::Green),
            State::SYN_SENT | State::SYN_RECV => self.colored(Color::Yellow),
            State::CLOSE_WAIT => self.colored(Color::Magenta).add_modifier(Modifier::BOLD),
            State::LAST_ACK => self.colored(Color::Magenta),
            State::NEW | State::CLOSE | State::TIME_WAIT => self.dim(),
            _ => self.colored(Color::Cyan),
        }
    }

    /// How full a queue is, in percent.
    pub fn fill(self, percent: u64) -> Style {
        match percent {
            0..50 => self.colored(Color::Green),
            50..90 => self.warn(),
            _ => self.bad(),
        }
    }

    /// A bar of `width` columns, `part` of `whole` filled; anything above 0 is visible.
    pub fn bar(self, part: u64, whole: u64, width: u16) -> String {
        let cells = if self.unicode { ACROSS } else { ASCII_ACROSS };
        let all = u128::from(width) * 8;
        let eighths = (u128::from(part.min(whole)) * all).checked_div(whole.into());
        let mut eighths = eighths.unwrap_or(0) as usize;
        if part > 0 && eighths == 0 {
            eighths = 1;
        }
        let mut bar = String::new();
        for _ in 0..width {
            let here = eighths.min(8);
            let first = bar.is_empty() && here > 0 && cells[here] == " ";
            bar.push_str(if first { "-" } else { cells[here] });
            eighths -= here;
        }
        bar
    }

    /// Columns of a chart of `height` rows, the first row on top, with the latest of the values on
    /// the right; the largest is as high as the chart.
    pub fn columns(self, values: &[u64], width: u16, height: u16) -> Vec<String> {
        let cells = if self.unicode { UP } else { ASCII_UP };
        let shown = &values[values.len().saturating_sub(width.into())..];
        let most = u128::from(shown.iter().copied().max().unwrap_or(0).max(1));
        let blank = usize::from(width) - shown.len();
        let all = u128::from(height) * 8;
        let row = |row: u16| {
            let below = usize::from(height - 1 - row) * 8;
            let cell = |value: &u64| {
                let eighths = (u128::from(*value) * all).div_ceil(most) as usize;
                cells[eighths.saturating_sub(below).min(8)]
            };
            " ".repeat(blank) + &shown.iter().map(cell).collect::<String>()
        };
        (0..height).map(row).collect()
    }

    /// One row of such a chart.
    pub fn spark(self, values: &[u64], width: u16) -> String {
        self.columns(values, width, 1).pop().unwrap_or_default()
    }

    /// The mark of the column that lines are sorted by.
    pub fn arrow(self, reversed: bool) -> char {
        match (self.unicode, reversed) {
            (true, false) => '▼',
            (true, true) => '▲',
            (false, false) => '*',
            (false, true) => '^',
        }
    }

    /// The line of a slider, and its handle.
    pub fn slider(self) -> (&'static str, &'static str) {
        match self.unicode {
            true => ("─", "█"),
            false => ("-", "#"),
        }
    }
}

/// The mark of a state.
pub fn mark(state: State) -> char {
    match state.known_as() {
        State::SYN_SENT | State::SYN_RECV => '>',
        State::ESTABLISHED => '=',
        State::LISTEN => '*',
        State::CLOSE_WAIT => '!',
        State::NEW | State::CLOSE | State::TIME_WAIT => '.',
        _ => '<',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::width::width;

    const ALL: [Theme; 2] = [
        Theme {
            color: true,
            unicode: true,
        },
        Theme {
            color: false,
            unicode: false,
        },
    ];

    #[test]
    fn bars_have_their_width() {
        for theme in ALL {
            for (part, whole) in [(0, 10), (1, 1_000), (5, 10), (10, 10), (99, 10), (3, 0)] {
                let bar = theme.bar(part, whole, 12);
                assert_eq!(width(&bar), 12, "{bar}");
                assert_eq!(bar.trim().is_empty(), part == 0, "{part}/{whole}: {bar}");
            }
            assert_eq!(theme.bar(u64::MAX, u64::MAX, 3).trim().len() % 3, 0);
        }
    }

    #[test]
    fn charts_show_the_latest_values() {
        for theme in ALL {
            let rows = theme.columns(&[1, 8, 4, 0], 3, 2);
            assert_eq!(rows.iter().map(|r| width(r)).collect::<Vec<_>>(), [3, 3]);
            assert!(rows[0].starts_with(['█', '#']) && rows[0].ends_with("  "));
            assert!(rows[1].ends_with(' '));
            assert_eq!(theme.spark(&[], 4), "    ");
            assert_eq!(width(&theme.spark(&[u64::MAX, 0], 4)), 4);
        }
    }

    #[test]
    fn without_colour_there_is_none() {
        let plain = ALL[1];
        for state in State::all() {
            assert_eq!(plain.state(state).fg, None);
            assert!(ALL[0].state(state) != Style::new());
        }
        let styles = [plain.bad(), plain.warn(), plain.good(), plain.head()];
        assert!(
            styles
                .iter()
                .all(|style| style.fg.is_none() && style.bg.is_none())
        );
    }
}
