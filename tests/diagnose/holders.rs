//! Whom the findings name: processes that have the sockets open, not those that once opened them.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use diagnose_tools::diagnose::finding::Severity;
use diagnose_tools::diagnose::{self, Scope};
use diagnose_tools::host::names::ConnNames;
use diagnose_tools::host::netns::Namespace;
use diagnose_tools::host::processes::{Found, Process};
use diagnose_tools::host::sample::{Carried, Target};
use diagnose_tools::host::sockets::{Open, OpenSockets, PATIENCE};
use diagnose_tools::host::{Descriptors, Host};
use diagnose_tools::model::ident::Ident;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::time::{ClockId, clock_gettime};
use testkit::fake::Fake;
use testkit::host::FakeHost;
use testkit::scene::{
    CLOSE, CLOSE_WAIT, Conn, ESTABLISHED, FIN_WAIT1, ORPHAN, SYN_SENT, Socket, TIME_WAIT,
    listening, step, stranger,
};

use crate::support::words::Finding;
use crate::support::{add, host, is, look_with, number, of_rule, only};

fn findings(fake: &Fake, mut host: FakeHost) -> Vec<Finding> {
    look_with(fake, &mut host, &Scope::default()).findings
}

/// Connections of nginx, process 142, in CLOSE_WAIT; their sockets have the numbers from 1,000 on.
fn left(count: u64) -> Fake {
    let fake = host();
    let left = |n: u64| Conn {
        ino: 1_000 + n,
        ..Conn::served(stranger(n), 90).state(CLOSE_WAIT)
    };
    add(&fake, (0..count).map(left));
    fake
}

fn pid(finding: &Finding) -> Option<u32> {
    finding.subject.owner.map(|owner| owner.pid)
}

#[test]
fn inherited_connections_belong_to_the_process_that_has_them() {
    let sockets = |pid| (0..110).map(move |n| (1_000 + n, pid));
    let host = FakeHost::default();
    let found = findings(
        &left(110),
        host.with(&[(142, "nginx"), (150, "sleep")], sockets(150).collect()),
    );
    let finding = only(&found);
    is(finding, "close-wait", Severity::Warning);
    assert!(
        finding.summary.starts_with("150/sleep does not close 110 "),
        "{finding:#?}"
    );
    assert_eq!((pid(finding), finding.subject.processes), (Some(150), 1));
    assert_eq!(finding.subject.uid, Some(150));
    assert_eq!(finding.subject.opened_by.map(|o| o.pid), Some(142));
    // The process that has accepted them is the first of several.
    let both = sockets(150).chain(sockets(142)).chain(sockets(120));
    let names = [(142, "nginx"), (150, "sleep"), (120, "early")];
    let found = findings(&left(110), FakeHost::default().with(&names, both.collect()));
    let finding = only(&found);
    assert!(finding.summary.starts_with("142/nginx "), "{finding:#?}");
    assert_eq!((pid(finding), finding.subject.processes), (Some(142), 3));
    assert_eq!(finding.subject.opened_by, None);
}

#[test]
fn one_process_for_each_connection_is_told_by_name() {
    let workers = |count: u32, name: &'static str| {
        let names: Vec<_> = (0..count).map(|n| (500 + n, name)).collect();
        let sockets = (0..count).map(|n| (1_000 + u64::from(n), 500 + n));
        FakeHost::default().with(&names, sockets.collect())
    };
    let found = findings(&left(110), workers(110, "backend"));
    let finding = only(&found);
    is(finding, "close-wait", Severity::Warning);
    assert_eq!(
        finding.summary,
        "110 processes backend do not close 110 connections whose peers have closed (CLOSE_WAIT)"
    );
    assert_eq!(finding.subject.processes, 110);
    assert!(
        !finding
            .numbers
            .iter()
            .any(|(name, _)| *name == "descriptors")
    );
    assert_eq!(findings(&left(99), workers(99, "backend")), []);
    // Processes of different names with few connections each are no finding.
    let (mut host, other) = (workers(110, "backend"), "other");
    for pid in 500..540 {
        host.processes
            .insert(pid, testkit::host::process(pid, other));
    }
    assert_eq!(findings(&left(110), host), []);
}

