//! Processes, by their numbers: whether they exist, since when, and their names, users and cgroups.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::geteuid;
use rustc_hash::FxHashMap;

use crate::host::names::{cgroup_id, cgroup_root, uptime};
use crate::host::netns::inode_of;
use crate::model::ident::Owner;

/// How long the event path relies on what it has read about a process.
const REFRESH: Duration = Duration::from_secs(1);
/// Inode number of the initial PID namespace: `PROC_PID_INIT_INO` of the kernel.
const INITIAL: u64 = 0xefff_fffc;

/// Clock ticks in a second, in files under `/proc`.
const USER_HZ: u64 = 100;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number and current name.
    pub owner: Owner,
    /// Its effective user.
    pub uid: Option<u32>,
    /// Id of its cgroup.
    pub cgroup: Option<u64>,
    /// Monotonic nanoseconds: it did not start before.
    pub started_ns: u64,
}

/// What is known about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<T> {
    /// It exists.
    Alive(T),
    /// It does not exist.
    Gone,
    /// It is not visible.
    Unknown,
}

impl Found<Process> {
    /// When it started at the earliest, in monotonic nanoseconds.
    pub fn started(self) -> Found<u64> {
        self.map(|process| process.started_ns)
    }
}

impl<T> Found<T> {
    /// The same with another value.
    fn map<U>(self, of: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Self::Alive(process) => Found::Alive(of(process)),
            Self::Gone => Found::Gone,
            Self::Unknown => Found::Unknown,
        }
    }

    /// The process, if it exists.
    pub fn alive(self) -> Option<T> {
        match self {
            Self::Alive(process) => Some(process),
            Self::Gone | Self::Unknown => None,
        }
    }
}

/// The processes of this host. Each is read once.
pub struct Processes {
    proc: Proc,
    /// The mount point of cgroup2, once it was looked for.
    cgroup_root: Option<Option<PathBuf>>,
    known: FxHashMap<u32, Found<Process>>,
}

impl Processes {
    /// The processes under a mount of `/proc`.
    pub fn new(proc: Proc) -> Self {
        Self {
            proc,
            cgroup_root: None,
            known: FxHashMap::default(),
        }
    }

    /// A process.
    pub fn get(&mut self, pid: u32) -> Found<Process> {
        let root = self.cgroup_root.get_or_insert_with(cgroup_root).as_deref();
        let read = || self.proc.process(pid, root);
        *self.known.entry(pid).or_insert_with(read)
    }
}

/// A mount of `/proc`, and what it shows.
#[derive(Debug, Clone)]
pub struct Proc {
    path: PathBuf,
    /// Whether the numbers are those of the module.
    pub is_initial: bool,
    /// Whether it shows every process, and may read all of them.
    pub shows_all: bool,
}

impl Proc {
    /// That of this host.
    pub fn of_host() -> Self {
        let path = PathBuf::from("/proc");
        let is_initial = inode_of(&path.join("self/ns/pid")) == Some(INITIAL);
        Self {
            is_initial,
            shows_all: is_initial && geteuid().is_root(),
            path,
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a process; `root` is the mount point of cgroup2.
    fn process(&self, pid: u32, root: Option<&Path>) -> Found<Process> {
        let (comm, started_ns) = match self.stat(pid) {
            Found::Alive(stat) => stat,
            Found::Gone => return Found::Gone,
            Found::Unknown => return Found::Unknown,
        };
        let dir = self.path.join(pid.to_string());
        // The name in it may contain any bytes.
        let text = |name| fs::read(dir.join(name)).unwrap_or_default();
        let [status, cgroups] = ["status", "cgroup"].map(text);
        Found::Alive(Process {
            owner: Owner { pid, comm },
            uid: effective_uid(&String::from_utf8_lossy(&status)),
            cgroup: root.and_then(|root| cgroup_id(root, &String::from_utf8_lossy(&cgroups))),
            started_ns,
        })
    }

    /// The name of a process, and when it started at the earliest.
    fn stat(&self, pid: u32) -> Found<([u8; 16], u64)> {
        if !self.is_initial {
            return Found::Unknown;
        }
        match fs::read(self.path.join(pid.to_string()).join("stat")) {
            Ok(stat) => parse_stat(&stat),
            // Reading fails with ESRCH if it has ended since it was opened.
            Err(error) if self.shows_all && has_ended(&error) => Found::Gone,
            Err(_) => Found::Unknown,
        }
    }
}

fn has_ended(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32)
}

/// The name and the start in the text of `/proc/PID/stat`.
fn parse_stat(stat: &[u8]) -> Found<([u8; 16], u64)> {
    match Stat::parse(stat) {
        Some(stat) if stat.is_dead => Found::Gone,
        Some(stat) => Found::Alive((comm(stat.name), monotonic(stat.started_ticks))),
        None => Found::Unknown,
    }
}

/// Fields of `/proc/PID/stat`.
struct Stat<'a> {
    name: &'a [u8],
    /// All its threads have ended, and its parent has not noticed that.
    is_dead: bool,
    started_ticks: u64,
}

