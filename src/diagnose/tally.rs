//! Counts by key, the largest counts, and arithmetic on counts.

use std::collections::HashMap;
use std::hash::Hash;

/// The sum, saturated at the maximum: counters of the module may have any value.
pub fn sum(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add)
}

/// `part` of `whole` in percent; 100 if `whole` is 0.
pub fn percent(part: u64, whole: u64) -> u64 {
    match whole {
        0 => 100,
        _ => part.saturating_mul(100) / whole,
    }
}

/// Counts by kind. After `room` kinds, further kinds share one count.
#[derive(Debug, Clone)]
pub struct Tally<K> {
    counts: HashMap<K, u64>,
    room: usize,
    /// Total count.
    pub total: u64,
    /// Count of the kinds beyond `room`.
    pub others: u64,
}

impl<K: Hash + Eq + Ord + Copy> Default for Tally<K> {
    fn default() -> Self {
        Self::with_room(usize::MAX)
    }
}

impl<K: Hash + Eq + Ord + Copy> Tally<K> {
    /// An empty tally with at most `room` kinds.
    pub fn with_room(room: usize) -> Self {
        Self {
            counts: HashMap::new(),
            room,
            total: 0,
            others: 0,
        }
    }

    /// Counts all keys.
    pub fn of(keys: impl IntoIterator<Item = K>) -> Self {
        let mut tally = Self::default();
        keys.into_iter().for_each(|key| tally.add(key, 1));
        tally
    }

    /// Adds `count` to a kind.
    pub fn add(&mut self, key: K, count: u64) {
        self.total += count;
        if self.counts.len() < self.room || self.counts.contains_key(&key) {
            *self.counts.entry(key).or_default() += count;
        } else {
            self.others += count;
        }
    }

    /// Number of kinds, a lower bound if there are more than `room`.
    pub fn kinds(&self) -> u64 {
        self.counts.len() as u64
    }

    /// Kinds with a count of at least `least`, the largest first.
    pub fn at_least(&self, least: u64) -> Vec<(K, u64)> {
        let mut kinds: Vec<_> = self.counts.iter().map(|(k, n)| (*k, *n)).collect();
        kinds.retain(|(_, count)| *count >= least);
        kinds.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        kinds
    }

    /// The kind with the largest count.
    pub fn top(&self) -> Option<(K, u64)> {
        let by_size = |a: &(&K, &u64), b: &(&K, &u64)| a.1.cmp(b.1).then(b.0.cmp(a.0));
        let top = self.counts.iter().max_by(by_size);
        top.map(|(key, count)| (*key, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_equal_ones_in_order() {
        let tally = Tally::of([3, 1, 2, 2, 1, 9]);
        assert_eq!(tally.at_least(1), [(1, 2), (2, 2), (3, 1), (9, 1)]);
        assert_eq!(tally.at_least(2), [(1, 2), (2, 2)]);
        assert_eq!(tally.top(), Some((1, 2)));
        assert_eq!((tally.total, tally.kinds(), tally.others), (6, 4, 0));
        assert_eq!(Tally::<u8>::default().top(), None);
    }

    #[test]
    fn what_finds_no_room_is_counted_all_the_same() {
        let mut tally = Tally::with_room(2);
        [1, 2, 3, 1, 4]
            .into_iter()
            .for_each(|key| tally.add(key, 10));
        assert_eq!((tally.total, tally.kinds(), tally.others), (50, 2, 20));
        assert_eq!(tally.at_least(1), [(1, 20), (2, 10)]);
    }
}
