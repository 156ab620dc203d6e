//! Words that the texts of several rules have in common.

use crate::diagnose::facts::process;
use crate::diagnose::finding::{Peer, Subject};
use crate::fmt::line;
use crate::model::endpoint::Address;

/// `1 connection`, `2 connections`.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Who the peers are: the one, or how many there are.
pub fn sources(subject: &Subject) -> String {
    match (subject.peer_count, subject.peers.first()) {
        (1, Some(peer)) => address(peer),
        (count, _) => self::count(count, "source"),
    }
}

fn address(peer: &Peer) -> String {
    line::text(&Address(peer.addr, peer.dev.as_ref()))
}

/// The process of a subject as people write it.
pub fn who(subject: &Subject) -> String {
    match &subject.owner {
        Some(owner) => process(owner),
        None => "an unknown process".into(),
    }
}

/// Whose connections to do something about: the addresses that stand out.
pub fn addresses(subject: &Subject) -> String {
    let named: Vec<_> = subject.peers.iter().map(address).collect();
    named.join(", ")
}

/// `part` of `whole` in percent; 100 of nothing.
pub fn percent(part: u64, whole: u64) -> u64 {
    match whole {
        0 => 100,
        _ => part.saturating_mul(100) / whole,
    }
}
