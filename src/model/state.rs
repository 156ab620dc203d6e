//! The states of TCP, by the kernel's numbers (`include/net/tcp_states.h`).

use std::borrow::Cow;

use crate::abi;

/// A state's number as the module gave it; any number is allowed.
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
    /// Where a connection comes from that a SYN began: the old state of its first transition only.
    pub const NEW: Self = Self(abi::TCPSTATES_STATE_NEW as u8);
    /// Connected.
    pub const ESTABLISHED: Self = Self(1);
    /// SYN sent, no answer yet.
    pub const SYN_SENT: Self = Self(2);
    /// SYN received, as a full socket.
    pub const SYN_RECV: Self = Self(3);
    /// FIN sent, not acknowledged.
    pub const FIN_WAIT1: Self = Self(4);
    /// Our FIN is acknowledged, the peer's has not come.
    pub const FIN_WAIT2: Self = Self(5);
    /// Both have closed: kept for packets that are late.
    pub const TIME_WAIT: Self = Self(6);
    /// No connection.
    pub const CLOSE: Self = Self(7);
    /// The peer has closed, the program has not.
    pub const CLOSE_WAIT: Self = Self(8);
    /// The peer has closed first, our FIN is not acknowledged.
    pub const LAST_ACK: Self = Self(9);
    /// A listener.
    pub const LISTEN: Self = Self(10);
    /// Both FINs crossed, ours is not acknowledged.
    pub const CLOSING: Self = Self(11);
    /// SYN received, as a request socket.
    pub const NEW_SYN_RECV: Self = Self(12);

    /// The twelve states that exist, in the kernel's order.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..abi::TCPSTATES_NR_STATES as u8).map(Self)
    }

    /// The kernel's name, `STATE_<n>` for a number that it does not have.
    pub fn name(self) -> Cow<'static, str> {
        match NAMES.get(usize::from(self.0)) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("STATE_{}", self.0)),
        }
    }

    /// The state that people know it by: a half-open request is in `SYN_RECV`.
    pub fn known_as(self) -> Self {
        match self {
            Self::NEW_SYN_RECV => Self::SYN_RECV,
            other => other,
        }
    }

    /// The name of the state that people know it by.
    pub fn shown(self) -> Cow<'static, str> {
        self.known_as().name()
    }

    /// The one of the twelve states with this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|s| s.name().eq_ignore_ascii_case(name))
    }
}

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
    fn names_are_found_in_any_case() {
        assert_eq!(State::from_name("time_wait"), Some(State(6)));
        assert_eq!(State::from_name("NEW"), None);
        assert_eq!(State::from_name(""), None);
    }
}
