//! Settings and counters of a network namespace. They are read from inside of it, because
//! `/proc/sys/net` shows the namespace of the reader.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};

use nix::sched::{CloneFlags, setns};

use crate::fmt::errno;
use crate::fmt::text::{Text, Words, text, words};
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
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_mtu_probing",
    "net.ipv4.tcp_orphan_retries",
    "net.ipv4.tcp_retries2",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_synack_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.netfilter.nf_conntrack_max",
];

/// Those of them that hold for the whole host. Only the first namespace shows them.
pub const HOST_WIDE: [&str; 2] = ["net.ipv4.tcp_max_orphans", "net.ipv4.tcp_mem"];

/// Numbers of `/proc/net/sockstat` among the counters: connections in TIME_WAIT of the namespace;
/// orphans, and pages of memory that TCP uses, of the whole host.
pub const SOCKSTAT: [&str; 3] = ["sockstat.TCP.tw", "sockstat.TCP.orphan", "sockstat.TCP.mem"];

/// Connections that the namespace tracks, among the counters: absent unless `nf_conntrack` is
/// loaded.
pub const TRACKED: &str = "nf_conntrack_count";

/// The setting that limits [`TRACKED`].
pub const TRACKED_MAX: &str = "net.netfilter.nf_conntrack_max";

/// The settings and counters of one network namespace.
#[derive(Debug, Clone, Default)]
pub struct Namespace {
    /// Settings by name, as `sysctl -n` prints them, with a space instead of each tab.
    pub settings: HashMap<&'static str, String>,
    /// Counters by `nstat` name, such as `TcpExtListenDrops`; [`SOCKSTAT`]; and those of
    /// connection tracking, such as [`TRACKED`].
    pub counters: HashMap<String, u64>,
    /// Its listening sockets.
    pub listening: Vec<Listening>,
    /// Why it could not be entered. In that case only the settings that the kernel has are known:
    /// they are keys of `settings` with empty values.
    pub closed: Option<Text>,
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

    /// The last number of a setting that has several.
    pub fn last_number(&self, name: &str) -> Option<u64> {
        self.setting(name)?.split_whitespace().last()?.parse().ok()
    }

    /// A counter by its name.
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

impl LocalPorts {
    /// Whether the port is between the first and the last one.
    pub fn has(&self, port: u16) -> bool {
        (self.low..=self.high).contains(&port)
    }
}

/// Parses `8080,9000-9010`, which the kernel prints sorted and without overlaps.
fn port_list(text: &str) -> Vec<(u16, u16)> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    text.split(',').filter_map(range).collect()
}

/// Why a namespace cannot be read.
pub(in crate::host) const NO_PATH: Words = words!(
    "no process and no name under /run/netns leads to it",
    "没有进程或 `/run/netns` 下的名称对应它"
);

/// Finds namespaces by their inode numbers.
pub struct Namespaces {
    proc: PathBuf,
    named: PathBuf,
    /// Namespaces of all processes, once the processes have been searched.
    running: Option<HashMap<u64, PathBuf>>,
    /// Settings of the whole host, once one was asked for.
    host_wide: Option<Vec<(&'static str, String)>>,
}

impl Default for Namespaces {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            named: "/run/netns".into(),
            running: None,
            host_wide: None,
        }
    }
}

impl Namespaces {
    /// Reads the namespace with this inode number; `pids` are processes that are likely in it.
    pub fn read(&mut self, inode: u32, pids: &[u32]) -> Namespace {
        if self.is_here(inode) {
            let mut namespace = read_here(&self.proc);
            self.add_host_wide(&mut namespace);
            return namespace;
        }
        let read = match self.find(inode.into(), pids) {
            Some(path) => read_inside(&path, inode, &self.proc),
            None => Err(NO_PATH.into()),
        };
        match read {
            Ok(mut namespace) => {
                self.add_host_wide(&mut namespace);
                namespace
            }
            Err(reason) => {
                // This namespace shows which settings the kernel has.
                let mut settings = read_here(&self.proc).settings;
                settings.values_mut().for_each(String::clear);
                Namespace {
                    settings,
                    closed: Some(reason),
                    ..Namespace::default()
                }
            }
        }
    }

