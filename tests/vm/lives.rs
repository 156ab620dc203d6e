//! Totals of connections that have ended: their lives, their time in accept queues, and their
//! cgroups, compared with what the scenario did and measured, and with `ss` and `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::netns::Netns;
use crate::support::{scenario, ss, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("ends_by_role_and_reason_are_what_was_done", ends),
        scenario(
            "lives_and_waits_for_accept_are_what_was_measured",
            durations,
        ),
        scenario("connections_by_cgroup_are_those_of_ss", cgroups),
    ]
}

/// Only the totals.
fn summary() -> Value {
    tool::report("peek=1 transitions=0 alarms=0 connections=0 listeners=0").summary
}

/// The ends of one side, by reason.
fn ends_of(summary: &Value, role: &str) -> BTreeMap<String, u64> {
    let of_role = summary["ends"].get(role).and_then(Value::as_object);
    let count =
        |(reason, count): (&String, &Value)| (reason.clone(), count.as_u64().expect("a number"));
    of_role.into_iter().flatten().map(count).collect()
}

/// Ends the TIME_WAITs of a namespace and returns their reason: 5.10 does not abort them.
fn end_time_waits(netns: Netns) -> &'static str {
    if tool::release().starts_with("5.10") {
        return "netns_gone";
    }
    ss::abort(&netns.name, &["state", "time-wait"]);
    "aborted"
}

fn ends() {
    let netns = Netns::new("ends");
    tool::activate(&format!("netns={}", netns.inode()));
    netns.run(|| {
        let listener = traffic::listen(traffic::V4);
        (0..5).for_each(|_| traffic::client_first(&listener));
        (0..7).for_each(|_| traffic::server_first(&listener));
        (0..3).for_each(|_| traffic::reset(&listener));
        (0..2).for_each(|_| traffic::refused(traffic::V4));
    });
    // The ends that closed first are in TIME_WAIT; the scenario does not wait for them.
    let ended = end_time_waits(netns);
    traffic::until("all has ended", || {
        let summary = summary();
        let count = |role| ends_of(&summary, role).get(ended).copied();
        count("client") >= Some(5) && count("server") >= Some(7)
    });
    let summary = summary();
    let of = |role| ends_of(&summary, role);
    let (client, server) = (of("client"), of("server"));
    // Sockets of other scenarios, of which only TIME_WAITs are left, may end in the meantime.
    let at_least = |ends: &BTreeMap<String, u64>, expected: &[(&str, u64)]| {
        for (reason, count) in expected {
            let counted = ends.get(*reason).copied().unwrap_or(0);
            assert!(counted >= *count, "{reason} {counted}: {summary}");
        }
    };
    at_least(&client, &[(ended, 5), ("closed_peer", 7)]);
    at_least(&server, &[("closed_peer", 5), (ended, 7)]);
    assert_eq!(client.get("reset_sent"), Some(&3), "{summary}");
    assert_eq!(server.get("reset_received"), Some(&3), "{summary}");
    assert_eq!(client.get("refused"), Some(&2), "{summary}");
    let table = tool::tcpstates(&["--report=peek=1 transitions=0 findings=0"]);
    let line = table
        .lines()
        .find(|l| l.split_whitespace().collect::<Vec<_>>() == ["client", "refused", "2"]);
    assert!(line.is_some(), "{table}");
    tool::tcpstates(&["--deactivate"]);
}

/// The nanoseconds of a part of the totals.
fn ns(durations: &Value, name: &str) -> Duration {
    Duration::from_nanos(durations[name].as_u64().expect("a number"))
}

