//! Cost when there are more connections than may be tracked.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::common::child;
use crate::common::held::Held;
use crate::common::{median, per_connection, rest};
use crate::record::Costs;
use crate::support::{tool, traffic};

const CONNECTIONS: u32 = 1000;
const ROUNDS: usize = 4;
/// Number of sockets to find.
const FOUND: usize = 131_072;
/// Number of activations that find them, and of those that find none.
const ACTIVATIONS: usize = 12;
const FEW: &str = "max-conns=50";

/// Instructions for a connection that gets no node.
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
    println!("idle, dry, instructions per connection: {measured:.0?}");
    let [idle, dry] = measured.map(median);
    let mut costs = Costs::new("instructions/connection");
    costs.add("dry_pool", dry - idle);
    costs.compare();
}

/// Instructions for an activation, including the start of the tool.
fn activation() -> f64 {
    tool::fresh();
    // Deferred freeing for the previous recording and closed sockets would run in interrupts during
    // this one.
    thread::sleep(Duration::from_secs(1));
    let mut command = tool::command(&["tcpstates", &format!("--activate={FEW}")]);
    command.stdout(Stdio::null());
    // Waiting time is not counted.
    child::run(command).cpu * 1e9
}

/// Instructions for a socket that is found when there is no free node.
///
/// The rest of an activation sometimes takes one or two million instructions more, but never less.
/// So there are many sockets, and the least of several activations that find them is compared with
/// the least of several that find none. Eight sockets share a bucket of the kernel's hash.
pub fn seeding() {
    tool::fresh();
    let mut held = Held::new("found");
    let [none, many] = [0, FOUND].map(|live| {
        held.keep(live, 4);
        let values: Vec<_> = (0..ACTIVATIONS).map(|_| activation()).collect();
        let millions: Vec<_> = values.iter().map(|value| value / 1e6).collect();
        println!("{live} sockets, millions of instructions: {millions:.1?}");
        values.into_iter().fold(f64::INFINITY, f64::min)
    });
    tool::fresh();
    let mut costs = Costs::new("instructions/socket");
    costs.add("seeding_over_limit", (many - none) / FOUND as f64);
    costs.compare();
}
