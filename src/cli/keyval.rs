//! `KEY=VALUE` pairs, separated by spaces or commas.

use crate::cli::keys;
use crate::error::{Error, Result};
use crate::fmt::escape::printable;
use crate::fmt::nearest::nearest;
use crate::fmt::text::{Text, text, words};
use crate::model::key::{Context, Initial, Key, Keys, Lookup, Parsed, all};

/// The validated pairs of one option: all keys known, no duplicates, no empty values.
pub struct Pairs<'a, O: 'static> {
    option: &'static str,
    keys: Keys<O>,
    pairs: Vec<(&'static Key<O>, &'a str)>,
}

impl<'a, O> Pairs<'a, O> {
    /// Splits `text`, the value of `option` (such as `--report`).
    ///
    /// # Errors
    /// [`Error::Usage`] names the key, the value and what is allowed.
    pub fn parse(option: &'static str, text: &'a str, keys: Keys<O>) -> Result<Self> {
        let mut pairs: Vec<(&'static Key<O>, &'a str)> = Vec::new();
        let separator = |c: char| c == ',' || c.is_whitespace();
        let words: Vec<_> = text.split(separator).filter(|p| !p.is_empty()).collect();
        for (at, word) in words.iter().enumerate() {
            let Some((name, value)) = word.split_once('=') else {
                return Err(no_pair(option, &words[at..], &pairs, keys));
            };
            let key = find(option, name, value, keys)?;
            if value.is_empty() {
                return Err(bad_value(
                    option,
                    key,
                    value,
                    &words!("it is empty", "值为空").into(),
                ));
            }
            if let Some((_, first)) = pairs.iter().find(|(k, _)| k.name == key.name) {
                return Err(duplicate(option, key, first, value));
            }
            pairs.push((key, value));
        }
        Ok(Self {
            option,
            keys,
            pairs,
        })
    }

    /// The value of a key as given by the user.
    pub fn given(&self, name: &str) -> Option<&'a str> {
        let pair = self.pairs.iter().find(|(key, _)| key.name == name);
        pair.map(|(_, value)| *value)
    }

    /// Sets all keys to their initial values, then sets the given values in the order of the keys.
    ///
    /// # Errors
    /// [`Error::Usage`] describes the invalid value.
    pub fn set(&self, options: &mut O, host: &dyn Lookup) -> Result<()> {
        let given: Vec<_> = self.pairs.iter().map(|(k, v)| (k.name, *v)).collect();
        for key in all(self.keys) {
            if let Initial::Value(text) = key.initial {
                let context = Context { host, given: &[] };
                self.check(key, text, key.value.set(options, text, &context))?;
            }
        }
        let mut first: Vec<_> = all(self.keys).collect();
        first.sort_by_key(|key| !key.value.comes_first());
        let context = Context {
            host,
            given: &given,
        };
        for key in first {
            if let Some(text) = context.given(key.name) {
                self.check(key, text, key.value.set(options, text, &context))?;
            }
        }
        Ok(())
    }

    fn check(&self, key: &Key<O>, text: &str, set: Parsed<()>) -> Result<()> {
        set.map_err(|reason| bad_value(self.option, key, text, &reason))
    }
}

