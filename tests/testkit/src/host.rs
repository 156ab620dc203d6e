//! A host in memory: its settings, counters, processes and packets.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use diagnose_tools::host::names::{ConnNames, Names};
use diagnose_tools::host::netns::Namespace;
use diagnose_tools::host::sample::{Carried, Target};
use diagnose_tools::host::sockets::Listening;
use diagnose_tools::host::{Descriptors, Host};
use diagnose_tools::model::ident::{Ident, Owner};

use crate::scene::NETNS;

/// The information that the rules get from a host, set by the test.
pub struct FakeHost {
    pub settings: HashMap<&'static str, String>,
    pub counters: HashMap<String, u64>,
    pub closed: Option<String>,
    pub carried: Carried,
    pub sampled: Vec<Target>,
    pub names: Names,
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
            ("net.ipv4.tcp_orphan_retries", "0"),
            ("net.ipv4.tcp_retries2", "15"),
            ("net.ipv4.tcp_syn_retries", "6"),
            ("net.ipv4.tcp_synack_retries", "5"),
            ("net.ipv4.tcp_syncookies", "1"),
            ("net.ipv4.tcp_tw_reuse", "2"),
        ];
        Self {
            settings: settings.map(|(n, v)| (n, v.to_owned())).into(),
            counters: HashMap::from([("TcpExtListenDrops".to_owned(), 77)]),
            closed: None,
            carried: Carried::default(),
            sampled: Vec::new(),
            names: Names::new(None, PathBuf::from("/nonexistent"), Duration::ZERO),
        }
    }
}

impl FakeHost {
    /// The same with this setting.
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.insert(name, value.into());
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
                inode: 4_711,
            }],
            closed: self.closed.clone(),
        }
    }

    fn holders(&mut self, sockets: &[Listening]) -> Vec<Option<Owner>> {
        let mut comm = [0; 16];
        comm[..6].copy_from_slice(b"mysqld");
        assert!(sockets.iter().all(|socket| socket.inode == 4_711));
        vec![Some(Owner { pid: 77, comm }); sockets.len()]
    }

    fn descriptors(&mut self, _: u32) -> Option<Descriptors> {
        Some(Descriptors {
            open: 1_010,
            limit: Some(1_024),
        })
    }

    fn sample(&mut self, targets: &[Target], patience: Duration) -> Vec<Carried> {
        assert!(!patience.is_zero());
        self.sampled.extend(targets.iter().cloned());
        vec![self.carried; targets.len()]
    }
}
