//! Settings and counters of a network namespace. They are read from inside of it, because
//! `/proc/sys/net` shows the namespace of the reader.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};

use nix::sched::{CloneFlags, setns};

use crate::host::sockets::{self, Listening};

/// Every setting that a remedy may name, with its `sysctl` name. Settings that a kernel or
/// namespace does not have are not named.
pub const SETTINGS: &[&str] = &[
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_orphan_retries",
    "net.ipv4.tcp_retries2",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_synack_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_tw_reuse",
];

/// The settings and counters of one network namespace.
#[derive(Debug, Clone, Default)]
pub struct Namespace {
    /// Settings by name, as `sysctl -n` prints them, with a space instead of each tab.
    pub settings: HashMap<&'static str, String>,
    /// Counters by `nstat` name, such as `TcpExtListenDrops`.
    pub counters: HashMap<String, u64>,
    /// Its listening sockets.
    pub listening: Vec<Listening>,
    /// Why it could not be entered. In that case only the settings that the kernel has are known:
    /// they are keys of `settings` with empty values.
    pub closed: Option<String>,
}

impl Namespace {
    /// The value of a setting.
    pub fn setting(&self, name: &str) -> Option<&str> {
        let value = self.settings.get(name).map(String::as_str);
        value.filter(|v| !v.is_empty())
    }

    /// The value of a numeric setting.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.setting(name)?.parse().ok()
    }

    /// A counter of `/proc/net/netstat` or `/proc/net/snmp`.
    pub fn counter(&self, name: &str) -> Option<u64> {
        self.counters.get(name).copied()
    }

    /// The local ports from which `connect()` may choose: the range `ip_local_port_range`, and how
    /// many ports in it are not reserved.
    pub fn local_ports(&self) -> Option<LocalPorts> {
        let mut bounds = self
            .setting("net.ipv4.ip_local_port_range")?
            .split_whitespace()
            .map(str::parse);
        let (low, high): (u16, u16) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
        let reserved = self.setting("net.ipv4.ip_local_reserved_ports");
        let reserved = port_list(reserved.unwrap_or_default());
        let within = |(first, last): &(u16, u16)| {
            let (first, last) = ((*first).max(low), (*last).min(high));
            (u64::from(last) + 1).saturating_sub(first.into())
        };
        let all = (u64::from(high) + 1).saturating_sub(low.into());
        Some(LocalPorts {
            low,
            high,
            count: all.saturating_sub(reserved.iter().map(within).sum()),
        })
    }
}

/// The ports from which `connect()` chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalPorts {
    /// The first port.
    pub low: u16,
    /// The last port.
    pub high: u16,
    /// Number of ports that are not reserved.
    pub count: u64,
}

/// Parses `8080,9000-9010`, which the kernel prints sorted and without overlaps.
fn port_list(text: &str) -> Vec<(u16, u16)> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    text.split(',').filter_map(range).collect()
}

/// Finds namespaces by their inode numbers.
pub struct Namespaces {
    proc: PathBuf,
    named: PathBuf,
    /// Namespaces of all processes, once the processes have been searched.
    running: Option<HashMap<u64, PathBuf>>,
}

impl Default for Namespaces {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            named: "/run/netns".into(),
            running: None,
        }
    }
}

impl Namespaces {
    /// Reads the namespace with this inode number; `pids` are processes that are likely in it.
    pub fn read(&mut self, inode: u32, pids: &[u32]) -> Namespace {
        if self.is_here(inode) {
            return read_here(&self.proc);
        }
        let read = match self.find(inode.into(), pids) {
            Some(path) => read_inside(&path, inode, &self.proc),
            None => Err("no process and no name under /run/netns leads to it".into()),
        };
        read.unwrap_or_else(|reason| {
            // This namespace shows which settings the kernel has.
            let mut settings = read_here(&self.proc).settings;
            settings.values_mut().for_each(String::clear);
            Namespace {
                settings,
                closed: Some(reason),
                ..Namespace::default()
            }
        })
    }

