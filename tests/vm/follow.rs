//! Events as they happen.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{device, guest, scenario, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("a_follower_sees_events_at_once_and_moves_nothing", at_once),
        scenario("a_follower_ends_with_the_recording", ends_with_recording),
        scenario("an_idle_follower_costs_nothing", idle),
    ]
}

pub struct Follower {
    child: Child,
    lines: Receiver<(Instant, Value)>,
}

/// Follows, in JSON lines, with these keys in addition.
pub fn follow(keys: &str) -> Follower {
    let mut command = tool::command(&["tcpstates", &format!("--follow=json=1 {keys}")]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start");
    let stdout = child.stdout.take().expect("piped");
    let (send, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let line = line.expect("UTF-8");
            let value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            if send.send((Instant::now(), value)).is_err() {
                return;
            }
        }
    });
    // It prints events from the moment at which it has asked for the positions of the rings.
    let maps = format!("/proc/{}/maps", child.id());
    traffic::until("it follows", || {
        let maps = fs::read_to_string(&maps).expect("it runs");
        maps.contains(&device::path())
    });
    Follower { child, lines }
}

impl Follower {
    /// The next line, and the moment at which it arrived.
    pub fn next(&self) -> (Instant, Value) {
        self.lines
            .recv_timeout(guest::patience(10))
            .expect("a line")
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it runs");
    }

    /// Exit status, stderr, and the remaining lines.
    pub fn end(mut self) -> (i32, String, Vec<Value>) {
        let status = self.child.wait().expect("its end").code().unwrap_or(-1);
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().expect("piped"), &mut stderr)
            .expect("UTF-8");
        (
            status,
            stderr,
            self.lines.iter().map(|(_, line)| line).collect(),
        )
    }
}

fn at_once() {
    tool::activate_here("");
    let follower = follow("");
    let listener = traffic::listen(traffic::V4);
    assert_eq!(follower.next().1["new"], "LISTEN");
    for _ in 0..5 {
        let began = Instant::now();
        traffic::client_first(&listener);
        for _ in 0..10 {
            let (when, record) = follower.next();
            assert_eq!(record["type"], "transition");
            let late = when - began;
            assert!(late < guest::patience(1), "{late:?} late: {record}");
        }
    }
    follower.signal(Signal::SIGINT);
    let (status, stderr, rest) = follower.end();
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert_eq!(rest.len(), 1, "only a summary is left: {rest:?}");
    assert_eq!(rest[0]["type"], "summary");
    let report = tool::report("transitions=1");
    assert_eq!(report.transitions.len(), 51, "the follower moved nothing");
    tool::tcpstates(&["--deactivate"]);
}

fn ends_with_recording() {
    tool::activate_here("");
    let follower = follow("");
    traffic::refused(traffic::V4);
    tool::tcpstates(&["--deactivate"]);
    let (status, stderr, lines) = follower.end();
    assert_eq!(status, 0, "{stderr}");
    assert!(stderr.contains("deactivated"), "{stderr}");
    let transitions = lines.iter().filter(|l| l["type"] == "transition").count();
    assert_eq!(
        transitions, 4,
        "what was recorded before the end: {lines:?}"
    );
}

/// Clock ticks of CPU time that the process has used.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

fn idle() {
    tool::activate("");
    let follower = follow("");
    // CPU time of its start is not counted.
    thread::sleep(guest::patience(1));
    let before = ticks(follower.child.id());
    thread::sleep(Duration::from_secs(3));
    let used = ticks(follower.child.id()) - before;
    assert!(used <= 3, "{used} ticks of 10 ms in three idle seconds");
    follower.signal(Signal::SIGTERM);
    assert_eq!(follower.end().0, 0);
    tool::tcpstates(&["--deactivate"]);
}
