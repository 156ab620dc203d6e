//! Findings that are new, still there, and gone.

use std::fs;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::diagnosis::{Diagnosis, assert_by};
use crate::support::netns::Netns;
use crate::support::process::{Line, Process};
use crate::support::{scenario, ss, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![scenario("diagnosis_remembers_what_it_has_found", memory)]
}

const FOLDER: &str = "/run/diagnose-tools";
const FILE: &str = "/run/diagnose-tools/findings";
const LIMITS: &str = "/tmp/soon.toml";
const SOON: &str = "[close-wait]\ncount = 20\nage-s = 1\n";
const LEFT_OPEN: usize = 30;
const CAPTURE: &str = "/run/remembered.cap";

/// Listens at this port (0: any), and keeps connections that its clients have closed.
fn hold(mut line: Line, port: u16) {
    let listener = traffic::listen_at(SocketAddr::new(traffic::V4, port), 64);
    line.tell(&[listener.local_addr().expect("bound").port().into()]);
    let accept = |_| listener.accept().expect("accept").0;
    let held: Vec<_> = (0..LEFT_OPEN).map(accept).collect();
    line.hear();
    drop(held);
}

/// A worker with a pile of connections in CLOSE_WAIT, and its clients.
struct Pile {
    worker: Process,
    port: u16,
    clients: Vec<TcpStream>,
}

impl Pile {
    fn start(netns: &Netns, port: u16) -> Self {
        let mut worker = Process::named(netns, c"leaky", move |line| hold(line, port));
        let port = u16::try_from(worker.line.hear()[0]).expect("a port");
        let to = SocketAddr::new(traffic::V4, port);
        let half_close = |_| {
            let client = TcpStream::connect(to).expect("connect");
            client.shutdown(Shutdown::Write).expect("shutdown");
            client
        };
        let clients = netns.run(|| (0..LEFT_OPEN).map(half_close).collect());
        wait_for(netns, LEFT_OPEN);
        // Longer than the limit.
        thread::sleep(Duration::from_secs(2));
        Self {
            worker,
            port,
            clients,
        }
    }

    fn end(mut self, netns: &Netns) {
        self.worker.kill();
        self.clients.clear();
        wait_for(netns, 0);
    }
}

fn wait_for(netns: &Netns, count: usize) {
    traffic::until("the connections are in CLOSE_WAIT", || {
        let rows = ss::table(Some(&netns.name));
        rows.iter().filter(|row| row.0 == "CLOSE_WAIT").count() == count
    });
}

fn look(netns: &Netns, keys: &str) -> Diagnosis {
    Diagnosis::with(&format!("netns={} config={LIMITS} {keys}", netns.name))
}

fn time(value: &Value) -> Timestamp {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    text.parse().expect("RFC 3339")
}

/// Asserts that the only pile has this status, is of this worker, and was first seen then.
fn assert_status(diagnosis: &Diagnosis, status: &str, pile: &Pile, first: Option<&Value>) -> Value {
    let found = diagnosis.one("close-wait");
    assert_eq!(
        found["id"], "close-wait:remember:process=leaky",
        "{found:#}"
    );
    assert_eq!(found["status"], status, "{found:#}");
    assert_by(found, "leaky", pile.worker.pid());
    assert_eq!(found["last_seen"], found["ts"], "{found:#}");
    let first = first.unwrap_or(&found["ts"]);
    assert_eq!(found["first_seen"], *first, "{found:#}");
    assert!(diagnosis.gone().is_empty(), "{diagnosis:#?}");
    found.clone()
}

fn memory() {
    tool::activate("");
    fs::write(LIMITS, SOON).expect("a file");
    let netns = Netns::new("remember");
    let pile = Pile::start(&netns, 0);
    let before = Timestamp::now();
    let new = assert_status(&look(&netns, ""), "new", &pile, None);
    let seen = time(&new["first_seen"]);
    assert!((before..=Timestamp::now()).contains(&seen), "{seen}");
    let first = &new["first_seen"];
    assert_status(&look(&netns, ""), "still", &pile, Some(first));

    let port = pile.port;
    pile.end(&netns);
    let pile = Pile::start(&netns, port);
    let last = assert_status(&look(&netns, ""), "still", &pile, Some(first));
    assert_only_diagnoses_write(&netns);

    pile.end(&netns);
    let gone = look(&netns, "");
    assert!(gone.of_rule("close-wait").is_empty(), "{gone:#?}");
    let [line] = gone.gone() else {
        panic!("one is gone: {gone:#?}");
    };
    for key in ["id", "rule", "severity", "first_seen", "last_seen"] {
        assert_eq!(line[key], last[key], "{key}: {line}");
    }
    assert!(look(&netns, "").gone().is_empty());

    let pile = Pile::start(&netns, port);
    let again = assert_status(&look(&netns, ""), "new", &pile, Some(first));
    tool::activate("");
    // A pile that is older than the recording is as old as that.
    thread::sleep(Duration::from_secs(2));
    let anew = assert_status(&look(&netns, ""), "new", &pile, None);
    assert!(time(&anew["first_seen"]) > time(&again["last_seen"]));
    pile.end(&netns);
    tool::tcpstates(&["--deactivate"]);
}

/// Neither other scopes nor reports nor diagnoses of captures change what is remembered, and only
/// root can read it.
fn assert_only_diagnoses_write(netns: &Netns) {
    for (path, expected) in [(FOLDER, 0o700), (FILE, 0o600)] {
        let data = fs::metadata(path).expect("it is there");
        assert_eq!((data.uid(), data.mode() & 0o7777), (0, expected), "{path}");
    }
    let narrowed = look(netns, "rules=resets");
    assert!(narrowed.gone().is_empty(), "{narrowed:#?}");
    let known = fs::read(FILE).expect("the file");
    // A report counts findings, too.
    tool::tcpstates(&["--report=peek=1"]);
    tool::tcpstates(&[&format!("--dump=file={CAPTURE}")]);
    let captured = Diagnosis::with(&format!("from={CAPTURE} config={LIMITS}"));
    let found = captured.one("close-wait");
    assert_eq!(found["id"], "close-wait:remember:process=leaky");
    for key in ["status", "first_seen", "last_seen"] {
        assert_eq!(found[key], Value::Null, "{found:#}");
    }
    assert_eq!(fs::read(FILE).expect("the file"), known);
    fs::remove_file(CAPTURE).expect("it was written");
}
