//! A recording with every kind of data, a host with names for it, and everything that is printed of
//! it.

use std::fs;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnose_tools::abi::{
    self, Cgroup, ClockChange, RawConn, RawIdent, RawPair, RawRecord, Stats, Times, TransitionCount,
};
use diagnose_tools::backend::Backend;
use diagnose_tools::backend::capture::backend::Capture;
use diagnose_tools::cli::parse;
use diagnose_tools::command::diagnose::diagnose;
use diagnose_tools::command::dump;
use diagnose_tools::command::report::report;
use diagnose_tools::command::settings::settings;
use diagnose_tools::fmt::text::Text;
use diagnose_tools::host::captured::CapturedHost;
use diagnose_tools::host::devices::Devices;
use diagnose_tools::host::names::{ConnNames, Names};
use diagnose_tools::host::netns::Namespace;
use diagnose_tools::host::processes::{Found, Living, Process};
use diagnose_tools::host::sample::{Carried, Target};
use diagnose_tools::host::sockets::{Listening, Open};
use diagnose_tools::host::{Descriptors, Host};
use diagnose_tools::model::endpoint::Dev;
use diagnose_tools::model::hook::id;
use diagnose_tools::model::ident::{Ident, Owner};
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use diagnose_tools::render::{Style, sink};
use jiff::tz::TimeZone;
use serde_json::Value;
use testkit::fake::{ACTIVATED, Fake, NOW, NOW_REAL};
use testkit::records::{Bytes, CGROUP, alarm, conn, full_record, hook, listener, record};

const SECOND: u64 = 1_000_000_000;
const NETNS: u32 = 4_026_531_840;
const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Two rings: the first has overwritten events, and a report has consumed a part of the second.
/// There is some of every other kind of data, including a full accept queue of a listener without
/// an owner.
pub fn rich() -> Fake {
    let mut fake = Fake::new(2, 64);
    fake.verbose = 2;
    fake.record(1, 2, NOW - 40 * SECOND, SECOND);
    reported(&fake);
    fake.record(0, 70, NOW - 30 * SECOND, SECOND / 10);
    fake.rings[1].write(&full_record(NOW - 20 * SECOND));
    fake.rings[1].write(&alarm(NOW - 10 * SECOND, 2, true));
    let mut bound = Bytes(record(NOW - SECOND));
    let who = offset_of!(RawRecord, who);
    bound.put(who + offset_of!(RawIdent, ifindex), 7u32.to_ne_bytes());
    fake.rings[1].write(&bound.0);
    *fake.conns.borrow_mut() = conns();
    fake.listeners = vec![listener("10.0.0.1:8080"), unowned("10.0.0.1:80")];
    fake.pairs = vec![pair()];
    fake.transition_counts = vec![counted(1, 4), counted(12, 1), counted(3, 1)];
    set_lives(&mut fake);
    fake.cgroups = vec![cgroup(77, 4), cgroup(0, 1)];
    fake.counts = Stats {
        listeners: 2,
        evicted: 9,
        clocks: 1,
        ..Stats::default()
    };
    fake.handshakes.syns = 1_000;
    fake.hooks = vec![
        hook(
            "inet_sock_set_state",
            id::STATE_SET,
            abi::TCPSTATES_HOOK_ATTACHED,
        ),
        hook("tcp_conn_request", id::SYN, abi::TCPSTATES_HOOK_IS_FTRACE),
    ];
    fake.clocks.borrow_mut().push(ClockChange {
        since_ns: NOW - 15 * SECOND,
        offset_ns: (NOW_REAL - NOW + 3_600 * SECOND) as i64,
    });
    fake.half_open = [2, 3];
    fake
}

/// The folder of cursors, which no report here has.
fn no_cursors() -> &'static Path {
    Path::new("/nonexistent")
}

/// Runs a report that consumes all events.
fn reported(fake: &Fake) {
    let options = parse::report("summary=0 findings=0").unwrap();
    let mut sink = sink(options.format, style(fake, Lang::En), Named::names());
    report(
        fake,
        &mut Named,
        &options,
        no_cursors(),
        &mut *sink,
        &mut Vec::new(),
    )
    .unwrap();
}

fn conns() -> Vec<[u8; abi::CONN_SIZE]> {
    let who = offset_of!(RawConn, who);
    let mut owned = Bytes(conn("10.0.0.1:80", 8, NOW - 300 * SECOND, 7));
    owned.place(who, 77, NETNS).owner(who, 142, b"php-fpm");
    let mut bound = Bytes(conn("10.0.0.1:40001", 1, NOW - 5 * SECOND, 1));
    bound.put(who + offset_of!(RawIdent, ifindex), 7u32.to_ne_bytes());
    let mut elsewhere = Bytes(conn("10.0.0.1:40002", 6, NOW - 6 * SECOND, 3));
    elsewhere.place(who, 78, NETNS + 1);
    let half_open = conn("10.0.0.1:80", 12, NOW - SECOND, 3);
    vec![
        owned.0,
        bound.0,
        elsewhere.0,
        half_open,
        conn("10.0.0.1:40003", 2, NOW, 0),
    ]
}

