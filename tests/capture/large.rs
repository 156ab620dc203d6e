//! A capture of ten million events: its speed, size and memory use.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use diagnose_tools::abi::RECORD_SIZE;
use diagnose_tools::backend::capture::backend::Capture;
use diagnose_tools::backend::{Backend, Events, Start, Take};
use diagnose_tools::command::dump;
use diagnose_tools::error::Result;
use diagnose_tools::model::activation::Settings;
use diagnose_tools::model::clock::ClockChange;
use diagnose_tools::model::conn::Conn;
use diagnose_tools::model::event::{Event, Progress, RingState};
use diagnose_tools::model::hook::Hook;
use diagnose_tools::model::listener::Listener;
use diagnose_tools::model::lives::{InCgroup, Lives};
use diagnose_tools::model::pair::Pair;
use diagnose_tools::model::state::State;
use diagnose_tools::model::stats::Stats;
use diagnose_tools::model::transition_count::TransitionCount;
use testkit::fake::Fake;
use testkit::records::full_record;

use crate::support::Named;

const EVENTS: u64 = 10_000_000;
/// Number of CPUs that the events come from.
const CPUS: u32 = 8;
/// Maximum memory in bytes, and minimum rate in bytes of records per second.
const MOST_MEMORY: u64 = 16 << 20;
const LEAST_SPEED: f64 = 100e6;

/// The fake backend, which has recorded ten million events of a busy server.
struct Busy {
    fake: Fake,
    example: Event,
    since: u64,
}

impl Busy {
    fn new(since: u64) -> Self {
        let fake = Fake::new(1, 64);
        fake.rings[0].write(&full_record(since));
        let settings = fake.settings().unwrap().unwrap();
        let mut example = None;
        let mut events = fake.events(&settings, Start::Since(0)).unwrap();
        let take: &mut Take = &mut |event| {
            example = Some(*event);
            Ok(ControlFlow::Continue(()))
        };
        events.try_each(take).unwrap();
        drop(events);
        let example = example.unwrap();
        Self {
            fake,
            example,
            since,
        }
    }

    /// Four events form the life of a connection, from one of 60,000 clients.
    fn event(&self, number: u64) -> Event {
        let Event::Transition(mut event) = self.example else {
            return self.example;
        };
        let conn = number / 4;
        event.cpu = (conn % u64::from(CPUS)) as u32;
        event.seq = number / u64::from(CPUS);
        let record = &mut event.record;
        record.ts = self.since + number * 1_000;
        let states = [12, 1, 4, 6, 7];
        record.old = State(states[(number % 4) as usize]);
        record.new = State(states[(number % 4 + 1) as usize]);
        record.who.conn = conn;
        record.who.rport = (conn % 60_000) as u16;
        record.who.raddr[15] = (conn % 251) as u8;
        if let Some(meters) = &mut record.meters {
            meters.bytes_sent = conn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
            meters.bytes_received = conn.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 50;
            meters.srtt_us = (conn.wrapping_mul(0x94d0_49bb_1331_11eb) >> 50) as u32;
        }
        Event::Transition(event)
    }
}

struct Stream<'a> {
    busy: &'a Busy,
    next: u64,
}

impl Events for Stream<'_> {
    fn try_each(&mut self, take: &mut Take) -> Result<()> {
        while self.next < EVENTS {
            let event = self.busy.event(self.next);
            self.next += 1;
            if take(&event)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn progress(&self) -> Vec<Progress> {
        let progress = |cpu| Progress {
            cpu,
            to: EVENTS,
            ..Progress::default()
        };
        (0..CPUS).map(progress).collect()
    }

    fn extend(&mut self) -> Result<bool> {
        Ok(false)
    }
}

impl Backend for Busy {
    fn settings(&self) -> Result<Option<Settings>> {
        self.fake.settings()
    }

    fn stats(&self) -> Result<Stats> {
        self.fake.stats()
    }

    fn clocks(&self) -> Result<Vec<ClockChange>> {
        self.fake.clocks()
    }

    fn transition_counts(&self) -> Result<Vec<TransitionCount>> {
        self.fake.transition_counts()
    }

    fn lives(&self) -> Result<Lives> {
        self.fake.lives()
    }

    fn cgroups(&self) -> Result<Vec<InCgroup>> {
        self.fake.cgroups()
    }

    fn hooks(&self) -> Result<Vec<Hook>> {
        self.fake.hooks()
    }

    fn listeners(&self) -> Result<Vec<Listener>> {
        self.fake.listeners()
    }

    fn pairs(&self) -> Result<Vec<Pair>> {
        self.fake.pairs()
    }

    fn rings(&self) -> Result<Vec<RingState>> {
        self.fake.rings()
    }

    fn live(&self) -> Box<dyn Iterator<Item = Result<Vec<Conn>>> + '_> {
        self.fake.live()
    }

    fn events(&self, _: &Settings, _: Start) -> Result<Box<dyn Events + '_>> {
        Ok(Box::new(Stream {
            busy: self,
            next: 0,
        }))
    }
}

/// Peak memory of this process, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .unwrap();
    let kibibytes: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    kibibytes << 10
}

/// Writes and reads a capture; prints the cost.
pub fn measure(path: &Path, since: u64) {
    let busy = Busy::new(since);
    let memory = peak_memory();
    let records = (EVENTS * RECORD_SIZE as u64) as f64;
    let told = |what, start: Instant| {
        let seconds = start.elapsed().as_secs_f64();
        let speed = records / seconds;
        println!("{what}: {seconds:.1} s, {:.0} MB/s of records", speed / 1e6);
        assert!(speed >= LEAST_SPEED, "{what}");
    };
    let start = Instant::now();
    let file = File::create(path).unwrap();
    let counts = dump::write(&busy, &mut Named, "large.cap", &file).unwrap();
    file.sync_all().unwrap();
    told("written", start);
    assert_eq!(counts.events, EVENTS);
    println!(
        "bytes an event: {:.1}",
        file.metadata().unwrap().len() as f64 / EVENTS as f64
    );
    let start = Instant::now();
    let capture = Capture::open(path).unwrap();
    told("looked at", start);
    let settings = capture.settings().unwrap().unwrap();
    let mut number = 0;
    let start = Instant::now();
    let mut events = capture.events(&settings, Start::Since(0)).unwrap();
    let take: &mut Take = &mut |event| {
        // Only every hundredth is compared: making one takes longer than reading it.
        if number % 100 == 0 {
            assert_eq!(*event, busy.event(number));
        }
        number += 1;
        Ok(ControlFlow::Continue(()))
    };
    events.try_each(take).unwrap();
    told("read", start);
    assert_eq!(number, EVENTS);
    let more = peak_memory() - memory;
    println!("memory: {:.1} MiB more", more as f64 / f64::from(1 << 20));
    assert!(more <= MOST_MEMORY);
}
