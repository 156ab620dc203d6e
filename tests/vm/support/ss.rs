//! Truth: `ss`, which uses the kernel's socket diagnosis interface.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::netns::Netns;

/// A socket: state, local and remote end.
pub type Row = (String, (Ipv6Addr, u16), (Ipv6Addr, u16));

/// `ss -tan` in a namespace (`None`: the current one), in any order.
pub fn table(netns: Option<&str>) -> Vec<Row> {
    let mut ss = Command::new("ss");
    ss.args(["-H", "-t", "-a", "-n"]);
    if let Some(name) = netns {
        ss.args(["-N", name]);
    }
    let output = ss.output().expect("ss(8)");
    assert!(
        output.status.success(),
        "ss: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("ss prints ASCII");
    text.lines().map(parse).collect()
}

/// The same with the device that each socket is bound to.
pub fn table_with_devices(netns: &str) -> Vec<(Row, Option<String>)> {
    let output = Command::new("ss")
        .args(["-H", "-t", "-a", "-n", "-N", netns])
        .output()
        .expect("ss(8)");
    let text = String::from_utf8(output.stdout).expect("ss prints ASCII");
    let row = |line: &str| {
        let local = line.split_whitespace().nth(3).expect("a local end");
        let dev = local.split_once('%').map(|(_, rest)| {
            let (dev, _) = rest.rsplit_once(':').expect("a port");
            dev.trim_end_matches(']').to_owned()
        });
        (parse(line), dev)
    };
    text.lines().map(row).collect()
}

/// Name and number of a process.
pub type User = (String, u64);

/// The processes that have each socket of a namespace open, according to `ss -p`; without those that
/// none has open.
pub fn users(netns: &str) -> BTreeMap<Row, BTreeSet<User>> {
    let output = Command::new("ss")
        .args(["-H", "-O", "-t", "-a", "-n", "-p", "-N", netns])
        .output()
        .expect("ss(8)");
    let text = String::from_utf8(output.stdout).expect("ss prints ASCII");
    let with_users = text.lines().filter(|line| line.contains("users:(("));
    with_users
        .map(|line| (parse(line), users_of(line)))
        .collect()
}

/// `users:(("nginx",pid=191,fd=6),("nginx",pid=192,fd=6))`
fn users_of(line: &str) -> BTreeSet<User> {
    let user = |part: &str| {
        let (name, rest) = part.split_once("\",pid=").expect("a process");
        let pid = rest.split(',').next().expect("split gives one at least");
        (name.to_owned(), pid.parse().expect("a number"))
    };
    line.split("(\"").skip(1).map(user).collect()
}

/// A listener: its end, and the output of `ss -tlnm` for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listening {
    pub local: (Ipv6Addr, u16),
    /// `Recv-Q`: connections that wait for accept().
    pub waiting: u64,
    /// `Send-Q`: their limit.
    pub limit: u64,
    /// `d` of `skmem`.
    pub drops: u64,
}

/// The listeners of a namespace, sorted.
pub fn listening(netns: &str) -> Vec<Listening> {
    let output = Command::new("ss")
        .args(["-H", "-O", "-t", "-l", "-n", "-m", "-N", netns])
        .output()
        .expect("ss(8)");
    let text = String::from_utf8(output.stdout).expect("ss prints ASCII");
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let drops = line.rsplit(",d").next().expect("skmem");
        let number = |text: &str| text.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
        Listening {
            local: end(fields[3]),
            waiting: number(fields[1]),
            limit: number(fields[2]),
            drops: number(drops.split(')').next().expect("a number")),
        }
    };
    let mut all: Vec<_> = text.lines().map(parse).collect();
    all.sort();
    all
}

/// A connection with its queues.
#[derive(Debug, Clone)]
pub struct Queues {
    pub row: Row,
    /// `Recv-Q`: sequence numbers that the program has not read.
    pub unread: u64,
    /// `backoff`: time-outs in a row.
    pub backoff: u64,
}

/// `ss -tin` in a namespace.
pub fn queues(netns: &str) -> Vec<Queues> {
    let output = Command::new("ss")
        .args(["-H", "-O", "-t", "-i", "-n", "-N", netns])
        .output()
        .expect("ss(8)");
    let text = String::from_utf8(output.stdout).expect("ss prints ASCII");
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let backoff = fields.iter().find_map(|f| f.strip_prefix("backoff:"));
        let number = |text: &str| text.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
        Queues {
            row: parse(line),
            unread: number(fields[1]),
            backoff: backoff.map_or(0, number),
        }
    };
    text.lines().map(parse).collect()
}