fn durations() {
    const COUNT: u32 = 4;
    let (life, wait) = (Duration::from_millis(700), Duration::from_millis(300));
    let netns = Netns::new("lives");
    tool::activate(&format!("netns={}", netns.inode()));
    let before = Instant::now();
    netns.run(|| {
        let listener = traffic::listen(traffic::V4);
        let at = listener.local_addr().expect("bound");
        let clients: Vec<_> = (0..COUNT)
            .map(|_| TcpStream::connect(at).expect("connect"))
            .collect();
        thread::sleep(wait);
        let servers: Vec<_> = clients
            .iter()
            .map(|_| listener.accept().expect("accept").0)
            .collect();
        thread::sleep(life - wait);
        // A reset leaves no TIME_WAIT.
        clients.into_iter().for_each(traffic::close_by_reset);
        traffic::until("the resets have come", || {
            ss::table(Some("lives"))
                .iter()
                .all(|row| row.0 != "ESTABLISHED")
        });
        // The same values from the listener's own line, which exists while it listens.
        let keys = format!(
            "peek=1 transitions=0 alarms=0 connections=0 listeners=1 lport={}",
            at.port()
        );
        let report = tool::report(&keys);
        assert_eq!(report.listeners.len(), 1, "{:?}", report.listeners);
        let of = |name: &str| report.listeners[0][name].as_u64().expect("a number");
        assert_eq!(of("accepted"), u64::from(COUNT));
        let longest = Duration::from_nanos(of("accept_wait_max_ns"));
        let all = Duration::from_nanos(of("accept_wait_ns"));
        assert!(
            longest >= wait && longest <= before.elapsed() - (life - wait),
            "{longest:?}"
        );
        assert!(all >= wait * COUNT && all <= longest * COUNT, "{all:?}");
        drop(servers);
    });
    let took = before.elapsed();
    traffic::until("all has ended", || ss::table(Some("lives")).is_empty());
    let summary = summary();
    for role in ["client", "server"] {
        let lives = &summary["lives"][role];
        assert!(lives["count"].as_u64() >= Some(COUNT.into()), "{summary}");
        let longest = ns(lives, "max_ns");
        assert!(
            longest >= life && longest <= took,
            "{role} {longest:?} of {took:?}: {summary}"
        );
    }
    let waits = &summary["accept_wait"];
    assert!(waits["count"].as_u64() >= Some(COUNT.into()), "{summary}");
    let longest = ns(waits, "max_ns");
    assert!(
        longest >= wait && longest <= took - (life - wait),
        "{longest:?}: {summary}"
    );
    assert!(ns(waits, "p50_ns") <= longest && ns(waits, "p99_ns") <= longest);
    tool::tcpstates(&["--deactivate"]);
}

/// Makes a cgroup, and a process in it that has `count` connections to `port`.
fn crowd(name: &str, port: u16, count: usize) -> (String, u64, std::process::Child) {
    let path = format!("/sys/fs/cgroup/{name}");
    fs::create_dir_all(&path).expect("cgroup2 is mounted there");
    let id = fs::metadata(&path).expect("a cgroup").ino();
    let script = format!(
        "echo $$ > {path}/cgroup.procs; for i in $(seq {count}); do \
         exec {{fd}}<>/dev/tcp/127.0.0.1/{port}; done; echo ready; read"
    );
    let mut child = Command::new("bash")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("ready");
    assert_eq!(line, "ready\n");
    (path, id, child)
}

fn cgroups() {
    tool::activate("");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let port = listener.local_addr().expect("bound").port();
    let mut crowds = [("lives-a", 6), ("lives-b", 9)].map(|(name, count)| crowd(name, port, count));
    let summary = summary();
    let told = summary["cgroups"].as_array().expect("cgroups");
    let all: u64 = told
        .iter()
        .map(|c| c["connections"].as_u64().expect("a number"))
        .sum();
    assert_eq!(Some(all), summary["tracked"].as_u64(), "{summary}");
    for ((_, id, _), (name, count)) in crowds.iter().zip([("/lives-a", 6), ("/lives-b", 9)]) {
        let of = told.iter().find(|c| c["cgroup_id"] == *id);
        let of = of.unwrap_or_else(|| panic!("{id}: {summary}"));
        assert_eq!(of["cgroup"], name, "{of}");
        assert_eq!(of["states"]["ESTABLISHED"], count, "{of}");
        assert_eq!(of["connections"], count, "{of}");
    }
    for (path, _, child) in &mut crowds {
        drop(child.stdin.take().map(|mut stdin| stdin.write_all(b"\n")));
        child.wait().expect("bash ends");
        traffic::until("the cgroup is empty", || fs::remove_dir(&*path).is_ok());
    }
    tool::tcpstates(&["--deactivate"]);
}
