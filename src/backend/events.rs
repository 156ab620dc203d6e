//! Merges all rings into one stream in the order of time, with one record per ring in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::mem::offset_of;
use std::ops::ControlFlow;

use crate::abi::{self, RECORD_SIZE, RawRecord, RecordBytes};
use crate::backend::ring::{RingReader, Step};
use crate::backend::{Backend, Events, Start, Take};
use crate::error::{Error, Result};
use crate::fmt::text::words;
use crate::model::activation::Settings;
use crate::model::event::{Event, Progress, RingState, position_of};

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
    /// The next record. It stays in this buffer and is decoded only when it is the next in the
    /// merged stream: an event is large, and decoding it earlier would need another copy.
    record: RecordBytes,
    /// Position of the record, if there is one.
    next: Option<u64>,
}

impl Source {
    fn new(reader: RingReader, until: u64) -> Self {
        let from = reader.position();
        let progress = Progress {
            cpu: reader.cpu(),
            from,
            to: from,
            ..Progress::default()
        };
        Self {
            reader,
            until,
            progress,
            record: [0; RECORD_SIZE],
            next: None,
        }
    }

    /// Advances to the next event and returns its time. A record that remains unwritten ends the
    /// stream of its ring: that record and those after it are read by a later call.
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
        // The time has the same offset in all types.
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
struct Merge {
    sources: Vec<Source>,
    /// Heap of the time of each ring's next event, with the index of the ring.
    ready: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Merge {
    /// Merges the records between the position of each reader and its `until`, which must not
    /// exceed the head.
    fn new(readers: impl IntoIterator<Item = (RingReader, u64)>) -> Self {
        let source = |(reader, until)| Source::new(reader, until);
        let sources: Vec<Source> = readers.into_iter().map(source).collect();
        let mut merge = Self {
            ready: BinaryHeap::with_capacity(sources.len()),
            sources,
        };
        merge.refill();
        merge
    }

    /// Adds a ring that was created later; the next [`Merge::extend`] reads it.
    fn add(&mut self, reader: RingReader) {
        let until = reader.position();
        self.sources.push(Source::new(reader, until));
    }

    /// Whether the ring of this CPU is included.
    fn has(&self, cpu: u32) -> bool {
        self.sources.iter().any(|s| s.progress.cpu == cpu)
    }

    /// Continues with the records that were written since.
    fn extend(&mut self) {
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

    /// Passes each event to `take` by reference, because moving a large event costs time.
    fn try_each(&mut self, take: &mut Take) -> Result<()> {
        while let Some(mut first) = self.ready.peek_mut() {
            let Reverse((_, index)) = *first;
            let source = &mut self.sources[index];
            let taken = match source.event() {
                Some(event) => take(&event),
                None => Ok(ControlFlow::Continue(())),
            };
            match source.advance() {
                Some(ts) => *first = Reverse((ts, index)),
                None => drop(PeekMut::pop(first)),
            }
            if taken?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Whether the module has marked a ring as ended; it then marks all of them.
    fn ended(&self) -> bool {
        self.sources.iter().any(|s| s.reader.ended())
    }

    /// Progress of each ring, final once the stream has ended.
    fn progress(&self) -> Vec<Progress> {
        self.sources.iter().map(|s| s.progress).collect()
    }
}

/// A backend whose rings can be mapped.
pub trait Rings: Backend {
    /// Maps a ring of the activation that `settings` describes, starting at position 0.
    ///
    /// # Errors
    /// Not active, or the mapping fails.
    fn map_ring(&self, settings: &Settings, cpu: u32) -> Result<RingReader>;
}

/// Creates the event stream of the rings, for [`Backend::events`].
///
/// # Errors
/// Not active, an activation other than that of `settings`, or an invalid ring.
pub fn of_rings<'a>(
    rings: &'a dyn Rings,
    settings: &Settings,
    start: Start,
) -> Result<Box<dyn Events + 'a>> {
    let sources = rings.rings()?.into_iter().map(|ring| {
        let mut reader = map(rings, settings, ring.cpu)?;
        let oldest = ring.head.saturating_sub(settings.ring_records.into());
        let mut until = ring.head;
        match &start {
            Start::Consumed => reader.seek(ring.consumed),
            Start::Now => reader.seek(ring.head),
            Start::Since(ns) => seek_time(&mut reader, &ring, settings, *ns),
            Start::At(positions) => reader.seek(position_of(positions, ring.cpu).min(ring.head)),
            Start::Before(positions) => {
                until = position_of(positions, ring.cpu).min(ring.head);
                reader.seek(oldest.min(until));
            }
        }
        Ok((reader, until))
    });
    Ok(Box::new(RingEvents {
        merge: Merge::new(sources.collect::<Result<Vec<_>>>()?),
        settings: settings.clone(),
        rings,
    }))
}

/// Maps a ring of the activation that `settings` describes.
fn map(rings: &dyn Rings, settings: &Settings, cpu: u32) -> Result<RingReader> {
    let reader = match rings.map_ring(settings, cpu) {
        Ok(reader) => reader,
        Err(Error::NotActive) => return Err(Error::NotActive),
        Err(error) => {
            // The rings of another activation may have another size.
            let active = rings.settings()?.map(|active| active.generation);
            return Err(match active == Some(settings.generation) {
                true => error,
                false => Error::Stale,
            });
        }
    };
    if reader.generation() != settings.generation {
        return Err(Error::Stale);
    }
    if reader.cpu() != cpu {
        return Err(Error::Ring {
            cpu,
            reason: words!("it is the ring of another CPU", "它属于另一个 CPU"),
        });
    }
    Ok(reader)
}

/// Moves the reader to the first record that is not older than `since`. Uses a binary search,
/// because the records of a ring are in the order of time.
fn seek_time(reader: &mut RingReader, ring: &RingState, settings: &Settings, since: u64) {
    let capacity = settings.ring_records.into();
    let (mut low, mut high) = (ring.head.saturating_sub(capacity), ring.head);
    let mut record = [0; RECORD_SIZE];
    while low < high {
        let middle = low + (high - low) / 2;
        reader.seek(middle);
        let older = match reader.read_into(ring.head, &mut record) {
            Step::Record(_) => abi::u64_at(&record, offset_of!(RawRecord, ts)) < since,
            // Overwritten by a newer record: the remaining records start after it.
            Step::Lost(_) => true,
            Step::NotYet | Step::End => false,
        };
        if older {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    reader.seek(low);
}

/// The event stream of an activation's rings.
struct RingEvents<'a> {
    rings: &'a dyn Rings,
    settings: Settings,
    merge: Merge,
}

impl RingEvents<'_> {
    /// Adds the ring of a CPU that has come online; all its events are new.
    fn add_rings(&mut self) -> Result<()> {
        let rings = match self.rings.rings() {
            // Mapped rings can still be read to their end.
            Err(Error::NotActive) => return Ok(()),
            other => other?,
        };
        for ring in rings {
            if self.merge.has(ring.cpu) {
                continue;
            }
            match map(self.rings, &self.settings, ring.cpu) {
                Ok(reader) => self.merge.add(reader),
                Err(Error::NotActive | Error::Stale) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Events for RingEvents<'_> {
    fn try_each(&mut self, take: &mut Take) -> Result<()> {
        self.merge.try_each(take)
    }

    fn progress(&self) -> Vec<Progress> {
        self.merge.progress()
    }

    fn extend(&mut self) -> Result<bool> {
        // Read before the heads are loaded: the heads are final once the recording has ended.
        let ended = self.merge.ended();
        if !ended {
            self.add_rings()?;
        }
        self.merge.extend();
        Ok(!ended)
    }
}
