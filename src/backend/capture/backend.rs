//! A capture as a backend. It answers as the module did when the capture was written.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use crate::backend::capture::codec::Codec;
use crate::backend::capture::elements::{EarlierConn, EarlierLives};
use crate::backend::capture::file::{self, name_of};
use crate::backend::capture::read::{Elements, Reader, Source};
use crate::backend::capture::{self, Kind, Problem, Ring};
use crate::backend::{Backend, Events, Start, Take};
use crate::error::{Error, Result};
use crate::model::activation::Settings;
use crate::model::clock::ClockChange;
use crate::model::conn::Conn;
use crate::model::event::{Event, Progress, RingState, position_of};
use crate::model::hook::Hook;
use crate::model::listener::Listener;
use crate::model::lives::{InCgroup, Lives};
use crate::model::pair::Pair;
use crate::model::stats::Stats;
use crate::model::transition_count::TransitionCount;

/// Number of live connections in a batch.
const BATCH: usize = 1024;

/// A complete capture.
pub struct Capture<S> {
    reader: Reader<S>,
    /// Name used in errors.
    name: String,
}

impl Capture<File> {
    /// Opens a file and checks all of it.
    ///
    /// # Errors
    /// It cannot be read, is not a complete capture, or has a version that this program cannot
    /// read.
    pub fn open(path: &Path) -> Result<Self> {
        let name = name_of(path);
        match file::open(path) {
            Ok(file) => Self::new(file, name),
            Err(error) => Err(Problem::from(error).of(&name)),
        }
    }
}

impl<S: Source> Capture<S> {
    /// Opens a capture; errors use `name`.
    ///
    /// # Errors
    /// It is incomplete, or this version cannot read it.
    pub fn new(source: S, name: String) -> Result<Self> {
        match Reader::new(source, capture::KINDS) {
            Ok(reader) => Ok(Self { reader, name }),
            Err(problem) => Err(problem.of(&name)),
        }
    }

    /// The reader, for callers that use other kinds of elements.
    pub fn reader(&self) -> &Reader<S> {
        &self.reader
    }

    /// An error that names this capture.
    pub fn error(&self, problem: Problem) -> Error {
        problem.of(&self.name)
    }

    fn table<T: Codec>(&self, kind: Kind) -> Result<Vec<T>> {
        self.reader.table(kind).map_err(|p| self.error(p))
    }

    fn one<T: Codec>(&self, kind: Kind) -> Result<T> {
        self.reader.one(kind).map_err(|p| self.error(p))
    }
}

impl<S: Source> Backend for Capture<S> {
    fn settings(&self) -> Result<Option<Settings>> {
        self.one(capture::SETTINGS).map(Some)
    }

    fn stats(&self) -> Result<Stats> {
        self.one(capture::STATS)
    }

    fn clocks(&self) -> Result<Vec<ClockChange>> {
        self.table(capture::CLOCKS)
    }

    fn transition_counts(&self) -> Result<Vec<TransitionCount>> {
        self.table(capture::TRANSITION_COUNTS)
    }

    fn lives(&self) -> Result<Lives> {
        match self.reader.version(capture::LIVES) {
            1 => {
                let EarlierLives(lives) = self.one(capture::LIVES)?;
                Ok(lives)
            }
            _ => self.one(capture::LIVES),
        }
    }

    fn cgroups(&self) -> Result<Vec<InCgroup>> {
        self.table(capture::CGROUPS)
    }

    fn hooks(&self) -> Result<Vec<Hook>> {
        self.table(capture::HOOKS)
    }

    fn listeners(&self) -> Result<Vec<Listener>> {
        self.table(capture::LISTENERS)
    }

    fn pairs(&self) -> Result<Vec<Pair>> {
        self.table(capture::PAIRS)
    }

    fn rings(&self) -> Result<Vec<RingState>> {
        let rings = self.table::<Ring>(capture::RINGS)?;
        Ok(rings.into_iter().map(|ring| ring.state).collect())
    }

