//! What it costs when there are more connections than may be tracked.

use std::process::Stdio;

use nix::sys::resource::{Resource, setrlimit};

use crate::common::child;
use crate::common::{median, per_connection, rest};
use crate::record::Costs;
use crate::support::{tool, traffic};

const CONNECTIONS: u32 = 1000;
const HELD: usize = 5000;
const ROUNDS: usize = 4;
const FEW: &str = "max-conns=50";

/// Instructions of a connection that finds no node.
pub fn dry() {
    let listener = traffic::listen(traffic::V4);
    let held: Vec<_> = (0..100).map(|_| traffic::pair(&listener)).collect();
    let cases: [fn(); 2] = [tool::fresh, || tool::activate(FEW)];
    let mut measured = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for (prepare, values) in cases.iter().zip(&mut measured) {
            prepare();
            rest();
            values.push(per_connection(CONNECTIONS));
        }
    }
    tool::fresh();
    drop(held);
    let [idle, dry] = measured.map(median);
    let mut costs = Costs::new("instructions/connection");
    costs.add("dry_pool", dry - idle);
    costs.compare();
}

/// Instructions of an activation, less those of starting the tool.
fn activation() -> f64 {
    // What it waits for is not counted.
    let run = |option: &str| {
        let mut command = tool::command(&["tcpstates", option]);
        command.stdout(Stdio::null());
        child::run(command).cpu * 1e9
    };
    let values = (0..ROUNDS).map(|_| {
        tool::fresh();
        let nothing = run("--settings");
        run(&format!("--activate={FEW}")) - nothing
    });
    median(values.collect())
}

/// Instructions of a socket that is found, and has no node to be had.
pub fn seeding() {
    setrlimit(Resource::RLIMIT_NOFILE, 16_384, 16_384).expect("RLIMIT_NOFILE");
    tool::fresh();
    rest();
    let none = activation();
    let listener = traffic::listen(traffic::V4);
    let held: Vec<_> = (0..HELD).map(|_| traffic::pair(&listener)).collect();
    let many = activation();
    tool::fresh();
    drop(held);
    let mut costs = Costs::new("instructions/socket");
    costs.add("seeding_over_limit", (many - none) / (2 * HELD) as f64);
    costs.compare();
}
