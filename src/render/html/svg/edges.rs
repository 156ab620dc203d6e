//! Places of the states and the transitions in the figure of the state machine: as in figure 5 of
//! RFC 9293, which has CLOSED twice, at the start and at the end.

use crate::model::rfc::Way;
use crate::model::state::State;
use crate::render::html::svg::Anchor;
use crate::render::html::svg::Anchor::{End, Middle, Start};

/// Width and height of a state.
pub const WIDTH: i32 = 150;
/// See [`WIDTH`].
pub const HEIGHT: i32 = 46;

/// The middle of each state. CLOSE stands here for the end of connections.
pub const STATES: [(State, i32, i32); 11] = [
    (State::LISTEN, 450, 150),
    (State::SYN_SENT, 770, 265),
    (State::SYN_RECV, 130, 265),
    (State::ESTABLISHED, 450, 380),
    (State::FIN_WAIT1, 130, 490),
    (State::CLOSE_WAIT, 770, 490),
    (State::FIN_WAIT2, 130, 610),
    (State::CLOSING, 450, 610),
    (State::LAST_ACK, 770, 610),
    (State::TIME_WAIT, 450, 730),
    (State::CLOSE, 770, 730),
];

/// The middle of CLOSE at the start of connections.
pub const START: (i32, i32) = (450, 45);

/// The middle of a state as the end of a transition.
pub fn place(state: State) -> Option<(i32, i32)> {
    let known = STATES.iter().find(|(known, ..)| *known == state);
    known.map(|(_, x, y)| (*x, *y))
}

/// The middle of a state as the start of a transition.
pub fn start(state: State) -> Option<(i32, i32)> {
    match state {
        State::CLOSE => Some(START),
        State::NEW => place(State::LISTEN),
        other => place(other),
    }
}

/// A transition with its line and the place of its numbers.
pub struct Edge {
    /// Old state.
    pub old: State,
    /// New state.
    pub new: State,
    /// The line.
    pub path: &'static str,
    /// The place of the first line of its numbers.
    pub at: (i32, i32),
    /// Where the place is.
    pub anchor: Anchor,
}

const fn edge(old: State, new: State, path: &'static str, at: (i32, i32), anchor: Anchor) -> Edge {
    Edge {
        old,
        new,
        path,
        at,
        anchor,
    }
}

/// The transitions of the figure. A new half-open request comes from the listener.
#[rustfmt::skip] // A line for each.
pub const EDGES: [Edge; 21] = [
    edge(State::CLOSE, State::LISTEN, "M425 68 V127", (417, 94), End),
    edge(State::LISTEN, State::CLOSE, "M475 127 V68", (483, 94), Start),
    edge(State::CLOSE, State::SYN_SENT, "M525 45 H760 Q790 45 790 75 V242", (640, 24), Middle),
    edge(State::LISTEN, State::SYN_SENT, "M525 150 H720 Q750 150 750 180 V242", (620, 129), Middle),
    edge(State::SYN_RECV, State::LISTEN, "M95 242 V168 Q95 138 125 138 H375", (235, 116), Middle),
    edge(State::NEW, State::SYN_RECV, "M375 162 H160 Q130 162 130 192 V242", (255, 180), Middle),
    edge(State::SYN_SENT, State::SYN_RECV, "M695 254 H205", (450, 232), Middle),
    edge(State::SYN_RECV, State::ESTABLISHED, "M205 277 H370 Q400 277 400 307 V357", (290, 297), Middle),
    edge(State::SYN_SENT, State::ESTABLISHED, "M695 277 H530 Q500 277 500 307 V357", (610, 297), Middle),
    edge(State::SYN_RECV, State::FIN_WAIT1, "M110 288 V467", (118, 382), Start),
    edge(State::ESTABLISHED, State::FIN_WAIT1, "M400 403 V448 Q400 478 370 478 H205", (300, 457), Middle),
    edge(State::ESTABLISHED, State::CLOSE_WAIT, "M500 403 V448 Q500 478 530 478 H695", (600, 457), Middle),
    edge(State::FIN_WAIT1, State::FIN_WAIT2, "M70 513 V587", (78, 547), Start),
    edge(State::FIN_WAIT1, State::CLOSING, "M205 502 H420 Q450 502 450 532 V587", (330, 521), Middle),
    edge(State::FIN_WAIT1, State::TIME_WAIT, "M185 513 V530 Q185 550 205 550 H255 Q275 550 275 570 V700 Q275 720 295 720 H375", (283, 640), Start),
    edge(State::FIN_WAIT2, State::TIME_WAIT, "M110 633 V710 Q110 740 140 740 H375", (190, 704), Middle),
    edge(State::CLOSING, State::TIME_WAIT, "M450 633 V707", (458, 668), Start),
    edge(State::CLOSE_WAIT, State::LAST_ACK, "M770 513 V587", (762, 547), End),
    edge(State::LAST_ACK, State::CLOSE, "M770 633 V707", (762, 668), End),
    edge(State::TIME_WAIT, State::CLOSE, "M525 730 H695", (610, 709), Middle),
    edge(State::SYN_RECV, State::CLOSE_WAIT, "M185 288 V312 Q185 332 205 332 H810 Q830 332 830 352 V467", (690, 348), Middle),
];

