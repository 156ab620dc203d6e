//! Random calls, mappings and reads by several processes, as root, while everything else changes:
//! only clean errors are allowed.

mod broken;
mod valid;

use libtest_mimic::Trial;

use crate::support::memory::{self, KernelMemory};
use crate::support::process::{Line, Process};
use crate::support::random::{self, Random};
use crate::support::{is_long, scenario, storm, tool};
use broken::Broken;
use valid::Valid;

pub fn trials() -> Vec<Trial> {
    vec![scenario(
        "random_calls_and_mappings_do_no_harm",
        random_calls,
    )]
}

const PROCESSES: u64 = 4;
/// CPU 0 stays online.
const CPUS: std::ops::RangeInclusive<u64> = 1..=1;

/// Number of operations in all.
fn wanted() -> u64 {
    if is_long() { 1_000_000 } else { 120_000 }
}

/// Runs invalid and valid operations; returns the number of each.
fn hammer(random: &mut Random, operations: u64) -> [u64; 2] {
    let (mut broken, mut valid) = (Broken::new(), Valid::new());
    let mut done = [0; 2];
    while done.iter().sum::<u64>() < operations {
        match random.below(8) {
            0 => broken.mapping(random),
            1..=4 => broken.call(random),
            _ => {
                done[1] += valid.something(random);
                continue;
            }
        }
        done[0] += 1;
    }
    done
}

fn hammer_when_told(mut line: Line, random: &mut Random, operations: u64) {
    line.hear();
    line.tell(&hammer(random, operations));
}

/// Runs processes with their own seeds during a storm; returns the number of operations.
fn hammer_all(seed: u64, operations: u64) -> u64 {
    let start = |n| {
        let mut random = Random::of(seed, n);
        Process::fork(move |line| hammer_when_told(line, &mut random, operations / PROCESSES))
    };
    let mut hammers: Vec<_> = (0..PROCESSES).map(start).collect();
    let (sums, storm) = storm::around(seed, &CPUS, || {
        hammers.iter_mut().for_each(|hammer| hammer.line.tell(&[]));
        let done: Vec<_> = hammers
            .iter_mut()
            .map(|hammer| hammer.line.hear())
            .collect();
        hammers.into_iter().for_each(Process::finish);
        [0, 1].map(|kind| done.iter().map(|counts| counts[kind]).sum::<u64>())
    });
    storm.assert_raged();
    println!("operations: {} broken, {} valid", sums[0], sums[1]);
    sums.iter().sum()
}

fn random_calls() {
    let seed = random::seed();
    tool::fresh();
    // Memory that the kernel keeps for good after a first storm is not a leak.
    hammer_all(seed, 4_000);
    tool::fresh();
    memory::settle();
    let before = KernelMemory::now();
    let operations = hammer_all(seed + PROCESSES, wanted());
    println!("{operations} operations");
    assert!(operations >= wanted());
    // The device still works.
    tool::fresh();
    storm::assert_exact_totals(seed, &CPUS);
    KernelMemory::assert_back_at(&before);
    memory::assert_none_left();
}
