//! Reasons in a filter.

use crate::fmt::text::words;
use crate::model::filter::names::{Rules, parse_rules, unknown_name};
use crate::model::key::Parsed;
use crate::model::reason::Reason;

/// Parses an expression of reasons.
///
/// # Errors
/// The problem, as text.
pub fn parse_reasons(text: &str) -> Parsed<Rules<Reason>> {
    let what = words!("a reason", "原因");
    let unknown = |name: &str| unknown_name(name, what, Reason::all().filter_map(Reason::name));
    parse_rules(text, |name| {
        let reason = Reason::from_name(name).ok_or_else(|| unknown(name))?;
        Ok(vec![reason])
    })
}

impl Rules<Reason> {
    pub(super) fn matches(&self, reason: Reason) -> bool {
        self.hold(|rule| *rule == reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_and_hold() {
        let shows = |text, reason| parse_reasons(text).unwrap().matches(Reason(reason));
        assert!(shows("refused|Closed_Peer", 10) && shows("refused|closed_peer", 2));
        assert!(!shows("refused", 2) && !shows("refused", 0));
        assert!(shows("!refused", 0) && !shows("!refused", 10));
        assert!(Rules::<Reason>::default().matches(Reason::NONE));
        assert_eq!(
            parse_reasons("refuse").unwrap_err().en(),
            "'refuse' is not a reason, did you mean refused?"
        );
        assert_eq!(
            parse_reasons("none").unwrap_err().en(),
            "'none' is not a reason"
        );
    }
}