    fn live(&self) -> Box<dyn Iterator<Item = Result<Vec<Conn>>> + '_> {
        let kind = capture::CONNECTIONS;
        match self.reader.version(kind) {
            1 => {
                let earlier = self.reader.stream::<EarlierConn>(kind);
                let conns = earlier.map(|conn| conn.map(|EarlierConn(conn)| conn));
                Box::new(Live {
                    capture: self,
                    conns,
                })
            }
            _ => Box::new(Live {
                capture: self,
                conns: self.reader.stream::<Conn>(kind),
            }),
        }
    }

    fn events(&self, _: &Settings, start: Start) -> Result<Box<dyn Events + '_>> {
        let rings = self.table(capture::RINGS)?;
        Ok(Box::new(Captured::new(self, rings, start)))
    }
}

/// A decoded connection, or why it cannot be decoded.
type Taken = std::result::Result<Conn, Problem>;

/// Iterator over batches of live connections.
struct Live<'a, S, I> {
    capture: &'a Capture<S>,
    conns: I,
}

impl<S: Source, I: Iterator<Item = Taken>> Iterator for Live<'_, S, I> {
    type Item = Result<Vec<Conn>>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.conns.by_ref().take(BATCH);
        let batch: Result<Vec<_>> = next
            .map(|conn| conn.map_err(|p| self.capture.error(p)))
            .collect();
        match batch {
            Ok(batch) if batch.is_empty() => None,
            batch => Some(batch),
        }
    }
}

/// The event stream of a capture.
struct Captured<'a, S> {
    capture: &'a Capture<S>,
    /// `None`: no event is wanted.
    events: Option<Elements<'a, S, Event>>,
    start: Start,
    rings: Vec<Ring>,
    progress: Vec<Progress>,
    /// Index of each CPU in the lists.
    index: HashMap<u32, usize>,
}

impl<'a, S: Source> Captured<'a, S> {
    fn new(capture: &'a Capture<S>, rings: Vec<Ring>, start: Start) -> Self {
        let progress = |ring: &Ring| {
            let from = match &start {
                Start::Consumed => ring.state.consumed,
                Start::At(positions) => position_of(positions, ring.state.cpu),
                Start::Now | Start::Since(_) | Start::Before(_) => ring.read_to,
            };
            Progress {
                cpu: ring.state.cpu,
                from,
                to: from,
                ..Progress::default()
            }
        };
        let cpus = rings.iter().map(|ring| ring.state.cpu).zip(0..);
        Self {
            events: (start != Start::Now).then(|| capture.reader.stream(capture::EVENTS)),
            progress: rings.iter().map(progress).collect(),
            index: cpus.collect(),
            start,
            rings,
            capture,
        }
    }

    /// Counts an event if it is wanted; returns false otherwise.
    fn count(&mut self, event: &Event) -> bool {
        let (cpu, seq) = event.position();
        let index = self.index.get(&cpu).copied();
        // Every writer stores the ring of each event.
        let Some(progress) = index.and_then(|index| self.progress.get_mut(index)) else {
            return false;
        };
        let wanted = match &self.start {
            Start::Consumed | Start::At(_) => seq >= progress.to,
            Start::Now => false,
            Start::Since(ns) => event.ts() >= *ns,
            Start::Before(positions) => seq < position_of(positions, cpu),
        };
        if wanted {
            progress.from = progress.from.min(seq);
            progress.to = seq.saturating_add(1);
            progress.alarms += u64::from(matches!(event, Event::Alarm(_)));
        }
        wanted
    }

    /// Updates the progress once all events are read.
    fn finish(&mut self) {
        self.events = None;
        for (progress, ring) in self.progress.iter_mut().zip(&self.rings) {
            progress.to = ring.read_to.max(progress.from);
            if self.start == Start::Consumed {
                (progress.overwritten, progress.unknown) = (ring.lost, ring.unknown);
            }
        }
    }
}

impl<S: Source> Events for Captured<'_, S> {
    fn try_each(&mut self, take: &mut Take) -> Result<()> {
        while let Some(next) = self.events.as_mut().map(Iterator::next) {
            let Some(event) = next else {
                self.finish();
                break;
            };
            let event = event.map_err(|problem| self.capture.error(problem))?;
            if self.count(&event) && take(&event)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn progress(&self) -> Vec<Progress> {
        self.progress.clone()
    }

    fn extend(&mut self) -> Result<bool> {
        Ok(false)
    }
}
