//! What a rule found, as data: the problem, who it is about, the numbers it was
//! judged by, and the remedies. Its sentences are in `render::i18n::findings`.

use std::net::IpAddr;

use crate::diagnose::message::{HostAddress, Sources};
use crate::diagnose::rules::{Action, Problem};
use crate::host::netns::Namespace;
use crate::model::endpoint::Dev;
use crate::model::ident::Owner;
use crate::model::summary::FindingCounts;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know, nothing to be woken up for.
    Info,
    /// Somebody should look at it.
    Warning,
    /// Connections fail now, or soon will.
    Critical,
}

impl Severity {
    /// All, the worst first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Info];

    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// One of the other ends, and how many of the connections are with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub addr: IpAddr,
    /// The device that leads to it, where the address and the subject do not tell which host it is.
    pub dev: Option<Dev>,
    /// Its port, where that is what they have in common.
    pub port: Option<u16>,
    /// Connections.
    pub count: u64,
}

/// Who it is about, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Inode number of the network namespace.
    pub netns: Option<u32>,
    /// Its name under `/run/netns`.
    pub netns_name: Option<String>,
    /// The local end: of a listener, or of this host's side of a pair.
    pub local: Option<(IpAddr, Option<u16>)>,
    /// The device that the sockets are bound to.
    pub dev: Option<Dev>,
    /// The remote end, where there is but one.
    pub remote: Option<(IpAddr, Option<u16>)>,
    /// The process with most of the connections, or the listener's.
    pub owner: Option<Owner>,
    /// Its user.
    pub uid: Option<u32>,
    /// Path of its cgroup.
    pub cgroup: Option<String>,
    /// The container, by that path.
    pub container: Option<String>,
    /// How many processes share the connections; 0 when none is known.
    pub processes: u64,
    /// The other ends with most of the connections, at most [`Subject::PEERS`].
    pub peers: Vec<Peer>,
    /// How many other ends there are.
    pub peer_count: u64,
}

impl Subject {
    /// Most other ends that are named.
    pub const PEERS: usize = 10;

    /// The one peer, or how many there are.
    pub fn sources(&self) -> Sources {
        match (self.peer_count, self.peers.first()) {
            (1, Some(peer)) => Sources::One(HostAddress::of(peer)),
            (count, _) => Sources::Many(count),
        }
    }

    /// The addresses of the peers that stand out.
    pub fn addresses(&self) -> Vec<HostAddress> {
        self.peers.iter().map(HostAddress::of).collect()
    }
}

/// A setting of a namespace that a remedy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// As `sysctl` names it; it exists in the namespace.
    pub name: &'static str,
    /// Its value in that namespace now, as `sysctl -n` prints it but for tabs; `None`: it could
    /// not be read.
    pub value: Option<String>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What.
    pub action: Action,
    /// The setting that it is about.
    pub setting: Option<Setting>,
}

impl Remedy {
    /// What to do with a setting; `None` when there is no such setting in the namespace.
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

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the rule.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What.
    pub problem: Problem,
    /// Who.
    pub subject: Subject,
    /// The numbers that it was judged by, with their names; times are in the unit of the name.
    pub numbers: Vec<(&'static str, u64)>,
    /// What to do, the most useful first.
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
            rule,
            severity,
            problem: problem.into(),
            subject,
            numbers: Vec::new(),
            remedies: Vec::new(),
        }
    }

    /// Adds a number.
    pub fn number(mut self, name: &'static str, value: impl Into<u64>) -> Self {
        self.numbers.push((name, value.into()));
        self
    }

    /// Adds a number that may be unknown: then it is left out.
    pub fn number_if(mut self, name: &'static str, value: Option<u64>) -> Self {
        self.numbers.extend(value.map(|v| (name, v)));
        self
    }

    /// Adds the counters of a namespace that it has, with the names of `nstat`.
    pub fn counters(self, namespace: &Namespace, names: &[&'static str]) -> Self {
        let counter =
            |finding: Self, name: &&'static str| finding.number_if(name, namespace.counter(name));
        names.iter().fold(self, counter)
    }

    /// Adds something to do.
    pub fn remedy(mut self, action: impl Into<Action>) -> Self {
        self.remedies.push(Remedy {
            action: action.into(),
            setting: None,
        });
        self
    }

    /// Adds something to do with a setting, unless there is no such setting here.
    pub fn remedy_if(mut self, remedy: Option<Remedy>) -> Self {
        self.remedies.extend(remedy);
        self
    }
}

/// How many findings there are of each severity.
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
