//! Why a connection ended, or how it started: the module's reasons, and the socket's error.

use std::borrow::Cow;

use nix::errno::Errno;

use crate::abi;

/// A reason. Any number from the module is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reason(pub u16);

/// Names by number; 0 is no reason.
const NAMES: [&str; abi::TCPSTATES_NR_REASONS as usize - 1] = [
    "closed_local",
    "closed_peer",
    "closed_both",
    "reset_sent",
    "reset_received",
    "timeout_retransmit",
    "timeout_keepalive",
    "timeout_probe",
    "timeout_syn",
    "refused",
    "unreachable",
    "unread_data",
    "aborted",
    "listener_closed",
    "netns_gone",
    "accept_queue_full",
    "no_port",
    "fin_timeout",
    "reused",
    "duplicate",
    "syn_cookie",
    "fast_open",
    "out_of_timewait",
    "out_of_orphans",
    "out_of_memory",
    "cancelled",
    "repair",
];

impl Reason {
    /// The connection is not ending, or the reason is unknown.
    pub const NONE: Self = Self(0);

    /// Linger 0, disconnect, or data after `close()`.
    pub const RESET_SENT: Self = Self(4);
    /// The peer sent a reset.
    pub const RESET_RECEIVED: Self = Self(5);
    /// No answer to a SYN or SYN-ACK.
    pub const TIMEOUT_SYN: Self = Self(9);
    /// A reset in response to a SYN.
    pub const REFUSED: Self = Self(10);
    /// An ICMP error or a routing error.
    pub const UNREACHABLE: Self = Self(11);
    /// Closed with unread data.
    pub const UNREAD_DATA: Self = Self(12);
    /// The handshake's last ACK was dropped.
    pub const ACCEPT_QUEUE_FULL: Self = Self(16);
    /// `connect()` found no local port.
    pub const NO_PORT: Self = Self(17);
    /// The kernel skipped TIME_WAIT: `tcp_max_tw_buckets`.
    pub const OUT_OF_TIMEWAIT: Self = Self(23);
    /// The kernel ended an orphan: `tcp_max_orphans`.
    pub const OUT_OF_ORPHANS: Self = Self(24);
    /// The kernel ended an orphan: `tcp_mem`.
    pub const OUT_OF_MEMORY: Self = Self(25);
    /// The program gave up an unanswered `connect()`.
    pub const CANCELLED: Self = Self(26);

    /// All named reasons.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..abi::TCPSTATES_NR_REASONS as u16).map(Self)
    }

    /// The name in reports, `reason_<n>` for an unknown number; `None` without a reason.
    pub fn name(self) -> Option<Cow<'static, str>> {
        let index = usize::from(self.0).checked_sub(1)?;
        Some(match NAMES.get(index) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("reason_{}", self.0)),
        })
    }

    /// The reason with this name, ignoring case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|r| r.name().is_some_and(|n| n.eq_ignore_ascii_case(name)))
    }
}

/// The names of all reasons, separated by spaces.
pub fn reason_names() -> String {
    NAMES.join(" ")
}

/// The symbol of an error number, such as `ECONNREFUSED`; `errno_<n>` if there is none; `None`
/// without an error.
pub fn error_name(error: u16) -> Option<String> {
    match (error, Errno::from_raw(error.into())) {
        (0, _) => None,
        (_, Errno::UnknownErrno) => Some(format!("errno_{error}")),
        (_, known) => Some(format!("{known:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> String {
        Reason(number as u16).name().unwrap().into_owned()
    }

    /// Compares the header's constants with the names here.
    #[test]
    fn constants_have_their_names() {
        let named = [
            (Reason::RESET_SENT, "reset_sent"),
            (Reason::RESET_RECEIVED, "reset_received"),
            (Reason::TIMEOUT_SYN, "timeout_syn"),
            (Reason::REFUSED, "refused"),
            (Reason::UNREACHABLE, "unreachable"),
            (Reason::UNREAD_DATA, "unread_data"),
            (Reason::ACCEPT_QUEUE_FULL, "accept_queue_full"),
            (Reason::NO_PORT, "no_port"),
            (Reason::OUT_OF_TIMEWAIT, "out_of_timewait"),
            (Reason::OUT_OF_ORPHANS, "out_of_orphans"),
            (Reason::OUT_OF_MEMORY, "out_of_memory"),
            (Reason::CANCELLED, "cancelled"),
        ];
        for (reason, name) in named {
            assert_eq!(reason.name().as_deref(), Some(name));
        }
    }

    #[test]
    fn names_are_those_of_the_header() {
        let header = include_str!("../../include/tcpstates.h");
        let prefix = "#define TCPSTATES_REASON_";
        let mut found = 0;
        for line in header.lines().filter_map(|l| l.strip_prefix(prefix)) {
            let mut words = line.split_whitespace();
            let (constant, number) = (words.next().unwrap(), words.next().unwrap());
            match number.parse().unwrap() {
                0 => assert_eq!((constant, Reason::NONE.name()), ("NONE", None)),
                n => assert_eq!(name(n), constant.to_ascii_lowercase()),
            }
            found += 1;
        }
        assert_eq!(found, abi::TCPSTATES_NR_REASONS);
        assert_eq!(name(99), "reason_99");
    }

    #[test]
    fn every_reason_is_explained() {
        let reference = include_str!("../../docs/reference.md");
        for name in Reason::all().filter_map(Reason::name) {
            assert!(reference.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(Reason::from_name("Refused"), Some(Reason(10)));
        assert_eq!(Reason::from_name("none"), None);
        assert_eq!(Reason::from_name(""), None);
        assert_eq!(Reason::all().count(), 27);
    }

    #[test]
    fn errors_have_their_symbols() {
        assert_eq!(error_name(0), None);
        assert_eq!(error_name(111).as_deref(), Some("ECONNREFUSED"));
        assert_eq!(error_name(9999).as_deref(), Some("errno_9999"));
    }
}