/// A listener that is older than the activation, whose accept queue is full.
fn unowned(local: &str) -> abi::ListenerBytes {
    let mut bytes = Bytes(listener(local));
    bytes.put(
        offset_of!(abi::RawListener, who) + offset_of!(RawIdent, flags),
        [0; 2],
    );
    bytes.0
}

fn pair() -> abi::PairBytes {
    let mut bytes = Bytes([0; abi::PAIR_SIZE]);
    let mapped = |last| {
        std::net::Ipv4Addr::new(10, 0, 0, last)
            .to_ipv6_mapped()
            .octets()
    };
    bytes
        .put(offset_of!(RawPair, laddr), mapped(1))
        .put(offset_of!(RawPair, raddr), mapped(2))
        .put(offset_of!(RawPair, netns), NETNS.to_ne_bytes())
        .put(offset_of!(RawPair, family), [4])
        .put(offset_of!(RawPair, alarm), [1])
        .put(offset_of!(RawPair, established), 700u32.to_ne_bytes())
        .put(offset_of!(RawPair, peak), 710u64.to_ne_bytes())
        .put(offset_of!(RawPair, first_ns), ACTIVATED.to_ne_bytes())
        .put(offset_of!(RawPair, last_ns), NOW.to_ne_bytes());
    bytes.0
}

fn counted(old: u8, new: u8) -> TransitionCount {
    let mut counted = TransitionCount {
        old_state: old,
        new_state: new,
        count: 90,
        timed: 80,
        total_ns: 80 * SECOND,
        max_ns: 2 * SECOND,
        ..TransitionCount::default()
    };
    (counted.hist[70], counted.hist[80]) = (79, 1);
    counted
}

fn set_lives(fake: &mut Fake) {
    let room = abi::TCPSTATES_REASONS_MAX as usize;
    (fake.lives.ends[room + 1], fake.lives.ends[2 * room + 5]) = (5, 7);
    let mut times = Times {
        count: 12,
        total_ns: 12 * SECOND,
        max_ns: 3 * SECOND,
        ..Times::default()
    };
    times.hist[75] = 12;
    (fake.lives.life[1], fake.lives.accept_wait) = (times, times);
}

fn cgroup(id: u64, established: u64) -> Cgroup {
    let mut cgroup = Cgroup {
        cgroup: id,
        ..Cgroup::default()
    };
    (cgroup.states[1], cgroup.states[12]) = (established, 1);
    cgroup
}

/// A host that has a name for everything in [`rich`], except for one cgroup that was removed.
pub struct Named;

impl Named {
    pub fn names() -> Names {
        let path = format!("/system.slice/docker-{CONTAINER}.scope");
        let cgroups = [(77, path), (78, "/user.slice".into())];
        let devices = Devices::new(Box::new(|_, _| Some(vec![(7, "v0".into())])));
        let living = Living::new(Box::new(|pid| Named.process(pid).started()));
        Names::known(&cgroups, &[(NETNS, "blue".into())])
            .with_devices(devices)
            .with_living(living)
    }
}

impl Host for Named {
    fn names(&mut self, who: &Ident) -> ConnNames {
        assert_ne!(CGROUP, 77);
        Self::names().of(who)
    }

    fn dev(&mut self, netns: u32, index: u32, pid: Option<u32>) -> Dev {
        Self::names().dev_at(netns, index, pid)
    }

    fn namespace(&mut self, inode: u32, _: &[u32]) -> Namespace {
        let settings = [
            ("net.core.somaxconn", "4096"),
            ("net.ipv4.ip_local_port_range", "32768 60999"),
            ("net.ipv4.tcp_syncookies", "1"),
            ("net.ipv4.tcp_max_syn_backlog", "512"),
            ("net.ipv4.tcp_abort_on_overflow", "0"),
        ];
        let socket = |port, inode| Listening {
            addr: [10, 0, 0, 1].into(),
            port,
            inode,
        };
        Namespace {
            settings: settings.map(|(n, v)| (n, v.to_owned())).into(),
            counters: [("TcpExtListenDrops".to_owned(), 19)].into(),
            listening: vec![socket(80, 4_711), socket(8080, 4_712)],
            closed: (inode != NETNS).then(|| Text::same("no process leads to it")),
        }
    }

    fn descriptors(&mut self, pid: u32) -> Option<Descriptors> {
        Some(Descriptors {
            open: u64::from(pid) * 7,
            limit: Some(1_024),
        })
    }

    /// apache2 has all sockets open; the second one has another process, too.
    fn open_by(&mut self, inode: u64) -> Open {
        match inode {
            4_711 => Open::By(vec![4_711]),
            4_712 => Open::By(vec![4_711, 4_712]),
            _ => Open::Nobody,
        }
    }

