//! What the expressions of all keys have in common: alternatives by `|`, `!` before what is not
//! meant, sides, and numbers.

use std::fmt;

use crate::abi;
use crate::model::key::Parsed;

/// Which end of a connection a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The local or the remote end.
    Either,
    /// The local end.
    Local,
    /// The remote end.
    Remote,
}

impl Side {
    /// All, in the order in which they are written.
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
    /// What stands before `addr` and `port` in the key of this side.
    pub(super) fn letter(self) -> &'static str {
        match self {
            Self::Either => "",
            Self::Local => "l",
            Self::Remote => "r",
        }
    }
}

/// Splits `a|!b` into its alternatives and whether each is negated.
pub(super) fn alternatives<T>(
    text: &str,
    parse: impl Fn(&str, bool) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    let one = |part: &str| match part.strip_prefix('!') {
        _ if part.is_empty() || part == "!" => Err("an alternative is empty".to_owned()),
        Some(rest) => parse(rest, true),
        None => parse(part, false),
    };
    text.split('|').map(one).collect()
}

/// Whether the expression that `rules` (side, negate, matches) of each side form holds.
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

/// The rules of one side as the user writes them; `None`: there are none.
pub(super) fn of_side<T: fmt::Display>(rules: &[T], side: impl Fn(&T) -> bool) -> Option<String> {
    let texts: Vec<_> = rules.iter().filter(|r| side(r)).map(T::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("|"))
}
