//! The state machine of RFC 9293 (section 3.3.2): which transitions it has, and what they are for.

use crate::model::state::State;

/// The kind of a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A connection is being opened.
    Opening,
    /// It is being closed by both sides.
    Closing,
    /// It ends early: reset, time-out, abort.
    Failure,
    /// The RFC has no such transition.
    Forbidden,
}

/// `LISTEN` receives a SYN and stays what it is: the module records the new connection as `NEW`.
const OPENING: [(State, State); 9] = [
    (State::CLOSE, State::LISTEN),
    (State::CLOSE, State::SYN_SENT),
    (State::LISTEN, State::SYN_SENT),
    (State::LISTEN, State::SYN_RECV),
    (State::NEW, State::SYN_RECV),
    (State::SYN_SENT, State::SYN_RECV),
    (State::SYN_SENT, State::ESTABLISHED),
    (State::SYN_RECV, State::ESTABLISHED),
    // Section 3.6.1: a SYN may reopen it.
    (State::TIME_WAIT, State::SYN_RECV),
];

const CLOSING: [(State, State); 13] = [
    (State::LISTEN, State::CLOSE),
    (State::SYN_RECV, State::FIN_WAIT1),
    // Section 3.10.7.4: a FIN is processed as in ESTABLISHED.
    (State::SYN_RECV, State::CLOSE_WAIT),
    (State::ESTABLISHED, State::FIN_WAIT1),
    (State::ESTABLISHED, State::CLOSE_WAIT),
    (State::FIN_WAIT1, State::FIN_WAIT2),
    (State::FIN_WAIT1, State::CLOSING),
    // Note 2 of the figure.
    (State::FIN_WAIT1, State::TIME_WAIT),
    (State::FIN_WAIT2, State::TIME_WAIT),
    (State::CLOSING, State::TIME_WAIT),
    (State::CLOSE_WAIT, State::LAST_ACK),
    (State::LAST_ACK, State::CLOSE),
    (State::TIME_WAIT, State::CLOSE),
];

/// States of a connection that a reset, a time-out or an abort ends. Note 3 of the figure: after a
/// reset it may be in TIME_WAIT.
const CONNECTED: [State; 8] = [
    State::SYN_SENT,
    State::SYN_RECV,
    State::ESTABLISHED,
    State::FIN_WAIT1,
    State::FIN_WAIT2,
    State::CLOSE_WAIT,
    State::CLOSING,
    State::LAST_ACK,
];

impl Way {
    /// The kind of a transition. Half-open requests are in SYN_RECV.
    pub fn of(old: State, new: State) -> Self {
        let step = (old.known_as(), new.known_as());
        let is_end = [State::CLOSE, State::TIME_WAIT].contains(&step.1);
        // Note 1 of the figure.
        let is_reset = step == (State::SYN_RECV, State::LISTEN);
        if OPENING.contains(&step) {
            Self::Opening
        } else if CLOSING.contains(&step) {
            Self::Closing
        } else if is_reset || is_end && CONNECTED.contains(&step.0) {
            Self::Failure
        } else {
            Self::Forbidden
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transitions that the kernel can make, from the list of the module.
    #[test]
    fn the_kernel_makes_no_forbidden_transition() {
        let source = include_str!("../../kmod/stats.c");
        let steps = source
            .lines()
            .filter_map(|line| line.trim().strip_prefix("[TRANSITION("));
        let mut known = 0;
        for step in steps {
            let (step, _) = step.split_once(')').unwrap();
            let state = |name: &str| match name.trim() {
                "TCPSTATES_STATE_NEW" => State::NEW,
                name => State::named(name.strip_prefix("TCP_").unwrap())[0],
            };
            let (old, new) = step.split_once(',').unwrap();
            assert_ne!(Way::of(state(old), state(new)), Way::Forbidden, "{step}");
            known += 1;
        }
        assert_eq!(known, 28);
    }

    #[test]
    fn each_kind_has_its_transitions() {
        for (old, new, expected) in [
            (State::NEW, State::NEW_SYN_RECV, Way::Opening),
            (State::NEW_SYN_RECV, State::ESTABLISHED, Way::Opening),
            (State::NEW_SYN_RECV, State::CLOSE, Way::Failure),
            (State::SYN_SENT, State::CLOSE, Way::Failure),
            (State::FIN_WAIT2, State::CLOSE, Way::Failure),
            (State::CLOSE_WAIT, State::TIME_WAIT, Way::Failure),
            (State::TIME_WAIT, State::CLOSE, Way::Closing),
            (State::LAST_ACK, State::CLOSE, Way::Closing),
            (State::ESTABLISHED, State::CLOSE_WAIT, Way::Closing),
            (State::CLOSE_WAIT, State::ESTABLISHED, Way::Forbidden),
            (State::SYN_SENT, State::FIN_WAIT1, Way::Forbidden),
            (State::CLOSE, State::ESTABLISHED, Way::Forbidden),
            (State::NEW, State::CLOSE, Way::Forbidden),
            (State(200), State::CLOSE, Way::Forbidden),
        ] {
            assert_eq!(Way::of(old, new), expected, "{old:?} {new:?}");
        }
    }
}
