//! Sockets according to `/proc`: which processes have them open, and which of a namespace listen.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::fmt::text::text;
use crate::stderr;

/// How long the descriptors of all processes may take to read, and when a note is printed.
pub const PATIENCE: Duration = Duration::from_secs(10);
const NOTE: Duration = Duration::from_secs(2);
/// Processes that start while the others are read are read, too, so many times.
const ROUNDS: usize = 3;

/// Which processes have a socket open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open {
    /// These, in ascending order, at least one.
    By(Vec<u32>),
    /// None.
    Nobody,
    /// Not known: not all processes could be read.
    Unknown,
}

/// The sockets that processes have open.
#[derive(Debug, Clone, Default)]
pub struct OpenSockets {
    /// Inode numbers and processes, sorted.
    pairs: Vec<(u64, u32)>,
    /// Whether all processes were read.
    complete: bool,
}

impl OpenSockets {
    /// From pairs of an inode number and a process.
    pub fn new(mut pairs: Vec<(u64, u32)>, complete: bool) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        Self { pairs, complete }
    }

    /// Reads the descriptors of all processes under a mount of `/proc`, for at most `patience`.
    pub fn read(proc: &Path, patience: Duration) -> Self {
        let mut scan = Scan::new(proc, patience);
        let complete = scan.all();
        Self::new(scan.pairs, complete)
    }

    /// Forgets that all processes were read: others may be hidden.
    pub fn incomplete(self) -> Self {
        Self {
            complete: false,
            ..self
        }
    }

    /// The processes that have the socket with this inode number open.
    pub fn get(&self, inode: u64) -> Open {
        let start = self.pairs.partition_point(|(other, _)| *other < inode);
        let same = self.pairs[start..]
            .iter()
            .take_while(|pair| pair.0 == inode);
        let pids: Vec<_> = same.map(|(_, pid)| *pid).collect();
        match pids.is_empty() {
            false => Open::By(pids),
            true if self.complete => Open::Nobody,
            true => Open::Unknown,
        }
    }
}

/// A scan of the descriptors of processes.
struct Scan<'a> {
    proc: &'a Path,
    began: Instant,
    patience: Duration,
    noted: bool,
    complete: bool,
    pairs: Vec<(u64, u32)>,
}

impl<'a> Scan<'a> {
    fn new(proc: &'a Path, patience: Duration) -> Self {
        Self {
            proc,
            began: Instant::now(),
            patience,
            noted: false,
            complete: true,
            pairs: Vec::new(),
        }
    }

    /// Reads all processes; returns whether none is missing.
    fn all(&mut self) -> bool {
        let mut seen = HashSet::new();
        for _ in 0..ROUNDS {
            let Some(mut pids) = numbers(self.proc) else {
                return false;
            };
            pids.retain(|pid| seen.insert(*pid));
            for pid in &pids {
                self.process(*pid);
                if self.is_late() {
                    return false;
                }
            }
            if pids.is_empty() {
                break;
            }
        }
        self.complete
    }

    /// Whether no time is left; prints a note if it takes long.
    fn is_late(&mut self) -> bool {
        let elapsed = self.began.elapsed();
        if elapsed >= NOTE && !self.noted {
            self.noted = true;
            let most = self.patience.as_secs();
            stderr::note(&text!(
                "reading the descriptors of all processes, for at most {most} s",
                "读取所有进程的文件描述符，最多 {most} 秒"
            ));
        }
        elapsed >= self.patience
    }

    fn process(&mut self, pid: u32) {
        let dir = self.proc.join(pid.to_string());
        if self.table(pid, &dir.join("fd")) {
            return;
        }
        // The first thread may have ended before the others.
        let tasks = dir.join("task");
        for thread in numbers(&tasks).unwrap_or_default() {
            if thread != pid && self.table(pid, &tasks.join(thread.to_string()).join("fd")) {
                return;
            }
        }
    }

    /// Reads a table of descriptors; returns false if it is empty.
    fn table(&mut self, pid: u32, dir: &Path) -> bool {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            // The process has ended.
            Err(error) if error.kind() == ErrorKind::NotFound => return false,
            Err(_) => {
                self.complete = false;
                return true;
            }
        };
        let mut any = false;
        for entry in entries.flatten() {
            any = true;
            let link = fs::read_link(entry.path());
            if let Some(inode) = link.ok().and_then(|link| socket_of(&link)) {
                self.pairs.push((inode, pid));
            }
            if self.is_late() {
                break;
            }
        }
        any
    }
}

