//! A backend in memory: rings that a test fills as the module would; it also notes the controller's
//! calls.

use std::cell::{Cell, RefCell};
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use diagnose_tools::abi::{
    self, Cgroup, ClockChange, ConnBytes, Hook, ListenerBytes, Lives, PairBytes, RawAlarm,
    RawHandshakes, RecordBytes, RingHeader, Stats, TransitionCount,
};
use diagnose_tools::backend::events::{Rings, of_rings};
use diagnose_tools::backend::ring::{RingReader, RingView, header_bytes};
use diagnose_tools::backend::{Backend, DrainLock, Events, Recorder, Start, positions};
use diagnose_tools::error::{Error, Result};
use diagnose_tools::fmt::text::Text;
use diagnose_tools::model::activation::{Activation, Settings, TransitionHook};
use diagnose_tools::model::conn::Conn;
use diagnose_tools::model::event::{Progress, RingState};
use diagnose_tools::model::listener::Listener;
use diagnose_tools::model::pair::Pair;
use diagnose_tools::model::{clock, hook, lives, stats, transition_count};
use nix::errno::Errno;

use crate::records;

pub const GENERATION: u64 = 7;
/// Monotonic time of every call, at which the wall-clock time is 2023-11-14T22:13:20Z.
pub const NOW: u64 = 1_000_000_000_000;
pub const NOW_REAL: u64 = 1_700_000_000_000_000_000;
pub const ACTIVATED: u64 = NOW - 60_000_000_000;

const WORDS: usize = abi::RECORD_SIZE / 8;
const ALARM: [u8; 2] = (abi::TCPSTATES_REC_ALARM as u16).to_ne_bytes();

/// One ring, written as kmod/ring.c writes it.
pub struct FakeRing {
    words: Arc<[AtomicU64]>,
    capacity: u64,
    consumed: Cell<u64>,
    overwritten: Cell<u64>,
    alarms: Cell<u64>,
}

impl FakeRing {
    fn new(cpu: u32, capacity: u64) -> Self {
        let words = header_bytes() / 8 + capacity as usize * WORDS;
        let ring = Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            capacity,
            consumed: Cell::new(0),
            overwritten: Cell::new(0),
            alarms: Cell::new(0),
        };
        let pair = |low: u32, high: u32| (u64::from(high) << 32) | u64::from(low);
        ring.words[0].store(
            pair(abi::TCPSTATES_RING_MAGIC, abi::TCPSTATES_RECORD_VERSION),
            Ordering::Relaxed,
        );
        ring.words[1].store(pair(abi::RECORD_SIZE as u32, cpu), Ordering::Relaxed);
        ring.words[2].store(capacity, Ordering::Relaxed);
        ring.words[3].store(GENERATION, Ordering::Relaxed);
        ring
    }

    pub fn head(&self) -> u64 {
        self.words[offset_of!(RingHeader, head) / 8].load(Ordering::Acquire)
    }

    /// Records one event.
    pub fn write(&self, record: &RecordBytes) {
        let alarm = record[offset_of!(RawAlarm, type_)..][..2] == ALARM;
        self.alarms.set(self.alarms.get() + u64::from(alarm));
        let position = self.head();
        let slot = (position & (self.capacity - 1)) as usize;
        let slot = &self.words[header_bytes() / 8 + slot * WORDS..][..WORDS];
        slot[0].store((position + 1) * 2 + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, bytes) in slot.iter().zip(record.chunks_exact(8)).skip(1) {
            word.store(
                u64::from_ne_bytes(bytes.try_into().unwrap()),
                Ordering::Relaxed,
            );
        }
        slot[0].store((position + 1) * 2, Ordering::Release);
        self.words[offset_of!(RingHeader, head) / 8].store(position + 1, Ordering::Release);
    }

    /// Makes it a ring of another activation.
    pub fn belong_to(&self, generation: u64) {
        self.words[3].store(generation, Ordering::Relaxed);
    }

    pub fn end(&self) {
        self.words[offset_of!(RingHeader, ended) / 8].store(1, Ordering::Release);
    }
}

/// An event that happens while the controller waits.
pub type Happening = Box<dyn FnOnce(&Fake)>;