    /// Whether this is the namespace of the caller.
    pub fn is_here(&self, inode: u32) -> bool {
        inode_of(&self.here()) == Some(inode.into())
    }

    fn here(&self) -> PathBuf {
        self.proc.join("thread-self/ns/net")
    }

    /// A path for each namespace that a process or a name leads to, except that of the caller;
    /// `None`: there are more than `most`.
    pub fn others(&mut self, most: usize) -> Option<Vec<(u32, PathBuf)>> {
        let running = self.running.get_or_insert_with(|| of_processes(&self.proc));
        let mut all = running.clone();
        for entry in fs::read_dir(&self.named).into_iter().flatten().flatten() {
            if let Some(inode) = inode_of(&entry.path()) {
                all.entry(inode).or_insert_with(|| entry.path());
            }
        }
        inode_of(&self.here()).map(|here| all.remove(&here));
        let of_this_kind = |(inode, path)| Some((u32::try_from(inode).ok()?, path));
        (all.len() <= most).then(|| all.into_iter().filter_map(of_this_kind).collect())
    }

    /// A path that leads to a namespace.
    pub fn find(&mut self, inode: u64, pids: &[u32]) -> Option<PathBuf> {
        let of_pid = |pid: &u32| self.proc.join(pid.to_string()).join("ns/net");
        let likely = pids.iter().map(of_pid);
        let named = fs::read_dir(&self.named).into_iter().flatten().flatten();
        let mut known = likely.chain(named.map(|entry| entry.path()));
        if let Some(path) = known.find(|path| inode_of(path) == Some(inode)) {
            return Some(path);
        }
        let running = self.running.get_or_insert_with(|| of_processes(&self.proc));
        running.get(&inode).cloned()
    }
}

/// One path for each namespace of a process.
fn of_processes(proc: &Path) -> HashMap<u64, PathBuf> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let number = |name: &OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let processes = entries.filter(|e| number(&e.file_name()));
    let mut found = HashMap::new();
    for path in processes.map(|e| e.path().join("ns/net")) {
        if let Some(inode) = inode_of(&path) {
            found.entry(inode).or_insert(path);
        }
    }
    found
}

/// The inode number of the object at a path.
pub fn inode_of(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|data| data.ino())
}

/// Runs `work` in a new thread inside of the namespace: this process stays in its own.
///
/// # Errors
/// Why it cannot be entered.
pub fn inside<T: Send>(
    path: &Path,
    inode: u32,
    work: impl FnOnce() -> T + Send,
) -> Result<T, String> {
    let enter = || {
        let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
        // The process may have ended, and its number may have been reused.
        if file.metadata().ok().map(|data| data.ino()) != Some(inode.into()) {
            return Err(format!("{} leads elsewhere by now", path.display()));
        }
        setns(file, CloneFlags::CLONE_NEWNET).map_err(|e| format!("entering it: {}", e.desc()))?;
        Ok(work())
    };
    let failed = |reason: &str| Err(format!("a thread for it {reason}"));
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, enter);
        match thread.map(ScopedJoinHandle::join) {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => failed("panicked"),
            Err(error) => failed(&error.to_string()),
        }
    })
}

fn read_inside(path: &Path, inode: u32, proc: &Path) -> Result<Namespace, String> {
    inside(path, inode, || read_here(proc))
}

/// Reads the namespace of the calling thread.
fn read_here(proc: &Path) -> Namespace {
    let setting = |name: &&'static str| {
        let path = proc.join("sys").join(name.replace('.', "/"));
        let text = fs::read_to_string(path).ok()?;
        let words: Vec<_> = text.split_whitespace().collect();
        Some((*name, words.join(" ")))
    };
    let net = proc.join("thread-self/net");
    let counters = |name| fs::read_to_string(net.join(name));
    let counters = ["netstat", "snmp"].map(|name| counters(name).unwrap_or_default());
    Namespace {
        settings: SETTINGS.iter().filter_map(setting).collect(),
        counters: counters
            .iter()
            .flat_map(|text| parse_counters(text))
            .collect(),
        listening: ["tcp", "tcp6"]
            .iter()
            .flat_map(|name| sockets::read(&net.join(name)))
            .collect(),
        closed: None,
    }
}

