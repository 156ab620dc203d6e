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

/// Whether the locale has block characters: its texts are UTF-8.
pub fn has_blocks() -> bool {
    is_utf8(|name| env::var(name).ok())
}

/// Whether the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is not empty names UTF-8.
fn is_utf8(get: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| get(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set);
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

fn columns() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into())
}

#[cfg(test)]
mod tests {
    use super::is_utf8;

    #[test]
    fn the_locale_says_whether_there_are_blocks() {
        let is = |set: &[(&str, &str)]| {
            is_utf8(|name| {
                let known = set.iter().find(|(n, _)| *n == name);
                known.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(is(&[("LANG", "en_US.UTF-8")]));
        assert!(is(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(!is(&[("LC_ALL", "C"), ("LANG", "zh_CN.UTF-8")]));
        assert!(!is(&[]));
    }
}
