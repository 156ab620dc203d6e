//! Tools that are used today, as packaged by Debian: each is started, left alone until it is idle,
//! measured, and stopped.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{connections, mount_debugfs};
use crate::recording::{Events, Made, Recorder};

/// A program that records.
pub struct Peer {
    pub name: &'static str,
    command: &'static str,
    /// Commands before and after it.
    prepare: &'static str,
    undo: &'static str,
    /// It is stopped during the connections: what remains is the cost of its programs in the
    /// kernel.
    stopped: bool,
    count: Count,
}

/// How its events are counted.
enum Count {
    /// One event per line with this word; one is expected for each event of the kernel.
    Lines(&'static str),
    /// The number behind this word; the same is expected.
    Number(&'static str),
    /// One event per line with this word, for events of its own.
    OwnLines(&'static str),
}

const PLAIN: Peer = Peer {
    name: "",
    command: "",
    prepare: "",
    undo: "",
    stopped: false,
    count: Count::Lines("127.0.0.1"),
};

/// In the order in which they are measured.
pub const IN_TURN: [Peer; 4] = [
    Peer {
        name: "bpftrace",
        command: "bpftrace -e 'tracepoint:sock:inet_sock_set_state { @events = count(); }'",
        count: Count::Number("@events:"),
        ..PLAIN
    },
    Peer {
        name: "libbpf_stopped",
        command: "/usr/sbin/tcpstates",
        stopped: true,
        ..PLAIN
    },
    Peer {
        name: "libbpf",
        command: "/usr/sbin/tcpstates",
        ..PLAIN
    },
    Peer {
        name: "bcc",
        command: "tcpstates-bpfcc",
        ..PLAIN
    },
];

/// The last one: its module changes the path of every packet.
pub const CONNTRACK: Peer = Peer {
    name: "conntrack",
    // Without the ends of connections: they come minutes later.
    command: "conntrack -E -p tcp -e NEW,UPDATES",
    prepare: "modprobe nf_conntrack && nft add table inet bench && \
        nft 'add chain inet bench in { type filter hook input priority 0; }' && \
        nft add rule inet bench in ct state new,established accept",
    undo: "nft delete table inet bench",
    count: Count::OwnLines("127.0.0.1"),
    ..PLAIN
};

const OUTPUT: &str = "/dev/shm/peer.out";
const ERRORS: &str = "/dev/shm/peer.err";

/// It loads compilers and programs first, in a slow machine.
const PATIENCE: Duration = Duration::from_secs(1200);
/// It has settled once it was idle for this time.
const QUIET: Duration = Duration::from_secs(3);

pub struct Running {
    peer: &'static Peer,
    child: Child,
    /// The number of events for connections that were made one at a time.
    slow: Option<Slow>,
}

/// Connections that were made one at a time, and the number of their events.
struct Slow {
    connections: u64,
    events: u64,
}

fn shell(script: &str) {
    if script.is_empty() {
        return;
    }
    let status = Command::new("sh").args(["-c", script]).status();
    assert!(status.is_ok_and(|s| s.success()), "{script}");
}

pub fn start(peer: &'static Peer) -> Running {
    mount_debugfs();
    shell(peer.prepare);
    let file = |path| File::create(path).expect("a file in memory");
    let child = Command::new("sh")
        .args(["-c", &format!("exec {}", peer.command)])
        .stdin(Stdio::null())
        .stdout(file(OUTPUT))
        .stderr(file(ERRORS))
        .spawn();
    let mut running = Running {
        peer,
        child: child.expect("sh(1)"),
        slow: None,
    };
    running.settle();
    running
}

impl Running {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// CPU time of all its threads in nanoseconds, which are instructions here.
    fn spent(&mut self) -> u64 {
        let ended = self.child.try_wait().expect("a child");
        let errors = || fs::read_to_string(ERRORS).unwrap_or_default();
        assert!(
            ended.is_none(),
            "{}: {ended:?}: {}",
            self.peer.name,
            errors()
        );
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("its threads");
        let of = |task: std::io::Result<fs::DirEntry>| {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        tasks.filter_map(of).sum()
    }

    /// Waits until it is idle.
    fn settle(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let mut last = self.spent();
        loop {
            thread::sleep(QUIET);
            let now = self.spent();
            // A program that only polls from time to time has settled, too.
            if now - last < 2_000_000 {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{} does not settle",
                self.peer.name
            );
            last = now;
        }
    }

    fn counted(&self) -> u64 {
        let text = fs::read(OUTPUT).expect("its output");
        let text = String::from_utf8_lossy(&text);
        match self.peer.count {
            Count::Lines(word) | Count::OwnLines(word) => {
                text.lines().filter(|l| l.contains(word)).count() as u64
            }
            Count::Number(word) => {
                let number = text.lines().find_map(|l| l.strip_prefix(word));
                number.map_or(0, |n| n.trim().parse().expect("a number"))
            }
        }
    }

    /// Number of its own events for connections that are made slowly.
    fn slowly(&mut self) -> Slow {
        const SLOW: u64 = 10;
        let before = self.counted();
        for _ in 0..SLOW {
            connections(1);
            thread::sleep(Duration::from_secs(1));
        }
        self.settle();
        Slow {
            connections: SLOW,
            events: self.counted() - before,
        }
    }

    fn end_process(&mut self) {
        // Only this signal makes them flush their output buffers.
        kill(self.pid(), Signal::SIGINT).expect("a child");
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.child.try_wait().expect("a child").is_none() {
            if Instant::now() > deadline {
                kill(self.pid(), Signal::SIGTERM).expect("a child");
            }
            thread::sleep(Duration::from_secs(1));
        }
    }
}

impl Recorder for Running {
    fn catch_up(&mut self) -> f64 {
        if self.peer.stopped {
            return 0.0;
        }
        let before = self.spent();
        self.settle();
        (self.spent() - before) as f64
    }

    fn round(&mut self, begins: bool) {
        if begins && self.slow.is_none() && matches!(self.peer.count, Count::OwnLines(_)) {
            self.slow = Some(self.slowly());
        }
        if self.peer.stopped && begins {
            kill(self.pid(), Signal::SIGSTOP).expect("a child");
        }
    }

    fn end(mut self: Box<Self>, made: Made) -> Option<Events> {
        if self.peer.stopped {
            kill(self.pid(), Signal::SIGCONT).expect("a child");
            self.settle();
        }
        self.end_process();
        shell(self.peer.undo);
        let recorded = self.counted();
        assert!(recorded > 0, "{}: nothing was recorded", self.peer.name);
        let wanted = match self.slow {
            Some(slow) => (made.connections + slow.connections) * slow.events / slow.connections,
            None => made.changes,
        };
        Some(Events {
            recorded,
            lost: wanted.saturating_sub(recorded),
        })
    }
}