#[test]
fn a_process_that_has_ended_is_not_accused() {
    let host = || FakeHost::default().with(&[], vec![]).without(&[142]);
    let found = findings(&left(110), host());
    let finding = only(&found);
    assert!(
        finding.summary.starts_with("an unknown process "),
        "{finding:#?}"
    );
    assert_eq!(finding.subject.opened_by.map(|o| o.pid), Some(142));
    // It lives, and io_uring may have the sockets: they are in no table of descriptors.
    let kept = FakeHost::default().with(&[(142, "nginx")], vec![]);
    assert_eq!(pid(only(&findings(&left(110), kept))), Some(142));
    let renamed = FakeHost::default().with(&[(142, "another")], vec![]);
    assert_eq!(pid(only(&findings(&left(110), renamed))), None);
    // Not all processes could be read: nothing is known.
    let mut hidden = FakeHost::default().with(&[(142, "another")], vec![]);
    hidden.sockets = OpenSockets::default();
    assert_eq!(pid(only(&findings(&left(110), hidden))), Some(142));
    let mut hidden = host();
    hidden.sockets = OpenSockets::default();
    hidden.processes.insert(142, Found::Unknown);
    assert_eq!(pid(only(&findings(&left(110), hidden))), Some(142));
}

#[test]
fn a_connection_that_is_older_has_an_owner() {
    let fake = host();
    let old = |n: u64| Conn {
        pid: 0,
        role: 0,
        ino: 1_000 + n,
        local: format!("10.0.0.1:{}", 40_000 + n),
        ..Conn::served("10.30.0.9:8080".into(), 90).state(CLOSE_WAIT)
    };
    add(&fake, (0..120).map(old));
    let sockets = (0..120).map(|n| (1_000 + n, 71)).collect();
    let found = findings(&fake, FakeHost::default().with(&[(71, "leaky")], sockets));
    let finding = only(&found);
    assert!(
        finding.summary.starts_with("71/leaky does not close 120 "),
        "{finding:#?}"
    );
    assert_eq!(finding.subject.remote.map(|end| end.1), Some(Some(8080)));
}

#[test]
fn sockets_that_are_connected_to_themselves_are_told_by_process() {
    let fake = host();
    let own = |n: u64| {
        let end = format!("10.0.0.1:{}", 45_000 + n);
        Conn {
            pid: 0,
            ino: 1_000 + n,
            ..Conn::begun(end.clone(), &end, 5)
        }
    };
    add(&fake, [own(0), own(1)]);
    let sockets = vec![(1_000, 71), (1_001, 72)];
    let host = FakeHost::default().with(&[(71, "one"), (72, "two")], sockets);
    let found = findings(&fake, host);
    let pids: Vec<_> = of_rule(&found, "self-connect")
        .into_iter()
        .map(pid)
        .collect();
    assert_eq!(pids, [Some(71), Some(72)]);
}

/// Four processes listen at one port, and one of them hangs.
#[test]
fn the_process_of_the_full_queue_is_named() {
    let room = Socket {
        half_open: [0, 3, 511],
        ..Socket::default()
    };
    let names = [(61, "well1"), (62, "well2"), (63, "stuck"), (64, "well3")];
    let with = |stuck: Socket| {
        let mut fake = host();
        let sockets = [room, room, stuck, room];
        let with_id = |(id, socket): (u64, Socket)| Socket { id, ..socket }.bytes();
        fake.listeners = (61..).zip(sockets).map(with_id).collect();
        for id in 61..65 {
            fake.conns.borrow_mut().push(listening(id, id));
        }
        let open = (61..65).map(|pid| (u64::from(pid), pid)).collect();
        findings(&fake, FakeHost::default().with(&names, open))
    };
    let found = with(Socket {
        accept: [512, 512],
        ..room
    });
    let finding = only(&found);
    is(finding, "accept-queue-full", Severity::Warning);
    assert!(
        finding.summary.starts_with("63/stuck does not accept"),
        "{finding:#?}"
    );
    assert_eq!(number(finding, "listeners"), 4);
    let found = with(Socket {
        half_open: [511, 511, 511],
        ..Socket::default()
    });
    let finding = only(&found);
    is(finding, "half-open-full", Severity::Warning);
    assert_eq!(pid(finding), Some(63), "{finding:#?}");
}

