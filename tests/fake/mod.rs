//! A backend in memory: rings that a test fills as the module would, and a
//! note of what the controller asked for.

#![allow(dead_code, reason = "shared by tests that each use a part")]

use std::cell::{Cell, RefCell};
use std::mem::offset_of;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use diagnose_tools::abi::{
    self, Cgroup, ClockChange, Hook, ListenerBytes, Lives, PairBytes, RawAlarm, RawConn,
    RawHandshakes, RawIdent, RawListener, RawMeters, RawRecord, RingHeader, Stats, TransitionCount,
};
use diagnose_tools::backend::events::{Rings, of_rings};
use diagnose_tools::backend::ring::{RingReader, RingView, header_bytes};
use diagnose_tools::backend::{Backend, DrainLock, Events, Recorder, Start, positions};
use diagnose_tools::error::{Error, Result};
use diagnose_tools::model::activation::{Activation, Settings, TransitionHook};
use diagnose_tools::model::conn::Conn;
use diagnose_tools::model::event::{Progress, RingState};
use diagnose_tools::model::listener::Listener;
use diagnose_tools::model::pair::Pair;
use diagnose_tools::model::{clock, hook, lives, stats, transition_count};
use nix::errno::Errno;

pub const GENERATION: u64 = 7;
/// Monotonic time of every call; wall-clock time is 2023-11-14T22:13:20Z then.
pub const NOW: u64 = 1_000_000_000_000;
pub const NOW_REAL: u64 = 1_700_000_000_000_000_000;
/// The cgroup of [`full_record`], which no directory is.
pub const CGROUP: u64 = u64::MAX;
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
    pub fn write(&self, record: &[u8; abi::RECORD_SIZE]) {
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

    pub fn end(&self) {
        self.words[offset_of!(RingHeader, ended) / 8].store(1, Ordering::Release);
    }
}

/// Something that happens when the controller waits.
pub type Happening = Box<dyn FnOnce(&Fake)>;

pub struct Fake {
    pub rings: Vec<FakeRing>,
    /// So many of them are there yet.
    pub listed: Cell<usize>,
    pub verbose: u32,
    pub active: Cell<bool>,
    pub generation: Cell<u64>,
    pub conns: RefCell<Vec<[u8; abi::CONN_SIZE]>>,
    /// Live connections that a call gives.
    pub batch: usize,
    pub listeners: Vec<ListenerBytes>,
    pub pairs: Vec<PairBytes>,
    pub transition_counts: Vec<TransitionCount>,
    pub lives: Lives,
    pub cgroups: Vec<Cgroup>,
    /// Pairs and listeners, and what found no room there.
    pub counts: Stats,
    /// Connections of a pair that raise its alarm.
    pub threshold: u32,
    /// Counters of handshakes, and what the module hooked.
    pub handshakes: RawHandshakes,
    pub hooks: Vec<Hook>,
    /// When the wall clock was set.
    pub clocks: RefCell<Vec<ClockChange>>,
    /// Connections in SYN_RECV and NEW_SYN_RECV.
    pub half_open: [u64; 2],
    /// How many tries for the lock fail, as another report holds it.
    pub busy: Cell<u32>,
    /// Whether this report holds it.
    pub held: Rc<Cell<bool>>,
    pub consume_calls: Cell<u32>,
    /// Whether no mapping has the length of the rings that there are.
    pub resized: Cell<bool>,
    /// What happens at each SEEN, in order.
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
            hooks: vec![hook("some_hook", 0, abi::TCPSTATES_HOOK_REQUIRED)],
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
            self.rings[cpu].write(&record(ts + i * step));
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
    /// What an activation gives, if there is one.
    fn active<T>(&self, answer: impl FnOnce() -> T) -> Result<T> {
        match self.active.get() {
            true => Ok(answer()),
            false => Err(Error::NotActive),
        }
    }

