//! Random numbers, whose seed can be given again.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A small generator of our own: a seed gives the same numbers everywhere.
pub struct Random(u64);

impl Random {
    /// One of several that are made of the same seed.
    pub fn of(seed: u64, number: u64) -> Self {
        let state = seed.wrapping_add(number).wrapping_add(1);
        let mut random = Self(state.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // Seeds that are close to each other have parted after a few.
        (0..16).for_each(|_| _ = random.next());
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn of_these<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    /// A time of so many milliseconds at most.
    pub fn millis(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.below(most * 1000 + 1))
    }
}

/// `DIAGNOSE_TOOLS_SEED`, or another one each time. It is printed, to be given again.
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
