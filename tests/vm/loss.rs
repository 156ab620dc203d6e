//! Nothing is lost without being counted, to the event.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Child, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::support::ss;
use crate::support::tool::{self, Report};
use crate::support::trace::Trace;
use crate::support::{scenario, traffic};

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

/// Positions of the events of a report, by CPU, in the order they were printed.
fn positions(report: &Report) -> BTreeMap<u64, Vec<u64>> {
    let mut by_cpu: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for record in &report.transitions {
        let number = |name: &str| record[name].as_u64().expect("a number");
        by_cpu.entry(number("cpu")).or_default().push(number("seq"));
    }
    by_cpu
}

/// Traffic on both CPUs at once, of so many connections in all.
fn on_two_cpus(connections: usize) {
    thread::scope(|scope| {
        for cpu in 0..2 {
            scope.spawn(move || {
                // A scheduler may well leave both threads on one CPU.
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
    // What is still on its way would come between the truth's end and the report.
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

/// What is left of each ring is its end, without a gap; the sequence numbers
/// say how many came before.
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

/// A full disk and a closed pipe: the events are there for the next report.
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

fn start_report(path: &str) -> Child {
    let mut command = tool::command(&["tcpstates", "--report=json=1 transitions=1"]);
    command
        .stdout(File::create(path).expect("a file"))
        .stderr(Stdio::null());
    command.spawn().expect("start")
}

/// How the events of one report are booked.
#[derive(Default)]
struct Books {
    /// Positions by CPU, of all reports that came to their end.
    seen: BTreeMap<(u64, u64), u32>,
    /// Positions of reports that were killed: they may be reported again.
    killed: BTreeMap<(u64, u64), u32>,
}

impl Books {
    fn enter(&mut self, path: &str, complete: bool) {
        let text = std::fs::read_to_string(path).expect("the report's output");
        let mut own = BTreeMap::new();
        // A killed report's last line may be cut.
        for line in text.lines() {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else {
                assert!(!complete, "not JSON: {line}");
                continue;
            };
            if line["type"] == "transition" || line["type"] == "alarm" {
                let number = |name: &str| line[name].as_u64().expect("a number");
                *own.entry((number("cpu"), number("seq"))).or_insert(0) += 1;
            }
        }
        assert!(
            own.values().all(|n| *n == 1),
            "an event twice in one report"
        );
        let book = if complete {
            &mut self.seen
        } else {
            &mut self.killed
        };
        for (position, n) in own {
            *book.entry(position).or_insert(0) += n;
        }
    }
}

/// Two reports at a time, every third pair with one that is killed, while
/// both CPUs produce and a follower looks on.
fn concurrent() {
    tool::activate_here("ring=4096");
    let stop = AtomicBool::new(false);
    let mut books = Books::default();
    let mut follower = tool::command(&["tcpstates", "--follow=json=1"]);
    let followed = "/tmp/followed.json";
    let mut follower = follower
        .stdout(File::create(followed).expect("a file"))
        .spawn()
        .expect("start");
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
            let paths = [0, 1].map(|i| format!("/tmp/report-{round}-{i}.json"));
            let [mut one, mut two] = [start_report(&paths[0]), start_report(&paths[1])];
            if round % 3 == 0 {
                thread::sleep(Duration::from_millis(40 + 30 * (round % 7)));
                one.kill().expect("kill");
            }
            for (child, path) in [(&mut one, &paths[0]), (&mut two, &paths[1])] {
                let complete = child.wait().expect("its end").success();
                books.enter(path, complete);
            }
        }
    });
    thread::sleep(Duration::from_millis(300));
    finish_follower(&mut follower);
    let last = start_report("/tmp/report-last.json")
        .wait()
        .expect("its end");
    assert!(last.success());
    books.enter("/tmp/report-last.json", true);

    let summary = tool::report("peek=1").summary;
    let number = |path: &str| {
        summary
            .pointer(path)
            .and_then(|v| v.as_u64())
            .expect("a number")
    };
    let twice = books.seen.values().filter(|n| **n > 1).count();
    assert_eq!(twice, 0, "events in two complete reports");
    // What a killed report had already marked as reported stands in its own output.
    let only_killed = books
        .killed
        .keys()
        .filter(|p| !books.seen.contains_key(p))
        .count();
    let accounted = books.seen.len() + only_killed;
    assert_eq!(number("/pending"), 0);
    assert!(accounted as u64 + number("/lost/overwritten") >= number("/recorded"));
    assert_eq!(
        number("/reported") + number("/lost/overwritten"),
        number("/recorded")
    );
    assert!(
        books.seen.len() as u64 <= number("/reported"),
        "more were printed than marked"
    );
    assert!(books.seen.len() > 1000, "only {} events", books.seen.len());
    assert_followed(followed);
    tool::end();
}

fn finish_follower(follower: &mut Child) {
    let pid = nix::unistd::Pid::from_raw(follower.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("SIGTERM");
    assert!(
        follower.wait().expect("its end").success(),
        "a follower ends well when asked to"
    );
}

/// Each event once, in order; every gap is told.
fn assert_followed(path: &str) {
    let report = Report::parse(&std::fs::read_to_string(path).expect("the follower's output"));
    let told: u64 = report
        .lost
        .iter()
        .map(|l| l["count"].as_u64().expect("a number"))
        .sum();
    let mut gaps = 0;
    for (cpu, seqs) in positions(&report) {
        for pair in seqs.windows(2) {
            assert!(
                pair[1] > pair[0],
                "CPU {cpu}: {} after {}",
                pair[1],
                pair[0]
            );
            gaps += pair[1] - pair[0] - 1;
        }
    }
    assert!(report.transitions.len() > 1000);
    assert!(
        gaps <= told,
        "{gaps} events are missing, {told} were told lost"
    );
}
