//! Which transitions exist: those of RFC 9293 that Linux makes, and those of Linux alone. Anything
//! else is a bug of the tool.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::Value;

/// Each state, and the states that may follow it.
const ALLOWED: &[(&str, &[&str])] = &[
    ("NEW", &["SYN_RECV"]),
    // ESTABLISHED: a socket that is restored in repair mode.
    ("CLOSE", &["LISTEN", "SYN_SENT", "ESTABLISHED"]),
    ("LISTEN", &["CLOSE"]),
    ("SYN_SENT", &["SYN_RECV", "ESTABLISHED", "CLOSE"]),
    // CLOSE_WAIT: a FIN that arrives before a Fast Open's handshake is complete.
    (
        "SYN_RECV",
        &["ESTABLISHED", "FIN_WAIT1", "CLOSE_WAIT", "CLOSE"],
    ),
    ("ESTABLISHED", &["FIN_WAIT1", "CLOSE_WAIT", "CLOSE"]),
    // An ACK and a FIN in one segment are two steps, through FIN_WAIT2.
    ("FIN_WAIT1", &["FIN_WAIT2", "CLOSING", "CLOSE"]),
    ("FIN_WAIT2", &["TIME_WAIT", "CLOSE"]),
    ("CLOSING", &["TIME_WAIT", "CLOSE"]),
    ("TIME_WAIT", &["CLOSE"]),
    ("CLOSE_WAIT", &["LAST_ACK", "CLOSE"]),
    ("LAST_ACK", &["CLOSE"]),
];

/// The states of RFC 9293, and that of the kernel's requests, which exist until a handshake is
/// complete and are shown as SYN_RECV, too.
const STATES: [&str; 11] = [
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
];

/// How often each transition was seen, by old and new state.
pub type TransitionCounts = BTreeMap<(String, String), u64>;

/// The transitions of all recordings that this program has checked.
static SEEN: Mutex<TransitionCounts> = Mutex::new(BTreeMap::new());

/// The from×to table of a summary.
pub fn of(summary: &Value) -> TransitionCounts {
    let rows = summary["transitions"].as_array().expect("a table");
    let transition = |row: &Value| {
        let name = |key: &str| row[key].as_str().expect("a name").to_owned();
        (
            (name("old"), name("new")),
            row["count"].as_u64().expect("a number"),
        )
    };
    rows.iter().map(transition).collect()
}

/// Asserts that there is a transition into each state.
pub fn assert_all_states(seen: &TransitionCounts) {
    let into: BTreeSet<_> = seen.keys().map(|(_, new)| new.as_str()).collect();
    assert_eq!(into, BTreeSet::from(STATES), "{seen:?}");
}

/// Asserts that the recording has no impossible transition.
pub fn check(summary: &Value) {
    let transitions = of(summary);
    for ((old, new), count) in &transitions {
        let allowed = ALLOWED.iter().find(|(from, _)| from == old);
        assert!(
            allowed.is_some_and(|(_, to)| to.contains(&new.as_str())),
            "{count} times {old} to {new}, which there is not"
        );
    }
    let mut seen = SEEN.lock().expect("no panic while it is held");
    for (transition, count) in transitions {
        *seen.entry(transition).or_insert(0) += count;
    }
}

/// All transitions that were seen so far.
pub fn seen() -> TransitionCounts {
    SEEN.lock().expect("no panic while it is held").clone()
}
