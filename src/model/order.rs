//! `sort=` and `limit=`: which lines of a part are printed, and in which order.

use std::cmp::Reverse;

use crate::model::alarm::Alarm;
use crate::model::conn::Conn;
use crate::model::event::Recorded;
use crate::model::listener::Listener;
use crate::model::transition::Transition;

/// Order of the lines of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Oldest first.
    #[default]
    Time,
    /// Longest in the (old) state first.
    Age,
    /// Most bytes (sent and received) first.
    Bytes,
    /// Most retransmitted segments first.
    Retrans,
}

impl Sort {
    /// The names.
    pub const NAMES: &[(&str, Self)] = &[
        ("time", Self::Time),
        ("age", Self::Age),
        ("bytes", Self::Bytes),
        ("retrans", Self::Retrans),
    ];
}

/// A line that can be sorted.
pub trait Sortable {
    /// The number by which `sort` orders: larger is later, longer or more.
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

/// Alarms are always sorted by time.
impl Sortable for Recorded<Alarm> {
    fn weight(&self, _: Sort) -> u64 {
        self.record.ts
    }
}

/// A listener has no bytes.
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
            // An older entry means a longer time in the state.
            Sort::Age => self.since.ns().map_or(0, |since| !since),
            Sort::Bytes => self.meters.map_or(0, |m| m.bytes()),
            Sort::Retrans => self.meters.map_or(0, |m| m.retrans.into()),
        }
    }
}

/// Minimum number of lines beyond the limit that are collected before the surplus is dropped.
const SLACK: usize = 1024;

/// Collects the lines of a part. With a limit, memory holds only somewhat more lines than that.
///
/// The lines with the largest weight are kept: by time the latest, otherwise the longest or most.
/// The result is sorted by time oldest first, otherwise largest first; lines of equal weight keep
/// their order.
pub struct Selection<T> {
    sort: Sort,
    limit: Option<usize>,
    kept: Vec<T>,
}

impl<T: Sortable> Selection<T> {
    /// An empty selection.
    pub fn new(sort: Sort, limit: Option<u64>) -> Self {
        let limit = limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        Self {
            sort,
            limit,
            kept: Vec::new(),
        }
    }

    /// Adds a line, and drops the smallest ones if there are too many.
    pub fn push(&mut self, item: T) {
        self.kept.push(item);
        let most = self
            .limit
            .map(|limit| limit.saturating_add(limit.max(SLACK)));
        if most.is_some_and(|most| self.kept.len() >= most) {
            self.sort_and_drop();
        }
    }

    /// The lines in order.
    pub fn into_sorted(mut self) -> impl Iterator<Item = T> {
        self.sort_and_drop();
        self.kept.into_iter()
    }

    /// Lines are large, so weights are sorted and each line is moved once. The sort is stable.
    fn sort_and_drop(&mut self) {
        let Self { sort, kept, .. } = self;
        let weight = |line: &T| line.weight(*sort);
        let surplus = kept.len().saturating_sub(self.limit.unwrap_or(usize::MAX));
        if *sort == Sort::Time {
            kept.sort_by_cached_key(weight);
            kept.drain(..surplus);
        } else {
            kept.sort_by_cached_key(|line| Reverse(weight(line)));
            kept.truncate(kept.len() - surplus);
        }
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
    fn a_limit_keeps_few_of_many() {
        for sort in [Sort::Time, Sort::Bytes] {
            let mut selection = Selection::new(sort, Some(3));
            for n in 0..20_000 {
                selection.push(Line(n * 7_919 % 20_000, 'x'));
                assert!(selection.kept.len() < 3 + SLACK);
            }
            let mut weights: Vec<_> = selection.into_sorted().map(|l| l.0).collect();
            weights.sort_unstable();
            assert_eq!(weights, [19_997, 19_998, 19_999]);
        }
    }

    #[test]
    fn all_else_goes_down_and_keeps_the_most() {
        assert_eq!(select(Sort::Bytes, None), "dacbe");
        assert_eq!(select(Sort::Bytes, Some(2)), "da");
        assert_eq!(select(Sort::Age, Some(1)), "d");
    }
}
