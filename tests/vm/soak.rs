//! Half an hour of connections and reports: no growth, no drift, no slowdown.
//!
//! All minutes are alike: the same connections at the same pace, a quiet moment in which all totals
//! are compared with the kernel's, and a burst that is timed. At a fixed pace the number of sockets
//! in TIME_WAIT, which stay in memory for a minute, is the same from the second minute on.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, UdpSocket};
use std::ops::Range;
use std::process::{Child, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde_json::Value;

use crate::live;
use crate::support::memory::{self, KernelMemory};
use crate::support::nstat::Counters;
use crate::support::process::Process;
use crate::support::tool::{self, Report};
use crate::support::{device, is_long, netns, scenario, ss, traffic, transition_counts};

/// Only in the long run.
pub fn trials() -> Vec<Trial> {
    let soak = || scenario("half_an_hour_of_churn_changes_nothing", soak);
    is_long().then(soak).into_iter().collect()
}

/// Half an hour, the minutes of the warm-up and of the end, and time for a busy host.
pub const TIMEOUT_S: u32 = 3600;

/// Sets another duration than half an hour, to try it out.
const SECONDS: &str = "DIAGNOSE_TOOLS_SOAK_SECONDS";
const MINUTE: Duration = Duration::from_secs(60);
/// Until as many sockets leave TIME_WAIT as enter it, and everything that a minute needs has been
/// allocated.
const WARM_UP: usize = 2;

/// One of each kind: 50 connections a second.
const PACE: Duration = Duration::from_millis(80);
const CHURNED: u32 = 600;
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// Start of the burst within its minute, so that no TIME_WAIT of the previous minute ends while the
/// live table is compared.
const BURST_AT: Duration = Duration::from_secs(54);
/// Number of rounds in a burst.
const TIMED: u32 = 120;

/// Small, so that a leak is soon noticed: the module keeps a sixteenth of them in reserve. The
/// rings are overwritten every minute or two, and hold the events of half a minute. Pairs of
/// addresses are kept until they are evicted: from the second minute on all are.
const KEYS: &str = "ring=16384 max-conns=16384 max-pairs=2048 max-listeners=1024";

/// Allowed growth of a pool of the module when a peak is slightly higher than all previous ones:
/// half of the reserve, and a batch for each CPU.
const REFILL: u64 = 512 + 2 * 32;
const NODE: u64 = 128;
/// Less than a byte per event: half an hour has 700,000.
const RSS_KIB: u64 = 128;
/// Allowed difference, in percent, between two measurements on a busy host: about the share of the
/// recording in the cost of a connection.
const COST_PERCENT: f64 = 15.0;
/// Number of minutes at each end whose costs are compared.
const COMPARED: usize = 5;

/// Connections of a round by the kernel's counters: opened, and accepted.
const OPENED: u64 = 4;
const ACCEPTED: u64 = 3;
/// Pairs of addresses: both ends are in this namespace.
const PAIRED: u64 = 2;
/// Transitions of a round, in which two listeners also start and end.
const ROUND: [(&str, &str, u64); 15] = [
    ("CLOSE", "LISTEN", 2),
    ("LISTEN", "CLOSE", 2),
    ("CLOSE", "SYN_SENT", 4),
    ("SYN_SENT", "ESTABLISHED", 3),
    ("SYN_SENT", "CLOSE", 1),
    ("NEW", "SYN_RECV", 3),
    ("SYN_RECV", "ESTABLISHED", 3),
    ("ESTABLISHED", "FIN_WAIT1", 2),
    ("ESTABLISHED", "CLOSE_WAIT", 2),
    ("ESTABLISHED", "CLOSE", 2),
    ("FIN_WAIT1", "FIN_WAIT2", 2),
    ("FIN_WAIT2", "TIME_WAIT", 2),
    ("CLOSE_WAIT", "LAST_ACK", 2),
    ("LAST_ACK", "CLOSE", 2),
    ("TIME_WAIT", "CLOSE", 2),
];

/// A connection of each kind, at an address that was not used before: pairs of addresses and
/// listeners are added and removed, and no port is in TIME_WAIT.
fn round_by(number: u32, mut make: impl FnMut(usize, &dyn Fn())) {
    let first = u32::from(Ipv4Addr::new(127, 1, 0, 0));
    let listener = traffic::listen(Ipv4Addr::from(first + number).into());
    for kind in 0..traffic::KINDS {
        make(kind, &|| traffic::one_of(kind, &listener));
    }
}

fn round(number: u32) {
    round_by(number, |_, connect| connect());
}

/// The transitions of this number of rounds; the end of TIME_WAIT comes a minute later.
fn made_by(rounds: u32, time_wait_over: bool) -> transition_counts::TransitionCounts {
    let rows = ROUND.iter();
    rows.filter(|row| time_wait_over || !ends_time_wait(row.0))
        .map(|(old, new, each)| {
            let transition = ((*old).to_owned(), (*new).to_owned());
            (transition, each * u64::from(rounds))
        })
        .collect()
}

fn ends_time_wait(old: &str) -> bool {
    old == "TIME_WAIT"
}

fn sleep_until(when: Instant) {
    thread::sleep(when.saturating_duration_since(Instant::now()));
}

/// Runs rounds at fixed times: one that is late does not delay the next.
fn churn(rounds: Range<u32>, start: Instant) {
    for (i, number) in (0..).zip(rounds) {
        sleep_until(start + PACE * i);
        round(number);
    }
}

/// CPU time of this thread, including the kernel's work for it and without that of others.
fn timed(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock");
        Duration::from(time).as_secs_f64()
    };
    let began = now();
    work();
    now() - began
}

