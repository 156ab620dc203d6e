//! A device whose answers come from the input.

#![allow(unsafe_code, reason = "structures of the module, made of any bytes")]

use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use diagnose_tools::abi::{
    self, Cgroup, Hook, Lives, RawConn, RawRecord, RecordBytes, RingState, Settings, Stats,
    TransitionCount,
};
use diagnose_tools::backend::events::{Rings, of_rings};
use diagnose_tools::backend::ring::{RingReader, RingView, header_bytes};
use diagnose_tools::backend::{Backend, DrainLock, Events, Recorder, Start};
use diagnose_tools::error::{Error, Result};
use diagnose_tools::model::clock::ClockChange;
use diagnose_tools::model::conn::Conn;
use diagnose_tools::model::event::Progress;
use diagnose_tools::model::listener::Listener;
use diagnose_tools::model::pair::Pair;
use diagnose_tools::model::{activation, event, hook, lives, stats, transition_count};

use crate::fake::{Fake, GENERATION};

/// Small, so that records are overwritten.
const CAPACITY: u64 = 8;
const CPUS: u32 = 2;
/// Maximum number of live connections after repetition.
const MOST_CONNS: usize = 16;

/// Structures that the device returns.
///
/// # Safety
/// Implementors are `repr(C)`, of integers and arrays of them: any bytes are a valid value.
pub unsafe trait Plain: Default + Copy {}

macro_rules! plain {
    ($($name:ty)*) => {$(
        // SAFETY: made by bindgen, of integers and arrays of them.
        unsafe impl Plain for $name {}
    )*};
}

plain! { Cgroup TransitionCount Hook Lives RawConn RawRecord RingState Settings Stats }

/// A structure made of these bytes, filled up with zeroes.
pub fn plain<T: Plain>(bytes: &[u8]) -> T {
    let mut value = T::default();
    let count = bytes.len().min(size_of::<T>());
    // SAFETY: within both, which do not overlap; any bytes are a valid T.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut value).cast(), count) };
    value
}

/// The bytes of a structure.
pub fn bytes<T: Plain, const N: usize>(value: &T) -> [u8; N] {
    const { assert!(size_of::<T>() == N) }
    let mut bytes = [0; N];
    // SAFETY: as long as the structure, whose padding was zeroed or copied with it.
    unsafe { std::ptr::copy_nonoverlapping((&raw const *value).cast(), bytes.as_mut_ptr(), N) };
    bytes
}

/// Bytes of this length, filled up with zeroes.
pub fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    let count = bytes.len().min(N);
    all[..count].copy_from_slice(&bytes[..count]);
    all
}

/// Kinds of elements of the input.
const TRANSITION: u8 = 0;
const ALARM: u8 = 1;
const RECORD: u8 = 2;
const CONN: u8 = 3;
const LISTENER: u8 = 4;
const PAIR: u8 = 5;
const TRANSITION_COUNT: u8 = 6;
const HOOK: u8 = 7;
const STATS: u8 = 8;
const SETTINGS: u8 = 9;
const RINGS: u8 = 10;
const MEMORY: u8 = 11;
const MORE: u8 = 12;
/// Elements that the device ignores; other code may use them.
pub const VIEW: u8 = 13;
pub const HOST: u8 = 14;
/// More elements of the device.
const LIVES: u8 = 15;
const CGROUP: u8 = 16;
const KINDS: u8 = 17;

/// Splits the input into elements: a byte for the kind, one for the number of 8-byte words, and
/// these words.
pub fn elements(mut input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, words], rest) = input.split_first_chunk()?;
        let (body, rest) = rest.split_at(rest.len().min(usize::from(words) * 8));
        input = rest;
        Some((kind, body))
    })
}

/// The kind of an element.
pub fn kind(byte: u8) -> u8 {
    byte % KINDS
}

/// A device whose answers cannot be trusted, with two exceptions: its rings have the generation of
/// its settings, and no ring is longer than stated.
pub struct Untrusted {
    fake: Fake,
    stats: Option<Stats>,
    settings: Option<Settings>,
    /// Positions that differ from those of the rings.
    rings: Vec<RingState>,
    /// The memory of the first ring, beginning with its header.
    memory: Option<Arc<[AtomicU64]>>,
    /// The records that were written to each ring.
    written: [Vec<RecordBytes>; CPUS as usize],
}