/// nginx has forked, and the process that called listen() has ended.
#[test]
fn a_daemon_is_never_its_first_process() {
    let full = |id| Socket {
        accept: [512, 512],
        half_open: [0, 3, 511],
        id,
        ..Socket::default()
    };
    let mut fake = host();
    fake.listeners = vec![full(7).bytes()];
    fake.conns.borrow_mut().push(listening(7, 5));
    let workers = [(191, "nginx"), (192, "nginx"), (193, "nginx")];
    let sockets = vec![(5, 191), (5, 192), (5, 193)];
    let host = FakeHost::default().with(&workers, sockets).without(&[141]);
    let found = findings(&fake, host);
    let finding = only(&found);
    assert!(
        finding.summary.starts_with("191/nginx does"),
        "{finding:#?}"
    );
    assert_eq!((pid(finding), finding.subject.processes), (Some(191), 3));
    assert_eq!(finding.subject.opened_by.map(|o| o.pid), Some(141));
    let host = FakeHost::default().with(&[], vec![]).without(&[141]);
    let found = findings(&fake, host);
    let finding = only(&found);
    assert!(
        finding.summary.starts_with("an unknown process"),
        "{finding:#?}"
    );
    assert_eq!(finding.subject.opened_by.map(|o| o.pid), Some(141));
}

#[test]
fn an_orphan_belongs_to_nobody() {
    let fake = host();
    let orphan = |n| Conn {
        flags: ORPHAN,
        sndbuf_used: 9,
        ..Conn::begun(format!("10.0.0.1:{}", 40_000 + n), "10.0.0.9:80", 90).state(FIN_WAIT1)
    };
    add(&fake, (0..110).map(orphan));
    let host = FakeHost::default().with(&[(900, "curl")], vec![]);
    let found = findings(&fake, host);
    let finding = only(&found);
    is(finding, "fin-wait1", Severity::Warning);
    assert_eq!((pid(finding), finding.subject.processes), (None, 0));
    assert_eq!(finding.subject.opened_by.map(|o| o.pid), Some(900));
}

#[test]
fn past_connections_have_their_owner_marked_if_it_has_ended() {
    let fake = host();
    let closed = |n| {
        Conn::begun(format!("10.0.0.1:{}", 33_000 + n), "10.0.0.9:80", 20)
            .state(TIME_WAIT)
            .small()
    };
    add(&fake, (0..1_100).map(closed));
    for n in 0..60 {
        let conn = Conn::begun(format!("10.0.0.1:{}", 50_000 + n), "10.0.0.8:81", 0);
        fake.rings[0].write(&step(&conn, 500 * n, ESTABLISHED, CLOSE, 5));
    }
    for (host, gone) in [
        (FakeHost::default().without(&[900]), true),
        (FakeHost::default().with(&[(900, "curl")], vec![]), false),
        (FakeHost::default(), false),
    ] {
        let found = findings(&fake, host);
        for rule in ["time-wait", "resets"] {
            let finding = of_rule(&found, rule)[0];
            assert_eq!(pid(finding), Some(900), "{finding:#?}");
            assert_eq!(finding.subject.owner_gone, gone, "{finding:#?}");
        }
    }
}

/// A host that is not asked for processes.
struct Unasked(FakeHost);

impl Host for Unasked {
    fn names(&mut self, who: &Ident) -> ConnNames {
        self.0.names(who)
    }

    fn namespace(&mut self, inode: u32, pids: &[u32]) -> Namespace {
        self.0.namespace(inode, pids)
    }

    fn descriptors(&mut self, pid: u32) -> Option<Descriptors> {
        panic!("process {pid}")
    }

    fn open_by(&mut self, inode: u64) -> Open {
        panic!("socket {inode}")
    }

    fn sample(&mut self, _: &[Target], _: Duration) -> Vec<Carried> {
        panic!("packets")
    }
}

#[test]
fn processes_are_only_looked_for_where_they_are_named() {
    let fake = left(99);
    let call = |n: u64| Conn {
        ino: 9_000 + n,
        ..Conn::begun(format!("10.0.0.1:{}", 50_000 + n), "10.0.0.9:80", 1).state(SYN_SENT)
    };
    add(&fake, (0..10).map(call));
    let mut host = Unasked(FakeHost::default());
    let looked = diagnose::look(&fake, &Scope::default(), &mut host).unwrap();
    assert_eq!(looked.findings, []);
}

