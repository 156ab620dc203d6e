//! Syntax that the expressions of all keys share: alternatives separated by `|`, negation by `!`,
//! sides, and numbers.

use std::fmt;

use crate::abi;
use crate::fmt::text::words;
use crate::model::key::Parsed;

/// The endpoint of a connection that a rule checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The local or the remote endpoint.
    Either,
    /// The local endpoint.
    Local,
    /// The remote endpoint.
    Remote,
}

impl Side {
    /// All sides, in the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Either, Self::Local, Self::Remote];

    pub(super) fn number(self) -> u8 {
        let number = match self {
            Self::Either => abi::TCPSTATES_SIDE_EITHER,
            Self::Local => abi::TCPSTATES_SIDE_LOCAL,
            Self::Remote => abi::TCPSTATES_SIDE_REMOTE,
        };
        number as u8
    }

    pub(super) fn from_number(number: u8) -> Self {
        Self::ALL
            .into_iter()
            .find(|s| s.number() == number)
            .unwrap_or(Self::Either)
    }
}

impl Side {
    /// The prefix of `addr` and `port` in the key of this side.
    pub(super) fn letter(self) -> &'static str {
        match self {
            Self::Either => "",
            Self::Local => "l",
            Self::Remote => "r",
        }
    }
}

/// Splits `a|!b` into alternatives, each with a flag for negation.
pub(super) fn alternatives<T>(
    text: &str,
    parse: impl Fn(&str, bool) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    let one = |part: &str| match part.strip_prefix('!') {
        _ if part.is_empty() || part == "!" => {
            Err(words!("an alternative is empty", "有一个值为空").into())
        }
        Some(rest) => parse(rest, true),
        None => parse(part, false),
    };
    text.split('|').map(one).collect()
}

/// Whether the expressions of all sides hold. Each rule is (side, negated, matches).
pub(super) fn expressions_hold(rules: impl Iterator<Item = (Side, bool, bool)>) -> bool {
    let (mut wanted, mut met) = ([false; 3], [false; 3]);
    for (side, negate, matches) in rules {
        if negate && matches {
            return false;
        }
        let side = usize::from(side.number());
        wanted[side] |= !negate;
        met[side] |= !negate && matches;
    }
    wanted == met
}

/// The rules of one side as the user writes them; `None` if there are none.
pub(super) fn of_side<T: fmt::Display>(rules: &[T], side: impl Fn(&T) -> bool) -> Option<String> {
    let texts: Vec<_> = rules.iter().filter(|r| side(r)).map(T::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("|"))
}
