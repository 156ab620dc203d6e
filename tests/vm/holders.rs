//! Who has the sockets open, compared with `ss -p`: not always the process that opened them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use libtest_mimic::Trial;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::unistd::execv;
use serde_json::Value;

use crate::support::netns::Netns;
use crate::support::process::{Line, Process};
use crate::support::ss::{self, Row, User};
use crate::support::{scenario, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario(
            "a_daemon_is_shown_without_the_process_that_has_ended",
            daemon,
        ),
        scenario("a_passed_socket_belongs_to_the_process_that_has_it", passed),
        scenario("a_socket_inherited_over_exec_has_the_new_name", executed),
        scenario("a_renamed_process_is_shown_with_its_current_name", renamed),
        scenario(
            "sockets_older_than_the_activation_have_their_processes",
            older,
        ),
        scenario("all_processes_that_have_a_socket_open_are_shown", several),
        scenario("an_orphan_has_no_process", orphan),
        scenario("events_of_a_process_that_has_ended_are_marked", events),
        scenario("in_another_pid_namespace_nothing_is_claimed", elsewhere),
    ]
}

const SERVER: SocketAddr = SocketAddr::new(traffic::V4, 9000);

/// Lines of the report about a namespace.
fn live(netns: &Netns) -> Vec<Value> {
    let keys = "peek=1 transitions=0 alarms=0 connections=1 listeners=1";
    let report = tool::report(&format!("{keys} netns={}", netns.inode()));
    report
        .connections
        .into_iter()
        .chain(report.listeners)
        .collect()
}

fn pid(line: &Value) -> Option<u64> {
    line["pid"].as_u64()
}

fn user(process: &Value) -> User {
    let name = process["comm"].as_str().expect("a name").to_owned();
    (name, process["pid"].as_u64().expect("a number"))
}

/// The processes in a line.
fn users(line: &Value) -> BTreeSet<User> {
    match line["holders"].as_array() {
        Some(all) => {
            assert_eq!(line["holder_count"], all.len(), "{line}");
            assert_eq!(user(&all[0]), user(line), "{line}");
            all.iter().map(user).collect()
        }
        None => line.get("pid").map(|_| user(line)).into_iter().collect(),
    }
}

fn end(line: &Value, side: char) -> (Ipv6Addr, u16) {
    let addr = line[format!("{side}addr")].as_str();
    let addr: Option<IpAddr> = addr.map(|addr| addr.parse().expect("an address"));
    let addr = match addr {
        Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped(),
        Some(IpAddr::V6(v6)) => v6,
        None => Ipv6Addr::UNSPECIFIED,
    };
    let port = line[format!("{side}port")].as_u64().unwrap_or(0);
    (addr, port as u16)
}

/// Asserts that each socket of the namespace has the processes that `ss` shows, and that no other
/// process is shown. Returns the lines.
fn assert_as_ss(netns: &Netns) -> Vec<Value> {
    let lines = live(netns);
    let truth = ss::users(&netns.name);
    let mut told: BTreeMap<Row, BTreeSet<User>> = BTreeMap::new();
    for line in &lines {
        let state = line["state"].as_str().unwrap_or("LISTEN").to_owned();
        let remote = match state.as_str() {
            "LISTEN" => None,
            _ => Some(end(line, 'r')),
        };
        // A listener is among the connections, too.
        let users = users(line);
        if users.is_empty() || state == "TIME_WAIT" {
            continue;
        }
        let row = (state, end(line, 'l'), remote.unwrap_or_else(any_remote));
        assert!(
            told.insert(row, users.clone())
                .is_none_or(|before| before == users),
            "{line}"
        );
    }
    let truth: BTreeMap<Row, BTreeSet<User>> = truth
        .into_iter()
        .map(|((state, local, remote), users)| match state.as_str() {
            "LISTEN" => ((state, local, any_remote()), users),
            _ => ((state, local, remote), users),
        })
        .collect();
    assert_eq!(told, truth, "{lines:#?}");
    lines
}

