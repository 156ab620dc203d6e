//! All rings as one stream in the order of time, with one record per ring in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::mem::offset_of;

use crate::abi::{self, RECORD_SIZE, RawRecord, RecordBytes};
use crate::backend::ring::{RingReader, Step};
use crate::model::event::{Event, Progress};

/// The types of records that this controller knows.
enum Kind {
    Transition,
    Alarm,
}

impl Kind {
    #[inline]
    fn of(bytes: &RecordBytes) -> Option<Self> {
        match u32::from(abi::u16_at(bytes, offset_of!(RawRecord, type_))) {
            abi::TCPSTATES_REC_TRANSITION => Some(Self::Transition),
            abi::TCPSTATES_REC_ALARM => Some(Self::Alarm),
            _ => None,
        }
    }
}

struct Source {
    reader: RingReader,
    until: u64,
    progress: Progress,
    /// The next record. It stays where it was read to, and is decoded when its turn comes: an
    /// event is large, and would be moved once more.
    record: RecordBytes,
    /// Its position, if there is one.
    next: Option<u64>,
}

impl Source {
    fn new(reader: RingReader, until: u64) -> Self {
        let from = reader.position();
        let progress = Progress {
            cpu: reader.cpu(),
            from,
            to: from,
            overwritten: 0,
            alarms: 0,
            unknown: 0,
        };
        Self {
            reader,
            until,
            progress,
            record: [0; RECORD_SIZE],
            next: None,
        }
    }

    /// Reads on to the next event, whose time it returns. A record that stays unwritten ends the
    /// stream of its ring: it and what follows are left for the next time.
    fn advance(&mut self) -> Option<u64> {
        self.next = loop {
            match self.reader.read_into(self.until, &mut self.record) {
                Step::Record(seq) => match Kind::of(&self.record) {
                    Some(Kind::Transition) => break Some(seq),
                    Some(Kind::Alarm) => {
                        self.progress.alarms += 1;
                        break Some(seq);
                    }
                    None => self.progress.unknown += 1,
                },
                Step::Lost(count) => self.progress.overwritten += count,
                Step::NotYet | Step::End => break None,
            }
        };
        self.progress.to = self.reader.position();
        // The time is at the same place in all types.
        self.next
            .map(|_| abi::u64_at(&self.record, offset_of!(RawRecord, ts)))
    }

    /// The next event.
    #[inline]
    fn event(&self) -> Option<Event> {
        Event::decode(&self.record, self.progress.cpu, self.next?)
    }
}

/// The merged stream. Within a ring the order is that of the positions.
pub struct Merge {
    sources: Vec<Source>,
    /// Time of the next event of each ring that has one, and the ring's index.
    ready: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Merge {
    /// Merges what lies between the position of each reader and `until`,
    /// which is at most its head.
    pub fn new(readers: impl IntoIterator<Item = (RingReader, u64)>) -> Self {
        let source = |(reader, until)| Source::new(reader, until);
        let sources: Vec<Source> = readers.into_iter().map(source).collect();
        let mut merge = Self {
            ready: BinaryHeap::with_capacity(sources.len()),
            sources,
        };
        merge.refill();
        merge
    }

    /// A ring that has come later; it is read by the next [`Merge::extend`].
    pub fn add(&mut self, reader: RingReader) {
        let until = reader.position();
        self.sources.push(Source::new(reader, until));
    }

    /// Whether it reads the ring of this CPU.
    pub fn has(&self, cpu: u32) -> bool {
        self.sources.iter().any(|s| s.progress.cpu == cpu)
    }

    /// Goes on to what the module has written meanwhile.
    pub fn extend(&mut self) {
        for source in &mut self.sources {
            source.until = source.reader.head();
        }
        self.refill();
    }

    fn refill(&mut self) {
        for (index, source) in self.sources.iter_mut().enumerate() {
            if source.next.is_none() {
                if let Some(ts) = source.advance() {
                    self.ready.push(Reverse((ts, index)));
                }
            }
        }
    }

    /// Lends each event to `take`: it is large, and moved for nothing otherwise.
    ///
    /// # Errors
    /// What `take` fails with; the event counts as taken.
    pub fn try_each<E>(&mut self, mut take: impl FnMut(&Event) -> Result<(), E>) -> Result<(), E> {
        while let Some(mut first) = self.ready.peek_mut() {
            let Reverse((_, index)) = *first;
            let source = &mut self.sources[index];
            let taken = source.event().as_ref().map_or(Ok(()), &mut take);
            match source.advance() {
                Some(ts) => *first = Reverse((ts, index)),
                None => drop(PeekMut::pop(first)),
            }
            taken?;
        }
        Ok(())
    }

    /// Whether the module said that nothing more will come.
    pub fn ended(&self) -> bool {
        self.sources.iter().any(|s| s.reader.ended())
    }

    /// What was read of each ring, final when the stream is at its end.
    pub fn progress(&self) -> Vec<Progress> {
        self.sources.iter().map(|s| s.progress).collect()
    }

    /// Sum of all positions.
    pub fn positions(&self) -> u64 {
        self.sources
            .iter()
            .fold(0, |sum, s| sum.wrapping_add(s.progress.to))
    }
}

impl Iterator for Merge {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let mut first = self.ready.peek_mut()?;
        let source = self.sources.get_mut(first.0.1)?;
        let event = source.event();
        match source.advance() {
            Some(ts) => first.0.0 = ts,
            None => drop(PeekMut::pop(first)),
        }
        event
    }
}
