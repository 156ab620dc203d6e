//! Healthy hosts, however busy: no finding that needs attention. Each scenario shows that its
//! traffic was there: by `ss`, by `nstat`, or by a sick twin that does need attention.

mod conversations;
mod crawler;
mod mail;
mod mptcp;
mod nfs;
mod node;
mod proxy;
mod scraper;
mod twins;
mod web;

use std::fs;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::diagnosis::Diagnosis;
use crate::support::{mptcp as subflows, scenario, scenario_where};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("diagnosis_of_healthy_servers", web::healthy),
        scenario("diagnosis_of_healthy_hosts", conversations::healthy),
        scenario("diagnosis_of_a_healthy_crawler", crawler::healthy),
    ]
}

/// Scenarios that share a recording with others.
pub fn beside() -> Vec<Trial> {
    vec![
        scenario_where(
            nfs::is_there,
            "diagnosis_of_a_healthy_nfs_server",
            nfs::healthy,
        ),
        scenario_where(
            subflows::can_join,
            "diagnosis_of_a_healthy_mptcp_server",
            mptcp::healthy,
        ),
    ]
}

/// Asserts that nothing needs attention; otherwise prints all of it.
fn assert_nothing(when: &str, keys: &str) {
    assert_needs_attention(when, keys, &[]);
}

/// Asserts that each of these rules has a finding about this process that needs attention, and that
/// no other process has one.
fn assert_needs_attention(when: &str, keys: &str, expected: &[(&str, &str)]) {
    let diagnosis = Diagnosis::with(keys);
    let rules: Vec<_> = diagnosis.0.iter().map(|f| &f["rule"]).collect();
    println!("{when}: {rules:?}");
    let alarms = diagnosis.alarms();
    let is_about = |f: &Value, comm: &str| f["subject"]["comm"] == comm;
    let is_sick = |f: &Value| expected.iter().any(|(_, comm)| is_about(f, comm));
    let wrong: Vec<_> = alarms.iter().filter(|f| !is_sick(f)).collect();
    assert!(wrong.is_empty(), "{when}: {wrong:#?}");
    for (rule, comm) in expected {
        let is_found = alarms
            .iter()
            .any(|f| f["rule"] == *rule && is_about(f, comm));
        assert!(is_found, "{when}: no {rule} of {comm}: {alarms:#?}");
    }
}

/// Each rule with a limit of one: then it reports everything that it counts.
const ONE_OF_EACH: &str = "
[syn-flood]
unfinished = 1
[slow-request]
one-source = 1
[slow-read]
one-source = 1
[silent-connections]
one-source = 1
[half-open-full]
percent = 1
[close-wait]
count = 1
[time-wait]
count = 1
share = 1
[port-exhaustion]
share = 1
[fin-wait1]
count = 1
share = 1
[fin-wait2]
count = 1
share = 1
[last-ack]
count = 1
share = 1
[syn-sent]
count = 1
[scanner]
destinations = 1
[dead-peers]
count = 1
idle-count = 1
[resets]
count = 1
share = 1
seconds = 1
recent-s = 60
";

/// Prints the numbers that each rule has computed, for the documentation.
fn print_counts() {
    let limits = "/tmp/one-of-each.toml";
    fs::write(limits, ONE_OF_EACH).expect("a file");
    let diagnosis = Diagnosis::with(&format!("sample=0 config={limits}"));
    for found in &diagnosis.0 {
        let netns = &found["subject"]["netns_name"];
        let comm = &found["subject"]["comm"];
        println!("{netns} {comm} {}: {}", found["rule"], found["numbers"]);
    }
}
