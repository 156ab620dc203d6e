//! `by=`: counts of connections, transitions and ends by up to three fields.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::model::conn::Conn;
use crate::model::endpoint::Dev;
use crate::model::ident::{Owner, Role};
use crate::model::life::Life;
use crate::model::order::Sort;
use crate::model::reason::Reason;
use crate::model::span::Span;
use crate::model::state::State;

/// Maximum number of fields of a count.
pub const MOST_FIELDS: usize = 3;

/// A field by which is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the fields of JSON lines")]
pub enum Field {
    State,
    /// Number and name of the process.
    Process,
    Comm,
    Pid,
    Uid,
    Container,
    Cgroup,
    Netns,
    Laddr,
    Lport,
    Raddr,
    Rport,
    /// Address and port of the listener.
    Listener,
    Role,
    Reason,
    Family,
}

impl Field {
    /// The names.
    pub const NAMES: &[(&str, Self)] = &[
        ("state", Self::State),
        ("process", Self::Process),
        ("comm", Self::Comm),
        ("pid", Self::Pid),
        ("uid", Self::Uid),
        ("container", Self::Container),
        ("cgroup", Self::Cgroup),
        ("netns", Self::Netns),
        ("laddr", Self::Laddr),
        ("lport", Self::Lport),
        ("raddr", Self::Raddr),
        ("rport", Self::Rport),
        ("listener", Self::Listener),
        ("role", Self::Role),
        ("reason", Self::Reason),
        ("family", Self::Family),
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, field)| *field == self);
        named.map_or("", |(name, _)| name)
    }
}

/// A value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// It is unknown, or there is none.
    None,
    /// A displayed state.
    State(State),
    /// A process.
    Process(Owner),
    /// The name of a process, NUL-padded.
    Comm([u8; 16]),
    /// A process, user, port or family.
    Number(u32),
    /// A container.
    Container(Rc<str>),
    /// A control group: its number, and its path if it still exists.
    Cgroup(u64, Option<Rc<str>>),
    /// A network namespace: its inode number, and its name.
    Netns(u32, Option<Rc<str>>),
    /// An address, with a device if it is needed to tell hosts apart.
    Address(IpAddr, Option<Dev>),
    /// A listener.
    End(IpAddr, Option<Dev>, u16),
    /// A side.
    Role(Role),
    /// A reason.
    Reason(Reason),
}

/// The values of the fields; those that are not asked for are [`Part::None`].
pub type Key = [Part; MOST_FIELDS];

/// The counts of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Live connections, listeners included.
    pub connections: u64,
    /// Recorded transitions into the state.
    pub transitions: u64,
    /// Recorded ends of connections.
    pub ends: u64,
    /// Bytes sent by the live and the ended connections, with retransmissions.
    pub bytes_sent: u64,
    /// Bytes that they have received.
    pub bytes_received: u64,
    /// Segments that they have retransmitted.
    pub retrans: u64,
    /// Longest time that a live connection has been in its state.
    pub oldest: Span,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            connections: 0,
            transitions: 0,
            ends: 0,
            bytes_sent: 0,
            bytes_received: 0,
            retrans: 0,
            oldest: Span::Unknown,
        }
    }
}

fn add(to: &mut u64, number: u64) {
    *to = to.saturating_add(number);
}

impl Tally {
    /// Adds a live connection at `now_ns` (monotonic).
    pub fn connection(&mut self, conn: &Conn, now_ns: u64) {
        self.connections += 1;
        self.older(conn.age(now_ns));
        if let Some(meters) = conn.meters {
            add(&mut self.bytes_sent, meters.bytes_sent);
            add(&mut self.bytes_received, meters.bytes_received);
            add(&mut self.retrans, meters.retrans.into());
        }
    }

    /// Adds a connection that has ended.
    pub fn end(&mut self, life: &Life) {
        self.ends += 1;
        add(&mut self.bytes_sent, life.carried.bytes_sent);
        add(&mut self.bytes_received, life.carried.bytes_received);
        add(&mut self.retrans, life.carried.retrans.into());
    }

    fn older(&mut self, age: Span) {
        if age.ns() > self.oldest.ns() {
            self.oldest = age;
        }
    }

