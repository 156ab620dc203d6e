//! What text needs to know of its reader.

use anstyle::{AnsiColor, Style};

use crate::fmt::line::{Line, Put};
use crate::model::state::State;
use crate::render::i18n::Labels;
use crate::render::time::Clock;

/// The reader's language, clock and terminal.
#[derive(Debug, Clone)]
pub struct Look {
    /// The words.
    pub labels: &'static Labels,
    /// Wall-clock time.
    pub clock: Clock,
    /// Columns of the terminal; `None`: no terminal, so no decoration and nothing shortened.
    pub width: Option<usize>,
    /// Whether colour is wanted.
    pub color: bool,
}

impl Look {
    /// `text` in a style, when colour is wanted.
    pub fn paint(&self, style: Style, text: &str) -> String {
        match self.color {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    /// A heading.
    pub fn heading(&self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// Something in a style, when colour is wanted.
    pub fn put(&self, line: &mut Line, style: Style, what: impl Put) {
        if self.color {
            begin(line, style);
        }
        what.put(line);
        if self.color {
            end(line, style);
        }
    }
}

/// Begins what is in a style. Long reports have no colour: this is kept out of their way.
#[cold]
pub fn begin(line: &mut Line, style: Style) {
    format!("{style}").as_str().put(line);
}

/// Ends it.
#[cold]
pub fn end(line: &mut Line, style: Style) {
    format!("{style:#}").as_str().put(line);
}

/// The style of an alarm.
pub fn alarm_style(raised: bool) -> Style {
    match raised {
        true => Style::new().bold().fg_color(Some(AnsiColor::Red.into())),
        false => Style::new().fg_color(Some(AnsiColor::Green.into())),
    }
}

/// The style of a state: what is on its way in, what works, what is on its way out.
pub fn state_style(state: State) -> Style {
    let color = match state.known_as() {
        State::ESTABLISHED | State::LISTEN => AnsiColor::Green,
        State::SYN_SENT | State::SYN_RECV => AnsiColor::Yellow,
        State::CLOSE_WAIT | State::LAST_ACK => AnsiColor::Magenta,
        State::NEW | State::CLOSE | State::TIME_WAIT => return Style::new().dimmed(),
        _ => AnsiColor::Cyan,
    };
    Style::new().fg_color(Some(color.into()))
}
