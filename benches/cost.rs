//! Cost of recording: instructions per connection (connect, accept, close on loopback), in a
//! machine whose time counts instructions, so that the figures are repeatable. The cases run
//! alternately, and the median of each is compared with that of an idle machine with nothing
//! attached.
//!
//! No cost may be more than a tenth above benches/cost/figures.json. With
//! `DIAGNOSE_TOOLS_NEW_FIGURES=1` that file is written instead.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement fails by panicking"
)]

#[path = "common/mod.rs"]
#[allow(dead_code, reason = "the full measurement uses the rest")]
mod common;
#[path = "common/figure.rs"]
mod figure;
#[path = "cost/flood.rs"]
mod flood;
#[path = "cost/full_pool.rs"]
mod full_pool;
#[path = "cost/record.rs"]
mod record;
#[path = "cost/report.rs"]
mod report;
#[path = "../tests/vm/support/mod.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod support;

use std::process::ExitCode;

use common::median;
use common::{connections, per_connection, rest};
use libtest_mimic::{Arguments, Trial};
use record::Costs;
use support::{guest, scenario, tool};

const CONNECTIONS: u32 = 1000;
const ROUNDS: usize = 4;

fn main() -> ExitCode {
    // `cargo bench` passes `--bench`, with which these trials would be left out.
    let mut arguments = Arguments::from_iter(std::env::args().filter(|arg| arg != "--bench"));
    arguments.test_threads = Some(1);
    if guest::group().is_none() && !arguments.list {
        let machine = guest::Machine {
            cpus: 1,
            icount: true,
            timeout_s: 900,
            ..Default::default()
        };
        return match record::boot(&machine) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        };
    }
    let trials: Vec<Trial> = vec![
        scenario("recording_costs_no_more_than_on_record", cost),
        scenario("a_flood_costs_no_more_than_on_record", flood::cost),
        scenario("a_dry_pool_costs_no_more_than_on_record", full_pool::dry),
        scenario(
            "a_seeding_over_the_limit_costs_no_more_than_on_record",
            full_pool::seeding,
        ),
        scenario("a_report_costs_no_more_than_on_record", report::cost),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn cost() {
    let cases: [fn(); 3] = [
        tool::fresh,
        || tool::activate("hook=tracepoint"),
        || tool::activate("hook=kprobe"),
    ];
    let mut measured = [const { Vec::new() }; 3];
    common::assert_counts_instructions();
    connections(CONNECTIONS);
    for _ in 0..ROUNDS {
        for (prepare, values) in cases.iter().zip(&mut measured) {
            prepare();
            rest();
            values.push(per_connection(CONNECTIONS));
        }
    }
    tool::fresh();
    println!("idle, tracepoint, kprobe, instructions per connection: {measured:.0?}");
    let [idle, tracepoint, kprobe] = measured.map(median);
    let mut costs = Costs::new("instructions/connection");
    costs.add("tracepoint", tracepoint - idle);
    costs.add("kprobe", kprobe - idle);
    costs.compare();
}