/// Ends of connections by a failure: a short line to a sign beside the state. The figure of the RFC
/// leaves them out, because they would make it hard to read.
#[rustfmt::skip] // A line for each.
pub const FAILURES: [Edge; 7] = [
    edge(State::SYN_SENT, State::CLOSE, "M845 265 H882", (892, 288), Middle),
    edge(State::SYN_RECV, State::CLOSE, "M55 265 H18", (8, 288), Middle),
    edge(State::ESTABLISHED, State::CLOSE, "M525 388 H562", (580, 384), Start),
    edge(State::FIN_WAIT1, State::CLOSE, "M55 490 H18", (8, 513), Middle),
    edge(State::CLOSE_WAIT, State::CLOSE, "M845 490 H882", (892, 513), Middle),
    edge(State::FIN_WAIT2, State::CLOSE, "M55 610 H18", (8, 633), Middle),
    edge(State::CLOSING, State::CLOSE, "M525 610 H562", (580, 606), Start),
];

/// The middle of the sign at the end of a failure.
pub fn sign(edge: &Edge) -> (i32, i32) {
    let (x, y) = place(edge.old).unwrap_or_default();
    match edge.at.0 > x {
        true if edge.old == State::ESTABLISHED => (x + WIDTH / 2 + 44, y + 8),
        true => (x + WIDTH / 2 + 44, y),
        false => (x - WIDTH / 2 - 44, y),
    }
}

/// Whether the figure has a place for a transition.
pub fn is_placed(old: State, new: State) -> bool {
    let mut all = EDGES.iter().chain(&FAILURES);
    all.any(|edge| (edge.old, edge.new) == (old, new))
}

/// Whether a transition is a part of the figure even if it has never happened. Those that Linux does
/// not make are not.
pub fn is_drawn_unused(edge: &Edge) -> bool {
    let rare = [
        (State::LISTEN, State::SYN_SENT),
        (State::SYN_RECV, State::LISTEN),
        (State::SYN_RECV, State::CLOSE_WAIT),
    ];
    Way::of(edge.old, edge.new) != Way::Failure && !rare.contains(&(edge.old, edge.new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_rfc_has_is_in_the_figure() {
        for edge in EDGES.iter().chain(&FAILURES) {
            assert_ne!(Way::of(edge.old, edge.new), Way::Forbidden);
            assert!(start(edge.old).is_some() && place(edge.new).is_some());
        }
        let is_failure = |edge: &Edge| Way::of(edge.old, edge.new) == Way::Failure;
        assert!(FAILURES.iter().all(is_failure));
        assert_eq!(STATES.len(), 11, "the eleven states of the RFC");
    }

    #[test]
    fn no_transition_is_in_the_figure_twice() {
        let mut all: Vec<_> = EDGES
            .iter()
            .chain(&FAILURES)
            .map(|edge| (edge.old, edge.new))
            .collect();
        all.sort();
        assert!(all.windows(2).all(|two| two[0] != two[1]));
    }
}
