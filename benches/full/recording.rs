//! Cost of recording: instructions per connection (connect, accept, close on loopback), of this
//! tool and of the tools that are used today. The work of a recorder after the end of the
//! connections is a part of its cost.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;
use std::{env, fs, iter};

use crate::common::child;
use crate::common::{assert_counts_instructions, connections, is_chosen, median, rest, timed};
use crate::figure::emit;
use crate::peers::{self, Peer};
use crate::support::tool;
use crate::support::trace::Trace;

const PART: &str = "recording";
const ROUNDS: usize = 4;
const CONNECTIONS: u32 = 1000;
/// Connections that take about a second.
const DRAINED: u32 = 11_000;
/// Connections that are made before the first measurement.
const FIRST: u32 = 20;

/// Environment variables with the paths of the modules that the host has built for the machine.
pub const FLOOR: &str = "DIAGNOSE_TOOLS_BENCH_FLOOR";
pub const MAIN_HOOK: &str = "DIAGNOSE_TOOLS_BENCH_MAIN_HOOK";

/// Number of events that a case has kept, and of those that it has lost.
#[derive(Debug, Clone, Copy)]
pub struct Events {
    pub recorded: u64,
    pub lost: u64,
}

/// What a recorder could have recorded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Made {
    pub connections: u64,
    /// Changes of state in the kernel's trace event.
    pub changes: u64,
}

/// A recorder that is running.
pub trait Recorder {
    /// Instructions that it still spends on past events, from now on.
    fn catch_up(&mut self) -> f64 {
        0.0
    }
    /// Called right before and after a measured round.
    fn round(&mut self, _begins: bool) {}
    /// Stops it; returns its events.
    fn end(self: Box<Self>, made: Made) -> Option<Events>;
}

struct Case {
    name: &'static str,
    connections: u32,
    start: Box<dyn Fn() -> Box<dyn Recorder>>,
}

fn case(name: &'static str, start: impl Fn() -> Box<dyn Recorder> + 'static) -> Case {
    Case {
        name,
        connections: CONNECTIONS,
        start: Box::new(start),
    }
}

/// No recorder.
struct Nobody;

impl Recorder for Nobody {
    fn end(self: Box<Self>, _: Made) -> Option<Events> {
        None
    }
}

/// A module that is loaded while the recorder exists.
struct Module(&'static str);

fn insmod(variable: &'static str) -> Module {
    let path = PathBuf::from(env::var_os(variable).expect("the host has built it"));
    run("insmod", &[path.to_str().expect("a path in ASCII")]);
    let name = path.file_stem().expect("a file").to_str();
    Module(if name == Some("floor") {
        "floor"
    } else {
        "tcpstates"
    })
}

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status();
    assert!(status.is_ok_and(|s| s.success()), "{program} {args:?}");
}

impl Recorder for Module {
    fn end(self: Box<Self>, _: Made) -> Option<Events> {
        let events = (self.0 == "tcpstates").then(kept_events);
        if events.is_some() {
            tool::tcpstates(&["--deactivate"]);
        }
        run("rmmod", &[self.0]);
        events
    }
}

/// This tool.
struct Ours;

fn ours(keys: &'static str) -> Case {
    let name = if keys.is_empty() { "all" } else { "kprobe" };
    case(name, move || {
        tool::activate(keys);
        Box::new(Ours)
    })
}

/// Number of recorded events, and of those that were not recorded or were overwritten.
fn kept_events() -> Events {
    let report = tool::report("peek=1 transitions=0");
    report.assert_totals_balance();
    events_of(&report, report.number("/this_report/overwritten"))
}

fn events_of(report: &tool::Report, overwritten: u64) -> Events {
    let all = report.number("/recorded");
    let unseen = report.number("/untracked") + report.number("/lost/kprobe_missed");
    Events {
        recorded: all - overwritten,
        lost: overwritten + unseen,
    }
}

impl Recorder for Ours {
    fn end(self: Box<Self>, _: Made) -> Option<Events> {
        let events = kept_events();
        tool::fresh();
        Some(events)
    }
}

/// This tool, with a report every second: after the number of connections that take a second.
struct Drained;

const REPORTS: &str = "/dev/shm/reports";

/// Instructions for a report.
fn report_to_file() -> f64 {
    let file = fs::File::options().create(true).append(true).open(REPORTS);
    let mut report = tool::command(&["tcpstates", "--report=findings=0"]);
    report.stdout(file.expect("a file in memory"));
    child::run(report).cpu * 1e9
}

impl Recorder for Drained {
    fn catch_up(&mut self) -> f64 {
        report_to_file()
    }

    fn end(self: Box<Self>, _: Made) -> Option<Events> {
        let report = tool::report("peek=1");
        assert_eq!(report.transitions.len(), 0, "all is drained");
        let text = fs::read_to_string(REPORTS).expect("the reports");
        let lines = text.lines().filter(|l| is_transition(l)).count() as u64;
        fs::remove_file(REPORTS).expect("the reports");
        let events = events_of(&report, report.number("/recorded") - lines);
        tool::fresh();
        Some(events)
    }
}

