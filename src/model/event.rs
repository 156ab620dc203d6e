//! Recorded events, and the progress of reading a ring.

use crate::abi::{self, RecordBytes};
use crate::model::alarm::Alarm;
use crate::model::ident::Ident;
use crate::model::transition::Transition;

/// A record and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded<T> {
    /// The CPU of the ring.
    pub cpu: u32,
    /// Its position in the ring.
    pub seq: u64,
    /// The record.
    pub record: T,
}

/// A record of a known type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A connection changed its state.
    Transition(Recorded<Transition>),
    /// An alarm was raised or cleared.
    Alarm(Recorded<Alarm>),
}

impl Event {
    /// The CPU of the ring, and the position in it.
    pub fn position(&self) -> (u32, u64) {
        match self {
            Self::Transition(event) => (event.cpu, event.seq),
            Self::Alarm(event) => (event.cpu, event.seq),
        }
    }

    /// The connection or listener of the event.
    pub fn who(&self) -> &Ident {
        match self {
            Self::Transition(event) => &event.record.who,
            Self::Alarm(event) => &event.record.who,
        }
    }

    /// Decodes a record; `None` if it is of another type.
    #[inline]
    pub(crate) fn decode(bytes: &RecordBytes, cpu: u32, seq: u64) -> Option<Self> {
        if let Some(record) = Transition::decode(bytes) {
            return Some(Self::Transition(Recorded { cpu, seq, record }));
        }
        let record = Alarm::decode(bytes)?;
        Some(Self::Alarm(Recorded { cpu, seq, record }))
    }

    /// Monotonic nanoseconds.
    pub fn ts(&self) -> u64 {
        match self {
            Self::Transition(event) => event.record.ts,
            Self::Alarm(event) => event.record.ts,
        }
    }
}

/// State of one ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RingState {
    /// Number of the CPU.
    pub cpu: u32,
    /// Position of the next record.
    pub head: u64,
    /// Position at which the next report starts.
    pub consumed: u64,
    /// Number of records before that position that were overwritten before a report could read
    /// them.
    pub overwritten: u64,
}

impl RingState {
    /// Converts from the ABI structure.
    pub fn from_abi(raw: &abi::RingState) -> Self {
        Self {
            cpu: raw.cpu,
            head: raw.head,
            consumed: raw.consumed,
            overwritten: raw.overwritten,
        }
    }
}

/// Where to read a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// CPU of the ring.
    pub cpu: u32,
    /// Position of the next record.
    pub next: u64,
}

/// The position in the ring of a CPU. All records of a ring that is not listed are later ones: it was
/// created since.
pub fn position_of(positions: &[Position], cpu: u32) -> u64 {
    let of_cpu = positions.iter().find(|position| position.cpu == cpu);
    of_cpu.map_or(0, |position| position.next)
}

/// Progress of reading one ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Number of the ring.
    pub cpu: u32,
    /// Position of the first record that was read.
    pub from: u64,
    /// Position after the last record.
    pub to: u64,
    /// Number of those that were overwritten before they were read.
    pub overwritten: u64,
    /// Number of those that are alarms.
    pub alarms: u64,
    /// Number of those that have an unknown type.
    pub unknown: u64,
}