/// The error for words without `=`, most likely further values of the preceding key.
fn no_pair<O>(
    option: &str,
    words: &[&str],
    before: &[(&'static Key<O>, &str)],
    keys: Keys<O>,
) -> Error {
    if let Some((key, first)) = before.last().filter(|(key, _)| key.value.is_list()) {
        let more = words.iter().take_while(|word| !word.contains('='));
        let values: Vec<_> = [first].into_iter().chain(more).copied().collect();
        let right = printable(&values.join("|"));
        let name = key.name;
        let reason = text!(
            "pairs are separated by spaces or commas, so write {name}={right}",
            "键值对用空格或逗号分隔，因此请写 {name}={right}"
        );
        return bad_value(option, key, &values.join(","), &reason);
    }
    let word = words.first().copied().unwrap_or_default();
    let (allowed, word) = (keys::names(keys), printable(word));
    Error::Usage(text!(
        "{option}: '{word}' is not KEY=VALUE; allowed keys: {allowed}",
        "{option}：'{word}' 不是 KEY=VALUE；可用的键：{allowed}"
    ))
}

fn find<O>(option: &str, name: &str, value: &str, keys: Keys<O>) -> Result<&'static Key<O>> {
    if let Some(key) = all(keys).find(|k| k.name == name) {
        return Ok(key);
    }
    let near = nearest(name, all(keys).map(|k| k.name));
    let hint = match (keys::new_name(name), near) {
        (Some(now), _) => text!(": it is now '{now}'", "：现已改名为 '{now}'"),
        (None, Some(key)) => text!(", did you mean '{key}'?", "，是否想输入 '{key}'？"),
        (None, None) => Text::default(),
    };
    let (name, value) = (printable(name), printable(value));
    let allowed = keys::names(keys);
    Err(Error::Usage(text!(
        "{option}: unknown key '{name}' with value '{value}'{hint}; allowed keys: {allowed}",
        "{option}：未知的键 '{name}'（值为 '{value}'）{hint}；可用的键：{allowed}";
        hint
    )))
}

fn bad_value<O>(option: &str, key: &Key<O>, value: &str, reason: &Text) -> Error {
    let (name, value, allowed) = (key.name, printable(value), key.value.allowed());
    Error::Usage(text!(
        "{option}: bad value '{value}' of '{name}': {reason}; allowed: {allowed}",
        "{option}：'{name}' 的值 '{value}' 无效：{reason}；可用的值：{allowed}";
        reason, allowed
    ))
}

fn duplicate<O>(option: &str, key: &Key<O>, first: &str, second: &str) -> Error {
    let (first, second) = (printable(first), printable(second));
    let name = key.name;
    Error::Usage(text!(
        "{option}: '{name}' is given twice, as '{first}' and '{second}'; allowed: once",
        "{option}：'{name}' 给出了两次，'{first}' 和 '{second}'；只允许一次"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let refused = Pairs::parse("--activate", text, keys::ACTIVATE).err();
        refused.unwrap().text().en().to_owned()
    }

    #[test]
    fn spaces_and_commas_separate() {
        let pairs = Pairs::parse(
            "--activate",
            " ring=64,,port=80 \n verbose=1, ",
            keys::ACTIVATE,
        );
        let names: Vec<_> = pairs
            .unwrap()
            .pairs
            .iter()
            .map(|(k, v)| (k.name, *v))
            .collect();
        assert_eq!(names, [("ring", "64"), ("port", "80"), ("verbose", "1")]);
        assert!(
            Pairs::parse("--activate", "", keys::ACTIVATE)
                .unwrap()
                .pairs
                .is_empty()
        );
    }

    #[test]
    fn a_misspelled_key_gets_the_nearest() {
        let hint = |name: &str| {
            let text = error(&format!("{name}=1"));
            text.split_once("did you mean '")
                .map(|(_, t)| t[..t.find('\'').unwrap()].to_owned())
        };
        assert_eq!(hint("rign").as_deref(), Some("ring"));
        assert_eq!(hint("verbos").as_deref(), Some("verbose"));
        assert_eq!(hint("RING").as_deref(), Some("ring"));
        assert_eq!(hint("min_ms").as_deref(), Some("min-ms"));
        assert_eq!(hint("treshold").as_deref(), Some("threshold"));
        assert_eq!(hint("waterline"), None);
        assert_eq!(hint("x"), None);
    }

    #[test]
    fn errors_are_one_line_and_name_everything() {
        let allowed = "allowed keys: verbose addr laddr raddr port lport rport family netns min-ms \
                       ring ring-memory max-conns hook threshold unfinished max-pairs max-listeners";
        let table = [
            (
                "ring",
                format!("--activate: 'ring' is not KEY=VALUE; {allowed}"),
            ),
            (
                "rign=5",
                format!(
                    "--activate: unknown key 'rign' with value '5', did you mean 'ring'?; {allowed}"
                ),
            ),
            (
                "=5",
                format!("--activate: unknown key '' with value '5'; {allowed}"),
            ),
            (
                "ring=",
                "--activate: bad value '' of 'ring': it is empty; allowed: a power of two from 64 \
                 to 4194304"
                    .into(),
            ),
            (
                "hook=auto,hook=kprobe",
                "--activate: 'hook' is given twice, as 'auto' and 'kprobe'; allowed: once".into(),
            ),
            (
                "\u{1b}=\u{7}",
                format!("--activate: unknown key '\\u{{1b}}' with value '\\u{{7}}'; {allowed}"),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(error(text), expected);
        }
    }
}