fn any_remote() -> (Ipv6Addr, u16) {
    (Ipv6Addr::UNSPECIFIED, 0)
}

/// The line of the listener.
fn listener(lines: &[Value]) -> &Value {
    let found = lines.iter().find(|l| l["type"] == "listener");
    found.expect("a listener")
}

/// The server's end of the only connection.
fn server_end(lines: &[Value]) -> &Value {
    let is_it = |l: &&Value| l["lport"] == SERVER.port() && l["state"] == "ESTABLISHED";
    let found: Vec<_> = lines.iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{lines:#?}");
    found[0]
}

fn assert_opened_by(line: &Value, process: u64) {
    assert_eq!(line["opened_by"]["pid"], process, "{line:#}");
}

fn connect(netns: &Netns) -> TcpStream {
    netns.run(|| TcpStream::connect(SERVER).expect("connect"))
}

/// Listens, forks, and ends; the child accepts a connection.
fn daemonize(mut line: Line) {
    let listener = traffic::listen_at(SERVER, 16);
    let child = Process::fork(move |_| {
        line.tell(&[std::process::id().into()]);
        let accepted = listener.accept().expect("accept");
        line.tell(&[]);
        line.hear();
        drop(accepted);
    });
    // It outlives its parent.
    std::mem::forget(child);
}

fn daemon() {
    let netns = Netns::new("daemon");
    tool::activate("");
    let mut master = Process::start(&netns, daemonize);
    let child = master.line.hear()[0];
    let client = connect(&netns);
    master.line.hear();
    // The parent has ended, and is not reaped yet: it is a zombie.
    traffic::until("the parent has ended", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", master.pid()));
        stat.is_ok_and(|stat| stat.contains(") Z "))
    });
    let lines = assert_as_ss(&netns);
    assert_eq!(pid(listener(&lines)), Some(child));
    assert_opened_by(listener(&lines), master.pid());
    let accepted = server_end(&lines);
    assert_eq!(pid(accepted), Some(child));
    assert!(accepted.get("opened_by").is_none(), "{accepted:#}");
    let text = tool::tcpstates(&[&format!(
        "--report=peek=1 transitions=0 listeners=1 summary=0 findings=0 netns={}",
        netns.inode()
    )]);
    assert!(text.contains(&format!(" {child}/")), "{text}");
    assert!(!text.contains(&format!(" {}/", master.pid())), "{text}");
    master.line.tell(&[]);
    master.finish();
    drop(client);
    tool::end();
}

fn passed() {
    let netns = Netns::new("passedon");
    tool::activate("");
    let mut accepting = Process::start(&netns, |mut line| {
        let listener = traffic::listen_at(SERVER, 16);
        line.tell(&[]);
        let stream = listener.accept().expect("accept").0;
        line.pass(stream.as_raw_fd());
        line.hear();
    });
    accepting.line.hear();
    let client = connect(&netns);
    let fd = accepting.line.take();
    let mut using = Process::named(&netns, c"using", |mut line| {
        let stream = line.take();
        line.tell(&[]);
        line.hear();
        drop(stream);
    });
    using.line.pass(fd.as_raw_fd());
    using.line.hear();
    drop(fd);
    let first = accepting.pid();
    accepting.line.tell(&[]);
    accepting.finish();
    let lines = assert_as_ss(&netns);
    let line = server_end(&lines);
    assert_eq!(user(line), ("using".into(), using.pid()));
    assert_opened_by(line, first);
    using.line.tell(&[]);
    using.finish();
    drop(client);
    tool::end();
}

/// Passes the socket on to another program, in the same process.
fn execute(stream: &OwnedFd) -> ! {
    fcntl(stream, FcntlArg::F_SETFD(FdFlag::empty())).expect("F_SETFD");
    let args = ["sleep", "1000"].map(|arg| CString::new(arg).expect("no NUL"));
    let failed = execv(c"/bin/sleep", &args).unwrap_err();
    panic!("sleep(1): {failed}");
}

