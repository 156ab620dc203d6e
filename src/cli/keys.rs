//! The keys of each option, once: what is accepted, what help says and what an
//! error says come from these tables.

use std::fmt::Write;

/// One key of an option.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// What the user types before `=`.
    pub name: &'static str,
    /// What may stand behind it.
    pub values: &'static str,
    /// What holds without it.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// The keys of one option.
pub type Keys = &'static [&'static [Key]];

const fn key(
    name: &'static str,
    values: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    Key {
        name,
        values,
        default,
        meaning,
    }
}

const ADDRESSES: &str = "IPv4 or IPv6 address or CIDR, with %DEVICE behind the address if bound to that, ! negates, \
     | separates";
const PORTS: &str = "port or range LOW-HIGH, ! negates, | separates";
const BOOL: &str = "0 or 1";

const FILTER: &[Key] = &[
    key("addr", ADDRESSES, "any", "local or remote address"),
    key("laddr", ADDRESSES, "any", "local address"),
    key("raddr", ADDRESSES, "any", "remote address"),
    key("port", PORTS, "any", "local or remote port"),
    key("lport", PORTS, "any", "local port"),
    key("rport", PORTS, "any", "remote port"),
    key("family", "4 or 6", "both", "address family of the socket"),
    key(
        "netns",
        "inode number, or a name under /run/netns",
        "all",
        "network namespace",
    ),
];

const LASTED: &[Key] = &[key(
    "min-ms",
    "0 to 18446744073709",
    "0",
    "least time in the old state, in milliseconds",
)];

const RECORDING: &[Key] = &[
    key(
        "ring",
        "a power of two from 64 to 4194304",
        "auto: as many as fit in ring-memory",
        "records kept per CPU",
    ),
    key(
        "ring-memory",
        "1 to 1048576, not with ring",
        "auto: 1/64 of the memory, 16 to 512, and no more than 65536 records per CPU",
        "MiB for the rings of all CPUs that are online",
    ),
    key(
        "max-conns",
        "1 to 16777216",
        "auto: by the kernel's own limits, and at most 1/32 of the memory",
        "most live connections tracked",
    ),
    key(
        "hook",
        "auto, tracepoint or kprobe",
        "auto",
        "how the main transition is hooked",
    ),
];

const ALARMS: &[Key] = &[
    key(
        "threshold",
        "0 to 16777216",
        "500",
        "connections of one pair of addresses that raise an alarm, 0: none do",
    ),
    key(
        "unfinished",
        "0 to 16777216",
        "200",
        "handshakes a second that a listener does not see finished and that raise an alarm, \
         0: none do",
    ),
    key(
        "max-pairs",
        "1 to 1048576",
        "32768",
        "most pairs of addresses counted",
    ),
    key(
        "max-listeners",
        "1 to 65536",
        "4096",
        "most listeners counted",
    ),
];

const VERBOSE: &[Key] = &[key(
    "verbose",
    "0, 1 or 2",
    "0",
    "what a bare --report prints: 0 transitions, 1 live connections, 2 both",
)];

const PARTS: &[Key] = &[
    key(
        "transitions",
        BOOL,
        "by verbose; --follow 1",
        "print the transitions",
    ),
    key(
        "alarms",
        BOOL,
        "1",
        "print the alarms; without transitions they stay, for the next report as well",
    ),
    key(
        "connections",
        BOOL,
        "by verbose; --follow 0",
        "print the live connections",
    ),
    key(
        "listeners",
        BOOL,
        "as connections",
        "print the listeners with their queues, each as now/most/limit",
    ),
    key("summary", BOOL, "1", "print the totals, last"),
    key(
        "format",
        "table, detail or json",
        "table",
        "one line each, all fields, JSON lines",
    ),
    key("json", BOOL, "0", "json=1 is format=json"),
];

const FINDINGS: &[Key] = &[key(
    "findings",
    BOOL,
    "1",
    "diagnose as well, without looking at packets: say how many findings there are",
)];

const DIAGNOSIS: &[Key] = &[
    key("json", BOOL, "0", "JSON lines"),
    key(
        "check",
        BOOL,
        "0",
        "when a finding is at least a warning, exit status 3, and no further option is carried out",
    ),
    key(
        "config",
        "path of a TOML file",
        "/etc/diagnose-tools/tcpstates.toml, if it is there",
        "limits of the rules",
    ),
    key(
        "sample",
        "0 to 60",
        "10",
        "most seconds to look at what slow clients send, when there are any; 0: not at all",
    ),
    key(
        "rules",
        "syn-flood slow-request slow-headers slow-body slow-read silent-connections \
         pair-threshold accept-queue-full half-open-full close-wait time-wait port-exhaustion \
         fin-wait1 fin-wait2 last-ack syn-sent scanner dead-peers resets simultaneous, | separates",
        "all",
        "findings to look for",
    ),
];

const PEEK: &[Key] = &[key("peek", BOOL, "0", "do not mark events as reported")];

const CHOICE: &[Key] = &[
    key(
        "state",
        "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK \
         LISTEN CLOSING NEW_SYN_RECV, ! negates, | separates",
        "any",
        "states to show; of a transition, the old or the new one",
    ),
    key(
        "reason",
        "closed_local closed_peer closed_both reset_sent reset_received timeout_retransmit \
         timeout_keepalive timeout_probe timeout_syn refused unreachable unread_data aborted \
         listener_closed netns_gone accept_queue_full no_port fin_timeout reused duplicate \
         syn_cookie fast_open out_of_timewait out_of_orphans out_of_memory cancelled repair, \
         ! negates, | separates",
        "any",
        "reasons to show: why connections end, or how they began",
    ),
];

