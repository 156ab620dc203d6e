//! Sets of named values, and the error for an unknown name.

use std::borrow::Cow;

use crate::fmt::nearest::nearest;
use crate::fmt::text::{Text, Words, text};
use crate::model::filter::expression::alternatives;
use crate::model::key::Parsed;

/// A set of values; empty: any.
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

/// Parses an expression; `values` returns the values of a name.
pub(super) fn parse_rules<T>(
    text: &str,
    values: impl Fn(&str) -> Parsed<Vec<T>>,
) -> Parsed<Rules<T>> {
    let mut rules = Rules::default();
    for (values, negate) in alternatives(text, |part, negate| Ok((values(part)?, negate)))? {
        let list = if negate {
            &mut rules.refused
        } else {
            &mut rules.wanted
        };
        list.extend(values);
    }
    Ok(rules)
}

/// The error that `name` is not one of `names`, with the nearest one.
pub(crate) fn unknown_name(
    name: &str,
    what: Words,
    names: impl Iterator<Item = Cow<'static, str>>,
) -> Text {
    let near = nearest(name, names);
    let hint = near.map_or(Text::default(), |n| {
        text!(", did you mean {n}?", "，是否想输入 {n}？")
    });
    let name = crate::fmt::escape::printable(name);
    text!("'{name}' is not {what}{hint}", "'{name}' 不是{what}{hint}"; what, hint)
}

impl<T> Rules<T> {
    /// The text that the user writes, wanted values first; `None`: any value.
    pub(super) fn text(&self, name: impl Fn(&T) -> String) -> Option<String> {
        let wanted = self.wanted.iter().map(&name);
        let refused = self.refused.iter().map(|value| format!("!{}", name(value)));
        let texts: Vec<_> = wanted.chain(refused).collect();
        (!texts.is_empty()).then(|| texts.join("|"))
    }

    /// Whether a wanted value is met, and no refused one.
    pub(super) fn hold(&self, met: impl Fn(&T) -> bool) -> bool {
        (self.wanted.is_empty() || self.wanted.iter().any(&met)) && !self.refused.iter().any(met)
    }
}