/// Parses pairs of lines: the first has the names, the second the numbers.
fn parse_counters(text: &str) -> Vec<(String, u64)> {
    let mut lines = text.lines();
    let mut counters = Vec::new();
    while let (Some(names), Some(numbers)) = (lines.next(), lines.next()) {
        let (mut names, mut numbers) = (names.split(' '), numbers.split(' '));
        let Some(prefix) = names.next().filter(|p| numbers.next() == Some(p)) else {
            break;
        };
        let prefix = prefix.trim_end_matches(':');
        let pair =
            |(name, number): (&str, &str)| Some((format!("{prefix}{name}"), number.parse().ok()?));
        counters.extend(names.zip(numbers).filter_map(pair));
    }
    counters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(settings: &[(&'static str, &str)]) -> Namespace {
        Namespace {
            settings: settings
                .iter()
                .map(|(n, v)| (*n, (*v).to_owned()))
                .collect(),
            ..Namespace::default()
        }
    }

    #[test]
    fn counters_are_read_by_their_names() {
        let text = "TcpExt: SyncookiesSent ListenDrops\nTcpExt: 3 18446744073709551615\n\
                    Tcp: MaxConn OutRsts\nTcp: -1 7\nIpExt: InOctets\nTcpExt: 1\n";
        let counters = parse_counters(text);
        let expected = [
            ("TcpExtSyncookiesSent", 3),
            ("TcpExtListenDrops", u64::MAX),
            ("TcpOutRsts", 7),
        ];
        assert_eq!(counters, expected.map(|(n, v)| (n.to_owned(), v)));
        assert!(parse_counters("").is_empty() && parse_counters("Tcp: A").is_empty());
    }

    #[test]
    fn reserved_ports_are_not_for_connect() {
        let range = ("net.ipv4.ip_local_port_range", "32768 60999");
        let reserved = "net.ipv4.ip_local_reserved_ports";
        let count = |settings: &[_]| with(settings).local_ports().map(|p| p.count);
        assert_eq!(count(&[range]), Some(28232));
        assert_eq!(count(&[range, (reserved, "")]), Some(28232));
        assert_eq!(
            count(&[range, (reserved, "80,40000,50000-50009,60990-61005")]),
            Some(28232 - 1 - 10 - 10)
        );
        assert_eq!(
            count(&[("net.ipv4.ip_local_port_range", "1000 1000")]),
            Some(1)
        );
        assert_eq!(count(&[("net.ipv4.ip_local_port_range", "9 1")]), Some(0));
        assert_eq!(count(&[]), None);
    }

    #[test]
    fn this_namespace_is_read_without_entering_it() {
        let here = inode_of(Path::new("/proc/thread-self/ns/net")).unwrap();
        let inode = u32::try_from(here).unwrap();
        let namespace = Namespaces::default().read(inode, &[]);
        assert_eq!(namespace.closed, None);
        assert!(namespace.number("net.ipv4.tcp_syn_retries").is_some());
        assert!(namespace.counter("TcpOutRsts").is_some());
    }

    #[test]
    fn a_namespace_that_nothing_leads_to_is_said_to_be_closed() {
        let namespace = Namespaces::default().read(1, &[std::process::id()]);
        assert!(namespace.closed.is_some());
        assert_eq!(namespace.setting("net.ipv4.tcp_syn_retries"), None);
        assert!(namespace.settings.contains_key("net.ipv4.tcp_syn_retries"));
        assert!(namespace.counters.is_empty());
    }

    #[test]
    fn settings_are_named_once_and_never_the_one_that_is_gone() {
        assert!(SETTINGS.windows(2).all(|w| w[0] < w[1]));
        assert!(!SETTINGS.contains(&"net.ipv4.tcp_tw_recycle"));
    }
}
