//! The TCP states with the kernel's numbers (`include/net/tcp_states.h`).

use std::borrow::Cow;

use crate::abi;

/// A state. Any number from the module is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State(pub u8);

const NAMES: [&str; abi::TCPSTATES_NR_STATES as usize] = [
    "NEW",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

impl State {
    /// The old state of the first transition of a connection that a SYN started; never a new state.
    pub const NEW: Self = Self(abi::TCPSTATES_STATE_NEW as u8);
    /// Connected.
    pub const ESTABLISHED: Self = Self(1);
    /// SYN sent, no answer yet.
    pub const SYN_SENT: Self = Self(2);
    /// SYN received, as a full socket.
    pub const SYN_RECV: Self = Self(3);
    /// FIN sent, not acknowledged.
    pub const FIN_WAIT1: Self = Self(4);
    /// Our FIN is acknowledged, the peer's has not arrived.
    pub const FIN_WAIT2: Self = Self(5);
    /// Both have closed: kept for delayed packets.
    pub const TIME_WAIT: Self = Self(6);
    /// No connection.
    pub const CLOSE: Self = Self(7);
    /// The peer has closed, the program has not.
    pub const CLOSE_WAIT: Self = Self(8);
    /// The peer closed first, our FIN is not acknowledged.
    pub const LAST_ACK: Self = Self(9);
    /// A listener.
    pub const LISTEN: Self = Self(10);
    /// Both FINs crossed; ours is not acknowledged.
    pub const CLOSING: Self = Self(11);
    /// SYN received, as a request socket.
    pub const NEW_SYN_RECV: Self = Self(12);

    /// The twelve states in the kernel's order.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..abi::TCPSTATES_NR_STATES as u8).map(Self)
    }

    /// The kernel's name; `STATE_<n>` for an unknown number.
    pub fn name(self) -> Cow<'static, str> {
        match NAMES.get(usize::from(self.0)) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("STATE_{}", self.0)),
        }
    }

    /// The displayed state: half-open requests are shown as `SYN_RECV`.
    pub fn known_as(self) -> Self {
        match self {
            Self::NEW_SYN_RECV => Self::SYN_RECV,
            other => other,
        }
    }

    /// The name of the displayed state.
    pub fn shown(self) -> Cow<'static, str> {
        self.known_as().name()
    }

    /// The states with a name of this program or `ss`: one state, or a group of `ss`. Case, `-` and
    /// `_` are ignored. Empty if the name is unknown.
    pub fn named(name: &str) -> Vec<Self> {
        let letters = |name: &str| name.replace(['-', '_'], "").to_ascii_lowercase();
        let name = letters(name);
        let other = OTHER_NAMES.iter().find(|(other, _)| *other == name);
        if let Some((_, state)) = other {
            return vec![*state];
        }
        let not = |states: &[Self]| Self::all().filter(|s| !states.contains(s)).collect();
        match name.as_str() {
            "connected" => not(&[Self::CLOSE, Self::LISTEN]),
            "synchronized" => not(&[Self::CLOSE, Self::LISTEN, Self::SYN_SENT]),
            "bucket" => vec![Self::SYN_RECV, Self::TIME_WAIT],
            "big" => not(&[Self::SYN_RECV, Self::NEW_SYN_RECV, Self::TIME_WAIT]),
            _ => Self::all().filter(|s| letters(&s.name()) == name).collect(),
        }
    }
}

/// Names of `ss` and other programs that differ from those of the kernel.
const OTHER_NAMES: [(&str, State); 4] = [
    ("estab", State::ESTABLISHED),
    ("closed", State::CLOSE),
    ("unconn", State::CLOSE),
    ("listening", State::LISTEN),
];

/// The names of the twelve states, separated by spaces.
pub fn state_names() -> String {
    NAMES[1..].join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_kernel() {
        assert_eq!(State(1).name(), "ESTABLISHED");
        assert_eq!(State(7), State::CLOSE);
        assert_eq!(State::LISTEN.name(), "LISTEN");
        assert_eq!(State::SYN_SENT.name(), "SYN_SENT");
        assert_eq!(State::FIN_WAIT1.name(), "FIN_WAIT1");
        assert_eq!(State::FIN_WAIT2.name(), "FIN_WAIT2");
        assert_eq!(State::TIME_WAIT.name(), "TIME_WAIT");
        assert_eq!(State::CLOSE_WAIT.name(), "CLOSE_WAIT");
        assert_eq!(State::LAST_ACK.name(), "LAST_ACK");
        assert_eq!(State::CLOSING.name(), "CLOSING");
        assert_eq!(State::all().count(), 12);
        assert_eq!(State(200).name(), "STATE_200");
        assert_eq!(State::NEW.shown(), "NEW");
    }

    #[test]
    fn a_request_is_shown_as_syn_recv() {
        assert_eq!(State::NEW_SYN_RECV.shown(), "SYN_RECV");
        assert_eq!(State::NEW_SYN_RECV.name(), "NEW_SYN_RECV");
        assert_eq!(State::LISTEN.shown(), "LISTEN");
    }

    #[test]
    fn states_are_found_as_ss_writes_them() {
        for state in State::all() {
            let name = state.name();
            let dashes = name.replace('_', "-").to_lowercase();
            assert_eq!(State::named(&name), [state]);
            assert_eq!(State::named(&dashes), [state], "{dashes}");
        }
        // Names that `ss` prints or accepts, where they differ.
        for (name, state) in [
            ("ESTAB", State::ESTABLISHED),
            ("FIN-WAIT-1", State::FIN_WAIT1),
            ("fin-wait-2", State::FIN_WAIT2),
            ("UNCONN", State::CLOSE),
            ("closed", State::CLOSE),
            ("listening", State::LISTEN),
        ] {
            assert_eq!(State::named(name), [state], "{name}");
        }
        for none in ["NEW", "", "-", "undef", "all"] {
            assert!(State::named(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn groups_are_those_of_ss() {
        let connected = State::named("connected");
        assert_eq!(connected.len(), 10);
        assert!(!connected.contains(&State::LISTEN) && !connected.contains(&State::CLOSE));
        let synchronized = State::named("Synchronized");
        assert_eq!(synchronized.len(), 9);
        assert!(!synchronized.contains(&State::SYN_SENT));
        assert_eq!(State::named("bucket"), [State::SYN_RECV, State::TIME_WAIT]);
        let big = State::named("big");
        assert!(big.iter().all(|s| s.known_as() != State::SYN_RECV));
        assert_eq!((big.len(), big.contains(&State::TIME_WAIT)), (9, false));
    }
}
