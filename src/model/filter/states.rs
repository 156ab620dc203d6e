//! States in a filter.

use crate::fmt::text::{Text, words};
use crate::model::filter::names::{Rules, parse_rules, unknown_name};
use crate::model::key::Parsed;
use crate::model::state::State;

/// Parses an expression of states.
///
/// # Errors
/// The problem, as text.
pub fn parse_states(text: &str) -> Parsed<Rules<State>> {
    parse_rules(text, |name| {
        let states = State::named(name);
        match states.is_empty() {
            true => Err(unknown_state(name)),
            false => Ok(states),
        }
    })
}

fn unknown_state(name: &str) -> Text {
    match name.eq_ignore_ascii_case(&State::NEW.name()) {
        true => words!(
            "no connection is in NEW, a SYN's first transition comes from it: use SYN_RECV",
            "没有连接处于 NEW，它只是 SYN 的第一次状态转换的原状态：请用 SYN_RECV"
        )
        .into(),
        false => {
            let what = words!("a state", "状态");
            unknown_name(name, what, State::all().map(State::name))
        }
    }
}

impl Rules<State> {
    /// `SYN_RECV` includes half-open requests, `NEW_SYN_RECV` means only these.
    pub(super) fn matches(&self, states: &[State]) -> bool {
        self.hold(|rule| states.iter().any(|s| s == rule || s.known_as() == *rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read() {
        let rules = parse_states("established|!time_wait").unwrap();
        assert_eq!(
            rules,
            Rules {
                wanted: vec![State(1)],
                refused: vec![State(6)]
            }
        );
        let error = |text| parse_states(text).unwrap_err().en().to_owned();
        assert_eq!(
            error("ESTABLISHD"),
            "'ESTABLISHD' is not a state, did you mean ESTABLISHED?"
        );
        assert_eq!(error("FOO"), "'FOO' is not a state");
        let new = "no connection is in NEW, a SYN's first transition comes from it: use SYN_RECV";
        assert_eq!((error("new"), error("!NEW")), (new.into(), new.into()));
        assert_eq!(error("LISTEN|"), "an alternative is empty");
    }

    #[test]
    fn groups_are_read_as_their_states() {
        let shows = |text, state| parse_states(text).unwrap().matches(&[state]);
        assert!(shows("connected", State::NEW_SYN_RECV) && !shows("connected", State::LISTEN));
        assert!(shows("bucket|LISTEN", State::LISTEN) && shows("bucket", State::NEW_SYN_RECV));
        assert!(!shows("!bucket", State::TIME_WAIT) && shows("!bucket", State::ESTABLISHED));
        assert!(shows("estab|time-wait", State::TIME_WAIT));
    }

    #[test]
    fn syn_recv_covers_requests() {
        let shows = |text, state| parse_states(text).unwrap().matches(&[state]);
        assert!(shows("SYN_RECV", State::NEW_SYN_RECV) && shows("SYN_RECV", State::SYN_RECV));
        assert!(shows("NEW_SYN_RECV", State::NEW_SYN_RECV));
        assert!(!shows("NEW_SYN_RECV", State::SYN_RECV));
        assert!(!shows("!SYN_RECV", State::NEW_SYN_RECV) && shows("!SYN_RECV", State::LISTEN));
        assert!(!shows("!NEW_SYN_RECV", State::NEW_SYN_RECV));
        assert!(shows("!NEW_SYN_RECV", State::SYN_RECV));
    }
}
