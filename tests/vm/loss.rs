//! No event is lost without being counted: the numbers are exact.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;

use crate::support::ss;
use crate::support::tool::{self, Report};
use crate::support::trace::Trace;
use crate::support::{guest, scenario, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("an_overrun_ring_tells_exactly_what_it_lost", overrun),
        scenario("a_report_goes_on_where_the_last_one_stopped", continuation),
        scenario("a_report_that_cannot_be_written_loses_nothing", unwritable),
        scenario(
            "concurrent_reports_account_for_every_event_once",
            concurrent,
        ),
    ]
}

/// Positions of the events of a report, by CPU, in the order in which they were printed.
fn positions(report: &Report) -> BTreeMap<u64, Vec<u64>> {
    let mut by_cpu: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for record in &report.transitions {
        let number = |name: &str| record[name].as_u64().expect("a number");
        by_cpu.entry(number("cpu")).or_default().push(number("seq"));
    }
    by_cpu
}

/// Traffic on both CPUs at once, `connections` connections in all.
fn on_two_cpus(connections: usize) {
    thread::scope(|scope| {
        for cpu in 0..2 {
            scope.spawn(move || {
                // The scheduler may leave both threads on one CPU.
                let mut only = CpuSet::new();
                only.set(cpu).expect("a CPU");
                sched_setaffinity(Pid::from_raw(0), &only).expect("affinity");
                let listener = traffic::listen(traffic::V4);
                for _ in 0..connections / 2 {
                    traffic::client_first(&listener);
                }
            });
        }
    });
}

/// Eight times as many events as the rings hold.
fn overrun() {
    const RING: u64 = 1024;
    tool::activate_here(&format!("ring={RING}"));
    let trace = Trace::start();
    // Ten transitions a connection, two rings.
    on_two_cpus(2 * 8 * RING as usize / 10 + 100);
    // Later events would fall between the end of the trace and the report.
    traffic::until("the last FIN has come", || {
        let over = |row: &ss::Row| row.0 == "TIME_WAIT";
        ss::table(None).iter().all(over)
    });
    let produced = trace.stop().len() as u64;
    let report = tool::report("transitions=1");
    assert!(produced >= 2 * 8 * RING, "only {produced} events");
    let reported = report.transitions.len() as u64;
    let lost = report.number("/lost/overwritten");
    assert!(lost > 0 && reported > 0, "{reported} reported, {lost} lost");
    assert_eq!(
        reported + lost,
        produced,
        "{reported} reported, {lost} lost"
    );
    assert_eq!(report.number("/recorded"), produced);
    assert_eq!(
        report.number("/seen"),
        produced + report.number("/filtered")
    );
    assert_newest(&report, RING, produced);
    tool::end();
}

/// What is left of each ring is its end, without a gap; the sequence numbers show how many events
/// came before.
fn assert_newest(report: &Report, ring: u64, produced: u64) {
    let by_cpu = positions(report);
    assert_eq!(by_cpu.len(), 2, "both CPUs");
    let mut sum = 0;
    for (cpu, seqs) in by_cpu {
        assert!(
            seqs.len() as u64 <= ring,
            "CPU {cpu} has more than its ring holds"
        );
        assert!(
            seqs.windows(2).all(|w| w[1] == w[0] + 1),
            "a gap on CPU {cpu}"
        );
        sum += seqs.last().expect("some") + 1;
    }
    assert_eq!(
        sum, produced,
        "the sequence numbers tell how many there were"
    );
}

