//! The states of TCP, by the kernel's numbers (`include/net/tcp_states.h`).

use std::borrow::Cow;

use crate::abi;

/// A state's number as the module gave it; any number is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State(pub u8);

const NAMES: [&str; abi::TCPSTATES_NR_STATES as usize] = [
    "STATE_0",
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
    /// Connected.
    pub const ESTABLISHED: Self = Self(1);
    /// SYN received, as a full socket.
    pub const SYN_RECV: Self = Self(3);
    /// No connection.
    pub const CLOSE: Self = Self(7);
    /// A listener.
    pub const LISTEN: Self = Self(10);
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

    /// The name of a connection's state: a half-open request is `SYN_RECV`.
    pub fn shown(self) -> Cow<'static, str> {
        match self {
            Self::NEW_SYN_RECV => Self::SYN_RECV.name(),
            other => other.name(),
        }
    }

    /// The state with this name, in any case.
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
        assert_eq!(State::all().count(), 12);
        assert_eq!(State(200).name(), "STATE_200");
        assert_eq!(State(0).name(), "STATE_0");
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
        assert_eq!(State::from_name("STATE_0"), None);
        assert_eq!(State::from_name(""), None);
    }
}