    /// Adds the settings of the whole host that the namespace does not show.
    fn add_host_wide(&mut self, namespace: &mut Namespace) {
        let known = self
            .host_wide
            .get_or_insert_with(|| read_host_wide(&self.proc));
        for (name, value) in known.iter() {
            let known = namespace.settings.entry(*name);
            known.or_insert_with(|| value.clone());
        }
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
) -> Result<T, Text> {
    let enter = || {
        let name = path.display();
        let file = File::open(path).map_err(|e| {
            let reason = errno::of(&e);
            text!("{name}: {reason}", "打开 {name} 失败：{reason}"; reason)
        })?;
        // The process may have ended, and its number may have been reused.
        if file.metadata().ok().map(|data| data.ino()) != Some(inode.into()) {
            return Err(text!(
                "{name} leads elsewhere by now",
                "{name} 现在指向别处"
            ));
        }
        setns(file, CloneFlags::CLONE_NEWNET).map_err(|e| {
            let reason = errno::description(e);
            text!("entering it: {reason}", "无法进入：{reason}"; reason)
        })?;
        Ok(work())
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, enter);
        match thread.map(ScopedJoinHandle::join) {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(words!("a thread for it panicked", "为它创建的线程崩溃").into()),
            Err(error) => {
                let reason = errno::of(&error);
                Err(text!("a thread for it {reason}", "无法为它创建线程：{reason}"; reason))
            }
        }
    })
}

fn read_inside(path: &Path, inode: u32, proc: &Path) -> Result<Namespace, Text> {
    inside(path, inode, || read_here(proc))
}

/// Reads the settings of the whole host: here, or in the namespace of process 1.
fn read_host_wide(proc: &Path) -> Vec<(&'static str, String)> {
    let read = || {
        let known = HOST_WIDE.into_iter();
        let known = known.filter_map(|name| Some((name, setting(proc, name)?)));
        known.collect::<Vec<_>>()
    };
    let here = read();
    if !here.is_empty() {
        return here;
    }
    let first = proc.join("1/ns/net");
    let inode = inode_of(&first).and_then(|inode| u32::try_from(inode).ok());
    let read = inode.and_then(|inode| inside(&first, inode, read).ok());
    read.unwrap_or_default()
}

/// Reads the namespace of the calling thread.
fn read_here(proc: &Path) -> Namespace {
    let net = proc.join("thread-self/net");
    let known = |name: &&'static str| Some((*name, setting(proc, name)?));
    Namespace {
        settings: SETTINGS.iter().filter_map(known).collect(),
        counters: counters(proc, &net).into_iter().collect(),
        listening: ["tcp", "tcp6"]
            .iter()
            .flat_map(|name| sockets::read(&net.join(name)))
            .collect(),
        closed: None,
    }
}

/// A setting of the calling thread's namespace.
fn setting(proc: &Path, name: &str) -> Option<String> {
    let path = proc.join("sys").join(name.replace('.', "/"));
    let text = fs::read_to_string(path).ok()?;
    let words: Vec<_> = text.split_whitespace().collect();
    Some(words.join(" "))
}

/// All counters of the calling thread's namespace.
fn counters(proc: &Path, net: &Path) -> Vec<(String, u64)> {
    let read = |name: &str| fs::read_to_string(net.join(name)).unwrap_or_default();
    let mut all = parse_counters(&read("netstat"));
    all.extend(parse_counters(&read("snmp")));
    all.extend(parse_sockstat(&read("sockstat")));
    all.extend(parse_conntrack(&read("stat/nf_conntrack")));
    let tracked = setting(proc, "net.netfilter.nf_conntrack_count");
    let tracked = tracked.and_then(|count| count.parse().ok());
    all.extend(tracked.map(|count| (TRACKED.to_owned(), count)));
    all
}