    fn raw_stats(&self) -> Stats {
        let clocks = Stats {
            now_ns: NOW,
            now_real_ns: NOW_REAL,
            ..Stats::default()
        };
        if !self.active.get() {
            return clocks;
        }
        let overwritten = self.sum(|r| r.overwritten.get());
        let alarms = self.sum(|r| r.alarms.get());
        let mut stats = Stats {
            generation: self.generation.get(),
            now_ns: NOW,
            now_real_ns: NOW_REAL,
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
            return Err(Error::system("mapping", Errno::EINVAL));
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

/// A hook that missed four calls.
pub fn hook(symbol: &str, id: u32, flags: u32) -> Hook {
    let mut hook = Hook {
        id,
        flags,
        missed: 4,
        ..Hook::default()
    };
    hook.symbol[..symbol.len()].copy_from_slice(symbol.as_bytes());
    hook
}

/// Writes numbers into the bytes of a structure.
pub struct Bytes<const N: usize>(pub [u8; N]);

impl<const N: usize> Bytes<N> {
    pub fn put<const M: usize>(&mut self, at: usize, bytes: [u8; M]) -> &mut Self {
        self.0[at..at + M].copy_from_slice(&bytes);
        self
    }

    pub fn ident(&mut self, at: usize, local: &str, remote: &str) -> &mut Self {
        let (local, remote): (SocketAddrV4, SocketAddrV4) =
            (local.parse().unwrap(), remote.parse().unwrap());
        let mapped = |ip: &Ipv4Addr| ip.to_ipv6_mapped().octets();
        self.put(at + offset_of!(RawIdent, conn), 42u64.to_ne_bytes())
            .put(at + offset_of!(RawIdent, laddr), mapped(local.ip()))
            .put(at + offset_of!(RawIdent, raddr), mapped(remote.ip()))
            .put(at + offset_of!(RawIdent, lport), local.port().to_ne_bytes())
            .put(
                at + offset_of!(RawIdent, rport),
                remote.port().to_ne_bytes(),
            )
            .put(
                at + offset_of!(RawIdent, netns),
                4_026_531_840u32.to_ne_bytes(),
            )
            .put(at + offset_of!(RawIdent, family), [4])
    }

    pub fn place(&mut self, at: usize, cgroup: u64, netns: u32) -> &mut Self {
        self.put(at + offset_of!(RawIdent, cgroup), cgroup.to_ne_bytes())
            .put(at + offset_of!(RawIdent, netns), netns.to_ne_bytes())
    }

    pub fn owner(&mut self, at: usize, pid: u32, comm: &[u8]) -> &mut Self {
        self.put(at + offset_of!(RawIdent, pid), pid.to_ne_bytes());
        self.0[at + offset_of!(RawIdent, comm)..][..comm.len()].copy_from_slice(comm);
        let flags = abi::TCPSTATES_HAS_OWNER | abi::TCPSTATES_HAS_UID | abi::TCPSTATES_HAS_LISTENER;
        let flags = flags as u16;
        self.put(at + offset_of!(RawIdent, flags), flags.to_ne_bytes())
    }
}

/// ESTABLISHED → FIN_WAIT1 after 5 s, of a connection from port 40000 to 10.0.0.2:80.
pub fn record(ts: u64) -> [u8; abi::RECORD_SIZE] {
    let mut bytes = Bytes([0; abi::RECORD_SIZE]);
    let who = offset_of!(RawRecord, who);
    bytes
        .put(offset_of!(RawRecord, ts), ts.to_ne_bytes())
        .put(
            offset_of!(RawRecord, in_old_ns),
            5_000_000_000u64.to_ne_bytes(),
        )
        .put(offset_of!(RawRecord, type_), 1u16.to_ne_bytes())
        .put(offset_of!(RawRecord, old_state), [1])
        .put(offset_of!(RawRecord, new_state), [4])
        .put(offset_of!(RawRecord, flags), 7u16.to_ne_bytes())
        .ident(who, "10.0.0.1:40000", "10.0.0.2:80");
    bytes.0
}

/// The same with all that a record can carry.
pub fn full_record(ts: u64) -> [u8; abi::RECORD_SIZE] {
    let mut bytes = Bytes(record(ts));
    let (who, meters) = (offset_of!(RawRecord, who), offset_of!(RawRecord, meters));
    let listener = Ipv4Addr::new(10, 0, 0, 9).to_ipv6_mapped().octets();
    bytes
        .put(offset_of!(RawRecord, flags), 15u16.to_ne_bytes())
        .put(offset_of!(RawRecord, reason), 5u16.to_ne_bytes())
        .put(offset_of!(RawRecord, error), 104u16.to_ne_bytes())
        .put(offset_of!(RawRecord, synacks), 6u16.to_ne_bytes())
        .put(who + offset_of!(RawIdent, cgroup), CGROUP.to_ne_bytes())
        .put(who + offset_of!(RawIdent, listener_addr), listener)
        .put(
            who + offset_of!(RawIdent, listener_port),
            8443u16.to_ne_bytes(),
        )
        .owner(who, 1234, b"cu\x1brl")
        .put(who + offset_of!(RawIdent, uid), 1000u32.to_ne_bytes())
        .put(who + offset_of!(RawIdent, role), [1])
        .put(
            meters + offset_of!(RawMeters, bytes_sent),
            u64::MAX.to_ne_bytes(),
        )
        .put(meters + offset_of!(RawMeters, retrans), 3u32.to_ne_bytes())
        .put(
            meters + offset_of!(RawMeters, srtt_us),
            250u32.to_ne_bytes(),
        );
    bytes.0
}

/// A live connection in `state` since `since`, first seen then.
pub fn conn(local: &str, state: u8, since: u64, flags: u16) -> [u8; abi::CONN_SIZE] {
    let mut bytes = Bytes([0; abi::CONN_SIZE]);
    bytes
        .ident(offset_of!(RawConn, who), local, "10.0.0.2:80")
        .put(offset_of!(RawConn, since_ns), since.to_ne_bytes())
        .put(offset_of!(RawConn, first_seen_ns), since.to_ne_bytes())
        .put(offset_of!(RawConn, state), [state])
        .put(offset_of!(RawConn, flags), flags.to_ne_bytes());
    bytes.0
}

/// An alarm of 10.0.0.1:8080 and, of a pair, 10.0.0.2; raised five seconds ago.
pub fn alarm(ts: u64, kind: u8, raised: bool) -> [u8; abi::RECORD_SIZE] {
    let mut bytes = Bytes([0; abi::RECORD_SIZE]);
    let since = if raised { ts } else { ts - 5_000_000_000 };
    bytes
        .put(offset_of!(RawAlarm, ts), ts.to_ne_bytes())
        .put(offset_of!(RawAlarm, type_), ALARM)
        .put(offset_of!(RawAlarm, kind), [kind])
        .put(offset_of!(RawAlarm, raised), [u8::from(raised)])
        .put(offset_of!(RawAlarm, value), 512u64.to_ne_bytes())
        .put(offset_of!(RawAlarm, threshold), 500u64.to_ne_bytes())
        .put(offset_of!(RawAlarm, peak), 640u64.to_ne_bytes())
        .put(offset_of!(RawAlarm, raised_ns), since.to_ne_bytes())
        .put(offset_of!(RawAlarm, half_open), 1u32.to_ne_bytes())
        .put(offset_of!(RawAlarm, established), 508u32.to_ne_bytes())
        .put(offset_of!(RawAlarm, closing), 3u32.to_ne_bytes())
        .put(offset_of!(RawAlarm, timewait), 7u32.to_ne_bytes())
        .ident(offset_of!(RawAlarm, who), "10.0.0.1:8080", "10.0.0.2:40000")
        .owner(offset_of!(RawAlarm, who), 141, b"nginx");
    bytes.0
}

/// nginx, which listens on `local` for a minute, with its queues filled.
pub fn listener(local: &str) -> ListenerBytes {
    let mut bytes = Bytes([0; abi::LISTENER_SIZE]);
    let handshakes = offset_of!(RawListener, handshakes);
    bytes
        .ident(offset_of!(RawListener, who), local, "0.0.0.0:0")
        .owner(offset_of!(RawListener, who), 141, b"nginx")
        .put(offset_of!(RawListener, since_ns), ACTIVATED.to_ne_bytes())
        .put(offset_of!(RawListener, flags), 3u16.to_ne_bytes())
        .put(offset_of!(RawListener, alarms), (1u16 << 2).to_ne_bytes())
        .put(offset_of!(RawListener, drops), 19u64.to_ne_bytes())
        .put(
            offset_of!(RawListener, unfinished_ns),
            (NOW - 2_000_000_000).to_ne_bytes(),
        )
        .put(
            handshakes + offset_of!(RawHandshakes, syn_accept_queue_full),
            4u64.to_ne_bytes(),
        )
        .put(
            handshakes + offset_of!(RawHandshakes, ack_accept_queue_full),
            5u64.to_ne_bytes(),
        );
    for (at, number) in [
        (offset_of!(RawListener, accepted), 4u64),
        (offset_of!(RawListener, accept_wait_ns), 4_000_000),
        (offset_of!(RawListener, accept_wait_max_ns), 4_000_000),
    ] {
        bytes.put(at, number.to_ne_bytes());
    }
    let first = offset_of!(RawListener, accept_queue);
    for (index, number) in [6u32, 9, 5, 10, 77, 128, 20, 30, 400, 40, 50]
        .into_iter()
        .enumerate()
    {
        bytes.put(first + 4 * index, number.to_ne_bytes());
    }
    bytes.0
}
