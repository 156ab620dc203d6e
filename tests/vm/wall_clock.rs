//! The wall clock is set while a recording is active: events keep the time at which they happened.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::follow::{Follower, follow};
use crate::support::{scenario, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![scenario(
        "an_event_keeps_its_time_when_the_clock_is_set",
        steps,
    )]
}

fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is later than 1970").as_nanos() as i128
}

/// Sets the clock, as an administrator does. The time that `date` takes to start is not corrected.
fn set(nanoseconds: i128) {
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let status = Command::new("date")
        .args(["-s", &format!("@{seconds}.{rest:09}")])
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.expect("date(1)").success());
}

fn step(minutes: i128) {
    set(now() + minutes * 60_000_000_000);
}

/// Restores the clock, also after a failure.
struct RightAgain(Instant, i128);

impl Drop for RightAgain {
    fn drop(&mut self) {
        set(self.1 + self.0.elapsed().as_nanos() as i128);
    }
}

/// An event, and the two moments of the wall clock between which it happened.
struct Happened(i128, i128);

fn around(what: impl FnOnce()) -> Happened {
    let before = now();
    what();
    Happened(before, now())
}

/// Nanoseconds since 1970 of `2026-11-26T15:48:23.376394200Z`.
fn parse(text: &Value) -> i128 {
    let text = text.as_str().expect("a time");
    let output = Command::new("date")
        .args(["-u", "-d", text, "+%s%N"])
        .output()
        .expect("date(1)");
    let text = String::from_utf8(output.stdout).expect("digits");
    text.trim().parse().expect("a number")
}

impl Happened {
    fn assert_at(&self, time: &Value, what: &str) {
        let told = parse(time);
        assert!(
            (self.0..=self.1).contains(&told),
            "{what} happened between {} and {}, not at {told}",
            self.0,
            self.1
        );
    }
}

/// A connection that is refused at once.
fn refused(to: SocketAddr) -> Happened {
    around(|| {
        TcpStream::connect(to).expect_err("nobody listens there");
    })
}

fn is_refusal(line: &&Value) -> bool {
    line["type"] == "transition" && line["reason"] == "refused" && line["new"] == "CLOSE"
}

/// Waits for the next refusal; returns the lines up to it.
fn next_refusal(follower: &Follower) -> Vec<Value> {
    let mut lines = Vec::new();
    while !lines.last().as_ref().is_some_and(is_refusal) {
        lines.push(follower.next().1);
    }
    lines
}

fn assert_refusals<'a>(lines: impl Iterator<Item = &'a Value>, truth: &[Happened]) {
    let lines: Vec<_> = lines.filter(is_refusal).collect();
    assert_eq!(lines.len(), truth.len(), "{lines:#?}");
    for (line, happened) in lines.iter().zip(truth) {
        happened.assert_at(&line["ts"], "a refusal");
    }
}

fn pairs(listener: &TcpListener, count: usize) -> Vec<(TcpStream, TcpStream)> {
    (0..count).map(|_| traffic::pair(listener)).collect()
}

/// Forward, back, and twice between two events; a follower reads through three steps.
fn steps() {
    let _right_again = RightAgain(Instant::now(), now());
    let closed = {
        let listener = traffic::listen(traffic::V4);
        listener.local_addr().expect("bound")
    };
    tool::fresh();
    let activated = around(|| tool::activate_here("threshold=4"));
    let mut truth = vec![refused(closed)];
    let listener = traffic::listen(traffic::V4);
    let mut held = Vec::new();
    let connected = around(|| held = pairs(&listener, 5));
    for minutes in [60, -120] {
        step(minutes);
        truth.push(refused(closed));
    }
    step(7);
    step(-3);
    truth.push(refused(closed));

    let report = tool::report("peek=1 transitions=1 alarms=1 connections=1");
    assert_refusals(report.transitions.iter(), &truth);
    activated.assert_at(&report.summary["since"], "the activation");
    assert_eq!(report.alarms.len(), 1, "{:?}", report.alarms);
    connected.assert_at(&report.alarms[0]["ts"], "the alarm");
    connected.assert_at(&report.alarms[0]["since"], "its beginning");
    let port = listener.local_addr().expect("bound").port();
    let mut live = 0;
    for conn in &report.connections {
        if conn["rport"] == port || (conn["lport"] == port && conn["state"] != "LISTEN") {
            connected.assert_at(&conn["first_seen"], "a connection's beginning");
            live += 1;
        }
    }
    assert_eq!(live, 10);

    let follower = follow("");
    let mut followed = vec![refused(closed)];
    let mut lines = next_refusal(&follower);
    for minutes in [30, -45, 200] {
        step(minutes);
        followed.push(refused(closed));
        lines.extend(next_refusal(&follower));
    }
    follower.signal(Signal::SIGINT);
    let (status, stderr, rest) = follower.end();
    assert_eq!(status, 0, "{stderr}");
    lines.extend(rest);
    assert_refusals(lines.iter(), &followed);

    // More steps than the module keeps: the first and the last ones are kept.
    (0..70).for_each(|n| step(if n % 2 == 0 { 5 } else { -4 }));
    let last = refused(closed);
    let report = tool::report("transitions=1");
    let refusals: Vec<_> = report.transitions.iter().filter(is_refusal).collect();
    truth[0].assert_at(&refusals[0]["ts"], "the first refusal");
    last.assert_at(&refusals[refusals.len() - 1]["ts"], "the last refusal");
    drop(held);
    tool::tcpstates(&["--deactivate"]);
}
