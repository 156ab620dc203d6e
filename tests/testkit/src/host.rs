//! A host in memory: its settings, counters, processes and packets.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use diagnose_tools::fmt::text::Text;
use diagnose_tools::host::names::{ConnNames, Names};
use diagnose_tools::host::netns::{Namespace, TRACKED};
use diagnose_tools::host::processes::{Found, Process};
use diagnose_tools::host::sample::{Carried, Target};
use diagnose_tools::host::sockets::{Listening, Open, OpenSockets};
use diagnose_tools::host::{Descriptors, Host, ThisHost};
use diagnose_tools::model::endpoint::Dev;
use diagnose_tools::model::ident::{Ident, Owner};

use crate::scene::NETNS;

/// The information that the rules get from a host, set by the test.
pub struct FakeHost {
    pub settings: HashMap<&'static str, String>,
    pub counters: HashMap<String, u64>,
    pub closed: Option<String>,
    pub descriptors: Descriptors,
    pub carried: Carried,
    pub sampled: Vec<Target>,
    pub names: Names,
    /// Processes by their numbers, and which sockets they have open.
    pub processes: HashMap<u32, Found<Process>>,
    pub sockets: OpenSockets,
}

/// The inode number of a socket that mysqld, process 77, has open: the listener at 10.0.0.1:80 in
/// `/proc/net/tcp`.
pub const MYSQLD: u64 = 4_711;

/// A process of this name.
pub fn process(pid: u32, name: &str) -> Found<Process> {
    let mut comm = [0; 16];
    comm[..name.len()].copy_from_slice(name.as_bytes());
    Found::Alive(Process {
        owner: Owner { pid, comm },
        uid: Some(pid),
        cgroup: None,
        started_ns: 0,
    })
}

impl Default for FakeHost {
    /// The defaults of the kernel.
    fn default() -> Self {
        let settings = [
            ("net.core.somaxconn", "4096"),
            ("net.ipv4.ip_local_port_range", "32768 60999"),
            ("net.ipv4.ip_local_reserved_ports", ""),
            ("net.ipv4.tcp_abort_on_overflow", "0"),
            ("net.ipv4.tcp_fin_timeout", "60"),
            ("net.ipv4.tcp_keepalive_intvl", "75"),
            ("net.ipv4.tcp_keepalive_probes", "9"),
            ("net.ipv4.tcp_keepalive_time", "7200"),
            ("net.ipv4.tcp_max_orphans", "16384"),
            ("net.ipv4.tcp_max_syn_backlog", "512"),
            ("net.ipv4.tcp_max_tw_buckets", "16384"),
            ("net.ipv4.tcp_mem", "90000 120000 180000"),
            ("net.ipv4.tcp_mtu_probing", "0"),
            ("net.ipv4.tcp_orphan_retries", "0"),
            ("net.ipv4.tcp_retries2", "15"),
            ("net.ipv4.tcp_syn_retries", "6"),
            ("net.ipv4.tcp_synack_retries", "5"),
            ("net.ipv4.tcp_syncookies", "1"),
            ("net.ipv4.tcp_timestamps", "1"),
            ("net.ipv4.tcp_tw_reuse", "2"),
        ];
        Self {
            settings: settings.map(|(n, v)| (n, v.to_owned())).into(),
            counters: HashMap::from([("TcpExtListenDrops".to_owned(), 77)]),
            closed: None,
            descriptors: Descriptors {
                open: 1_010,
                limit: Some(1_024),
            },
            carried: Carried::default(),
            sampled: Vec::new(),
            names: Names::new(None, PathBuf::from("/nonexistent"), Duration::ZERO),
            processes: HashMap::from([(77, process(77, "mysqld"))]),
            sockets: OpenSockets::new(vec![(MYSQLD, 77)], false),
        }
    }
}

impl FakeHost {
    /// The same with this setting.
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.insert(name, value.into());
        self
    }

    /// The same with these processes, which are all of them, and their sockets.
    pub fn with(mut self, processes: &[(u32, &str)], sockets: Vec<(u64, u32)>) -> Self {
        let known = processes
            .iter()
            .map(|(pid, name)| (*pid, process(*pid, name)));
        self.processes.extend(known);
        self.sockets = OpenSockets::new(sockets, true);
        self
    }

    /// The same without these processes, which have ended.
    pub fn without(mut self, pids: &[u32]) -> Self {
        self.processes
            .extend(pids.iter().map(|pid| (*pid, Found::Gone)));
        self
    }

    /// The same with this counter.
    pub fn count(mut self, name: &str, value: u64) -> Self {
        self.counters.insert(name.into(), value);
        self
    }
}

impl Host for FakeHost {
    fn names(&mut self, who: &Ident) -> ConnNames {
        self.names.of(who)
    }

    fn namespace(&mut self, inode: u32, _: &[u32]) -> Namespace {
        assert_eq!(inode, NETNS);
        Namespace {
            settings: self.settings.clone(),
            counters: self.counters.clone(),
            listening: vec![Listening {
                addr: [10, 0, 0, 1].into(),
                port: 80,
                inode: MYSQLD,
            }],
            closed: self.closed.clone().map(Text::same),
        }
    }

    fn open_by(&mut self, inode: u64) -> Open {
        self.sockets.get(inode)
    }

    fn process(&mut self, pid: u32) -> Found<Process> {
        self.processes.get(&pid).copied().unwrap_or(Found::Unknown)
    }

    fn tracks_connections(&mut self) -> bool {
        self.counters.contains_key(TRACKED)
    }

    fn descriptors(&mut self, _: u32) -> Option<Descriptors> {
        Some(self.descriptors)
    }

    fn sample(&mut self, targets: &[Target], patience: Duration) -> Vec<Carried> {
        assert!(!patience.is_zero());
        self.sampled.extend(targets.iter().cloned());
        vec![self.carried; targets.len()]
    }
}

/// This host, without its processes: those of a recording in memory do not exist here.
#[derive(Default)]
pub struct Unobserved(ThisHost);

impl Host for Unobserved {
    fn names(&mut self, who: &Ident) -> ConnNames {
        self.0.names(who)
    }

    fn dev(&mut self, netns: u32, index: u32, pid: Option<u32>) -> Dev {
        self.0.dev(netns, index, pid)
    }

    fn namespace(&mut self, inode: u32, pids: &[u32]) -> Namespace {
        self.0.namespace(inode, pids)
    }

    fn descriptors(&mut self, pid: u32) -> Option<Descriptors> {
        self.0.descriptors(pid)
    }

    fn sample(&mut self, targets: &[Target], patience: Duration) -> Vec<Carried> {
        self.0.sample(targets, patience)
    }
}
