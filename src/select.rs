//! `sort=` and `limit=`: which lines of a part are printed, in which order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::alarm::Alarm;
use crate::listener::Listener;
use crate::merge::Recorded;
use crate::options::Sort;
use crate::record::{Conn, Transition};

/// What a line is sorted by.
pub trait Sortable {
    /// The number that `sort` looks at: larger is later, longer, more.
    fn weight(&self, sort: Sort) -> u64;
}

impl Sortable for Recorded<Transition> {
    fn weight(&self, sort: Sort) -> u64 {
        match sort {
            Sort::Time => self.record.ts,
            Sort::Age => self.record.in_old.ns().unwrap_or(0),
            Sort::Bytes => self.record.meters.map_or(0, |m| m.bytes()),
            Sort::Retrans => self.record.meters.map_or(0, |m| m.retrans.into()),
        }
    }
}

/// Alarms have the order of time alone.
impl Sortable for Recorded<Alarm> {
    fn weight(&self, _: Sort) -> u64 {
        self.record.ts
    }
}

/// A listener carries no bytes.
impl Sortable for Listener {
    fn weight(&self, sort: Sort) -> u64 {
        match sort {
            Sort::Time => self.since.ns().unwrap_or(0),
            Sort::Age => self.since.ns().map_or(0, |since| !since),
            Sort::Bytes | Sort::Retrans => 0,
        }
    }
}

impl Sortable for Conn {
    fn weight(&self, sort: Sort) -> u64 {
        match sort {
            Sort::Time => self.first_seen_ns,
            // The older its entry, the longer it is in the state.
            Sort::Age => self.since.ns().map_or(0, |since| !since),
            Sort::Bytes => self.meters.map_or(0, |m| m.bytes()),
            Sort::Retrans => self.meters.map_or(0, |m| m.retrans.into()),
        }
    }
}

struct Entry<T> {
    key: (u64, Reverse<u64>),
    item: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl<T> Eq for Entry<T> {}
impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// Collects the lines of a part: with a limit never more than that many in memory.
///
/// The lines that stay are those of the largest weight: the latest by time,
/// else the longest or the most. By time they come out oldest first, else
/// largest first; of equals the one that came first is first.
pub struct Selection<T> {
    sort: Sort,
    limit: Option<usize>,
    came: u64,
    kept: BinaryHeap<Reverse<Entry<T>>>,
}

impl<T: Sortable> Selection<T> {
    /// An empty selection.
    pub fn new(sort: Sort, limit: Option<u64>) -> Self {
        let limit = limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        Self {
            sort,
            limit,
            came: 0,
            kept: BinaryHeap::new(),
        }
    }

    /// Takes a line, and drops the least one when there are too many.
    pub fn push(&mut self, item: T) {
        let weight = item.weight(self.sort);
        // By time, of two equal ones the second is the later.
        let tie = if self.sort == Sort::Time {
            !self.came
        } else {
            self.came
        };
        self.came += 1;
        self.kept.push(Reverse(Entry {
            key: (weight, Reverse(tie)),
            item,
        }));
        if self.limit.is_some_and(|limit| self.kept.len() > limit) {
            self.kept.pop();
        }
    }

    /// The lines, in order.
    pub fn into_sorted(self) -> impl Iterator<Item = T> {
        let by_time = self.sort == Sort::Time;
        // Sorted by Reverse: largest first.
        let mut lines: Vec<_> = self.kept.into_sorted_vec();
        if by_time {
            lines.reverse();
        }
        lines.into_iter().map(|entry| entry.0.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    struct Line(u64, char);
    impl Sortable for Line {
        fn weight(&self, _: Sort) -> u64 {
            self.0
        }
    }

    fn select(sort: Sort, limit: Option<u64>) -> String {
        let mut selection = Selection::new(sort, limit);
        for line in [
            Line(3, 'a'),
            Line(1, 'b'),
            Line(3, 'c'),
            Line(9, 'd'),
            Line(1, 'e'),
        ] {
            selection.push(line);
        }
        selection.into_sorted().map(|l| l.1).collect()
    }

    #[test]
    fn time_goes_up_and_keeps_the_latest() {
        assert_eq!(select(Sort::Time, None), "beacd");
        assert_eq!(select(Sort::Time, Some(2)), "cd");
        assert_eq!(select(Sort::Time, Some(4)), "eacd");
        assert_eq!(select(Sort::Time, Some(100)), "beacd");
    }

    #[test]
    fn all_else_goes_down_and_keeps_the_most() {
        assert_eq!(select(Sort::Bytes, None), "dacbe");
        assert_eq!(select(Sort::Bytes, Some(2)), "da");
        assert_eq!(select(Sort::Age, Some(1)), "d");
    }
}