impl<'a> Stat<'a> {
    /// The name may contain any characters.
    fn parse(stat: &'a [u8]) -> Option<Self> {
        let open = stat.iter().position(|b| *b == b'(')?;
        let close = stat.iter().rposition(|b| *b == b')')?;
        let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
        // The fields after the name start with the third.
        let fields: Vec<_> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let has_ended = matches!(field(3)?, "Z" | "X");
        Some(Self {
            name: stat.get(open + 1..close)?,
            is_dead: has_ended && field(20)?.parse::<u64>().ok()? <= 1,
            started_ticks: field(22)?.parse().ok()?,
        })
    }
}

/// A name as the kernel keeps it: the last byte is always 0.
fn comm(name: &[u8]) -> [u8; 16] {
    let mut comm = [0; 16];
    for (to, from) in comm.iter_mut().take(15).zip(name) {
        *to = *from;
    }
    comm
}

/// Clock ticks since boot in monotonic nanoseconds, rounded down. The monotonic clock stops while
/// the host is suspended.
fn monotonic(ticks: u64) -> u64 {
    let since_boot = ticks.saturating_mul(1_000_000_000 / USER_HZ);
    let now = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    let suspended = now(ClockId::CLOCK_BOOTTIME).saturating_sub(now(ClockId::CLOCK_MONOTONIC));
    let suspended = u64::try_from(suspended.as_nanos()).unwrap_or(u64::MAX);
    since_boot.saturating_sub(suspended)
}

/// The effective user in the text of `/proc/PID/status`.
fn effective_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|l| l.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Finds out since when a process exists.
pub type Read = Box<dyn FnMut(u32) -> Found<u64>>;

/// Whether owners of recorded events still exist. A process is looked at once in a second, and the
/// process of the last event is kept apart: there are millions of events.
#[derive(Default)]
pub struct Living {
    /// `None`: nothing is known about processes.
    read: Option<Read>,
    known: FxHashMap<u32, Found<u64>>,
    read_at: Duration,
    last: Option<(u32, Found<u64>)>,
}

impl Living {
    /// Uses `read` to look at a process.
    pub fn new(read: Read) -> Self {
        Self {
            read: Some(read),
            ..Self::default()
        }
    }

    /// The processes of this host.
    pub fn of_host() -> Self {
        let proc = Proc::of_host();
        Self::new(Box::new(move |pid| proc.stat(pid).map(|stat| stat.1)))
    }

    /// Whether the process that was the owner at `ts` (monotonic nanoseconds) certainly does not
    /// exist any more. Its number may belong to a younger process.
    #[inline]
    pub fn has_ended(&mut self, owner: Option<Owner>, ts: u64) -> bool {
        let Some(owner) = owner.filter(|_| self.read.is_some()) else {
            return false;
        };
        match self.get(owner.pid) {
            Found::Alive(started_ns) => started_ns > ts,
            Found::Gone => true,
            Found::Unknown => false,
        }
    }