    /// php-fpm is left, and curl has ended.
    fn process(&mut self, pid: u32) -> Found<Process> {
        let comm = match pid {
            142 => *b"php-fpm\0\0\0\0\0\0\0\0\0",
            4_711 | 4_712 => *b"apache2\0\0\0\0\0\0\0\0\0",
            _ => return Found::Gone,
        };
        Found::Alive(Process {
            owner: Owner { pid, comm },
            uid: Some(33),
            cgroup: Some(78),
            started_ns: NOW - 100 * SECOND,
        })
    }

    fn sample(&mut self, targets: &[Target], _: Duration) -> Vec<Carried> {
        vec![Carried::default(); targets.len()]
    }
}

/// The capture of a backend.
pub fn bytes_of(backend: &dyn Backend) -> Vec<u8> {
    let mut bytes = Vec::new();
    dump::write(backend, &mut Named, "memory", &mut bytes).unwrap();
    bytes
}

/// A capture of the backend, read back, and its host.
pub fn captured(backend: &dyn Backend) -> (Capture<Vec<u8>>, CapturedHost) {
    let capture = Capture::new(bytes_of(backend), "memory".into()).unwrap();
    let host = CapturedHost::new(&capture).unwrap();
    (capture, host)
}

fn style(backend: &dyn Backend, lang: Lang) -> Style {
    let clock = Clock::with_zone(&backend.stats().unwrap(), TimeZone::UTC);
    clock.learn(&backend.clocks().unwrap());
    Style {
        labels: lang.labels(),
        clock,
        width: None,
        color: false,
    }
}

const REPORTS: [&str; 11] = [
    "",
    "format=detail",
    "json=1",
    "transitions=0",
    "transitions=0 alarms=0 json=1",
    "connections=0 listeners=1 summary=0",
    "sort=bytes limit=3",
    "sort=age json=1 findings=0",
    "state=CLOSE_WAIT json=1",
    "lport=80 format=detail",
    "reason=reset_received min-ms=1",
];

/// All options that read a recording, with these keys in addition.
pub fn options(keys: &str) -> Vec<String> {
    let reports = REPORTS.map(|report| format!("--report={report}{keys}"));
    let others = [
        "--settings=json=0",
        "--settings=json=1",
        "--diagnose=json=0",
        "--diagnose=json=1",
    ];
    let others = others.map(|other| format!("{other}{keys}"));
    reports.into_iter().chain(others).collect()
}

/// The output of all options that read a recording.
pub fn outputs(
    backend: &dyn Backend,
    host: &mut dyn Host,
    names: &dyn Fn() -> Names,
) -> Vec<String> {
    let mut all = Vec::new();
    for lang in [Lang::En, Lang::Zh] {
        for option in options("") {
            let (name, keys) = option.trim_start_matches("--").split_once('=').unwrap();
            let mut out = Vec::new();
            let style = style(backend, lang);
            match name {
                "report" => {
                    let options = parse::report(&format!("{keys} peek=1")).unwrap();
                    let mut sink = sink(options.format, style, names());
                    report(backend, host, &options, no_cursors(), &mut *sink, &mut out).unwrap();
                }
                "settings" => {
                    let options = parse::settings(keys).unwrap();
                    settings(backend, &options, &style, &mut out).unwrap();
                }
                _ => {
                    let options = parse::diagnose(&format!("{keys} sample=0")).unwrap();
                    diagnose(backend, &options, host, &style, &mut out).unwrap();
                }
            }
            all.push(String::from_utf8(out).unwrap());
        }
    }
    all
}

/// The folder with captures of all versions.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

pub fn old_captures() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The path of the expected output, which is stored beside the capture.
pub fn expected_path(path: &Path) -> PathBuf {
    path.with_extension("jsonl")
}

pub fn expected_of(path: &Path) -> Vec<Value> {
    lines(&fs::read_to_string(expected_path(path)).unwrap())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The current output for a file, without findings, whose limits may change.
pub fn told_by(path: &Path) -> Vec<Value> {
    let capture = Capture::open(path).unwrap();
    let mut host = CapturedHost::new(&capture).unwrap();
    let options = parse::report("json=1 findings=0").unwrap();
    let mut sink = sink(options.format, style(&capture, Lang::En), host.all_names());
    let mut out = Vec::new();
    report(
        &capture,
        &mut host,
        &options,
        no_cursors(),
        &mut *sink,
        &mut out,
    )
    .unwrap();
    let options = parse::settings("json=1").unwrap();
    settings(&capture, &options, &style(&capture, Lang::En), &mut out).unwrap();
    lines(std::str::from_utf8(&out).unwrap())
}

/// Whether the output contains everything that is expected: later versions may have more fields.
pub fn includes(told: &Value, expected: &Value) -> bool {
    match (told, expected) {
        (Value::Object(told), Value::Object(expected)) => expected
            .iter()
            .all(|(key, value)| told.get(key).is_some_and(|told| includes(told, value))),
        (Value::Array(told), Value::Array(expected)) => {
            let mut pairs = told.iter().zip(expected);
            told.len() == expected.len() && pairs.all(|(told, expected)| includes(told, expected))
        }
        _ => told == expected,
    }
}
