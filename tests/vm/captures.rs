//! Captures of a real recording, compared with the module's own output.

use std::fs;
use std::os::unix::fs::MetadataExt;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::tool::{self, Report};
use crate::support::{scenario, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("a_capture_says_what_the_module_said", says_the_same),
        scenario(
            "a_capture_moves_nothing_and_needs_no_module",
            needs_no_module,
        ),
    ]
}

const FILE: &str = "/run/diagnose-tools-test.cap";

fn dump() {
    let told = tool::tcpstates(&[&format!("--dump=file={FILE}")]);
    assert!(
        told.starts_with("captured: ") && told.ends_with(&format!(": {FILE}\n")),
        "{told}"
    );
    let mode = fs::metadata(FILE).expect("a file").mode();
    assert_eq!(mode & 0o7777, 0o600);
}

fn of_capture(keys: &str) -> Report {
    tool::report(&format!("from={FILE} {keys}"))
}

/// The lines without values that depend on the time of reading.
fn lasting(lines: &[Value]) -> Vec<Value> {
    let mut lines = lines.to_vec();
    for line in lines.iter_mut().filter_map(Value::as_object_mut) {
        for key in ["ts", "age_ns", "last_recv_ms", "last_sent_ms"] {
            line.remove(key);
        }
    }
    lines
}

fn says_the_same() {
    tool::activate_here("verbose=2");
    let listener = traffic::listen(traffic::V4);
    traffic::client_first(&listener);
    traffic::server_first(&listener);
    traffic::reset(&listener);
    let held = traffic::pair(&listener);
    // Events that a report has already consumed are in the capture, but in no report of it.
    let reported = tool::report("");
    assert!(!reported.transitions.is_empty());
    traffic::client_first(&listener);
    dump();
    let (told, expected) = (of_capture(""), tool::report("peek=1"));
    assert!(!expected.transitions.is_empty() && expected.connections.len() >= 3);
    assert_eq!(told.transitions, expected.transitions);
    assert_eq!(lasting(&told.connections), lasting(&expected.connections));
    assert_eq!(lasting(&told.listeners), lasting(&expected.listeners));
    for path in [
        "/recorded",
        "/reported",
        "/pending",
        "/seen",
        "/tracked",
        "/transitions",
    ] {
        assert_eq!(
            told.summary.pointer(path),
            expected.summary.pointer(path),
            "{path}"
        );
    }
    told.assert_totals_balance();
    for option in ["--settings=json=1", "--diagnose=json=1 sample=0"] {
        let expected = tool::tcpstates(&[option]);
        let told = tool::tcpstates(&[&format!("{option} from={FILE}")]);
        let kinds = |text: &str| -> Vec<Value> {
            let parsed = text.lines().map(|l| serde_json::from_str(l).expect("JSON"));
            parsed.map(|line: Value| line["type"].clone()).collect()
        };
        assert_eq!(kinds(&told), kinds(&expected), "{told}{expected}");
    }
    drop(held);
    tool::tcpstates(&["--deactivate"]);
    fs::remove_file(FILE).expect("removed");
}

fn needs_no_module() {
    tool::activate_here("");
    let listener = traffic::listen(traffic::V4);
    traffic::client_first(&listener);
    dump();
    let drained = tool::report("");
    assert!(!drained.transitions.is_empty(), "the capture took nothing");
    tool::unloaded();
    assert_eq!(of_capture("").transitions, drained.transitions);
    let refused = tool::run(&["tcpstates", &format!("--follow=from={FILE}")]);
    assert_eq!(refused.status, 2, "{refused:?}");
    fs::remove_file(FILE).expect("removed");
}