/// Whether a line of the table shows a transition: only these lines start with a date and a time.
fn is_transition(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.len() > 18 && bytes[2] == b'-' && bytes[5] == b' ' && bytes[14] == b'.'
}

/// The kernel's own trace event, recorded in its own ring.
struct TraceEvent;

const TRACING: &str = "/sys/kernel/tracing";

fn trace(file: &str, value: &str) {
    let path = format!("{TRACING}/{file}");
    fs::write(&path, value).unwrap_or_else(|e| panic!("{path}: {e}"));
}

impl Recorder for TraceEvent {
    fn end(self: Box<Self>, made: Made) -> Option<Events> {
        trace("events/sock/inet_sock_set_state/enable", "0");
        let stats = fs::read_to_string(format!("{TRACING}/per_cpu/cpu0/stats")).expect("stats");
        let entries = stats.lines().find_map(|l| l.strip_prefix("entries: "));
        let recorded = entries.expect("entries").parse().expect("a number");
        trace("trace", "");
        Some(Events {
            recorded,
            lost: made.changes.saturating_sub(recorded),
        })
    }
}

fn peer(peer: &'static Peer) -> Case {
    case(peer.name, move || Box::new(peers::start(peer)))
}

fn cases() -> Vec<Case> {
    let idle = || case("idle", || Box::new(Nobody));
    let long = |name, start: fn() -> Box<dyn Recorder>| Case {
        connections: DRAINED,
        ..case(name, start)
    };
    let own = [
        idle(),
        case("floor", || Box::new(insmod(FLOOR))),
        case("main_hook", || {
            let module = insmod(MAIN_HOOK);
            tool::tcpstates(&["--activate=hook=tracepoint"]);
            Box::new(module)
        }),
        ours(""),
        ours("hook=kprobe"),
        long("idle_long", || Box::new(Nobody)),
        long("drained", || {
            tool::activate("ring=262144");
            Box::new(Drained)
        }),
        idle(),
        case("trace_event", || {
            trace("buffer_size_kb", "32768");
            trace("events/sock/inet_sock_set_state/enable", "1");
            Box::new(TraceEvent)
        }),
    ];
    own.into_iter()
        .chain(peers::IN_TURN.iter().map(peer))
        .chain(iter::once(idle()))
        .chain(iter::once(peer(&peers::CONNTRACK)))
        .collect()
}

/// Changes of state in the kernel's trace event: those of a listener, and of each connection.
fn produced() -> impl Fn(u32) -> u64 {
    let of = |count| {
        rest();
        let trace = Trace::start();
        connections(count);
        trace.stop().len() as u64
    };
    let (listener, more) = (of(0), of(100));
    let each = (more - listener) / 100;
    assert_eq!(more, listener + 100 * each, "connections differ");
    move |count| listener + u64::from(count) * each
}

/// Instructions per connection for each round, and the events of all rounds.
fn measure_case(case: &Case, produced: &dyn Fn(u32) -> u64) -> (Vec<f64>, Option<Events>) {
    let mut recorder = (case.start)();
    rest();
    connections(FIRST);
    recorder.catch_up();
    let mut made = Made::default();
    let mut count = |connections| {
        made.connections += u64::from(connections);
        made.changes += produced(connections);
    };
    count(FIRST);
    let mut values = Vec::new();
    for _ in 0..ROUNDS {
        rest();
        recorder.round(true);
        let spent = timed(|| connections(case.connections));
        recorder.round(false);
        let all = spent + recorder.catch_up();
        values.push(all / f64::from(case.connections));
        count(case.connections);
    }
    (values, recorder.end(made))
}

pub fn measure() {
    assert_counts_instructions();
    tool::unloaded();
    let produced = produced();
    connections(CONNECTIONS);
    let (mut idle, mut idle_long) = (Vec::new(), 0.0);
    let mut measured = Vec::new();
    for case in cases() {
        // The baseline of the comparison always runs.
        if !is_chosen(case.name) && !case.name.starts_with("idle") {
            continue;
        }
        tool::unloaded();
        let began = Instant::now();
        let (values, events) = measure_case(&case, &produced);
        eprintln!(
            "{:<16} {values:.0?} {events:?}, {:.0} s of the machine",
            case.name,
            began.elapsed().as_secs_f64()
        );
        match case.name {
            "idle" => idle.extend(values),
            "idle_long" => idle_long = median(values),
            name => measured.push((name, values, events)),
        }
    }
    let idle = median(idle);
    let per = "instructions/connection";
    emit(PART, "idle", "cost", idle, per);
    emit(
        PART,
        "trace",
        "events",
        produced(1) as f64 - produced(0) as f64,
        "events/connection",
    );
    for (name, values, events) in measured {
        let floor = if name == "drained" { idle_long } else { idle };
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(0.0, f64::max);
        let cost = median(values);
        emit(PART, name, "cost", cost, per);
        emit(PART, name, "over_idle", cost - floor, per);
        emit(PART, name, "lowest", lowest, per);
        emit(PART, name, "highest", highest, per);
        if let Some(events) = events {
            emit(PART, name, "recorded", events.recorded as f64, "events");
            emit(PART, name, "lost", events.lost as f64, "events");
        }
    }
}