fn executed() {
    let netns = Netns::new("executed");
    tool::activate("");
    let listening = netns.run(|| traffic::listen_at(SERVER, 16));
    let mut calling = Process::start(&netns, |mut line| {
        let stream = OwnedFd::from(TcpStream::connect(SERVER).expect("connect"));
        line.tell(&[]);
        execute(&stream)
    });
    calling.line.hear();
    let comm = format!("/proc/{}/comm", calling.pid());
    traffic::until("it is sleep", || {
        fs::read_to_string(&comm).is_ok_and(|name| name == "sleep\n")
    });
    let lines = assert_as_ss(&netns);
    let line = lines.iter().find(|l| l["rport"] == SERVER.port());
    let line = line.expect("the client's end");
    assert_eq!(user(line), ("sleep".into(), calling.pid()));
    assert!(
        line.get("opened_by").is_none(),
        "the same process: {line:#}"
    );
    calling.kill();
    drop(listening);
    tool::end();
}

fn renamed() {
    let netns = Netns::new("renamed");
    tool::activate("");
    let mut serving = Process::named(&netns, c"before", |mut line| {
        let listener = traffic::listen_at(SERVER, 16);
        prctl::set_name(c"after").expect("PR_SET_NAME");
        line.tell(&[]);
        line.hear();
        drop(listener);
    });
    serving.line.hear();
    let lines = assert_as_ss(&netns);
    assert_eq!(user(listener(&lines)), ("after".into(), serving.pid()));
    serving.line.tell(&[]);
    serving.finish();
    tool::end();
}

fn older() {
    let netns = Netns::new("before");
    let mut serving = Process::named(&netns, c"serving", |mut line| {
        let listener = traffic::listen_at(SERVER, 16);
        line.tell(&[]);
        let accepted = listener.accept().expect("accept");
        line.tell(&[]);
        line.hear();
        drop((listener, accepted));
    });
    serving.line.hear();
    let mut calling = Process::named(&netns, c"calling", |mut line| {
        let stream = TcpStream::connect(SERVER).expect("connect");
        line.tell(&[]);
        line.hear();
        drop(stream);
    });
    calling.line.hear();
    serving.line.hear();
    tool::activate("");
    let lines = assert_as_ss(&netns);
    assert_eq!(user(listener(&lines)), ("serving".into(), serving.pid()));
    assert_eq!(user(server_end(&lines)), ("serving".into(), serving.pid()));
    let client = lines.iter().find(|l| l["rport"] == SERVER.port());
    let client = client.expect("the client's end");
    assert_eq!(user(client), ("calling".into(), calling.pid()));
    for process in [&mut calling, &mut serving] {
        process.line.tell(&[]);
    }
    calling.finish();
    serving.finish();
    tool::end();
}

const WORKERS: usize = 3;

fn several() {
    let netns = Netns::new("several");
    tool::activate("");
    let mut serving = Process::start(&netns, |mut line| {
        let listener = traffic::listen_at(SERVER, 16);
        let mut workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                Process::fork(|mut line| {
                    line.hear();
                })
            })
            .collect();
        line.tell(&[]);
        line.hear();
        for worker in &mut workers {
            worker.line.tell(&[]);
        }
        drop((workers, listener));
    });
    serving.line.hear();
    let lines = assert_as_ss(&netns);
    let line = listener(&lines);
    assert_eq!(pid(line), Some(serving.pid()), "{line:#}");
    assert_eq!(line["holder_count"], WORKERS + 1, "{line:#}");
    let text = tool::tcpstates(&[&format!(
        "--report=peek=1 transitions=0 listeners=1 summary=0 findings=0 netns={}",
        netns.inode()
    )]);
    assert!(text.contains(&format!(" (+{WORKERS})\n")), "{text}");
    serving.line.tell(&[]);
    serving.finish();
    tool::end();
}

/// Fills the buffers of both ends, so that the FIN cannot be sent.
fn fill(stream: &mut TcpStream) {
    stream.set_nonblocking(true).expect("O_NONBLOCK");
    while stream.write(&[b'x'; 65536]).is_ok() {}
}