impl Untrusted {
    /// The device that the input describes.
    pub fn new(input: &[u8]) -> Self {
        let mut device = Self {
            fake: Fake::new(CPUS, CAPACITY),
            stats: None,
            settings: None,
            rings: Vec::new(),
            memory: None,
            written: Default::default(),
        };
        device.fake.hooks.clear();
        for (byte, body) in elements(input) {
            device.take(byte, body);
        }
        device
    }

    fn take(&mut self, byte: u8, body: &[u8]) {
        let cpu = usize::from(byte / KINDS) % CPUS as usize;
        match kind(byte) {
            TRANSITION => self.write(cpu, body, Some(abi::TCPSTATES_REC_TRANSITION)),
            ALARM => self.write(cpu, body, Some(abi::TCPSTATES_REC_ALARM)),
            RECORD => self.write(cpu, body, None),
            CONN => self.fake.conns.borrow_mut().push(padded(body)),
            LISTENER => self.fake.listeners.push(padded(body)),
            PAIR => self.fake.pairs.push(padded(body)),
            LIVES => self.fake.lives = lives(body),
            CGROUP => self.fake.cgroups.push(plain(body)),
            TRANSITION_COUNT => self.fake.transition_counts.push(plain(body)),
            HOOK => self.fake.hooks.push(plain(body)),
            STATS => self.stats = Some(plain(body)),
            SETTINGS => self.settings = Some(plain(body)),
            RINGS => self.rings.push(plain(body)),
            MEMORY => self.memory = Some(memory(body)),
            MORE => self.more_conns(),
            _ => {}
        }
    }

    fn write(&mut self, cpu: usize, body: &[u8], kind: Option<u32>) {
        let mut record: RecordBytes = padded(body);
        if let Some(kind) = kind {
            let at = offset_of!(RawRecord, type_);
            record[at..at + 2].copy_from_slice(&(kind as u16).to_ne_bytes());
        }
        self.fake.rings[cpu].write(&record);
        self.written[cpu].push(record);
    }

    /// Repeats the last connection, with other ports.
    fn more_conns(&mut self) {
        let mut conns = self.fake.conns.borrow_mut();
        let Some(mut conn) = conns.last().copied() else {
            return;
        };
        let at = offset_of!(RawConn, who) + offset_of!(abi::RawIdent, rport);
        while conns.len() < MOST_CONNS {
            conn[at] = conn[at].wrapping_add(1);
            conns.push(conn);
        }
    }

    /// The record at a position, as it was written; `None` if the ring's memory comes from the
    /// input.
    pub fn written(&self, cpu: usize, position: u64) -> Option<RawRecord> {
        let record = self.written.get(cpu)?.get(position as usize)?;
        (self.memory.is_none() || cpu != 0).then(|| plain(record))
    }

    /// Number of transitions that can be read; `None` if rings or positions come from the input.
    pub fn transition_counts(&self) -> Option<usize> {
        let is_transition = |bytes: &&RecordBytes| {
            let record: RawRecord = plain(&bytes[..]);
            u32::from(record.type_) == abi::TCPSTATES_REC_TRANSITION
        };
        let left = |ring: &Vec<RecordBytes>| {
            let left = ring.iter().rev().take(CAPACITY as usize);
            left.filter(is_transition).count()
        };
        (self.memory.is_none() && self.rings.is_empty())
            .then(|| self.written.iter().map(left).sum())
    }

    /// Numbers of live connections and listeners.
    pub fn counts(&self) -> [usize; 2] {
        [self.fake.conns.borrow().len(), self.fake.listeners.len()]
    }
}

/// Totals of ended connections: the bytes of the element are repeated, because it is shorter.
fn lives(body: &[u8]) -> Lives {
    let all: Vec<u8> = body
        .iter()
        .copied()
        .cycle()
        .take(size_of::<Lives>())
        .collect();
    plain(&all)
}

