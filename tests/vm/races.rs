//! Deliberate races: processes that load, activate, deactivate, report, follow and unload at
//! random, during a storm. Afterwards all totals are exact.

use std::io;
use std::ops::RangeInclusive;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::follow::follow;
use crate::support::memory::{self, KernelMemory};
use crate::support::process::{Line, Process};
use crate::support::random::{self, Random};
use crate::support::tool::{self, Report};
use crate::support::{is_long, scenario, storm, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario(
            "four_processes_race_and_leave_exact_totals",
            race_in_a_storm,
        ),
        scenario(
            "a_reader_that_was_stopped_tells_exactly_what_it_lost",
            stopped_reader,
        ),
    ]
}

const ACTORS: u64 = 4;
/// CPU 0 stays online.
const CPUS: RangeInclusive<u64> = 1..=3;

/// The actions that the actors count.
#[derive(Clone, Copy)]
enum Deed {
    Activation,
    Deactivation,
    Report,
    Follow,
    Stop,
    Kill,
    Load,
    Unload,
    Refusal,
}

const DEEDS: [&str; 9] = [
    "activations",
    "deactivations",
    "reports",
    "follows",
    "stops",
    "kills",
    "loads",
    "unloads",
    "refusals",
];

/// Messages that are allowed when other processes interfere; two of them by their index.
const NOT_ACTIVE: usize = 0;
const NOT_LOADED: usize = 1;
const REFUSALS: [&str; 7] = [
    "not active: use --activate first",
    "the module is not loaded: run `diagnose-tools install`",
    "already active: use --deactivate first",
    "the module is in use",
    "the recording was restarted",
    "another --report is running",
    "not enough memory",
];

/// How a reader ends: by itself, or by a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Own,
    By(Signal),
}

struct Actor {
    random: Random,
    counts: [u64; DEEDS.len()],
    /// Why the last command was refused: an index of [`REFUSALS`].
    refused: Option<usize>,
}

impl Actor {
    fn count(&mut self, deed: Deed) {
        self.counts[deed as usize] += 1;
    }

    /// Often does what the last refusal asked for: otherwise most commands would be refused.
    fn act(&mut self) {
        match self.refused.take() {
            Some(NOT_ACTIVE) if self.random.one_in(2) => self.activate(),
            Some(NOT_LOADED) if self.random.one_in(2) => self.load(),
            _ => self.act_at_random(),
        }
    }

    fn act_at_random(&mut self) {
        match self.random.below(100) {
            0..6 => self.activate(),
            6..12 => self.control(&["tcpstates", "--deactivate"], Deed::Deactivation),
            12..18 => self.control(&["uninstall"], Deed::Unload),
            18..22 => self.load(),
            22..60 => self.report(),
            _ => self.follow(),
        }
    }

    fn load(&mut self) {
        self.control(&["install"], Deed::Load);
    }

    fn activate(&mut self) {
        let hook = *self.random.of_these(&["auto", "tracepoint", "kprobe"]);
        let ring = 64 << self.random.below(8);
        let conns = 1 + self.random.below(10_000);
        let keys = format!("--activate=hook={hook} ring={ring} max-conns={conns}");
        self.control(&["tcpstates", &keys], Deed::Activation);
    }

    /// Runs a command and waits for it.
    fn control(&mut self, args: &[&str], deed: Deed) {
        let output = start(args).wait_with_output().expect("its end");
        if self.is_done(args, End::Own, &output) {
            self.count(deed);
        }
    }

    fn report(&mut self) {
        let peek = self.random.below(2);
        let more = *self.random.of_these(&["", "connections=1", "listeners=1"]);
        let keys = format!("--report=json=1 findings=0 transitions=1 peek={peek} {more}");
        let end = *self
            .random
            .of_these(&[End::Own, End::Own, End::By(Signal::SIGKILL)]);
        self.read(&keys, end, Deed::Report);
    }

    fn follow(&mut self) {
        let ends = [
            Signal::SIGKILL,
            Signal::SIGKILL,
            Signal::SIGINT,
            Signal::SIGTERM,
        ];
        let end = End::By(*self.random.of_these(&ends));
        self.read("--follow=json=1", end, Deed::Follow);
    }

    /// Starts a reader, which may be stopped for a moment and ended early.
    fn read(&mut self, keys: &str, end: End, deed: Deed) {
        let args = ["tcpstates", keys];
        let mut child = start(&args);
        // A follower whose output is not read ends without a summary when it is asked to.
        let mut stdout = child.stdout.take().expect("piped");
        let taker = thread::spawn(move || io::read_to_string(&mut stdout));
        // A child that has ended can still be signalled until it is waited for.
        let pid = Pid::from_raw(child.id() as i32);
        match end {
            End::Own => {}
            // A process that is asked to end must have started; one that is killed need not.
            End::By(Signal::SIGKILL) => thread::sleep(self.random.millis(1000)),
            End::By(_) => thread::sleep(Duration::from_secs(1) + self.random.millis(1000)),
        }
        if self.random.one_in(4) {
            kill(pid, Signal::SIGSTOP).expect("a child");
            thread::sleep(self.random.millis(300));
            kill(pid, Signal::SIGCONT).expect("a child");
            self.count(Deed::Stop);
        }
        if let End::By(signal) = end {
            kill(pid, signal).expect("a child");
        }
        let output = child.wait_with_output().expect("its end");
        if output.status.signal() == Some(Signal::SIGKILL as i32) {
            self.count(Deed::Kill);
        }
        let text = taker.join().expect("no panic").expect("stdout is UTF-8");
        if self.is_done(&args, end, &output) {
            Report::parse(&text);
            self.count(deed);
        }
    }