fn orphan() {
    let netns = Netns::new("orphaned");
    tool::activate("");
    let listening: TcpListener = netns.run(|| traffic::listen_at(SERVER, 16));
    let mut calling = Process::start(&netns, |mut line| {
        let mut stream = TcpStream::connect(SERVER).expect("connect");
        fill(&mut stream);
        drop(stream);
        line.tell(&[]);
        line.hear();
    });
    let accepted = listening.accept().expect("accept").0;
    calling.line.hear();
    let lines = assert_as_ss(&netns);
    let left = lines.iter().find(|l| l["state"] == "FIN_WAIT1");
    let left = left.expect("an orphan");
    assert_eq!((&left["orphan"], pid(left)), (&Value::Bool(true), None));
    assert_opened_by(left, calling.pid());
    let text = tool::tcpstates(&[&format!(
        "--report=peek=1 transitions=0 connections=1 summary=0 findings=0 state=FIN_WAIT1 netns={}",
        netns.inode()
    )]);
    assert!(
        text.contains(&format!(" orphan ({}/", calling.pid())),
        "{text}"
    );
    calling.line.tell(&[]);
    calling.finish();
    // Data that was not read resets the connection.
    drop((accepted, listening));
    tool::end();
}

fn events() {
    let netns = Netns::new("endedlater");
    tool::activate("");
    let listening = netns.run(|| traffic::listen_at(SERVER, 16));
    let mut calling = Process::start(&netns, |mut line| {
        drop(TcpStream::connect(SERVER).expect("connect"));
        line.tell(&[]);
        line.hear();
    });
    let mut accepted = listening.accept().expect("accept").0;
    calling.line.hear();
    traffic::wait_for_fin(&mut accepted);
    drop(accepted);
    traffic::until("it has closed", || {
        ss::table(Some(&netns.name))
            .iter()
            .any(|row| row.0 == "TIME_WAIT")
    });
    let of_client = || {
        let report = tool::report(&format!(
            "peek=1 transitions=1 connections=1 rport={} netns={}",
            SERVER.port(),
            netns.inode()
        ));
        let all = report.transitions.into_iter().chain(report.connections);
        all.collect::<Vec<_>>()
    };
    let process = calling.pid();
    for line in of_client() {
        assert_eq!(pid(&line), Some(process), "{line}");
        assert!(line.get("owner_gone").is_none(), "{line}");
    }
    calling.line.tell(&[]);
    calling.finish();
    let lines = of_client();
    assert!(
        lines.iter().any(|l| l["state"] == "TIME_WAIT"),
        "{lines:#?}"
    );
    for line in lines {
        assert_eq!(pid(&line), Some(process), "{line}");
        assert_eq!(line["owner_gone"], true, "{line}");
    }
    drop(listening);
    tool::end();
}

/// Processes have other numbers there than the module knows.
fn elsewhere() {
    let netns = Netns::new("otherpids");
    tool::activate("");
    let mut serving = Process::start(&netns, |mut line| {
        let listener = traffic::listen_at(SERVER, 16);
        line.tell(&[]);
        line.hear();
        drop(listener);
    });
    serving.line.hear();
    let keys = "peek=1 json=1 transitions=0 listeners=1 findings=0";
    let report = format!("--report={keys} netns={}", netns.inode());
    let output = std::process::Command::new("unshare")
        .args([
            "--pid",
            "--fork",
            "--mount-proc",
            tool::PROGRAM,
            "tcpstates",
            &report,
        ])
        .output()
        .expect("unshare(1)");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let report = tool::Report::parse(&text);
    let line = &report.listeners[0];
    assert_eq!(pid(line), Some(serving.pid()), "{line}");
    for name in ["holders", "opened_by", "owner_gone"] {
        assert!(line.get(name).is_none(), "{line}");
    }
    serving.line.tell(&[]);
    serving.finish();
    tool::end();
}
