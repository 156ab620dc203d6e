//! What a report is asked for beside its lines: lives, counts, a cursor, a range of time. Lives are
//! compared with `tcplife`, which looks at the kernel's trace event, counts with `ss`, `lsof` and
//! `nstat`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::handshakes::patient;
use crate::support::netns::Netns;
use crate::support::nstat::Counters;
use crate::support::raw::{HOST, Peer, Wire, peer_addr};
use crate::support::segment::RST;
use crate::support::tool::Report;
use crate::support::{scenario, scenario_where, ss, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario_where(has_btf, "lives_equal_those_of_tcplife", beside_tcplife),
        scenario("lives_are_what_was_measured", measured),
        scenario("half_open_requests_are_lives", half_open),
        scenario("counts_equal_those_of_ss", counts),
        scenario("cursors_do_not_take_each_others_events", cursors),
    ]
}

/// Report without the lines that nobody asked for.
fn report(keys: &str) -> Report {
    tool::report(&format!("alarms=0 listeners=0 {keys}"))
}

fn number(line: &Value, name: &str) -> u64 {
    let number = line[name].as_u64();
    number.unwrap_or_else(|| panic!("no number {name}: {line}"))
}

/// Both ports of a connection, the socket's own first.
fn ports(line: &Value) -> (u64, u64) {
    (number(line, "lport"), number(line, "rport"))
}

/// Milliseconds in each state.
fn stays(life: &Value) -> BTreeMap<String, f64> {
    let states = life["states"].as_array().expect("a list");
    let stay = |stay: &Value| {
        let state = stay["state"].as_str().expect("a state").to_owned();
        assert_eq!(stay["exact"], true, "{life}");
        (state, number(stay, "ns") as f64 / 1e6)
    };
    states.iter().map(stay).collect()
}

fn has_btf() -> bool {
    std::path::Path::new("/sys/kernel/btf/vmlinux").exists()
}

/// A line of `tcplife`: process, bytes acknowledged and received in KiB, and milliseconds.
struct Told {
    pid: u64,
    acked: f64,
    received: f64,
    ms: f64,
}