pub struct Fake {
    pub rings: Vec<FakeRing>,
    /// Number of rings that exist so far.
    pub listed: Cell<usize>,
    pub verbose: u32,
    pub active: Cell<bool>,
    pub generation: Cell<u64>,
    /// Nanoseconds after [`NOW`].
    pub later: Cell<u64>,
    pub conns: RefCell<Vec<ConnBytes>>,
    /// Number of live connections per call.
    pub batch: usize,
    pub listeners: Vec<ListenerBytes>,
    pub pairs: Vec<PairBytes>,
    pub transition_counts: Vec<TransitionCount>,
    pub lives: Lives,
    pub cgroups: Vec<Cgroup>,
    /// Numbers of pairs and listeners, and of those that were not counted.
    pub counts: Stats,
    /// Connections of a pair that raise its alarm.
    pub threshold: u32,
    /// Counters of handshakes, and the module's hooks.
    pub handshakes: RawHandshakes,
    pub hooks: Vec<Hook>,
    /// Changes of the wall clock.
    pub clocks: RefCell<Vec<ClockChange>>,
    /// Connections by state; `None`: one in ESTABLISHED and one in LISTEN.
    pub states: Option<[u64; abi::TCPSTATES_NR_STATES as usize]>,
    /// Connections in SYN_RECV and NEW_SYN_RECV.
    pub half_open: [u64; 2],
    /// How often an attempt to take the lock fails, because another report holds it.
    pub busy: Cell<u32>,
    /// Whether this report holds it.
    pub held: Rc<Cell<bool>>,
    pub consume_calls: Cell<u32>,
    /// Whether every mapping fails because the rings have another length.
    pub resized: Cell<bool>,
    /// The event at each SEEN call, in order.
    pub script: RefCell<Vec<Happening>>,
    pub seen: RefCell<Vec<u64>>,
    ready: (OwnedFd, OwnedFd),
}

struct FakeLock(Rc<Cell<bool>>);

impl Drop for FakeLock {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Fake {
    pub fn new(cpus: u32, capacity: u64) -> Self {
        let ready = nix::unistd::pipe().unwrap();
        nix::unistd::write(&ready.1, b"x").unwrap();
        Self {
            rings: (0..cpus).map(|cpu| FakeRing::new(cpu, capacity)).collect(),
            listed: Cell::new(cpus as usize),
            verbose: 0,
            active: Cell::new(true),
            generation: Cell::new(GENERATION),
            later: Cell::new(0),
            conns: RefCell::default(),
            batch: 2,
            listeners: Vec::new(),
            pairs: Vec::new(),
            transition_counts: Vec::new(),
            lives: Lives::default(),
            cgroups: Vec::new(),
            counts: Stats::default(),
            threshold: 500,
            handshakes: RawHandshakes::default(),
            clocks: RefCell::new(vec![ClockChange {
                since_ns: ACTIVATED,
                offset_ns: (NOW_REAL - NOW) as i64,
            }]),
            hooks: vec![records::hook("some_hook", 0, abi::TCPSTATES_HOOK_REQUIRED)],
            states: None,
            half_open: [0, 0],
            busy: Cell::new(0),
            held: Rc::default(),
            consume_calls: Cell::new(0),
            resized: Cell::new(false),
            script: RefCell::default(),
            seen: RefCell::default(),
            ready,
        }
    }

    /// Records `n` events on a CPU, at `ts`, `ts + step` …
    pub fn record(&self, cpu: usize, n: u64, ts: u64, step: u64) {
        for i in 0..n {
            self.rings[cpu].write(&records::record(ts + i * step));
        }
    }

    pub fn consumed(&self) -> Vec<u64> {
        self.rings.iter().map(|r| r.consumed.get()).collect()
    }

    fn sum(&self, of: impl Fn(&FakeRing) -> u64) -> u64 {
        self.rings.iter().map(of).sum()
    }
}

impl Fake {
    /// The answer while a recording is active, otherwise an error.
    fn active<T>(&self, answer: impl FnOnce() -> T) -> Result<T> {
        match self.active.get() {
            true => Ok(answer()),
            false => Err(Error::NotActive),
        }
    }

    fn raw_stats(&self) -> Stats {
        let clocks = Stats {
            now_ns: NOW + self.later.get(),
            now_real_ns: NOW_REAL + self.later.get(),
            ..Stats::default()
        };
        if !self.active.get() {
            return clocks;
        }
        let overwritten = self.sum(|r| r.overwritten.get());
        let alarms = self.sum(|r| r.alarms.get());
        let mut stats = Stats {
            generation: self.generation.get(),
            now_ns: clocks.now_ns,
            now_real_ns: clocks.now_real_ns,
            activated_ns: ACTIVATED,
            recorded: self.sum(FakeRing::head),
            alarms,
            seen: self.sum(FakeRing::head) + 3 - alarms,
            filtered: 2,
            too_short: 1,
            overwritten,
            reported: self.sum(|r| r.consumed.get()) - overwritten,
            tracked: 2,
            untracked: 5,
            ..self.counts
        };
        (stats.states[1], stats.states[10]) = (1, 1);
        [stats.states[3], stats.states[12]] = self.half_open;
        if let Some(states) = self.states {
            (stats.states, stats.tracked) = (states, states.iter().sum());
        }
        stats.handshakes = self.handshakes;
        stats
    }
}

impl Backend for Fake {
    fn settings(&self) -> Result<Option<Settings>> {
        let ring_records = self.rings[0].capacity as u32;
        let activation = Activation {
            verbose: self.verbose,
            ring: Some(ring_records),
            max_conns: Some(100),
            threshold: self.threshold,
            unfinished: 200,
            max_pairs: 32,
            max_listeners: 8,
            ..Activation::default()
        };
        Ok(self.active.get().then(|| Settings {
            hook_used: TransitionHook::Tracepoint,
            generation: self.generation.get(),
            activated_ns: ACTIVATED,
            ring_records,
            activation,
            ..Settings::default()
        }))
    }