/// Parses the line of TCP: `TCP: inuse 5 orphan 0 tw 0 alloc 6 mem 1`.
fn parse_sockstat(text: &str) -> Vec<(String, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"));
    let words: Vec<_> = line.unwrap_or_default().split_whitespace().collect();
    let pairs = words.chunks_exact(2).filter_map(|pair| match pair {
        [name, number] => Some((format!("sockstat.TCP.{name}"), number.parse().ok()?)),
        _ => None,
    });
    pairs.collect()
}

/// Counters of connection tracking that a full table increments.
const CONNTRACK: [&str; 3] = ["insert_failed", "drop", "early_drop"];

/// Parses `/proc/net/stat/nf_conntrack`: a line of names, and a line of hexadecimal numbers for each
/// CPU.
fn parse_conntrack(text: &str) -> Vec<(String, u64)> {
    let mut lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let names = lines.next().unwrap_or_default();
    let of_cpus: Vec<_> = lines.collect();
    let sum = |name: &str| {
        let column = names.iter().position(|known| *known == name)?;
        let numbers = of_cpus.iter().filter_map(|of_cpu| of_cpu.get(column));
        let numbers = numbers.filter_map(|number| u64::from_str_radix(number, 16).ok());
        let total = numbers.fold(0, u64::saturating_add);
        Some((format!("nf_conntrack_{name}"), total))
    };
    CONNTRACK.into_iter().filter_map(sum).collect()
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
    fn usage_is_read_from_the_line_of_tcp() {
        let text =
            "sockets: used 151\nTCP: inuse 5 orphan 2 tw 7 alloc 6 mem 3\nUDP: inuse 1 mem 9\n";
        let found = parse_sockstat(text);
        for (name, number) in SOCKSTAT.into_iter().zip([7, 2, 3]) {
            assert!(
                found.contains(&(name.to_owned(), number)),
                "{name}: {found:?}"
            );
        }
        assert!(parse_sockstat("").is_empty() && parse_sockstat("TCP: inuse\n").is_empty());
    }

    #[test]
    fn conntrack_is_added_up_over_all_cpus() {
        let text = "entries  found new invalid insert insert_failed drop early_drop\n\
                    00000010  00000000 00000000 00000001 00000000 00000002 0000000a 00000000\n\
                    00000010  00000000 00000000 00000001 00000000 00000001 00000001 0000000f\n";
        let expected = [
            ("nf_conntrack_insert_failed", 3),
            ("nf_conntrack_drop", 11),
            ("nf_conntrack_early_drop", 15),
        ];
        assert_eq!(
            parse_conntrack(text),
            expected.map(|(n, v)| (n.to_owned(), v))
        );
        assert!(parse_conntrack("").is_empty());
    }

    #[test]
    fn the_last_of_several_numbers_is_the_limit() {
        let memory = with(&[("net.ipv4.tcp_mem", "200 250 300")]);
        assert_eq!(memory.last_number("net.ipv4.tcp_mem"), Some(300));
        assert_eq!(memory.last_number("net.ipv4.tcp_max_orphans"), None);
        assert_eq!(
            with(&[("net.ipv4.tcp_mem", "")]).last_number("net.ipv4.tcp_mem"),
            None
        );
    }

    #[test]
    fn settings_of_the_host_are_added_and_nothing_is_replaced() {
        let mut namespaces = Namespaces::default();
        let mut namespace = with(&[("net.ipv4.tcp_mem", "1 2 3")]);
        namespaces.add_host_wide(&mut namespace);
        assert_eq!(namespace.setting("net.ipv4.tcp_mem"), Some("1 2 3"));
        let known = namespaces.host_wide.unwrap();
        let orphans = known.iter().find(|(name, _)| name.ends_with("orphans"));
        assert_eq!(
            namespace.setting("net.ipv4.tcp_max_orphans"),
            orphans.map(|(_, value)| value.as_str())
        );
        assert!(HOST_WIDE.iter().all(|name| SETTINGS.contains(name)));
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