/// `tcplife` of libbpf-tools, which has started to look.
struct TcpLife {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl TcpLife {
    fn start() -> Self {
        // Into a pipe it would write only when its buffer is full.
        let mut command = Command::new("stdbuf");
        let mut child = command
            .args(["--output=L", "/usr/sbin/tcplife"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("libbpf-tools");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut heading = String::new();
        lines.read_line(&mut heading).expect("a heading");
        assert!(heading.starts_with("PID"), "{heading}");
        Self { child, lines }
    }

    /// What it has told, by the ports of the socket.
    fn end(mut self) -> BTreeMap<(u64, u64), Told> {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid"));
        kill(pid, Signal::SIGINT).expect("it runs");
        let mut text = String::new();
        self.lines.read_to_string(&mut text).expect("its lines");
        self.child.wait().expect("it ends");
        text.lines().filter_map(told).collect()
    }
}

/// `PID COMM LADDR LPORT RADDR RPORT TX_KB RX_KB MS`; a name may have spaces.
fn told(line: &str) -> Option<((u64, u64), Told)> {
    let fields: Vec<_> = line.split_whitespace().rev().collect();
    let [ms, received, acked, rport, _, lport, ..] = fields[..] else {
        return None;
    };
    let told = Told {
        pid: fields.last()?.parse().ok()?,
        acked: acked.parse().ok()?,
        received: received.parse().ok()?,
        ms: ms.parse().ok()?,
    };
    Some(((lport.parse().ok()?, rport.parse().ok()?), told))
}

/// Connections that carry different amounts for different times; the client closes first.
fn connections(listener: &TcpListener, count: usize) {
    for index in 0..count {
        let (mut client, mut server) = traffic::pair(listener);
        let bytes = vec![b'x'; 1 + index * 3_000];
        client.write_all(&bytes).expect("write");
        server.read_exact(&mut vec![0; bytes.len()]).expect("read");
        server.write_all(&bytes[..=index]).expect("write");
        client.read_exact(&mut vec![0; index + 1]).expect("read");
        thread::sleep(Duration::from_millis(10 * index as u64));
        drop(client);
        traffic::wait_for_fin(&mut server);
    }
}

fn beside_tcplife() {
    const COUNT: usize = 12;
    let netns = Netns::new("tcplife");
    tool::activate(&format!("netns={}", netns.inode()));
    let peer = TcpLife::start();
    let port = netns.run(|| {
        // The first ones are slow: each program runs for the first time.
        connections(&traffic::listen(traffic::V4), 3);
        let listener = traffic::listen(traffic::V4);
        connections(&listener, COUNT);
        u64::from(listener.local_addr().expect("bound").port())
    });
    traffic::until("all sockets have ended", || {
        ss::table(Some("tcplife"))
            .iter()
            .all(|row| ["TIME-WAIT", "TIME_WAIT", "LISTEN"].contains(&row.0.as_str()))
    });
    let told = peer.end();
    ss::abort("tcplife", &["state", "time-wait"]);
    traffic::until("TIME_WAIT has ended", || {
        report("lives=1 peek=1").lives.len() >= 2 * COUNT + 6
    });
    let lives = report("lives=1").lives;
    let ours = lives.iter().filter(|life| {
        let (lport, rport) = ports(life);
        lport == port || rport == port
    });
    let (mut compared, mut differences) = (0, Vec::new());
    for life in ours {
        let is_server = life["role"] == "server";
        let told = &told[&ports(life)];
        assert_eq!(life["duration_exact"], true, "{life}");
        // It measures from ESTABLISHED on, and sees no TIME_WAIT.
        let unseen = ["SYN_SENT", "SYN_RECV", "TIME_WAIT"];
        let seen = stays(life)
            .into_iter()
            .filter(|(state, _)| !unseen.contains(&state.as_str()));
        let ms: f64 = seen.map(|(_, ms)| ms).sum();
        differences.push((ms - told.ms).abs());
        let kib = |name| number(life, name) as f64 / 1024.0;
        // It rounds to hundredths; a FIN or SYN that is acknowledged counts as a byte.
        let near = |ours: f64, its: f64| (ours - its).abs() < 0.01;
        assert!(
            near(kib("bytes_acked"), told.acked),
            "{} {life}",
            told.acked
        );
        assert!(near(kib("bytes_received"), told.received), "{life}");
        if !is_server {
            assert_eq!(number(life, "pid"), told.pid, "{life}");
        }
        compared += 1;
    }
    assert_eq!(compared, 2 * COUNT, "{lives:#?}");
    // Both look at the clock at one event, one after the other: under emulation and load that can
    // take long.
    differences.sort_by(f64::total_cmp);
    let most = differences[compared * 3 / 4];
    assert!(most < 1.0, "{differences:?} ms");
    tool::tcpstates(&["--deactivate"]);
}

fn measured() {
    let hold = Duration::from_millis(400);
    let netns = Netns::new("measured");
    tool::activate(&format!("netns={}", netns.inode()));
    let (began, lived) = netns.run(|| {
        let listener = traffic::listen(traffic::V4);
        let began = Instant::now();
        let (mut client, mut server) = traffic::pair(&listener);
        client.write_all(b"request").expect("write");
        server.read_exact(&mut [0; 7]).expect("read");
        thread::sleep(hold);
        drop(client);
        traffic::wait_for_time_wait(&mut server);
        drop(server);
        traffic::reset(&listener);
        (began, began.elapsed())
    });
    let is_small = |row: &ss::Row| row.0 != "ESTABLISHED" && row.0 != "LAST_ACK";
    traffic::until("one is in TIME_WAIT", || {
        ss::table(Some("measured")).iter().all(is_small)
    });
    // What is reported is not needed again: the lives are whole all the same.
    let transitions = report("transitions=1 connections=0").transitions;
    assert!(transitions.len() > 8, "{transitions:#?}");
    let in_time_wait = Duration::from_millis(300);
    thread::sleep(in_time_wait);
    match tool::release().starts_with("5.10") {
        true => drop(netns),
        false => ss::abort("measured", &["state", "time-wait"]),
    }
    traffic::until("it has ended", || {
        !report("lives=1 peek=1").lives.is_empty()
    });
    let all = began.elapsed();
    // Those that have ended since that report: one.
    let lives = report("lives=1").lives;
    let [life] = &lives[..] else {
        panic!("{lives:#?}");
    };
    assert_eq!(
        (&life["role"], &life["duration_exact"]),
        (&"client".into(), &true.into())
    );
    assert_eq!(number(life, "bytes_sent"), 7, "{life}");
    let stays = stays(life);
    let names: Vec<_> = stays.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "ESTABLISHED",
            "FIN_WAIT1",
            "FIN_WAIT2",
            "SYN_SENT",
            "TIME_WAIT"
        ]
    );
    let between = |ms: f64, low: Duration, high: Duration| {
        let ms = Duration::from_secs_f64(ms / 1e3);
        assert!(low <= ms && ms <= high, "{ms:?} {low:?} {high:?}: {life}");
    };
    between(stays["ESTABLISHED"], hold, lived);
    between(stays["TIME_WAIT"], in_time_wait, all);
    let sum: f64 = stays.values().sum();
    let ns = number(life, "duration_ns") as f64;
    assert!((sum * 1e6 - ns).abs() < 1_000.0, "{life}");
    between(ns / 1e6, hold + in_time_wait, all);
    // All that is still recorded: both ends of both connections.
    let again = report("lives=1 reported=1").lives;
    assert_eq!(again.len(), 4, "{again:#?}");
    let conn = format!("conn={} reported=1 transitions=1", life["conn"]);
    let of_one = report(&conn).transitions;
    assert_eq!(of_one.len(), 6, "{of_one:#?}");
    assert!(report("lives=1 reported=1 until=-1h").lives.is_empty());
    assert_eq!(report("lives=1 reported=1 since=-1h").lives.len(), 4);
    tool::tcpstates(&["--deactivate"]);
}

/// A request that never becomes a connection has a life, too, which no other tool shows.
fn half_open() {
    let netns = patient("halflives", 3);
    let wire = Wire::new(&netns);
    let listener = netns.run(|| traffic::listen_with_backlog(HOST, 64));
    let Ok(SocketAddr::V4(to)) = listener.local_addr() else {
        panic!("{listener:?} has no IPv4 address");
    };
    tool::activate(&format!("netns={}", netns.inode()));
    let began = Instant::now();
    let from = |n| SocketAddrV4::new(peer_addr(n), 30_000 + n);
    let mut peers: Vec<_> = (0..3).map(|n| Peer::new(&wire, from(n), to)).collect();
    for peer in &mut peers {
        peer.half_open();
    }
    let hold = Duration::from_millis(200);
    thread::sleep(hold);
    assert!(report("lives=1 peek=1").lives.is_empty());
    for peer in &mut peers[..2] {
        peer.send(RST);
    }
    traffic::until("two have ended", || {
        report("lives=1 peek=1").lives.len() == 2
    });
    ss::abort(&netns.name, &["state", "syn-recv"]);
    traffic::until("all have ended", || {
        report("lives=1 peek=1").lives.len() == 3
    });
    let all = began.elapsed();
    let lives = report("lives=1").lives;
    for (n, reason) in (0..3).zip(["reset_received", "reset_received", "aborted"]) {
        let is_of = |life: &&Value| life["rport"] == 30_000 + n;
        let life = lives.iter().find(is_of).expect("each has its life");
        assert_eq!(life["raddr"], peer_addr(n).to_string(), "{life}");
        assert_eq!(life["reason"], reason, "{life}");
        assert_eq!(life["role"], "server", "{life}");
        assert_eq!(life["duration_exact"], true, "{life}");
        assert!(life.get("pid").is_none(), "nobody has accepted it: {life}");
        let stays = stays(life);
        assert_eq!(stays.keys().collect::<Vec<_>>(), ["SYN_RECV"], "{life}");
        let lasted = Duration::from_nanos(number(life, "duration_ns"));
        assert!(
            hold <= lasted && lasted <= all,
            "{lasted:?} {all:?}: {life}"
        );
    }
    tool::tcpstates(&["--deactivate"]);
}

/// Number of connections by a field.
fn by(rows: &[Value], name: &str) -> BTreeMap<String, u64> {
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let row = |row: &Value| (text(&row[name]), number(row, "connections"));
    rows.iter()
        .map(row)
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn count<T: Ord>(keys: impl Iterator<Item = T>) -> BTreeMap<T, u64> {
    let mut counts = BTreeMap::new();
    keys.for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}

fn counts() {
    let netns = Netns::new("counts");
    let keys = format!("netns={}", netns.inode());
    tool::activate(&keys);
    let open = netns.run(|| {
        let listeners = [traffic::listen(traffic::V4), traffic::listen(traffic::V6)];
        let mut open = Vec::new();
        for (index, listener) in listeners.iter().enumerate() {
            open.extend((0..5 + index).map(|_| traffic::pair(listener)));
            traffic::client_first(listener);
            traffic::reset(listener);
        }
        // Closed by its peer, but not by the server.
        let (client, mut server) = traffic::pair(&listeners[0]);
        drop(client);
        traffic::wait_for_fin(&mut server);
        (listeners, open, server)
    });
    let counted = |by: &str| report(&format!("by={by} {keys}")).counts;
    let table = || ss::table(Some("counts"));
    traffic::until("the states equal those of ss", || {
        by(&counted("state"), "state") == count(table().into_iter().map(|row| row.0))
    });
    let local = |rows: &[ss::Row]| count(rows.iter().map(|row| row.1.1.to_string()));
    assert_eq!(by(&counted("lport"), "lport"), local(&table()));
    let remote = count(table().iter().map(|row| row.2.1.to_string()));
    let ours = by(&counted("rport"), "rport");
    for (port, number) in remote.iter().filter(|(port, _)| *port != "0") {
        assert_eq!(ours.get(port), Some(number), "{port}: {ours:?}");
    }
    // All are open in this process.
    let users = ss::users("counts");
    let held = users.values().flatten();
    let held = count(held.map(|(_, pid)| pid.to_string()));
    // A TIME_WAIT, which nobody has open, counts for the process that had it.
    let ours = by(&counted("pid state=!TIME_WAIT|!FIN_WAIT2"), "pid");
    for (pid, number) in &held {
        assert_eq!(ours.get(pid), Some(number), "{pid}: {ours:?}");
    }
    equal_lsof(&counted("pid|state state=!TIME_WAIT|!FIN_WAIT2"));
    equal_nstat(&counted("role"));
    let rows = counted("process|state|role");
    let sum: u64 = rows.iter().map(|row| number(row, "connections")).sum();
    assert_eq!(sum, table().len() as u64, "{rows:#?}");
    // What was recorded: each end once.
    let ends = counted("reason|role");
    let of = |reason: &str, role: &str| {
        let row = ends
            .iter()
            .find(|row| row["reason"] == reason && row["role"] == role);
        row.map_or(0, |row| number(row, "ends"))
    };
    assert_eq!(
        (of("reset_sent", "client"), of("reset_received", "server")),
        (2, 2),
        "{ends:#?}"
    );
    let limited = counted("lport limit=1");
    let others = limited.last().expect("the others");
    let sum: u64 = limited.iter().map(|row| number(row, "connections")).sum();
    assert!(
        others["others"].is_u64() && sum == table().len() as u64,
        "{limited:#?}"
    );
    // Counting has marked nothing.
    assert!(!report("transitions=1").transitions.is_empty());
    drop(open);
    tool::tcpstates(&["--deactivate"]);
}

/// Sockets of each process in each state, as `lsof -i` lists them.
fn equal_lsof(rows: &[Value]) {
    let mut command = Command::new("ip");
    let command = command.args(["netns", "exec", "counts", "lsof", "-nP", "-iTCP"]);
    let output = command.output().expect("lsof");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // COMMAND PID USER FD TYPE DEVICE SIZE/OFF NODE NAME (STATE)
    let socket = |line: &str| {
        let state = line.rsplit_once('(')?.1.strip_suffix(')')?.to_owned();
        let pid = line.split_whitespace().nth(1)?.parse::<u64>().ok()?;
        Some((pid, state))
    };
    let listed = count(text.lines().filter_map(socket));
    assert!(listed.len() >= 3, "{text}");
    let row = |row: &Value| {
        let state = row["state"].as_str()?.to_owned();
        Some(((row["pid"].as_u64()?, state), number(row, "connections")))
    };
    let ours = rows.iter().filter_map(row).filter(|(_, count)| *count > 0);
    assert_eq!(ours.collect::<BTreeMap<_, _>>(), listed, "{text}");
}

/// Connections that were opened, as the kernel counts them.
fn equal_nstat(roles: &[Value]) {
    let truth = Counters::of("counts");
    let opened = |role: &str| {
        let row = roles.iter().find(|row| row["role"] == role);
        row.map_or(0, |row| number(row, "connections") + number(row, "ends"))
    };
    assert_eq!(opened("client"), truth.get("TcpActiveOpens"), "{roles:#?}");
    assert_eq!(opened("server"), truth.get("TcpPassiveOpens"), "{roles:#?}");
}

/// Remote ports of the clients that a report tells of.
fn clients(keys: &str) -> Vec<u64> {
    let transitions = report(keys).transitions;
    let established = transitions
        .iter()
        .filter(|event| event["new"] == "ESTABLISHED" && event["role"] == "client");
    established.map(|event| number(event, "lport")).collect()
}

fn cursors() {
    let netns = Netns::new("cursors");
    tool::activate(&format!("netns={}", netns.inode()));
    let one = || {
        netns.run(|| {
            let listener = traffic::listen(traffic::V4);
            let (client, _server) = traffic::pair(&listener);
            u64::from(client.local_addr().expect("bound").port())
        })
    };
    let first = one();
    assert_eq!(clients("transitions=1 cursor=mail"), [first]);
    let second = one();
    assert_eq!(clients("transitions=1 cursor=cron-1"), [first, second]);
    assert_eq!(clients("transitions=1 cursor=mail peek=1"), [second]);
    assert_eq!(clients("transitions=1 cursor=mail"), [second]);
    assert_eq!(clients("transitions=1 cursor=mail"), [] as [u64; 0]);
    assert_eq!(clients("transitions=1"), [first, second]);
    let third = one();
    // A reader that cannot write has read nothing.
    let mut failing = tool::command(&["tcpstates", "--report=json=1 cursor=mail"]);
    let full = std::fs::File::create("/dev/full").expect("a device");
    let status = failing.stdout(full).stderr(Stdio::null()).status();
    assert_eq!(status.expect("it starts").code(), Some(1));
    assert_eq!(clients("transitions=1 cursor=mail"), [third]);
    restarted();
    damaged();
    tool::tcpstates(&["--deactivate"]);
}

/// Another recording: the cursor begins anew, and says so.
fn restarted() {
    tool::tcpstates(&["--deactivate", "--activate"]);
    let listener = traffic::listen(traffic::V4);
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connect");
    let port = u64::from(client.local_addr().expect("bound").port());
    let outcome = tool::run(&["tcpstates", "--report=json=1 findings=0 cursor=mail"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(
        outcome
            .stderr
            .contains("cursor mail: the recording was restarted since: it begins anew"),
        "{outcome:?}"
    );
    let told = Report::parse(&outcome.stdout).transitions;
    assert!(told.iter().any(|event| event["lport"] == port), "{told:#?}");
}

fn damaged() {
    let path = "/run/diagnose-tools/cursors/mail";
    let good = std::fs::read(path).expect("it is there");
    for (bytes, problem) in [
        (&b"{"[..], "it is damaged: remove"),
        (&good[..good.len() / 2], "it is damaged: remove"),
        (b"\xff\xfe", "it is damaged: remove"),
    ] {
        std::fs::write(path, bytes).expect("written");
        let outcome = tool::run(&["tcpstates", "--report=cursor=mail"]);
        assert_eq!(
            (outcome.status, outcome.stdout.as_str()),
            (1, ""),
            "{outcome:?}"
        );
        assert!(
            outcome.stderr.contains(problem) && outcome.stderr.contains(path),
            "{outcome:?}"
        );
    }
    std::fs::remove_file(path).expect("removed");
    assert_eq!(tool::run(&["tcpstates", "--report=cursor=mail"]).status, 0);
}