fn continuation() {
    tool::activate_here("");
    let listener = traffic::listen(traffic::V4);
    traffic::client_first(&listener);
    let peeked = tool::report("transitions=1 peek=1");
    let again = tool::report("transitions=1 peek=1");
    let first = tool::report("transitions=1");
    assert_eq!(peeked.transitions.len(), 11, "LISTEN and a connection");
    assert_eq!(
        peeked.transitions, again.transitions,
        "a peek moves nothing"
    );
    assert_eq!(
        peeked.transitions, first.transitions,
        "a peek moves nothing"
    );
    assert_eq!(first.number("/pending"), 0);

    traffic::client_first(&listener);
    let second = tool::report("transitions=1");
    assert_eq!(
        second.transitions.len(),
        10,
        "one connection's: {:?}",
        second.transitions
    );
    let third = tool::report("transitions=1");
    assert_eq!(
        third.transitions.len(),
        0,
        "nothing happened since: {:?}",
        third.transitions
    );
    let total = first.transitions.len() + 10;
    assert_eq!(third.number("/reported"), total as u64);
    assert_eq!(third.number("/recorded"), total as u64);
    tool::end();
}

/// A full disk and a closed pipe: the next report has the events.
fn unwritable() {
    tool::activate_here("");
    let listener = traffic::listen(traffic::V4);
    for _ in 0..200 {
        traffic::client_first(&listener);
    }
    let expected = tool::report("transitions=1 peek=1").transitions.len();

    let mut full = tool::command(&["tcpstates", "--report=json=1 transitions=1"]);
    full.stdout(
        File::options()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full"),
    );
    let outcome = tool::outcome(full);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(
        outcome.stderr.contains("No space left on device"),
        "{outcome:?}"
    );

    let mut piped = tool::command(&["tcpstates", "--report=json=1 transitions=1"]);
    let mut child = piped
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start");
    drop(child.stdout.take());
    let outcome = child.wait_with_output().expect("its end");
    assert_eq!(
        outcome.status.code(),
        Some(0),
        "a closed pipe is not an error"
    );
    assert!(
        outcome.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&outcome.stderr)
    );

    let report = tool::report("transitions=1");
    assert_eq!(report.transitions.len(), expected);
    assert_eq!(report.number("/lost/overwritten"), 0);
    tool::end();
}

/// The fields that are read from a line of a report or of a follower: a fast machine makes hundreds
/// of thousands of lines in this scenario, and a whole one takes kilobytes of memory.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    cpu: Option<u64>,
    seq: Option<u64>,
    count: Option<u64>,
}

impl Line {
    /// The position of an event: its CPU and its number there. `None` for other lines.
    fn position(&self) -> Option<(u64, u64)> {
        let is_event = self.kind == "transition" || self.kind == "alarm";
        is_event.then(|| (self.cpu.expect("a CPU"), self.seq.expect("a number")))
    }
}

/// A report whose output goes to a file, which is removed when this is dropped.
struct Started {
    child: Child,
    path: PathBuf,
}

impl Started {
    fn new(name: &str) -> Self {
        let path = Path::new("/tmp").join(name);
        let mut command = tool::command(&["tcpstates", "--report=json=1 transitions=1"]);
        command
            .stdout(File::create(&path).expect("a file"))
            .stderr(Stdio::null());
        let child = command.spawn().expect("start");
        Self { child, path }
    }

    /// Waits for its end, and adds its output to the account.
    fn enter(mut self, account: &mut Account) -> bool {
        let complete = self.child.wait().expect("its end").success();
        account.enter(&self.path, complete);
        complete
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // The machine's files are kept in its memory.
        let _ = fs::remove_file(&self.path);
    }
}

/// Accounts for the events of all reports.
#[derive(Default)]
struct Account {
    /// Positions in all reports that completed.
    seen: BTreeSet<(u64, u64)>,
    /// Number of positions in more than one of these reports.
    twice: usize,
    /// Positions of reports that were killed: they may be reported again.
    killed: BTreeSet<(u64, u64)>,
}

impl Account {
    fn enter(&mut self, path: &Path, complete: bool) {
        let mut own = BTreeSet::new();
        let file = BufReader::new(File::open(path).expect("the report's output"));
        // The last line of a killed report may be incomplete.
        for line in file.lines() {
            let line = line.expect("UTF-8");
            let Ok(line) = serde_json::from_str::<Line>(&line) else {
                assert!(!complete, "not JSON: {line}");
                continue;
            };
            if let Some(position) = line.position() {
                assert!(own.insert(position), "an event twice in one report");
            }
        }
        if complete {
            self.twice += own.intersection(&self.seen).count();
            self.seen.append(&mut own);
        } else {
            self.killed.append(&mut own);
        }
    }
}

