//! Output for people: the three formats of one recording.

use libtest_mimic::Trial;

use crate::support::{scenario, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![scenario("the_three_formats_tell_the_same", formats)]
}

fn formats() {
    tool::activate("verbose=2");
    let listener = traffic::listen(traffic::V4);
    traffic::client_first(&listener);
    let held = traffic::pair(&listener);
    let client = held.0.local_addr().expect("bound").to_string();
    let json = tool::report("peek=1");
    assert!(
        !json.transitions.is_empty() && !json.connections.is_empty(),
        "verbose=2 shows both"
    );
    for format in ["table", "detail"] {
        let text = tool::tcpstates(&[&format!("--report=format={format} peek=1")]);
        assert!(!text.contains('\u{1b}'), "no escapes into a pipe");
        assert!(
            text.contains(&client),
            "{client} is in the {format}: {text}"
        );
        for state in [
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
        ] {
            assert!(
                text.contains(state),
                "{state} is in the totals of the {format}: {text}"
            );
        }
    }
    let mut chinese = tool::command(&["tcpstates", "--report=format=detail peek=1"]);
    chinese.env("LC_ALL", "zh_CN.UTF-8");
    let outcome = tool::outcome(chinese);
    assert_eq!(outcome.status, 0);
    let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    assert!(
        outcome.stdout.chars().filter(|c| is_chinese(*c)).count() > 50,
        "{}",
        outcome.stdout
    );
    tool::tcpstates(&["--deactivate"]);
}
