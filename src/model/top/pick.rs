//! Picks the first lines of an order from any number of them.

use std::cmp::Reverse;

/// A place in the order: the largest weight first, then the smallest id, so that lines of equal
/// weight do not change places from one look to the next.
type Place = (Reverse<u64>, u64);

/// Keeps the first `most` of the items that it is given. Others are dropped without being copied,
/// once so many are known.
#[derive(Debug)]
pub struct Pick<T> {
    most: usize,
    kept: Vec<(Place, T)>,
    /// Items at or behind this place are not among the first.
    last: Option<Place>,
}

impl<T: Copy> Pick<T> {
    /// An empty selection.
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            kept: Vec::new(),
            last: None,
        }
    }

    /// Adds an item.
    #[inline]
    pub fn push(&mut self, weight: u64, id: u64, item: &T) {
        let place = (Reverse(weight), id);
        if self.last.is_some_and(|last| place >= last) {
            return;
        }
        self.kept.push((place, *item));
        if self.kept.len() >= 2 * self.most {
            self.drop_others();
        }
    }

    fn drop_others(&mut self) {
        let most = self.most;
        self.kept.select_nth_unstable_by_key(most - 1, |k| k.0);
        self.kept.truncate(most);
        self.last = self.kept.last().map(|k| k.0);
    }

    /// The first items, in order.
    pub fn into_sorted(mut self) -> Vec<T> {
        self.kept.sort_unstable_by_key(|k| k.0);
        self.kept.truncate(self.most);
        self.kept.into_iter().map(|k| k.1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_many_are_those_of_a_full_sort() {
        for most in [1, 2, 7, 100, 5_000] {
            let mut pick = Pick::new(most);
            let mut all = Vec::new();
            for n in 0..2_000u64 {
                let (weight, id) = (n * 7_919 % 97, n * 31 % 2_003);
                pick.push(weight, id, &(weight, id));
                all.push((weight, id));
            }
            all.sort_by_key(|(weight, id)| (Reverse(*weight), *id));
            all.truncate(most);
            assert_eq!(pick.into_sorted(), all, "{most}");
        }
    }

    #[test]
    fn memory_holds_twice_the_number() {
        let mut pick = Pick::new(10);
        for n in 0..10_000 {
            pick.push(n, n, &n);
            assert!(pick.kept.len() < 20);
        }
        assert_eq!(pick.into_sorted()[0], 9_999);
        assert!(Pick::<u8>::new(0).into_sorted().is_empty());
    }
}