/// Remaining time of the timers of the sockets in a state, as `ss` shows it:
/// `timer:(timewait,58sec,0)`, `timer:(timewait,9.312ms,0)`.
pub fn time_left(netns: Option<&str>, state: &str) -> Vec<Duration> {
    let mut ss = Command::new("ss");
    ss.args(["-H", "-t", "-n", "-o"]);
    if let Some(name) = netns {
        ss.args(["-N", name]);
    }
    let output = ss.args(["state", state]).output().expect("ss(8)");
    let text = String::from_utf8(output.stdout).expect("ss prints ASCII");
    let timer = |line: &str| {
        let field = line.split("timer:(").nth(1).expect("a timer");
        let time = field.split(',').nth(1).expect("its time");
        match time.strip_suffix("sec") {
            Some(seconds) => Duration::from_secs(seconds.parse().expect("seconds")),
            None => panic!("less than ten seconds are left: {line}"),
        }
    };
    text.lines().map(timer).collect()
}

/// Number of TCP sockets of all kinds in all namespaces: the current one, the initial one and those
/// with a name.
pub fn everywhere() -> usize {
    let mut names: Vec<_> = std::fs::read_dir("/run/netns")
        .expect("/run/netns")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("a name"))
        .collect();
    let first = format!("first-{}", std::process::id());
    super::netns::ip(&["netns", "attach", &first, "1"]);
    names.push(first.clone());
    let named: usize = names.iter().map(|name| table(Some(name)).len()).sum();
    super::netns::ip(&["netns", "del", &first]);
    named + table(None).len()
}

/// Ends the TCP sockets of a namespace that match this `ss` filter.
pub fn abort(netns: &str, filter: &[&str]) {
    abort_here(&[&["-N", netns], filter].concat());
}

/// The same in the current namespace.
pub fn abort_here(filter: &[&str]) {
    let output = Command::new("ss")
        .args(["-t", "-a", "-n", "-K"])
        .args(filter)
        .output()
        .expect("ss(8)");
    assert!(
        output.status.success(),
        "ss: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Ends every TCP socket of a namespace, if the namespace exists, except orphans that still have
/// data to send: old kernels would drop the data and keep these sockets for ever. They end by
/// themselves at their next transmission.
pub fn give_up(netns: &str) {
    let inside = |args: &[&str]| {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", netns]).args(args);
        // The namespace may not exist.
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    };
    inside(&["sysctl", "-q", "net.ipv4.tcp_orphan_retries=1"]);
    inside(&[
        "ss",
        "-t",
        "-n",
        "-K",
        "state",
        "all",
        "exclude",
        "fin-wait-1",
        "exclude",
        "last-ack",
    ]);
}

/// Ends every TCP socket of a namespace, and waits for those that end by themselves.
pub fn kill(netns: &Netns) {
    give_up(&netns.name);
    let start = Instant::now();
    while table(Some(&netns.name))
        .iter()
        .any(|row| row.0 != "TIME_WAIT")
    {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "sockets that could not be ended"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

fn parse(line: &str) -> Row {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let state = match fields[0] {
        "ESTAB" => "ESTABLISHED".to_owned(),
        "FIN-WAIT-1" => "FIN_WAIT1".to_owned(),
        "FIN-WAIT-2" => "FIN_WAIT2".to_owned(),
        "UNCONN" => "CLOSE".to_owned(),
        other => other.replace('-', "_"),
    };
    (state, end(fields[3]), end(fields[4]))
}

/// `127.0.0.1:80`, `[::1]:80`, `*:80`, `0.0.0.0:*`, `127.0.0.1%lo:80`, `[fe80::1]%lo:80`.
fn end(text: &str) -> (Ipv6Addr, u16) {
    let (host, port) = text.rsplit_once(':').expect("an end has a port");
    let host = host.split('%').next().expect("split gives one at least");
    let host = host.trim_matches(['[', ']']);
    let addr = match host {
        "*" => Ipv6Addr::UNSPECIFIED,
        v4 if !v4.contains(':') => v4
            .parse::<std::net::Ipv4Addr>()
            .expect("an address")
            .to_ipv6_mapped(),
        v6 => v6.parse().expect("an address"),
    };
    (addr, port.parse().unwrap_or(0))
}
