//! The file of limits.

use std::collections::HashMap;

use diagnose_tools::diagnose::limits::{Limit, Limits};
use diagnose_tools::diagnose::rules::{RULES, Rule};

use crate::assert_message;

/// Reads a text as the file of limits.
pub fn limits(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match Limits::parse(text) {
        Ok(limits) => assert_accepted(text, &limits),
        Err(reason) => assert_refused(text, reason.en()),
    }
}

/// Every limit with its rule.
fn all() -> impl Iterator<Item = (&'static Rule, &'static Limit)> {
    let of = |rule: &&'static Rule| {
        let rule = *rule;
        rule.limits.iter().map(move |limit| (rule, limit))
    };
    RULES.iter().flat_map(of)
}

/// All limits, each at the value that `value` chooses from its range.
pub fn all_at(value: fn((u64, u64)) -> u64) -> Limits {
    Limits::parse(&written(|_| true, |_, limit| value(limit.range))).expect("within their ranges")
}

/// A file with these values.
fn written(enabled: impl Fn(&Rule) -> bool, value: impl Fn(&Rule, &Limit) -> u64) -> String {
    let mut text = String::new();
    for rule in RULES {
        text += &format!("[{}]\nenabled = {}\n", rule.name(), enabled(rule));
        for limit in rule.limits {
            text += &format!("{} = {}\n", limit.key, value(rule, limit));
        }
    }
    text
}

fn assert_accepted(text: &str, limits: &Limits) {
    for (rule, limit) in all() {
        let (value, (low, high)) = (limits.get(rule, limit), limit.range);
        let name = rule.name();
        assert!(
            (low..=high).contains(&value),
            "{name}.{}: {value}",
            limit.key
        );
    }
    let again = written(|r| limits.enabled(r), |r, l| limits.get(r, l));
    let again = Limits::parse(&again).expect("what was read can be written");
    assert!(all().all(|(rule, limit)| again.get(rule, limit) == limits.get(rule, limit)));
    assert!(
        RULES
            .iter()
            .all(|rule| again.enabled(rule) == limits.enabled(rule))
    );
    assert_plain_lines(text, limits);
}

/// Asserts that the limits have the values in the file. Only checks files that consist of sections
/// and of keys with decimal numbers, for which no TOML parser is needed.
fn assert_plain_lines(text: &str, limits: &Limits) {
    let is_bare = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b"-_".contains(&b))
    };
    let mut section = "";
    let mut said = HashMap::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name;
            if !is_bare(name) {
                return;
            }
        } else if let Some((key, value)) = line.split_once(" = ") {
            match value.parse::<u64>() {
                Ok(number) if is_bare(key) => said.insert((section, key), number),
                _ => return,
            };
        } else {
            return;
        }
    }
    for (rule, limit) in all() {
        let expected = said
            .get(&(rule.name(), limit.key))
            .unwrap_or(&limit.default);
        assert_eq!(
            limits.get(rule, limit),
            *expected,
            "{}.{}",
            rule.name(),
            limit.key
        );
    }
}

/// Asserts that the reason has the form `:LINE: why`.
fn assert_refused(text: &str, reason: &str) {
    assert_message(reason);
    let rest = reason.strip_prefix(':').expect("a line");
    let (line, why) = rest.split_once(": ").expect("a line and a reason");
    let line: usize = line.parse().expect("a number of a line");
    let lines = text.matches('\n').count() + 1;
    assert!((1..=lines).contains(&line), "line {line} of {lines}");
    assert!(!why.is_empty());
}