/// What a follower printed.
#[derive(Default, Debug)]
struct Followed {
    last: BTreeMap<u64, u64>,
    events: u64,
    /// Number of positions without an event, between the first and the last of each CPU.
    gaps: u64,
    /// Events that it reported as lost.
    lost: u64,
}

impl Followed {
    fn add(&mut self, line: &Line) {
        if line.kind == "lost" {
            self.lost += line.count.expect("a number");
        }
        let Some((cpu, seq)) = line.position() else {
            return;
        };
        self.events += 1;
        if let Some(last) = self.last.insert(cpu, seq) {
            assert!(seq > last, "CPU {cpu}: {seq} after {last}");
            self.gaps += seq - last - 1;
        }
    }

    /// Asserts that each event was printed once, in order, and every gap was reported.
    fn assert_whole(&self) {
        assert!(self.events > 1000 && self.gaps <= self.lost, "{self:?}");
    }
}

/// A follower whose lines are evaluated as they arrive.
struct Follower {
    child: Child,
    reader: JoinHandle<Followed>,
}

impl Follower {
    fn start() -> Self {
        let mut command = tool::command(&["tcpstates", "--follow=json=1"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("start");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let reader = thread::spawn(move || {
            let mut followed = Followed::default();
            for line in lines {
                let line = line.expect("UTF-8");
                let parsed = serde_json::from_str(&line);
                followed.add(&parsed.unwrap_or_else(|e| panic!("{e}: {line}")));
            }
            followed
        });
        Self { child, reader }
    }

    fn finish(mut self) -> Followed {
        let pid = Pid::from_raw(self.child.id() as i32);
        kill(pid, Signal::SIGTERM).expect("SIGTERM");
        assert!(
            self.child.wait().expect("its end").success(),
            "a follower ends well when asked to"
        );
        self.reader.join().expect("the reader")
    }
}

/// Two reports at a time, one of them killed in every third pair, while both CPUs produce events
/// and a follower reads them.
fn concurrent() {
    tool::activate_here("ring=4096");
    let stop = AtomicBool::new(false);
    let mut account = Account::default();
    let follower = Follower::start();
    thread::scope(|scope| {
        let _stop = traffic::Stop(&stop);
        for _ in 0..2 {
            scope.spawn(|| traffic::churn(&stop));
        }
        let deadline = Instant::now() + Duration::from_secs(12);
        for round in 0.. {
            if Instant::now() > deadline {
                break;
            }
            let [mut one, two] = ["report-0.json", "report-1.json"].map(Started::new);
            if round % 3 == 0 {
                thread::sleep(Duration::from_millis(40 + 30 * (round % 7)));
                one.child.kill().expect("kill");
            }
            for report in [one, two] {
                report.enter(&mut account);
            }
        }
    });
    tool::when_all_have_ended(guest::patience(20));
    let followed = follower.finish();
    assert!(Started::new("report-last.json").enter(&mut account));

    let summary = tool::report("peek=1").summary;
    let number = |path: &str| {
        summary
            .pointer(path)
            .and_then(|v| v.as_u64())
            .expect("a number")
    };
    assert_eq!(account.twice, 0, "events in two complete reports");
    // Events that a killed report had already consumed are in its own output.
    let only_killed = account.killed.difference(&account.seen).count();
    let accounted = account.seen.len() + only_killed;
    assert_eq!(number("/pending"), 0);
    assert!(accounted as u64 + number("/lost/overwritten") >= number("/recorded"));
    assert_eq!(
        number("/reported") + number("/lost/overwritten"),
        number("/recorded")
    );
    assert!(
        account.seen.len() as u64 <= number("/reported"),
        "more were printed than marked"
    );
    assert!(
        account.seen.len() > 1000,
        "only {} events",
        account.seen.len()
    );
    followed.assert_whole();
    tool::end();
}
