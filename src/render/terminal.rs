//! Output settings from stdout and the environment.

use std::env;
use std::io::{IsTerminal, stdout};

use crate::render::Style;
use crate::render::i18n::Lang;
use crate::render::time::Clock;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Options of the user that apply to the whole command line.
#[derive(Debug, Clone, Copy, Default)]
pub struct StyleOptions {
    /// The language.
    pub lang: Lang,
    /// When to use colour.
    pub color: Color,
}

impl StyleOptions {
    /// The style of text on stdout of this process.
    pub fn style(&self, clock: Clock) -> Style {
        let terminal = stdout().is_terminal();
        Style {
            labels: self.lang.labels(),
            clock,
            width: terminal.then(columns),
            color: self.colored(terminal),
        }
    }

    fn colored(&self, terminal: bool) -> bool {
        let set = |name| env::var_os(name).is_some_and(|v| !v.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|t| t == "dumb");
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !set("NO_COLOR") && !dumb,
        }
    }
}

fn columns() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into())
}