    fn stats(&self) -> Result<stats::Stats> {
        Ok(stats::Stats::from_abi(&self.raw_stats()))
    }

    fn clocks(&self) -> Result<Vec<clock::ClockChange>> {
        let clocks = self.clocks.borrow();
        self.active(|| clocks.iter().map(clock::ClockChange::from_abi).collect())
    }

    fn transition_counts(&self) -> Result<Vec<transition_count::TransitionCount>> {
        self.active(|| {
            self.transition_counts
                .iter()
                .map(transition_count::TransitionCount::from_abi)
                .collect()
        })
    }

    fn lives(&self) -> Result<lives::Lives> {
        self.active(|| lives::Lives::from_abi(&self.lives))
    }

    fn cgroups(&self) -> Result<Vec<lives::InCgroup>> {
        self.active(|| lives::cgroups_from_abi(&self.cgroups))
    }

    fn hooks(&self) -> Result<Vec<hook::Hook>> {
        Ok(self.hooks.iter().map(hook::Hook::from_abi).collect())
    }

    fn listeners(&self) -> Result<Vec<Listener>> {
        Ok(self.listeners.iter().map(Listener::decode).collect())
    }

    fn pairs(&self) -> Result<Vec<Pair>> {
        Ok(self.pairs.iter().map(Pair::decode).collect())
    }

    fn rings(&self) -> Result<Vec<RingState>> {
        let state = |(cpu, ring): (usize, &FakeRing)| RingState {
            cpu: cpu as u32,
            head: ring.head(),
            consumed: ring.consumed.get(),
            overwritten: ring.overwritten.get(),
        };
        let listed = self.rings.iter().take(self.listed.get());
        self.active(|| listed.enumerate().map(state).collect())
    }

    fn live(&self) -> Box<dyn Iterator<Item = Result<Vec<Conn>>> + '_> {
        let mut given = 0;
        Box::new(std::iter::from_fn(move || {
            let conns = self.conns.borrow();
            let next = conns.iter().skip(given).take(self.batch);
            let batch: Vec<_> = next.map(Conn::decode).collect();
            given += batch.len();
            (!batch.is_empty()).then_some(Ok(batch))
        }))
    }

    fn events(&self, settings: &Settings, start: Start) -> Result<Box<dyn Events + '_>> {
        of_rings(self, settings, start)
    }

    fn recorder(&self) -> Option<&dyn Recorder> {
        Some(self)
    }
}

impl Rings for Fake {
    fn map_ring(&self, _: &Settings, cpu: u32) -> Result<RingReader> {
        if self.resized.get() {
            return Err(Error::system(Text::same("mapping"), Errno::EINVAL));
        }
        let view = RingView::from_words(self.rings[cpu as usize].words.clone());
        RingReader::new(view).map_err(|e| Error::Ring { cpu, reason: e.0 })
    }
}

impl Recorder for Fake {
    fn activate(&self, _: &Activation) -> Result<()> {
        if self.active.replace(true) {
            Err(Error::AlreadyActive)
        } else {
            Ok(())
        }
    }

    fn deactivate(&self) -> Result<()> {
        self.rings.iter().for_each(FakeRing::end);
        if self.active.replace(false) {
            Ok(())
        } else {
            Err(Error::NotActive)
        }
    }

    fn consume(&self, generation: u64, read: &[Progress]) -> Result<()> {
        assert!(self.held.get(), "consumed without the lock");
        self.consume_calls.set(self.consume_calls.get() + 1);
        let moved = |p: &Progress| self.rings[p.cpu as usize].consumed.get() != p.from;
        if generation != self.generation.get() || read.iter().any(moved) {
            return Err(Error::Stale);
        }
        for p in read {
            let ring = &self.rings[p.cpu as usize];
            assert!(p.to >= p.from && p.to <= ring.head() && p.overwritten <= p.to - p.from);
            ring.consumed.set(p.to);
            ring.overwritten.set(ring.overwritten.get() + p.overwritten);
        }
        Ok(())
    }

    fn seen(&self, read: &[Progress]) -> Result<()> {
        self.seen.borrow_mut().push(positions(read));
        if !self.script.borrow().is_empty() {
            let next = self.script.borrow_mut().remove(0);
            next(self);
        }
        self.active(|| ())
    }

    fn poll_fd(&self) -> BorrowedFd<'_> {
        self.ready.0.as_fd()
    }

    fn try_lock(&self) -> Result<Option<DrainLock>> {
        if let Some(left) = self.busy.get().checked_sub(1) {
            self.busy.set(left);
            return Ok(None);
        }
        assert!(!self.held.replace(true), "locked twice");
        Ok(Some(DrainLock::new(FakeLock(self.held.clone()))))
    }
}
