//! All rings as one stream in the order of time, with one record per ring in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::mem::offset_of;
use std::ops::ControlFlow;

use crate::abi::{self, RECORD_SIZE, RawRecord, RecordBytes};
use crate::backend::ring::{RingReader, Step};
use crate::backend::{Backend, Events, Start, Take};
use crate::error::{Error, Result};
use crate::model::activation::Settings;
use crate::model::event::{Event, Progress, RingState};

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
struct Merge {
    sources: Vec<Source>,
    /// Time of the next event of each ring that has one, and the ring's index.
    ready: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Merge {
    /// Merges what lies between the position of each reader and `until`,
    /// which is at most its head.
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

    /// A ring that has come later; it is read by the next [`Merge::extend`].
    fn add(&mut self, reader: RingReader) {
        let until = reader.position();
        self.sources.push(Source::new(reader, until));
    }

    /// Whether it reads the ring of this CPU.
    fn has(&self, cpu: u32) -> bool {
        self.sources.iter().any(|s| s.progress.cpu == cpu)
    }

    /// Goes on to what the module has written meanwhile.
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

    /// Lends each event to `take`: it is large, and moved for nothing otherwise.
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

    /// Whether the module said that nothing more will come.
    fn ended(&self) -> bool {
        self.sources.iter().any(|s| s.reader.ended())
    }

    /// What was read of each ring, final when the stream is at its end.
    fn progress(&self) -> Vec<Progress> {
        self.sources.iter().map(|s| s.progress).collect()
    }
}

/// A backend whose rings can be mapped.
pub trait Rings: Backend {
    /// A ring of the activation that `settings` describes, from position 0.
    ///
    /// # Errors
    /// Not active, or the mapping fails.
    fn map_ring(&self, settings: &Settings, cpu: u32) -> Result<RingReader>;
}

/// The events of rings, for [`Backend::events`].
///
/// # Errors
/// Not active, another activation than that of `settings`, or a ring makes no sense.
pub fn of_rings<'a>(
    rings: &'a dyn Rings,
    settings: &Settings,
    start: Start,
) -> Result<Box<dyn Events + 'a>> {
    let sources = rings.rings()?.into_iter().map(|ring| {
        let mut reader = map(rings, settings, ring.cpu)?;
        match start {
            Start::Consumed => reader.seek(ring.consumed),
            Start::Now => reader.seek(ring.head),
            Start::Since(ns) => seek_time(&mut reader, &ring, settings, ns),
        }
        Ok((reader, ring.head))
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
            // The rings of another activation may be shorter or longer.
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
            reason: "it is the ring of another CPU",
        });
    }
    Ok(reader)
}

/// Moves the reader to the first record that is not older than `since`: by halves, because a
/// ring's records are in the order of time.
fn seek_time(reader: &mut RingReader, ring: &RingState, settings: &Settings, since: u64) {
    let capacity = settings.ring_records.into();
    let (mut low, mut high) = (ring.head.saturating_sub(capacity), ring.head);
    let mut record = [0; RECORD_SIZE];
    while low < high {
        let middle = low + (high - low) / 2;
        reader.seek(middle);
        let older = match reader.read_into(ring.head, &mut record) {
            Step::Record(_) => abi::u64_at(&record, offset_of!(RawRecord, ts)) < since,
            // Overwritten by something newer: what is still there starts behind it.
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

/// The rings of an activation as they come.
struct RingEvents<'a> {
    rings: &'a dyn Rings,
    settings: Settings,
    merge: Merge,
}

impl RingEvents<'_> {
    /// A CPU that comes online gets a ring, all of whose events are new.
    fn add_rings(&mut self) -> Result<()> {
        let rings = match self.rings.rings() {
            // What is mapped can still be read to its end.
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
        // Before the heads are loaded: they are final when it has ended.
        let ended = self.merge.ended();
        if !ended {
            self.add_rings()?;
        }
        self.merge.extend();
        Ok(!ended)
    }
}
