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

/// A count with its noun: `1 connection`, `2 connections`.
fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn sources(sources: &Sources) -> String {
    match sources {
        Sources::One(address) => address.to_string(),
        Sources::Many(number) => count(*number, "source"),
    }
}

fn process(owner: Option<Owner>) -> String {
    owner.map_or_else(|| "an unknown process".into(), |owner| line::text(&owner))
}
