//! How fast records become lines, from the bytes of the rings, as the module writes them, to the
//! bytes of a report: the reader, the merge, the filter, the format and its buffer. Nothing is
//! written to a file, so only this program is measured, on one core.
//!
//! The time is CPU time of this process, and a figure is the best of many rounds, which other load
//! on the host disturbed least; the median is printed beside it.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use diagnose_tools::backend::Backend;
use diagnose_tools::cli::parse;
use diagnose_tools::command::options::ReportOptions;
use diagnose_tools::command::report::report;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use diagnose_tools::render::{Sink, Style, sink};
use jiff::tz::TimeZone;
use nix::time::{ClockId, clock_gettime};
use testkit::busy::Host;
use testkit::fake::Fake;
use testkit::host::Unobserved;

use crate::common::is_chosen;
use crate::figure::Figure;

pub const PART: &str = "decode";

/// Number of CPUs, and of records in the ring of each: the default of an activation.
const CPUS: u32 = 2;
const RING: u64 = 65_536;
/// Live connections of a busy host, and of a very busy one.
const CONNECTIONS: [(&str, u64); 2] = [("live_100000", 100_000), ("live_1000000", 1_000_000)];
/// Number of live connections per call.
const BATCH: usize = 2048;

/// Minimum CPU time of a case, and minimum number of rounds.
const TIME_LEAST: Duration = Duration::from_secs(2);
const ROUNDS_LEAST: usize = 5;

const TRANSITIONS: &str = "transitions=1 alarms=0 connections=0 summary=0 findings=0 peek=1";
const LIVES: &str = "lives=1 alarms=0 summary=0 findings=0 peek=1";
const COUNTS: &str = "by=process|state transitions=0 connections=1 summary=0 findings=0";
const LIVE: &str = "transitions=0 alarms=0 connections=1 listeners=0 summary=0 findings=0";

/// All measurements of this part.
pub fn measure() -> Vec<Figure> {
    let host = Host::make();
    let mut fake = Fake::new(CPUS, RING);
    host.fill(&fake, u64::from(CPUS) * RING);
    let mut figures = Vec::new();
    for name in ["json", "table", "detail"]
        .into_iter()
        .filter(|n| is_chosen(n))
    {
        let case = Case::measure(&fake, &host, &format!("{TRANSITIONS} format={name}"));
        case.tell(name, &mut figures);
    }
    if is_chosen("lives") {
        Case::measure(&fake, &host, LIVES).tell("lives", &mut figures);
    }
    fake.batch = BATCH;
    if is_chosen("by_1000000") {
        fake.conns.replace(host.connections(1_000_000));
        Case::measure(&fake, &host, COUNTS).tell("by_1000000", &mut figures);
    }
    for (name, count) in CONNECTIONS.into_iter().filter(|c| is_chosen(c.0)) {
        fake.conns.replace(host.connections(count));
        Case::measure(&fake, &host, LIVE).tell(name, &mut figures);
    }
    figures
}

/// Measurements of a kind of report.
struct Case {
    /// Records and bytes of one round.
    records: u64,
    bytes: u64,
    /// CPU time of the best round, and of the median one.
    best: Duration,
    median: Duration,
    /// Additional memory that the rounds after the first one needed.
    growth: u64,
}

impl Case {
    fn measure(fake: &Fake, host: &Host, keys: &str) -> Self {
        let options = parse::report(keys).expect("keys of --report");
        let style = Style {
            labels: Lang::En.labels(),
            clock: Clock::with_zone(&fake.stats().expect("a fake's"), zone()),
            width: None,
            color: false,
        };
        let mut sink = sink(options.format, style, host.names());
        // The first round fills the caches, and contains the headings.
        round(fake, &options, &mut *sink);
        let before = peak_memory();
        let mut bytes = 0;
        let mut rounds = Vec::new();
        while rounds.len() < ROUNDS_LEAST || rounds.iter().sum::<Duration>() < TIME_LEAST {
            let began = cpu_time();
            bytes = round(fake, &options, &mut *sink);
            rounds.push(cpu_time() - began);
        }
        let growth = peak_memory() - before;
        rounds.sort_unstable();
        Self {
            records: match options.connections {
                Some(true) => fake.conns.borrow().len() as u64,
                _ => u64::from(CPUS) * RING,
            },
            bytes,
            best: rounds[0],
            median: rounds[rounds.len() / 2],
            growth,
        }
    }

    fn ns(&self, round: Duration) -> f64 {
        round.as_secs_f64() * 1e9 / self.records as f64
    }

    fn tell(&self, case: &str, figures: &mut Vec<Figure>) {
        let per_second = |round| 1e9 / self.ns(round);
        figures.extend([
            Figure::new(PART, case, "rate", per_second(self.best), "records/s"),
            Figure::new(
                PART,
                case,
                "median_rate",
                per_second(self.median),
                "records/s",
            ),
            Figure::new(
                PART,
                case,
                "line",
                (self.bytes / self.records) as f64,
                "bytes/record",
            ),
            Figure::new(PART, case, "memory_growth", self.growth as f64, "bytes"),
        ]);
    }
}

/// Prints one whole report; returns its size in bytes.
fn round(fake: &Fake, options: &ReportOptions, sink: &mut dyn Sink) -> u64 {
    let mut out = BufWriter::with_capacity(1 << 16, Counter(0));
    let (mut host, folder) = (Unobserved::default(), Path::new("/nonexistent"));
    report(fake, &mut host, options, folder, sink, &mut out).expect("a report");
    out.get_ref().0
}

/// A time zone with daylight saving time, like most.
fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone")
}

/// Counts the bytes that are written to it.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock");
    Duration::from(time)
}

/// Peak memory of this process so far, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line
        .and_then(|l| l.trim().strip_suffix(" kB"))
        .expect("VmHWM");
    kib.parse::<u64>().expect("a number") * 1024
}
