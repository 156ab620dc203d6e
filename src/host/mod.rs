//! Data about the host that the module does not have: names, settings, open descriptors, packets.
//! It is a trait, so that rules can be tested without a host.

pub mod addresses;
pub mod captured;
pub mod devices;
pub mod held;
pub mod lookup;
pub mod names;
pub mod netns;
mod packet;
mod payload;
pub mod processes;
pub mod sample;
pub mod sockets;

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::geteuid;

use crate::fmt::text::text;
use crate::host::addresses::Local;
use crate::host::names::{ConnNames, Names};
use crate::host::netns::{Namespace, Namespaces};
use crate::host::processes::{Found, Proc, Process, Processes};
use crate::host::sample::{Carried, Target};
use crate::host::sockets::{Open, OpenSockets};
use crate::model::endpoint::Dev;
use crate::model::ident::Ident;
use crate::stderr;

/// Number of open files of a process, and the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// Number of open files.
    pub open: u64,
    /// The limit (`RLIMIT_NOFILE`); `None`: unlimited.
    pub limit: Option<u64>,
}

/// Number of processes that are tried first for entering a namespace.
pub const LIKELY_PIDS: usize = 8;

/// Provides data about the host.
pub trait Host {
    /// The names of a connection's cgroup, container, namespace and device.
    fn names(&mut self, who: &Ident) -> ConnNames;
    /// A device of a namespace; `pid` is a process that is likely in it.
    fn dev(&mut self, _netns: u32, index: u32, _pid: Option<u32>) -> Dev {
        Dev { index, name: None }
    }
    /// The settings and counters of a namespace; `pids` are processes that are likely in it.
    fn namespace(&mut self, inode: u32, pids: &[u32]) -> Namespace;
    /// Whether connections are tracked (`nf_conntrack` is loaded).
    fn tracks_connections(&mut self) -> bool {
        false
    }
    /// The open files of a process; `None`: it has ended, or access is denied.
    fn descriptors(&mut self, pid: u32) -> Option<Descriptors>;
    /// The processes that have the socket with this inode number open.
    fn open_by(&mut self, _inode: u64) -> Open {
        Open::Unknown
    }
    /// A process.
    fn process(&mut self, _pid: u32) -> Found<Process> {
        Found::Unknown
    }
    /// Whether a process or a name leads to a namespace with this inode number.
    fn has_namespace(&mut self, _inode: u32) -> bool {
        true
    }
    /// Whether the process exists.
    fn has_process(&mut self, _pid: u32) -> bool {
        false
    }
    /// Those of these local addresses that certainly no socket can have, in a namespace or on the
    /// whole host.
    fn absent(&mut self, _netns: Option<u32>, _addresses: &[Local]) -> Vec<Local> {
        Vec::new()
    }
    /// Samples the next incoming data of these connections; one result per target, in the same
    /// order.
    fn sample(&mut self, targets: &[Target], patience: Duration) -> Vec<Carried>;
}

/// This host.
pub struct ThisHost {
    names: Names,
    namespaces: Namespaces,
    proc: Proc,
    processes: Processes,
    /// The sockets of all processes, once one was asked for.
    sockets: Option<OpenSockets>,
}

impl Default for ThisHost {
    fn default() -> Self {
        let proc = Proc::of_host();
        Self {
            names: Names::of_host(),
            namespaces: Namespaces::default(),
            processes: Processes::new(proc.clone()),
            proc,
            sockets: None,
        }
    }
}

impl Host for ThisHost {
    fn names(&mut self, who: &Ident) -> ConnNames {
        self.names.of(who)
    }

    fn dev(&mut self, netns: u32, index: u32, pid: Option<u32>) -> Dev {
        self.names.dev_at(netns, index, pid)
    }

    fn namespace(&mut self, inode: u32, pids: &[u32]) -> Namespace {
        self.namespaces.read(inode, pids)
    }

    fn tracks_connections(&mut self) -> bool {
        Path::new("/proc/sys/net/netfilter/nf_conntrack_max").exists()
    }

    fn descriptors(&mut self, pid: u32) -> Option<Descriptors> {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        Some(Descriptors {
            open,
            limit: soft_limit(&limits),
        })
    }

    fn open_by(&mut self, inode: u64) -> Open {
        let proc = &self.proc;
        let sockets = self.sockets.get_or_insert_with(|| read_sockets(proc));
        sockets.get(inode)
    }

    fn process(&mut self, pid: u32) -> Found<Process> {
        self.processes.get(pid)
    }

    fn has_namespace(&mut self, inode: u32) -> bool {
        // Other users may not read the namespaces of all processes, so they do not know.
        self.namespaces.is_here(inode)
            || self.namespaces.find(inode.into(), &[]).is_some()
            || !geteuid().is_root()
    }

    fn has_process(&mut self, pid: u32) -> bool {
        Path::new("/proc").join(pid.to_string()).exists()
    }

    fn absent(&mut self, netns: Option<u32>, addresses: &[Local]) -> Vec<Local> {
        addresses::absent(&mut self.namespaces, netns, addresses)
    }

    fn sample(&mut self, targets: &[Target], patience: Duration) -> Vec<Carried> {
        let most = patience.as_secs();
        stderr::note(&text!(
            "looking for at most {most} s at what slow clients send",
            "查看慢速客户端发送的内容，最多 {most} 秒"
        ));
        sample::sample(&mut self.namespaces, targets, patience)
    }
}

/// The sockets that the processes of this host have open, as far as that can be seen. In another PID
/// namespace processes have other numbers than those of the module.
fn read_sockets(proc: &Proc) -> OpenSockets {
    match (proc.is_initial, proc.shows_all) {
        (false, _) => OpenSockets::default(),
        (true, true) => OpenSockets::read(proc.path(), sockets::PATIENCE),
        (true, false) => OpenSockets::read(proc.path(), sockets::PATIENCE).incomplete(),
    }
}

/// The soft limit of open files in the text of `/proc/PID/limits`.
fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_counted_against_their_limit() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max processes             7                    7                    processes\n\
                    Max open files            1024                 524288               files\n";
        assert_eq!(soft_limit(text), Some(1024));
        assert_eq!(
            soft_limit("Max open files  unlimited unlimited files"),
            None
        );
        let of_this = ThisHost::default().descriptors(std::process::id());
        assert!(of_this.is_some_and(|d| d.open > 2));
        assert_eq!(ThisHost::default().descriptors(u32::MAX), None);
    }
}