/// An operation that the tool does not affect: a datagram on the same loopback.
fn exchange() {
    let socket = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let (one, other) = (socket(), socket());
    let to = other.local_addr().expect("bound");
    one.send_to(b"request", to).expect("sent");
    other.recv(&mut [0; 7]).expect("received");
}

/// Costs of a connection of each kind and of an exchange, measured alternately.
#[derive(Default)]
struct Costs {
    kinds: [Vec<f64>; traffic::KINDS],
    exchanges: Vec<f64>,
}

impl Costs {
    /// Measures these rounds.
    fn measure(rounds: Range<u32>) -> Self {
        let mut costs = Self::default();
        for number in rounds {
            round_by(number, |kind, connect| {
                costs.kinds[kind].push(timed(connect));
                costs.exchanges.push(timed(exchange));
            });
        }
        costs
    }

    fn of(minutes: &[Minute]) -> Self {
        let mut all = Self::default();
        for minute in minutes {
            let kinds = all.kinds.iter_mut().zip(&minute.costs.kinds);
            kinds.for_each(|(all, some)| all.extend(some));
            all.exchanges.extend(&minute.costs.exchanges);
        }
        all
    }

    /// Cost of a round, in exchanges.
    fn ratio(&self) -> f64 {
        let round: f64 = self.kinds.iter().map(|kind| undisturbed(kind)).sum();
        round / undisturbed(&self.exchanges)
    }
}

/// A busy host often stops a virtual CPU while its time continues: at least a tenth of measurements
/// this short is undisturbed.
fn undisturbed(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 10]
}

/// A controller that follows all the time; its lines are counted and discarded.
struct Follower {
    child: Child,
    lines: Option<JoinHandle<(u64, String)>>,
}

