//! Random numbers with a reproducible seed.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;

/// A seed gives the same numbers everywhere.
pub struct Random(Rng);

impl Random {
    /// One of several generators with the same seed.
    pub fn of(seed: u64, number: u64) -> Self {
        Self(Rng::with_seed(seed.wrapping_add(number)))
    }

    pub fn next(&mut self) -> u64 {
        self.0.u64(..)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.u64(..limit)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn of_these<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    /// A random time of at most this number of milliseconds.
    pub fn millis(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.below(most * 1000 + 1))
    }
}

/// `DIAGNOSE_TOOLS_SEED`, or a new seed each time. It is printed, so that a run can be repeated.
pub fn seed() -> u64 {
    let seed = match env::var("DIAGNOSE_TOOLS_SEED") {
        Ok(given) => given.parse().expect("DIAGNOSE_TOOLS_SEED is a number"),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| u64::from(time.subsec_nanos()) ^ time.as_secs()),
    };
    println!("DIAGNOSE_TOOLS_SEED={seed}");
    seed
}