const REPORT_LINES: &[Key] = &[
    key(
        "sort",
        "time, age, bytes or retrans",
        "time",
        "oldest first; longest in the state, most bytes, most retransmissions first",
    ),
    key(
        "limit",
        "1 or more",
        "none",
        "most lines of each part: the latest by time, else the first of the order",
    ),
];

const FOLLOW_LINES: &[Key] = &[
    key("sort", "time", "time", "as events happen"),
    key("limit", "1 or more", "none", "end after so many events"),
];

const JSON: &[Key] = &[key("json", BOOL, "0", "one JSON line")];

/// Keys of `--activate`.
pub const ACTIVATE: Keys = &[VERBOSE, FILTER, LASTED, RECORDING, ALARMS];
/// Keys of `--report`.
pub const REPORT: Keys = &[PARTS, FINDINGS, PEEK, FILTER, LASTED, CHOICE, REPORT_LINES];
/// Keys of `--follow`.
pub const FOLLOW: Keys = &[PARTS, FILTER, LASTED, CHOICE, FOLLOW_LINES];
/// Those of them that are not as for `--report`.
pub const FOLLOW_OWN: Keys = &[FOLLOW_LINES];
/// Keys of `--settings`.
pub const SETTINGS: Keys = &[JSON];
/// Keys of `--diagnose`.
pub const DIAGNOSE: Keys = &[DIAGNOSIS, FILTER];

/// Keys that have another name now.
const RENAMED: [(&str, &str); 1] = [("max-groups", "max-pairs")];

/// The name that the key `old` has now, if it was renamed.
pub fn new_name(old: &str) -> Option<&'static str> {
    let renamed = RENAMED.iter().find(|(name, _)| *name == old);
    renamed.map(|(_, now)| *now)
}

/// All keys of an option.
pub fn all(keys: Keys) -> impl Iterator<Item = &'static Key> {
    keys.iter().copied().flatten()
}

/// The names, separated by spaces.
pub fn names(keys: Keys) -> String {
    all(keys).map(|k| k.name).collect::<Vec<_>>().join(" ")
}

/// Two lines per key for `--help`.
pub fn help(title: &str, keys: Keys) -> String {
    let mut text = format!("{title}\n");
    for key in all(keys) {
        let Key {
            name,
            values,
            default,
            meaning,
        } = key;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {name:<13} {meaning} [default: {default}]\n                {values}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi;
    use crate::model::reason::Reason;

    #[test]
    fn ranges_are_those_of_the_header() {
        let values = |name| all(ACTIVATE).find(|k| k.name == name).unwrap().values;
        let (min, max) = (abi::TCPSTATES_RING_MIN, abi::TCPSTATES_RING_MAX);
        assert_eq!(
            values("ring"),
            format!("a power of two from {min} to {max}")
        );
        let most = crate::cli::options::MOST_RING_MEMORY;
        assert_eq!(values("ring-memory"), format!("1 to {most}, not with ring"));
        let (min, max) = (abi::TCPSTATES_CONNS_MIN, abi::TCPSTATES_CONNS_MAX);
        assert_eq!(values("max-conns"), format!("{min} to {max}"));
        for key in ["threshold", "unfinished"] {
            assert_eq!(values(key), format!("0 to {max}"));
        }
        let (min, max) = (abi::TCPSTATES_PAIRS_MIN, abi::TCPSTATES_PAIRS_MAX);
        assert_eq!(values("max-pairs"), format!("{min} to {max}"));
        let (min, max) = (abi::TCPSTATES_LISTENERS_MIN, abi::TCPSTATES_LISTENERS_MAX);
        assert_eq!(values("max-listeners"), format!("{min} to {max}"));
        assert_eq!(values("min-ms"), format!("0 to {}", u64::MAX / 1_000_000));
        assert_eq!(abi::TCPSTATES_VERBOSE_MAX, 2);
    }

    #[test]
    fn states_and_reasons_are_all_named() {
        assert!(
            CHOICE[0]
                .values
                .starts_with(&crate::model::state::state_names())
        );
        let reasons: Vec<_> = Reason::all().filter_map(Reason::name).collect();
        assert!(CHOICE[1].values.starts_with(&reasons.join(" ")));
    }

    #[test]
    fn rules_are_all_named() {
        let key = DIAGNOSIS.iter().find(|k| k.name == "rules").unwrap();
        let names: Vec<_> = crate::diagnose::rules::names().collect();
        assert!(key.values.starts_with(&names.join(" ")));
        let key = DIAGNOSIS.iter().find(|k| k.name == "config").unwrap();
        assert!(
            key.default
                .starts_with(crate::diagnose::limits::DEFAULT_PATH)
        );
    }

    #[test]
    fn no_key_is_there_twice() {
        for keys in [ACTIVATE, REPORT, FOLLOW, SETTINGS, DIAGNOSE] {
            let mut names: Vec<_> = all(keys).map(|k| k.name).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|w| w[0] != w[1]));
        }
    }
}
