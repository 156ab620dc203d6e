//! English sentences.

mod action;
mod problem;

use crate::diagnose::message::Sources;
use crate::fmt::line;
use crate::model::ident::Owner;

pub use action::action;
pub use problem::problem;

/// A setting with its value, before the action.
pub fn setting(name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{name} is {value}: "),
        None => format!("{name} (its value in this namespace could not be read): "),
    }
}

/// A count with its noun: `1 connection`, `2 connections`, `1 address`, `2 addresses`.
fn count(number: u64, noun: &str) -> String {
    let plural = if noun.ends_with('s') { "es" } else { "s" };
    let plural = by(number, "", plural);
    format!("{number} {noun}{plural}")
}

/// The word or sentence that fits the number.
fn by<'a>(number: u64, one: &'a str, more: &'a str) -> &'a str {
    match number {
        1 => one,
        _ => more,
    }
}

fn sources(sources: &Sources) -> String {
    match sources {
        Sources::One(address) => address.to_string(),
        Sources::Many(0) => "unknown sources".into(),
        Sources::Many(number) => count(*number, "source"),
    }
}

fn process(owner: Option<Owner>) -> String {
    owner.map_or_else(|| "an unknown process".into(), |owner| line::text(&owner))
}
