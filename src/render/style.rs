//! Properties of the reader of text output.

use anstyle::{AnsiColor, Style as Ansi};

use crate::fmt::line::{Line, Put};
use crate::model::state::State;
use crate::render::i18n::labels::Labels;
use crate::render::time::Clock;

/// The reader's language, clock and terminal.
#[derive(Debug, Clone)]
pub struct Style {
    /// The labels.
    pub labels: &'static Labels,
    /// Conversion to wall-clock time.
    pub clock: Clock,
    /// Width of the terminal; `None`: not a terminal, so text is neither decorated nor shortened.
    pub width: Option<usize>,
    /// Whether colour is wanted.
    pub color: bool,
}

impl Style {
    /// `text` in a style, if colour is wanted.
    pub fn paint(&self, ansi: Ansi, text: &str) -> String {
        match self.color {
            true => format!("{ansi}{text}{ansi:#}"),
            false => text.to_owned(),
        }
    }

    /// A heading.
    pub fn heading(&self, text: &str) -> String {
        self.paint(Ansi::new().bold(), text)
    }

    /// Appends a value in a style, if colour is wanted.
    pub fn put(&self, line: &mut Line, ansi: Ansi, what: impl Put) {
        if self.color {
            begin(line, ansi);
        }
        what.put(line);
        if self.color {
            end(line, ansi);
        }
    }
}

/// Starts a style. Long reports have no colour, so this is kept out of the fast path.
#[cold]
pub fn begin(line: &mut Line, ansi: Ansi) {
    format!("{ansi}").as_str().put(line);
}

/// Ends a style.
#[cold]
pub fn end(line: &mut Line, ansi: Ansi) {
    format!("{ansi:#}").as_str().put(line);
}

/// The style of an alarm.
pub fn alarm_style(raised: bool) -> Ansi {
    match raised {
        true => Ansi::new().bold().fg_color(Some(AnsiColor::Red.into())),
        false => Ansi::new().fg_color(Some(AnsiColor::Green.into())),
    }
}

/// The style of a state: opening, established or closing.
pub fn state_style(state: State) -> Ansi {
    let color = match state.known_as() {
        State::ESTABLISHED | State::LISTEN => AnsiColor::Green,
        State::SYN_SENT | State::SYN_RECV => AnsiColor::Yellow,
        State::CLOSE_WAIT | State::LAST_ACK => AnsiColor::Magenta,
        State::NEW | State::CLOSE | State::TIME_WAIT => return Ansi::new().dimmed(),
        _ => AnsiColor::Cyan,
    };
    Ansi::new().fg_color(Some(color.into()))
}
