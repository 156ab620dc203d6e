//! Words that the texts of several rules have in common.

use crate::diagnose::facts::{Service, process};
use crate::diagnose::finding::Subject;
use crate::text::endpoint;

/// `1 connection`, `2 connections`.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// The address and port of a service.
pub fn at(service: &Service) -> String {
    endpoint(service.addr, service.port)
}

/// Who the peers are: the one, or how many there are.
pub fn sources(subject: &Subject) -> String {
    match (subject.peer_count, subject.peers.first()) {
        (1, Some(peer)) => peer.addr.to_string(),
        (count, _) => self::count(count, "source"),
    }
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
    let named: Vec<_> = subject.peers.iter().map(|p| p.addr.to_string()).collect();
    named.join(", ")
}

/// `part` of `whole` in percent; 100 of nothing.
pub fn percent(part: u64, whole: u64) -> u64 {
    match whole {
        0 => 100,
        _ => part.saturating_mul(100) / whole,
    }
}