    /// Adds another row.
    fn add(&mut self, other: &Self) {
        add(&mut self.connections, other.connections);
        add(&mut self.transitions, other.transitions);
        add(&mut self.ends, other.ends);
        add(&mut self.bytes_sent, other.bytes_sent);
        add(&mut self.bytes_received, other.bytes_received);
        add(&mut self.retrans, other.retrans);
        self.older(other.oldest);
    }

    /// The numbers by which rows are ordered, the most important first.
    fn weight(&self, sort: Sort) -> [u64; 4] {
        let first = match sort {
            Sort::Time => self.connections,
            Sort::Age => self.oldest.ns().unwrap_or(0),
            Sort::Bytes => self.bytes_sent.saturating_add(self.bytes_received),
            Sort::Retrans => self.retrans,
        };
        [first, self.connections, self.ends, self.transitions]
    }
}

/// Counts by fields, under construction.
#[derive(Default)]
pub struct Counts(FxHashMap<Key, Tally>);

/// The counts in order.
#[derive(Debug, PartialEq, Eq)]
pub struct CountTable {
    /// The fields.
    pub fields: Vec<Field>,
    /// The rows, the largest first.
    pub rows: Vec<(Key, Tally)>,
    /// Number of rows that found no room, and their sum; `None`: all are printed.
    pub others: Option<(u64, Tally)>,
}

impl Counts {
    /// The row of a key.
    pub fn row(&mut self, key: Key) -> &mut Tally {
        self.0.entry(key).or_default()
    }

    /// The rows, the largest first; `sort` says by which number, by time: most connections.
    pub fn into_table(self, fields: Vec<Field>, sort: Sort, limit: Option<u64>) -> CountTable {
        let mut rows: Vec<_> = self.0.into_iter().collect();
        rows.sort_by(|(one, a), (two, b)| {
            let order = Reverse(a.weight(sort)).cmp(&Reverse(b.weight(sort)));
            order.then_with(|| one.cmp(two))
        });
        let most = limit.map_or(rows.len(), |n| usize::try_from(n).unwrap_or(usize::MAX));
        let rest = rows.split_off(most.min(rows.len()));
        let mut sum = Tally::default();
        rest.iter().for_each(|(_, tally)| sum.add(tally));
        CountTable {
            fields,
            rows,
            others: (!rest.is_empty()).then_some((rest.len() as u64, sum)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        [Part::Number(number), Part::None, Part::None]
    }

    fn table(sort: Sort, limit: Option<u64>) -> CountTable {
        let mut counts = Counts::default();
        for (number, connections, ends, bytes) in
            [(80, 5, 1, 10), (81, 7, 0, 3), (82, 5, 2, 99), (83, 5, 2, 1)]
        {
            *counts.row(key(number)) = Tally {
                connections,
                ends,
                bytes_sent: bytes,
                oldest: Span::Exact(bytes * 2),
                ..Tally::default()
            };
        }
        counts.into_table(vec![Field::Lport], sort, limit)
    }

    fn order(sort: Sort) -> Vec<Part> {
        let rows = table(sort, None).rows;
        rows.into_iter().map(|([first, ..], _)| first).collect()
    }

    #[test]
    fn the_largest_come_first_and_equal_ones_in_order() {
        let numbers = |numbers: [u32; 4]| numbers.map(Part::Number);
        assert_eq!(order(Sort::Time), numbers([81, 82, 83, 80]));
        assert_eq!(order(Sort::Bytes), numbers([82, 80, 81, 83]));
        assert_eq!(order(Sort::Age), numbers([82, 80, 81, 83]));
        assert_eq!(order(Sort::Retrans), numbers([81, 82, 83, 80]));
    }

    #[test]
    fn what_finds_no_room_is_summed() {
        let table = table(Sort::Time, Some(2));
        assert_eq!(table.rows.len(), 2);
        let (rows, sum) = table.others.unwrap();
        assert_eq!((rows, sum.connections, sum.ends), (2, 10, 3));
        assert_eq!((sum.bytes_sent, sum.oldest), (11, Span::Exact(20)));
        for limit in [Some(4), Some(u64::MAX), None] {
            assert_eq!(super::tests::table(Sort::Time, limit).others, None);
        }
    }

    #[test]
    fn every_field_has_a_name_of_its_own() {
        for (name, field) in Field::NAMES {
            assert_eq!(field.name(), *name);
        }
        assert_eq!(Field::NAMES.len(), 16);
    }
}
