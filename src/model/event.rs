//! What the module records: events, and how far a ring was read.

use crate::abi::{self, RecordBytes};
use crate::model::alarm::Alarm;
use crate::model::ident::Ident;
use crate::model::transition::Transition;

/// What happened and where it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded<T> {
    /// The CPU whose ring carried it.
    pub cpu: u32,
    /// Its position in that ring.
    pub seq: u64,
    /// What happened.
    pub record: T,
}

/// One record of a type that this controller knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A connection changed its state.
    Transition(Recorded<Transition>),
    /// Something has become too much, or no longer is.
    Alarm(Recorded<Alarm>),
}

impl Event {
    /// The CPU whose ring carried it, and its position there.
    pub fn position(&self) -> (u32, u64) {
        match self {
            Self::Transition(event) => (event.cpu, event.seq),
            Self::Alarm(event) => (event.cpu, event.seq),
        }
    }

    /// Whom it is about.
    pub fn who(&self) -> &Ident {
        match self {
            Self::Transition(event) => &event.record.who,
            Self::Alarm(event) => &event.record.who,
        }
    }

    /// Decodes a record; `None` when it is of another type.
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

/// One ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RingState {
    /// Number of the CPU.
    pub cpu: u32,
    /// Position of the next record.
    pub head: u64,
    /// Position from which the next report goes on.
    pub consumed: u64,
    /// Of those before it, overwritten before a report could read them.
    pub overwritten: u64,
}

impl RingState {
    /// From the form of the ABI.
    pub fn from_abi(raw: &abi::RingState) -> Self {
        Self {
            cpu: raw.cpu,
            head: raw.head,
            consumed: raw.consumed,
            overwritten: raw.overwritten,
        }
    }
}

/// What reading one ring came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Number of the ring.
    pub cpu: u32,
    /// Position of the first record that was looked at.
    pub from: u64,
    /// Position after the last one.
    pub to: u64,
    /// Of those, overwritten before they were read.
    pub overwritten: u64,
    /// Of those, alarms.
    pub alarms: u64,
    /// Of those, of a type that this controller does not know.
    pub unknown: u64,
}