/// The entries of a directory that are numbers; `None`: it cannot be read.
fn numbers(dir: &Path) -> Option<Vec<u32>> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    Some(entries.filter_map(number).collect())
}

/// The inode number in the link of a descriptor of a socket.
fn socket_of(link: &Path) -> Option<u64> {
    let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
    inode.parse().ok()
}

/// A listening socket of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// Its address.
    pub addr: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its inode number, which identifies it in `/proc/PID/fd`.
    pub inode: u64,
}

/// The state LISTEN in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Reads the listeners of `/proc/net/tcp` or `tcp6`. Stops at the first other socket: listeners
/// come first, and a million connections may follow.
pub fn read(path: &Path) -> Vec<Listening> {
    let Ok(file) = File::open(path) else {
        return Vec::new();
    };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    lines.skip(1).map_while(|line| parse(&line)).collect()
}

/// Parses a line; `None` if it is not a listener.
fn parse(line: &str) -> Option<Listening> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (addr, port) = fields.get(1)?.split_once(':')?;
    if *fields.get(3)? != LISTEN {
        return None;
    }
    Some(Listening {
        addr: address(addr)?,
        port: u16::from_str_radix(port, 16).ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Parses an address that is printed as 32-bit words in host byte order; the bytes of each are in
/// network byte order.
fn address(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..hex.len()).step_by(8) {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const REST: &str = "00000000:00000000 00:00000000 00000000     0        0";

    #[test]
    fn listeners_are_read_up_to_the_first_connection() {
        let line = |addr: &str, state: &str, inode: u64| {
            format!("   0: {addr} 00000000:0000 {state} {REST} {inode} 1 0 100 0 0 10 0")
        };
        let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
        let v4 = line(&format!("{}:1F90", word([127, 0, 0, 1])), "0A", 77);
        let expected = Listening {
            addr: "127.0.0.1".parse().unwrap(),
            port: 8080,
            inode: 77,
        };
        assert_eq!(parse(&v4), Some(expected));
        let one = [[0; 4], [0; 4], [0; 4], [0, 0, 0, 1]].map(word).concat();
        let v6 = parse(&line(&format!("{one}:0050"), "0A", 5)).unwrap();
        assert_eq!((v6.addr, v6.port), ("::1".parse().unwrap(), 80));
        assert_eq!(parse(&line("0100007F:0050", "01", 5)), None);
        for broken in [
            "",
            "0: x",
            "0: 7F:0050 0 0A",
            "0: äöüäöü:0050 0 0A 1 2 3 4 5 6",
        ] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_processes_of_a_socket_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let listening = read(Path::new("/proc/thread-self/net/tcp"));
        let it = listening
            .iter()
            .find(|l| l.addr == at.ip() && l.port == at.port());
        let inode = it.unwrap().inode;
        let again = listener.try_clone().unwrap();
        let open = OpenSockets::read(Path::new("/proc"), PATIENCE);
        let this = Open::By(vec![std::process::id()]);
        assert_eq!(open.get(inode), this);
        drop((listener, again));
        let open = OpenSockets::read(Path::new("/proc"), PATIENCE);
        assert!([Open::Nobody, Open::Unknown].contains(&open.get(inode)));
    }

    #[test]
    fn what_was_not_read_is_unknown() {
        let pairs = vec![(9, 4), (7, 1), (9, 2), (9, 4), (u64::MAX, 3)];
        let open = OpenSockets::new(pairs, true);
        assert_eq!(open.get(9), Open::By(vec![2, 4]));
        assert_eq!(open.get(u64::MAX), Open::By(vec![3]));
        assert_eq!(
            [0, 8, 10].map(|inode| open.get(inode)),
            [const { Open::Nobody }; 3]
        );
        let open = open.incomplete();
        assert_eq!(
            (open.get(7), open.get(8)),
            (Open::By(vec![1]), Open::Unknown)
        );
        for late in [
            OpenSockets::default(),
            OpenSockets::read(Path::new("/proc"), Duration::ZERO),
            OpenSockets::read(Path::new("/nonexistent"), PATIENCE),
        ] {
            assert_eq!(late.get(u64::MAX), Open::Unknown);
        }
    }
}
