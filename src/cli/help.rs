//! The keys in `--help` and in completions. Keys that several options share are described once.

use crate::cli::keys;
use crate::model::key::{Keys, all};

/// Width of the help text in columns.
const WIDTH: usize = 100;
/// Column at which the texts of a key start.
const INDENT: usize = 16;

/// Length up to which a default is not wrapped, and the space used in it.
const SHORT: usize = 32;
const NO_BREAK: &str = "\u{a0}";

/// A section of the help: related keys.
pub struct Section {
    /// Title of the section.
    pub title: &'static str,
    /// Options that accept the keys.
    pub options: Vec<&'static str>,
    /// The keys.
    pub keys: Vec<Described>,
}

/// The description of a key.
#[allow(missing_docs, reason = "named as the fields of a key")]
pub struct Described {
    pub name: &'static str,
    pub help: &'static str,
    pub initial: &'static str,
    pub allowed: String,
}

/// The keys of all options, sorted by the number of options that share them.
pub fn sections() -> Vec<Section> {
    let mut sections = Sections::default()
        .with("--activate", keys::ACTIVATE)
        .with("--report", keys::REPORT)
        .with("--follow", keys::FOLLOW)
        .with("--settings", keys::SETTINGS)
        .with("--diagnose", keys::DIAGNOSE)
        .with("--dump", keys::DUMP)
        .with("--html", keys::HTML)
        .with("--top", keys::TOP)
        .0;
    sections.sort_by_key(|section| section.options.len());
    sections
}

/// The help text of all sections.
pub fn text() -> String {
    let texts: Vec<_> = sections().iter().map(Section::text).collect();
    texts.join("\n")
}

#[derive(Default)]
struct Sections(Vec<Section>);

impl Sections {
    fn with<O>(mut self, option: &'static str, keys: Keys<O>) -> Self {
        for group in keys {
            let described = group.keys.iter().map(|key| Described {
                name: key.name,
                help: key.help,
                initial: key.initial.text(),
                allowed: key.value.allowed(),
            });
            match self.0.iter_mut().find(|s| s.title == group.title) {
                None => self.0.push(Section {
                    title: group.title,
                    options: vec![option],
                    keys: described.collect(),
                }),
                Some(section) if section.options == [option] => section.keys.extend(described),
                Some(section) => section.options.push(option),
            }
        }
        self
    }
}

impl Section {
    fn text(&self) -> String {
        let mut text = format!("{} ({}):\n", self.title, self.options.join(", "));
        for (at, key) in self.keys.iter().enumerate() {
            let help = format!("{} {}", key.help, default(key.initial));
            text += &format!("  {:<13} {}\n", key.name, wrapped(&help));
            let next = self.keys.get(at + 1).map(|next| &next.allowed);
            // Consecutive keys with the same allowed values: print these after the last one.
            if next != Some(&key.allowed) {
                text += &format!("{:INDENT$}{}\n", "", wrapped(&key.allowed));
            }
        }
        text
    }
}

/// Formats a default; a short one is not wrapped.
fn default(initial: &str) -> String {
    let text = format!("[default: {initial}]");
    match text.len() <= SHORT {
        true => text.replace(' ', NO_BREAK),
        false => text,
    }
}

/// Wraps the text and indents all lines but the first.
fn wrapped(text: &str) -> String {
    let (mut lines, mut column) = (String::new(), INDENT);
    for word in text.split(' ') {
        let length = word.chars().count() + 1;
        if column > INDENT && column + length > WIDTH + 1 {
            lines += &format!("\n{:INDENT$}", "");
            column = INDENT;
        } else if column > INDENT {
            lines.push(' ');
        }
        lines += word;
        column += length;
    }
    lines.replace(NO_BREAK, " ")
}

/// Names and help texts of the keys of an option.
pub fn names<O>(keys: Keys<O>) -> Vec<(&'static str, &'static str)> {
    all(keys).map(|key| (key.name, key.help)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_wrapped() {
        assert_eq!(wrapped("a short one"), "a short one");
        let long = wrapped(&"word ".repeat(40));
        let lines: Vec<_> = long.lines().collect();
        assert!(lines.len() == 3 && lines[1].starts_with("                word "));
        assert!(lines.iter().all(|l| l.len() <= WIDTH), "{long}");
        assert_eq!(lines[0].len() + INDENT, WIDTH);
        let text = format!("{} {}", "x".repeat(70), default("two words"));
        assert!(wrapped(&text).ends_with("\n                [default: two words]"));
        let one = "x".repeat(200);
        assert_eq!(wrapped(&one), one);
    }
}
