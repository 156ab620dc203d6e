//! Values that have names: which of them are meant, and what is said of a name that none has.

use std::borrow::Cow;

use crate::model::filter::expression::{Parsed, alternatives};

/// Values that are meant; empty: any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules<T> {
    pub(super) wanted: Vec<T>,
    pub(super) refused: Vec<T>,
}

impl<T> Default for Rules<T> {
    fn default() -> Self {
        Self {
            wanted: Vec::new(),
            refused: Vec::new(),
        }
    }
}

pub(super) fn parse_rules<T>(text: &str, value: impl Fn(&str) -> Parsed<T>) -> Parsed<Rules<T>> {
    let mut rules = Rules::default();
    for (value, negate) in alternatives(text, |part, negate| Ok((value(part)?, negate)))? {
        let list = if negate {
            &mut rules.refused
        } else {
            &mut rules.wanted
        };
        list.push(value);
    }
    Ok(rules)
}

/// That `name` is none of `names`, with the nearest of them.
pub(crate) fn unknown_name(
    name: &str,
    what: &str,
    names: impl Iterator<Item = Cow<'static, str>>,
) -> String {
    let lower = name.to_ascii_lowercase();
    let near = names
        .map(|n| {
            (
                strsim::damerau_levenshtein(&lower, &n.to_ascii_lowercase()),
                n,
            )
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 3);
    let hint = near.map_or(String::new(), |(_, n)| format!(", did you mean {n}?"));
    let name = crate::fmt::escape::printable(name);
    format!("'{name}' is not a {what}{hint}")
}

impl<T> Rules<T> {
    /// Whether one of those that are wanted is met and none that is refused.
    pub(super) fn hold(&self, met: impl Fn(&T) -> bool) -> bool {
        (self.wanted.is_empty() || self.wanted.iter().any(&met)) && !self.refused.iter().any(met)
    }
}