impl Follower {
    fn start() -> Self {
        let mut command = tool::command(&["tcpstates", "--follow=json=1"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start");
        let stdout = child.stdout.take().expect("piped");
        let follower = Self {
            child,
            lines: Some(thread::spawn(|| count_lines(stdout))),
        };
        // It asks for the positions before it maps the rings.
        let rings = || follower.proc_file("maps").matches(&device::path()).count();
        traffic::until("it follows", || rings() == 2);
        follower
    }

    fn proc_file(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.child.id());
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn rss_kib(&self) -> u64 {
        let status = self.proc_file("status");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let number = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
        number.expect("it runs")
    }

    /// The number of lines before the summary, and the summary.
    fn end(mut self) -> (u64, Value) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).expect("it runs");
        let lines = self.lines.take().expect("not ended yet");
        let (count, last) = lines.join().expect("lines");
        let mut stderr = String::new();
        let mut pipe = self.child.stderr.take().expect("piped");
        pipe.read_to_string(&mut stderr).expect("UTF-8");
        let status = self.child.wait().expect("its end");
        assert!(status.success() && stderr.is_empty(), "{status}: {stderr}");
        let summary = serde_json::from_str(&last).unwrap_or_else(|e| panic!("{e}: {last}"));
        (count - 1, summary)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Number of lines, and the last one.
fn count_lines(from: impl Read) -> (u64, String) {
    let mut reader = BufReader::new(from);
    let (mut count, mut last, mut line) = (0, String::new(), String::new());
    while reader.read_line(&mut line).expect("UTF-8") > 0 {
        count += 1;
        std::mem::swap(&mut last, &mut line);
        line.clear();
    }
    (count, last)
}

/// Measurements of the quiet moment of a minute, and of its burst.
struct Minute {
    connections: u64,
    transitions: u64,
    module: u64,
    areas: u64,
    objects: u64,
    rss_kib: u64,
    costs: Costs,
}

impl Minute {
    const HEAD: &str =
        "minute  connections  transitions  module bytes  slab objects  follower KiB   cost";

    fn print(&self, number: usize) {
        println!(
            "{number:>6}  {:>11}  {:>11}  {:>12}  {:>12}  {:>12}  {:>5.2}",
            self.connections,
            self.transitions,
            self.module,
            self.objects,
            self.rss_kib,
            self.costs.ratio()
        );
    }
}

/// The state of the run, and the events that were reported.
struct Soak {
    netns: u64,
    follower: Follower,
    counters: Counters,
    /// Number of rounds so far.
    rounds: u32,
    /// Number of transitions that all reports have printed.
    reported: u64,
    /// Rounds and transitions before the current minute.
    before: (u32, u64),
}

impl Soak {
    fn start() -> Self {
        tool::activate_here(KEYS);
        Self {
            netns: netns::current_inode(),
            follower: Follower::start(),
            counters: Counters::here(),
            rounds: 0,
            reported: 0,
            before: (0, 0),
        }
    }

    /// Runs a report, which consumes all new events.
    fn report(&mut self) -> Report {
        let report = tool::report("transitions=1");
        report.assert_totals_balance();
        self.reported += report.transitions.len() as u64;
        assert_eq!(report.number("/reported"), self.reported);
        let lost = report.summary["lost"].as_object().expect("causes");
        let mut others = lost.iter().filter(|(cause, _)| *cause != "evicted");
        assert!(others.all(|(_, n)| *n == 0), "{lost:?}");
        for name in ["/untracked", "/unmatched", "/alarms", "/filtered"] {
            assert_eq!(report.number(name), 0, "{name}");
        }
        report
    }

    /// Makes connections and, in another process, reports: a child that is started from this
    /// process has for a moment all descriptors of its parent.
    fn churn(&mut self, start: Instant) {
        let rounds = self.rounds..self.rounds + CHURNED;
        self.rounds = rounds.end;
        let churning = Process::fork(move |_| churn(rounds, start));
        let mut next = start + REPORT_EVERY;
        while next < start + PACE * CHURNED {
            sleep_until(next);
            self.report();
            next += REPORT_EVERY;
        }
        churning.finish();
        traffic::until("the last FIN has come", || {
            let over = |row: &ss::Row| row.0 == "TIME_WAIT";
            ss::table(None).iter().all(over)
        });
    }

    /// Consumes the remaining events, and compares them with the connections that were made.
    fn quiet_report(&mut self, time_wait_over: bool) -> Report {
        let report = self.report();
        let mut told = transition_counts::of(&report.summary);
        told.retain(|(old, _), _| time_wait_over || !ends_time_wait(old));
        assert_eq!(told, made_by(self.rounds, time_wait_over));
        let pairs = report.number("/pairs") + report.number("/lost/evicted");
        assert_eq!(
            pairs,
            PAIRED * u64::from(self.rounds),
            "no pair comes twice"
        );
        let counters = Counters::here();
        for (name, each) in [("TcpActiveOpens", OPENED), ("TcpPassiveOpens", ACCEPTED)] {
            let made = counters.get(name) - self.counters.get(name);
            assert_eq!(made, each * u64::from(self.rounds), "{name}");
        }
        report
    }

    fn minute(&mut self, start: Instant) -> Minute {
        self.churn(start);
        live::assert_same(None, self.netns);
        let report = self.quiet_report(false);
        let seen = report.number("/seen");
        let (rounds, transitions) = (self.rounds - self.before.0, seen - self.before.1);
        self.before = (self.rounds, seen);
        let (module, areas) = (module_bytes(), memory::vmalloc_areas().len() as u64);
        let objects = memory::slab_objects().expect("the module is loaded");
        let rss_kib = self.follower.rss_kib();
        sleep_until(start + BURST_AT);
        let timed = self.rounds..self.rounds + TIMED;
        self.rounds = timed.end;
        let costs = Costs::measure(timed);
        Minute {
            connections: OPENED * u64::from(rounds),
            transitions,
            module,
            areas,
            objects,
            rss_kib,
            costs,
        }
    }

    /// After the end of TIME_WAIT, each transition has been reported everywhere.
    fn end(mut self) {
        let limit = MINUTE + Duration::from_secs(40);
        traffic::within(limit, "TIME_WAIT is over", || ss::table(None).is_empty());
        let report = self.quiet_report(true);
        let made: u64 = transition_counts::of(&report.summary).values().sum();
        assert_eq!(report.number("/seen"), made);
        assert_eq!(self.reported, made);
        assert_eq!(report.number("/tracked"), 0);
        let (followed, summary) = self.follower.end();
        assert_eq!(followed, made, "{summary}");
        assert_eq!(summary["this_report"]["overwritten"], 0, "{summary}");
        println!(
            "{} connections; {made} transitions: made, seen, reported and followed",
            OPENED * u64::from(self.rounds)
        );
        tool::end();
    }
}

fn module_bytes() -> u64 {
    let text = tool::tcpstates(&["--settings=json=1"]);
    let settings: Value = serde_json::from_str(&text).expect("settings are JSON");
    settings["memory_bytes"].as_u64().expect("a number")
}

fn minutes() -> usize {
    let seconds = env::var(SECONDS).map_or(1800, |s| s.parse().expect("seconds"));
    let minutes = seconds / MINUTE.as_secs() as usize;
    assert!(minutes >= 2, "a first and a last minute are wanted");
    minutes
}

/// The minutes after the warm-up.
fn run(soak: &mut Soak) -> Vec<Minute> {
    println!("\n{}", Minute::HEAD);
    let mut start = Instant::now();
    let mut minute = |number| {
        let minute = soak.minute(start);
        minute.print(number);
        // A minute that took longer delays all later ones.
        start = Instant::now().max(start + MINUTE);
        sleep_until(start);
        minute
    };
    let all: Vec<_> = (1..=WARM_UP + minutes()).map(&mut minute).collect();
    all.into_iter().skip(WARM_UP).collect()
}

/// What has grown between the first minute and the last one.
fn grown(minutes: &[Minute]) -> Vec<String> {
    let (first, last) = (&minutes[0], &minutes[minutes.len() - 1]);
    let figures = [
        ("areas of vmalloc", first.areas, last.areas, 0),
        ("module bytes", first.module, last.module, REFILL * NODE),
        ("slab objects", first.objects, last.objects, REFILL),
        ("follower KiB", first.rss_kib, last.rss_kib, RSS_KIB),
    ];
    let rows = figures.into_iter();
    rows.filter(|(_, first, last, most)| *last > first + most)
        .map(|(what, first, last, _)| format!("{what}: first {first}, last {last}"))
        .collect()
}

/// How much more a connection costs in the last minutes than in the first ones, if it is
/// significant.
fn costlier(minutes: &[Minute]) -> Option<String> {
    let compared = COMPARED.min(minutes.len() / 2);
    let first = Costs::of(&minutes[..compared]).ratio();
    let last = Costs::of(&minutes[minutes.len() - compared..]).ratio();
    let percent = (last / first - 1.0) * 100.0;
    let text = format!("cost: first {first:.2}, last {last:.2}, {percent:+.1} %");
    println!("{text}");
    (percent >= COST_PERCENT).then_some(text)
}

/// Memory that the kernel keeps for good after a first run is not a leak.
fn first_life() {
    tool::activate_here(KEYS);
    round(0);
    tool::report("transitions=1");
    tool::unloaded();
}

fn soak() {
    first_life();
    traffic::within(MINUTE * 2, "TIME_WAIT is over", || {
        ss::table(None).is_empty()
    });
    memory::settle();
    let before = KernelMemory::now();
    let mut soak = Soak::start();
    let minutes = run(&mut soak);
    soak.end();
    let idle = Costs::measure(0..TIMED).ratio();
    println!("cost without a recording: {idle:.2}");
    let changed: Vec<_> = grown(&minutes)
        .into_iter()
        .chain(costlier(&minutes))
        .collect();
    assert_eq!(changed, Vec::<String>::new());
    tool::unloaded();
    KernelMemory::assert_back_at(&before);
    println!(
        "kernel memory before: {before:?}, after: {:?}",
        KernelMemory::now()
    );
    memory::assert_none_left();
}
