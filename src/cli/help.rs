//! The keys in `--help` and in completions. Keys that several options share are described once.

use crate::cli::keys;
use crate::fmt::lang::Lang;
use crate::fmt::text::{Text, Words, text};
use crate::fmt::width::width;
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
    pub title: Words,
    /// Options that accept the keys.
    pub options: Vec<&'static str>,
    /// The keys.
    pub keys: Vec<Described>,
}

/// The description of a key.
#[allow(missing_docs, reason = "named as the fields of a key")]
pub struct Described {
    pub name: &'static str,
    pub help: Words,
    pub initial: Words,
    pub allowed: Text,
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
pub fn text(lang: Lang) -> String {
    let texts: Vec<_> = sections()
        .iter()
        .map(|section| section.text(lang))
        .collect();
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
                initial: key.initial.words(),
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
    fn text(&self, lang: Lang) -> String {
        let (title, options) = (self.title, self.options.join(", "));
        let title = title.of(lang);
        let mut text = match lang {
            Lang::En => format!("{title} ({options}):\n"),
            Lang::Zh => format!("{title}（{options}）：\n"),
        };
        for (at, key) in self.keys.iter().enumerate() {
            let help = format!("{} {}", key.help.of(lang), default(key.initial, lang));
            text += &format!("  {:<13} {}\n", key.name, wrapped(&help));
            let next = self.keys.get(at + 1).map(|next| &next.allowed);
            // Consecutive keys with the same allowed values: print these after the last one.
            if next != Some(&key.allowed) {
                text += &format!("{:INDENT$}{}\n", "", wrapped(key.allowed.of(lang)));
            }
        }
        text
    }
}

/// Formats a default; a short one is not wrapped.
fn default(initial: Words, lang: Lang) -> String {
    let text = text!("[default: {initial}]", "[默认：{initial}]"; initial);
    let text = text.of(lang);
    match width(text) <= SHORT {
        true => text.replace(' ', NO_BREAK),
        false => text.to_owned(),
    }
}

/// Wraps the text and indents all lines but the first.
fn wrapped(text: &str) -> String {
    let (mut lines, mut column) = (String::new(), INDENT);
    for (at, word) in text.split(' ').enumerate() {
        let mut space = usize::from(at > 0);
        for piece in pieces(word) {
            if column > INDENT && column + space + width(piece) > WIDTH {
                lines += &format!("\n{:INDENT$}", "");
                (column, space) = (INDENT, 0);
            }
            lines += &" "[..space];
            lines += piece;
            column += space + width(piece);
            space = 0;
        }
    }
    lines.replace(NO_BREAK, " ")
}

/// Marks that no line starts with, and that no line ends with.
const CLOSING: &[char] = &['，', '。', '；', '：', '、', '？', '）', ')', ']', '/'];
const OPENING: &[char] = &['（', '(', '[', '/'];

/// The parts of a word between which a line may end: those of a Chinese text, which has no spaces.
fn pieces(word: &str) -> Vec<&str> {
    let chars: Vec<_> = word.char_indices().collect();
    let is_wide = |c: char| width(c.encode_utf8(&mut [0; 4])) == 2;
    let ends = chars.windows(2).filter_map(|pair| match pair {
        [(_, before), (at, after)] => {
            let may = is_wide(*before) || is_wide(*after);
            let kept = CLOSING.contains(after) || OPENING.contains(before);
            (may && !kept).then_some(*at)
        }
        _ => None,
    });
    let mut parts = Vec::new();
    let mut from = 0;
    for at in ends.chain([word.len()]) {
        parts.push(&word[from..at]);
        from = at;
    }
    parts
}

/// Names and help texts of the keys of an option.
pub fn names<O>(keys: Keys<O>) -> Vec<(&'static str, Words)> {
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
        let text = format!(
            "{} {}",
            "x".repeat(70),
            default(Words::same("two words"), Lang::En)
        );
        assert!(wrapped(&text).ends_with("\n                [default: two words]"));
        let one = "x".repeat(200);
        assert_eq!(wrapped(&one), one);
    }

    #[test]
    fn chinese_is_wrapped_between_characters() {
        assert_eq!(
            pieces("如ss的，写(a)法"),
            ["如", "ss", "的，", "写", "(a)", "法"]
        );
        let long = wrapped(&"状态，".repeat(40));
        let lines: Vec<_> = long.lines().map(str::trim_start).collect();
        assert!(lines.len() == 3 && lines.concat() == "状态，".repeat(40));
        assert!(long.lines().all(|line| width(line) <= WIDTH), "{long}");
        assert!(lines.iter().all(|line| !line.starts_with('，')), "{long}");
    }
}