/// A ring made of these words, starting at its magic number. The rest of its header's page is
/// skipped.
fn memory(body: &[u8]) -> Arc<[AtomicU64]> {
    let records = header_bytes() / 8;
    let words = records + CAPACITY as usize * abi::RECORD_SIZE / 8;
    let header = size_of::<abi::RingHeader>() / 8;
    let given: Vec<_> = body
        .chunks(8)
        .map(|word| u64::from_ne_bytes(padded(word)))
        .collect();
    let mut memory = vec![0; words];
    for (index, word) in given.into_iter().enumerate() {
        // Only the position and the type of each record and little more, so that the input stays
        // short.
        let at = match index.checked_sub(header) {
            None => index,
            Some(rest) => records + rest / 4 * (abi::RECORD_SIZE / 8) + rest % 4,
        };
        if let Some(slot) = memory.get_mut(at) {
            *slot = word;
        }
    }
    memory[offset_of!(abi::RingHeader, generation) / 8] = GENERATION;
    memory.into_iter().map(AtomicU64::new).collect()
}

impl Backend for Untrusted {
    fn settings(&self) -> Result<Option<activation::Settings>> {
        let Some(settings) = self.settings else {
            return self.fake.settings();
        };
        Ok(activation::Settings::from_abi(&Settings {
            active: 1,
            generation: GENERATION,
            ..settings
        }))
    }

    fn stats(&self) -> Result<stats::Stats> {
        let stats = self.stats.as_ref().map(stats::Stats::from_abi);
        stats.map_or_else(|| self.fake.stats(), Ok)
    }

    /// Made of the totals' words, in any order.
    fn clocks(&self) -> Result<Vec<ClockChange>> {
        let Some(stats) = &self.stats else {
            return self.fake.clocks();
        };
        let words = [stats.seen, stats.now_ns, stats.activated_ns, stats.filtered];
        let change = |since_ns: u64| ClockChange {
            since_ns,
            offset_ns: since_ns.wrapping_mul(stats.clocks) as i64,
        };
        Ok(words.map(change).into())
    }

    fn transition_counts(&self) -> Result<Vec<transition_count::TransitionCount>> {
        self.fake.transition_counts()
    }

    fn lives(&self) -> Result<lives::Lives> {
        self.fake.lives()
    }

    fn cgroups(&self) -> Result<Vec<lives::InCgroup>> {
        self.fake.cgroups()
    }

    fn hooks(&self) -> Result<Vec<hook::Hook>> {
        self.fake.hooks()
    }

    fn listeners(&self) -> Result<Vec<Listener>> {
        self.fake.listeners()
    }

    fn pairs(&self) -> Result<Vec<Pair>> {
        self.fake.pairs()
    }

    fn rings(&self) -> Result<Vec<event::RingState>> {
        let mut rings = self.fake.rings()?;
        for (ring, said) in rings.iter_mut().zip(&self.rings) {
            // A reader may rely on this: the head is a position that the ring has had.
            let head = self.map_ring(&activation::Settings::default(), ring.cpu)?;
            *ring = event::RingState {
                cpu: ring.cpu,
                head: said.head.min(head.head()),
                ..event::RingState::from_abi(said)
            };
        }
        Ok(rings)
    }

    fn live(&self) -> Box<dyn Iterator<Item = Result<Vec<Conn>>> + '_> {
        self.fake.live()
    }

    fn events(
        &self,
        settings: &activation::Settings,
        start: Start,
    ) -> Result<Box<dyn Events + '_>> {
        of_rings(self, settings, start)
    }

    fn recorder(&self) -> Option<&dyn Recorder> {
        Some(self)
    }
}

impl Rings for Untrusted {
    fn map_ring(&self, settings: &activation::Settings, cpu: u32) -> Result<RingReader> {
        match &self.memory {
            Some(words) if cpu == 0 => RingReader::new(RingView::from_words(words.clone()))
                .map_err(|e| Error::Ring { cpu, reason: e.0 }),
            _ => self.fake.map_ring(settings, cpu),
        }
    }
}

impl Recorder for Untrusted {
    fn activate(&self, activation: &activation::Activation) -> Result<()> {
        self.fake.activate(activation)
    }

    fn deactivate(&self) -> Result<()> {
        self.fake.deactivate()
    }

    fn consume(&self, _: u64, _: &[Progress]) -> Result<()> {
        Err(Error::Stale)
    }

    fn seen(&self, read: &[Progress]) -> Result<()> {
        self.fake.seen(read)
    }

    fn poll_fd(&self) -> BorrowedFd<'_> {
        self.fake.poll_fd()
    }

    fn try_lock(&self) -> Result<Option<DrainLock>> {
        self.fake.try_lock()
    }
}