    /// Whether it ended successfully; otherwise it was refused, or ended by a signal.
    fn is_done(&mut self, args: &[&str], end: End, output: &Output) -> bool {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        if let Some(signal) = output.status.signal() {
            let sent = matches!(end, End::By(sent) if sent as i32 == signal);
            assert!(sent, "{args:?} ended by signal {signal}: {stderr}");
            return false;
        }
        if output.status.code() == Some(0) {
            return true;
        }
        let last = stderr.lines().last().unwrap_or_default();
        let known = REFUSALS.iter().position(|refusal| last.contains(refusal));
        assert!(
            known.is_some() && output.status.code() == Some(1),
            "{args:?}: {}, {stderr}",
            output.status
        );
        self.refused = known;
        self.count(Deed::Refusal);
        false
    }
}

fn start(args: &[&str]) -> Child {
    let mut command = tool::command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("start")
}

/// Runs for this time, and until this number of readers were killed.
fn act_when_told(mut line: Line, random: Random, time: Duration, kills: u64) {
    let mut actor = Actor {
        random,
        counts: [0; DEEDS.len()],
        refused: None,
    };
    line.hear();
    let start = Instant::now();
    while start.elapsed() < time || actor.counts[Deed::Kill as usize] < kills {
        actor.act();
    }
    line.tell(&actor.counts);
}

/// What all actors did during a storm: for this time or, on a slow machine, until they have killed
/// this number of readers.
fn race(seed: u64, time: Duration, kills: u64) -> Vec<u64> {
    let start = |n| {
        let random = Random::of(seed, n);
        Process::fork(move |line| act_when_told(line, random, time, kills / ACTORS))
    };
    let mut actors: Vec<_> = (0..ACTORS).map(start).collect();
    let (counts, storm) = storm::around(seed, &CPUS, || {
        actors.iter_mut().for_each(|actor| actor.line.tell(&[]));
        let all: Vec<_> = actors.iter_mut().map(|actor| actor.line.hear()).collect();
        actors.into_iter().for_each(Process::finish);
        let sum = |deed| all.iter().map(|counts| counts[deed]).sum::<u64>();
        (0..DEEDS.len()).map(sum).collect::<Vec<_>>()
    });
    storm.assert_raged();
    for (count, name) in counts.iter().zip(DEEDS) {
        println!("{count:8} {name}");
    }
    counts
}

fn race_in_a_storm() {
    let seed = random::seed();
    let (seconds, kills) = if is_long() { (600, 1000) } else { (60, 0) };
    let time = Duration::from_secs(seconds);
    tool::unloaded();
    // Memory that the kernel keeps for good after a first storm is not a leak.
    race(seed, time / 10, 0);
    tool::unloaded();
    memory::settle();
    let before = KernelMemory::now();
    let counts = race(seed + ACTORS, time, kills);
    // In a minute on a slow machine the rare actions need not occur.
    for deed in [Deed::Activation, Deed::Report, Deed::Kill] {
        assert!(counts[deed as usize] > 0, "{counts:?}");
    }
    assert!(counts[Deed::Kill as usize] >= kills, "{counts:?}");
    tool::unloaded();
    storm::assert_exact_totals(seed, &CPUS);
    tool::unloaded();
    KernelMemory::assert_back_at(&before);
    memory::assert_none_left();
}

/// A follower that is stopped while its ring is overwritten more than once.
fn stopped_reader() {
    let time = Duration::from_secs(if is_long() { 60 } else { 8 });
    tool::activate_here("ring=64");
    let follower = follow("");
    let recorded = || tool::report("peek=1").number("/recorded");
    let before = recorded();
    follower.signal(Signal::SIGSTOP);
    // No TIME_WAIT, which lasts a minute, may end before the follower does.
    thread::sleep(time / 6);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = traffic::Stop(&stop);
        scope.spawn(|| traffic::churn_gently(&stop));
        thread::sleep(time * 5 / 6);
    });
    let produced = recorded() - before;
    follower.signal(Signal::SIGCONT);
    // It may be woken late; it can read what is left in the rings in any case.
    thread::sleep(Duration::from_secs(2));
    follower.signal(Signal::SIGINT);
    let (status, stderr, lines) = follower.end();
    assert_eq!(status, 0, "{stderr}");
    let of = |kind: &'static str| lines.iter().filter(move |line| line["type"] == kind);
    let read = of("transition").count() as u64;
    let lost: u64 = of("lost").filter_map(|line| line["count"].as_u64()).sum();
    println!("{produced} produced, {read} read, {lost} lost");
    assert!(lost > 0 && read > 0, "{read} read, {lost} lost");
    assert_eq!(read + lost, produced);
    tool::tcpstates(&["--deactivate"]);
}