/// Answers from memory, after it has read the descriptors of all processes of this host, once.
struct Scanning(FakeHost, Option<OpenSockets>);

impl Host for Scanning {
    fn names(&mut self, who: &Ident) -> ConnNames {
        self.0.names(who)
    }

    fn namespace(&mut self, inode: u32, pids: &[u32]) -> Namespace {
        self.0.namespace(inode, pids)
    }

    fn descriptors(&mut self, pid: u32) -> Option<Descriptors> {
        self.0.descriptors(pid)
    }

    fn open_by(&mut self, inode: u64) -> Open {
        let scan = || OpenSockets::read(Path::new("/proc"), PATIENCE);
        self.1.get_or_insert_with(scan);
        self.0.open_by(inode)
    }

    fn process(&mut self, pid: u32) -> Found<Process> {
        self.0.process(pid)
    }

    fn sample(&mut self, _: &[Target], _: Duration) -> Vec<Carried> {
        Vec::new()
    }
}

/// Processes that are killed when this is dropped.
struct Sleepers(Vec<Child>);

impl Sleepers {
    /// Starts processes that have 50 descriptors each.
    fn start(count: u32) -> Self {
        let sockets: Vec<_> = (0..47).map(|_| UdpSocket::bind("127.0.0.1:0")).collect();
        for socket in sockets.iter().flatten() {
            fcntl(socket, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        }
        let start = |_| Command::new("sleep").arg("600").spawn().unwrap();
        Self((0..count).map(start).collect())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

/// CPU time of this process, which is the time that it takes on an idle host.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .unwrap()
        .into()
}

/// The highest memory of this process so far, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() / 1024
}

/// `cargo test --release --test diagnose -- --ignored --nocapture hundred_thousand`.
#[test]
#[ignore = "starts 2,000 processes"]
fn a_hundred_thousand_connections_of_two_thousand_processes_are_looked_at_in_time() {
    const PROCESSES: u32 = 2_000;
    let _sleepers = Sleepers::start(PROCESSES);
    let mut fake = left(100_000);
    fake.batch = 2_048;
    let names: Vec<_> = (0..PROCESSES).map(|n| (500 + n, "worker")).collect();
    let sockets = (0..100_000u32).map(|n| (1_000 + u64::from(n), 500 + n % PROCESSES));
    let host = FakeHost::default().with(&names, sockets.collect());
    let mut host = Scanning(host, None);
    let began = cpu_time();
    let looked = diagnose::look(&fake, &Scope::default(), &mut host).unwrap();
    let (took, peak) = (cpu_time() - began, peak());
    println!("{took:?}, {peak} MiB");
    assert!(host.1.is_some());
    assert_eq!(looked.findings[0].subject.processes, u64::from(PROCESSES));
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    assert!(peak < 200, "{peak} MiB");
}

/// A process opens the sockets of two others, or they are older than the activation.
#[test]
fn a_scanner_is_the_process_that_holds_the_calls() {
    let scanners = |pid, holders: [u32; 2]| {
        let call = |n: u64| Conn {
            ino: 1_000 + n,
            pid,
            ..Conn::begun(
                format!("10.0.0.1:{}", 40_000 + n),
                &format!("10.6.0.{}:22", 1 + n),
                9,
            )
            .state(SYN_SENT)
        };
        let fake = host();
        add(&fake, (0..120).map(call));
        let sockets = (0..120).map(|n| (1_000 + n, holders[usize::from(n >= 60)]));
        let processes = [(191, "worker"), (192, "worker"), (900, "curl")];
        let host = FakeHost::default().with(&processes, sockets.collect());
        let found = findings(&fake, host);
        let pids = of_rule(&found, "scanner").into_iter();
        pids.map(|f| f.subject.owner.map(|o| o.pid))
            .collect::<Vec<_>>()
    };
    for pid in [900, 0] {
        assert_eq!(scanners(pid, [191, 191]), [Some(191)], "{pid}");
        assert_eq!(scanners(pid, [191, 192]), [], "{pid}");
    }
}