    #[inline]
    fn get(&mut self, pid: u32) -> Found<u64> {
        let now = uptime();
        if now.saturating_sub(self.read_at) >= REFRESH {
            self.known.clear();
            self.last = None;
            self.read_at = now;
        }
        match self.last {
            Some((last, found)) if last == pid => found,
            _ => self.look_up(pid),
        }
    }

    fn look_up(&mut self, pid: u32) -> Found<u64> {
        let Some(read) = &mut self.read else {
            return Found::Unknown;
        };
        let found = *self.known.entry(pid).or_insert_with(|| read(pid));
        self.last = Some((pid, found));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Proc {
        Proc {
            path: "/proc".into(),
            is_initial: true,
            shows_all: true,
        }
    }

    fn stat(name: &str, state: &str, threads: u32) -> String {
        let fields = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        format!("77 ({name}) {state} {fields} {threads} 0 400 20")
    }

    #[test]
    fn names_may_contain_anything() {
        for name in ["sleep", "a) S (b", "", "sixteen bytes ..", "\u{1b}[31m"] {
            let found = parse_stat(stat(name, "S", 1).as_bytes());
            let (comm, started) = found.alive().unwrap();
            let owner = Owner { pid: 77, comm };
            assert_eq!(owner.comm_bytes(), &name.as_bytes()[..name.len().min(15)]);
            assert!(started <= 4_000_000_000, "{started}");
        }
        for broken in ["", "77 (x", "77 (x) S 1", "77 x) S"] {
            assert_eq!(parse_stat(broken.as_bytes()), Found::Unknown, "{broken}");
        }
    }

    #[test]
    fn a_process_that_is_not_reaped_has_ended() {
        let is_gone =
            |state, threads| parse_stat(stat("a", state, threads).as_bytes()) == Found::Gone;
        assert!(is_gone("Z", 1) && is_gone("X", 0));
        // Its first thread has ended before the others.
        assert!(!is_gone("Z", 2) && !is_gone("S", 1));
    }

    #[test]
    fn this_process_exists_and_others_do_not() {
        let mut processes = Processes::new(own());
        let this = processes.get(std::process::id()).alive().unwrap();
        let name = fs::read("/proc/self/comm").unwrap();
        let name = name.strip_suffix(b"\n").unwrap();
        assert_eq!(this.owner.comm_bytes(), name);
        assert_eq!(this.uid, Some(geteuid().as_raw()));
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
        assert!(u128::from(this.started_ns) < Duration::from(now).as_nanos());
        assert_eq!(processes.get(u32::MAX), Found::Gone);
        let foreign = Proc {
            is_initial: false,
            ..own()
        };
        let mut foreign = Processes::new(foreign);
        assert_eq!(foreign.get(std::process::id()), Found::Unknown);
        let hidden = Proc {
            shows_all: false,
            ..own()
        };
        assert_eq!(Processes::new(hidden).get(u32::MAX), Found::Unknown);
    }

    #[test]
    fn a_younger_process_of_the_same_number_is_another_one() {
        let owner = |pid| Some(Owner { pid, comm: [0; 16] });
        let read = |pid| match pid {
            1 => Found::Alive(500),
            2 => Found::Gone,
            _ => Found::Unknown,
        };
        let mut living = Living::new(Box::new(read));
        let ended = [(1, 400), (1, 500), (2, 900), (3, 900)];
        let ended = ended.map(|(pid, ts)| living.has_ended(owner(pid), ts));
        assert_eq!(ended, [true, false, true, false]);
        assert!(!living.has_ended(None, 0) && !Living::default().has_ended(owner(2), 0));
    }

    #[test]
    fn a_process_is_looked_at_once_in_a_second() {
        let count = std::rc::Rc::new(std::cell::Cell::new(0));
        let counted = count.clone();
        let mut living = Living::new(Box::new(move |_| {
            counted.set(counted.get() + 1);
            Found::Gone
        }));
        for pid in [1, 1, 2, 1, 2] {
            living.has_ended(Some(Owner { pid, comm: [0; 16] }), 0);
        }
        assert_eq!(count.get(), 2);
    }
}
