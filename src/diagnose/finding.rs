//! A finding as data: the problem, its source, the numbers that led to it, and the remedies. The
//! sentences are in `render::i18n::findings`.

use std::net::IpAddr;

use crate::diagnose::history::Seen;
use crate::diagnose::identity::About;
use crate::diagnose::message::{HostAddress, Sources};
use crate::diagnose::rules::{Action, Problem};
use crate::host::netns::Namespace;
use crate::model::endpoint::Dev;
use crate::model::ident::Owner;
use crate::model::summary::FindingCounts;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Information that requires no immediate action.
    Info,
    /// An administrator should check it.
    Warning,
    /// Connections fail now or will fail soon.
    Critical,
}

impl Severity {
    /// All severities, the worst first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Info];

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// A peer, and how many of the connections are with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub addr: IpAddr,
    /// The device that leads to it, if the address and the subject do not identify the host.
    pub dev: Option<Dev>,
    /// Its port, if the connections share it.
    pub port: Option<u16>,
    /// Number of connections.
    pub count: u64,
}

/// The source of a problem, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Inode number of the network namespace.
    pub netns: Option<u32>,
    /// Its name under `/run/netns`.
    pub netns_name: Option<String>,
    /// The local address and port: of a listener, or of this host's end of a pair.
    pub local: Option<(IpAddr, Option<u16>)>,
    /// The device that the sockets are bound to.
    pub dev: Option<Dev>,
    /// The remote address and port, if there is only one.
    pub remote: Option<(IpAddr, Option<u16>)>,
    /// The process that has most of the sockets open, or the process that listens; of connections
    /// that have ended, the process that had them.
    pub owner: Option<Owner>,
    /// That process has ended.
    pub owner_gone: bool,
    /// The process that called `connect()`, `accept()` or `listen()`, if it does not have the socket
    /// open.
    pub opened_by: Option<Owner>,
    /// User of the process.
    pub uid: Option<u32>,
    /// Path of the process's cgroup.
    pub cgroup: Option<String>,
    /// The container, derived from that path.
    pub container: Option<String>,
    /// Number of processes that have the sockets open; 0 if none is known.
    pub processes: u64,
    /// The peers with the most connections, at most [`Subject::PEERS`].
    pub peers: Vec<Peer>,
    /// Total number of peers.
    pub peer_count: u64,
}

impl Subject {
    /// Maximum number of listed peers.
    pub const PEERS: usize = 10;

    /// The only peer, or the number of peers.
    pub fn sources(&self) -> Sources {
        match (self.peer_count, self.peers.first()) {
            (1, Some(peer)) => Sources::One(HostAddress::of(peer)),
            (count, _) => Sources::Many(count),
        }
    }

    /// The addresses of the listed peers.
    pub fn addresses(&self) -> Vec<HostAddress> {
        self.peers.iter().map(HostAddress::of).collect()
    }
}

/// A namespace setting that a remedy refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its `sysctl` name; it exists in the namespace.
    pub name: &'static str,
    /// Its current value in that namespace, as `sysctl -n` prints it, with spaces instead of tabs;
    /// `None`: it could not be read.
    pub value: Option<String>,
}

/// One remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// The action to take.
    pub action: Action,
    /// The setting that it refers to.
    pub setting: Option<Setting>,
}

impl Remedy {
    /// A remedy for a setting; `None` if the namespace does not have the setting.
    pub fn of_setting(
        namespace: &Namespace,
        name: &'static str,
        action: impl Into<Action>,
    ) -> Option<Self> {
        let value = namespace.settings.get(name)?;
        let value = Some(value.clone()).filter(|v| !v.is_empty());
        Some(Self {
            action: action.into(),
            setting: Some(Setting { name, value }),
        })
    }
}

/// One finding of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its id, the same in all diagnoses while the problem lasts; empty until a diagnosis is
    /// complete.
    pub id: String,
    /// Name of the rule.
    pub rule: &'static str,
    /// Severity of the problem.
    pub severity: Severity,
    /// The problem.
    pub problem: Problem,
    /// The source of the problem.
    pub subject: Subject,
    /// The part of the subject that identifies the finding.
    pub about: About,
    /// What distinguishes it from other findings of the rule about the same subject.
    pub variant: Option<&'static str>,
    /// When it was seen; `None`: it is not compared with earlier diagnoses.
    pub seen: Option<Seen>,
    /// The numbers that led to the finding, with their names; the name contains the unit of a time.
    pub numbers: Vec<(&'static str, u64)>,
    /// The remedies, the most useful first.
    pub remedies: Vec<Remedy>,
}

impl Finding {
    /// A finding without numbers and remedies.
    pub fn new(
        rule: &'static str,
        severity: Severity,
        problem: impl Into<Problem>,
        subject: Subject,
    ) -> Self {
        Self {
            id: String::new(),
            rule,
            severity,
            problem: problem.into(),
            subject,
            about: About::default(),
            variant: None,
            seen: None,
            numbers: Vec::new(),
            remedies: Vec::new(),
        }
    }

    /// Sets what identifies it, if that is not the addresses of its subject.
    pub fn about(mut self, about: About) -> Self {
        self.about = about;
        self
    }

    /// Sets a name that distinguishes it from other findings of the rule about the same subject. It
    /// is a part of the id, so it must not change while the problem lasts.
    pub fn variant(mut self, variant: &'static str) -> Self {
        self.variant = Some(variant);
        self
    }

    /// Adds a number.
    pub fn number(mut self, name: &'static str, value: impl Into<u64>) -> Self {
        self.numbers.push((name, value.into()));
        self
    }

    /// Adds a number, unless it is unknown.
    pub fn number_if(mut self, name: &'static str, value: Option<u64>) -> Self {
        self.numbers.extend(value.map(|v| (name, v)));
        self
    }

    /// Adds those of the counters that the namespace has, with the names of `nstat`.
    pub fn counters(self, namespace: &Namespace, names: &[&'static str]) -> Self {
        let counter =
            |finding: Self, name: &&'static str| finding.number_if(name, namespace.counter(name));
        names.iter().fold(self, counter)
    }

    /// Adds a remedy.
    pub fn remedy(mut self, action: impl Into<Action>) -> Self {
        self.remedies.push(Remedy {
            action: action.into(),
            setting: None,
        });
        self
    }

    /// Adds a remedy for a setting, unless the setting does not exist.
    pub fn remedy_if(mut self, remedy: Option<Remedy>) -> Self {
        self.remedies.extend(remedy);
        self
    }
}

/// Counts the findings by severity.
pub fn count(findings: &[Finding]) -> FindingCounts {
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count() as u64;
    FindingCounts {
        critical: count(Severity::Critical),
        warning: count(Severity::Warning),
        info: count(Severity::Info),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::rules::local_ports;

    #[test]
    fn a_setting_that_does_not_exist_is_never_named() {
        let settings = [
            ("net.ipv4.ip_local_port_range", "1 2".into()),
            ("net.core.somaxconn", String::new()),
        ];
        let namespace = Namespace {
            settings: settings.into(),
            ..Namespace::default()
        };
        let setting = |name| {
            let action = local_ports::Action::WidenRange;
            Remedy::of_setting(&namespace, name, action).map(|remedy| remedy.setting.unwrap())
        };
        let known = setting("net.ipv4.ip_local_port_range").unwrap();
        assert_eq!(known.value.as_deref(), Some("1 2"));
        let unknown = setting("net.core.somaxconn").unwrap();
        assert_eq!((unknown.name, unknown.value), ("net.core.somaxconn", None));
        assert_eq!(setting("net.ipv4.tcp_tw_recycle"), None);
    }
}
