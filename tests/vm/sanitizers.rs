//! A kernel with a sanitizer really checks the module.

use std::fs;

use libtest_mimic::Trial;

use crate::support::{guest, scenario, tool, traffic};

/// Where this can be tested: KCSAN checks only some of the accesses, and counts them.
pub fn trials() -> Vec<Trial> {
    let races = || scenario("races_are_looked_for_in_the_module", races);
    let is_there = guest::sanitizer().as_deref() == Some("kcsan");
    is_there.then(races).into_iter().collect()
}

fn counter(name: &str) -> u64 {
    let text = fs::read_to_string("/sys/kernel/debug/kcsan").expect("KCSAN");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.strip_prefix(": "));
    value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or_else(|| panic!("no {name}: {text}"))
}

/// Little else is instrumented: while nothing is recorded, few accesses are checked.
fn races() {
    const CONNECTIONS: u16 = 1000;
    let watched = || counter("setup_watchpoints");
    assert_eq!(counter("enabled"), 1);
    let connect =
        || (0..CONNECTIONS).for_each(|_| traffic::client_first(&traffic::listen(traffic::V4)));
    tool::fresh();
    let before = watched();
    connect();
    let without = watched() - before;
    tool::activate_here("");
    let before = watched();
    connect();
    let with = watched() - before;
    println!("accesses that were watched: {with}, and {without} without a recording");
    assert!(with > 1000 && without < with / 10, "{with} {without}");
    tool::tcpstates(&["--deactivate"]);
}
