//! Cost to decode and format a record: instructions for a report, less those for an empty one.

use std::process::Stdio;

use crate::common::child;
use crate::common::{connections, median};
use crate::record::Costs;
use crate::support::tool;

const CONNECTIONS: u32 = 3000;
const ROUNDS: usize = 3;

/// Instructions for a whole report.
fn report(keys: &str) -> f64 {
    let keys = format!("--report=peek=1 summary=0 findings=0 {keys}");
    let values = (0..ROUNDS).map(|_| {
        let mut command = tool::command(&["tcpstates", &keys]);
        command.stdout(Stdio::null());
        child::run(command).cpu * 1e9
    });
    median(values.collect())
}

pub fn cost() {
    const FORMATS: [(&str, &str); 2] = [("table", ""), ("json", "json=1")];
    tool::activate("");
    let empty = FORMATS.map(|(_, keys)| report(keys));
    connections(CONNECTIONS);
    let records = tool::report("peek=1 transitions=0").number("/recorded");
    let mut costs = Costs::new("instructions/record");
    for ((name, keys), empty) in FORMATS.into_iter().zip(empty) {
        costs.add(name, (report(keys) - empty) / records as f64);
    }
    tool::fresh();
    costs.compare();
}
