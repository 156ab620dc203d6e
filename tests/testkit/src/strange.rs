//! A host whose answers come from the input.

use std::rc::Rc;
use std::time::Duration;

use diagnose_tools::fmt::json;
use diagnose_tools::fmt::text::Text;
use diagnose_tools::host::names::{Cgroup, ConnNames};
use diagnose_tools::host::netns::{Namespace, SETTINGS};
use diagnose_tools::host::processes::{Found, Process};
use diagnose_tools::host::sample::{Carried, Target};
use diagnose_tools::host::sockets::Open;
use diagnose_tools::host::{Descriptors, Host};
use diagnose_tools::model::ident::{Ident, Owner};

use crate::untrusted::{HOST, elements, kind, padded};

/// The counters that rules use.
const COUNTERS: [&str; 12] = [
    "TcpAttemptFails",
    "TcpEstabResets",
    "TcpOutRsts",
    "TcpExtListenDrops",
    "TcpExtListenOverflows",
    "TcpExtTCPAbortOnClose",
    "TcpExtTCPAbortOnData",
    "TcpExtTCPAbortOnMemory",
    "TcpExtTCPAbortOnTimeout",
    "TcpExtTCPReqQFullDoCookies",
    "TcpExtTCPReqQFullDrop",
    "TcpExtTCPTimeWaitOverflow",
];

/// Names and numbers of a host: they may contain any text.
#[derive(Default)]
pub struct Strange {
    namespace: Namespace,
    path: Option<String>,
    container: Option<String>,
    netns: Option<Rc<str>>,
    owner: Option<Owner>,
    descriptors: Option<Descriptors>,
    carried: Carried,
}

impl Strange {
    /// The host that the input describes: the first byte of each element selects the answer that it
    /// sets.
    pub fn new(input: &[u8]) -> Self {
        let mut host = Self::default();
        let said = elements(input).filter(|(byte, _)| kind(*byte) == HOST);
        for (what, rest) in said.filter_map(|(_, body)| body.split_first()) {
            host.take(*what, rest);
        }
        host
    }

    fn take(&mut self, what: u8, rest: &[u8]) {
        let end = rest
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(rest.len());
        let text = String::from_utf8_lossy(&rest[..end]).into_owned();
        let number = |index: usize| {
            let word = rest.chunks(8).nth(index).unwrap_or_default();
            u64::from_ne_bytes(padded(word))
        };
        let index = usize::from(what / 8);
        match what % 8 {
            0 | 1 => {
                let name = SETTINGS[index % SETTINGS.len()];
                self.namespace.settings.insert(name, text);
            }
            2 => {
                let name = COUNTERS[index % COUNTERS.len()];
                self.namespace.counters.insert(name.to_owned(), number(0));
            }
            3 => self.path = Some(text),
            4 => self.container = Some(text),
            5 => self.netns = Some(text.into()),
            6 => {
                self.owner = Some(Owner {
                    pid: index as u32,
                    comm: padded(rest),
                });
                let limit = (index > 0).then(|| number(1));
                self.descriptors = Some(Descriptors {
                    open: number(0),
                    limit,
                });
            }
            _ => {
                self.namespace.closed = (index > 0).then(|| Text::same(text));
                self.carried = Carried {
                    headers: number(0),
                    body: number(1),
                    encrypted: number(2),
                };
            }
        }
    }
}

impl Host for Strange {
    fn names(&mut self, _: &Ident) -> ConnNames {
        let json = |text: &String| json::text(text);
        let cgroup = self.path.as_ref().map(|path| {
            Rc::new(Cgroup {
                path: path.clone(),
                container: self.container.clone(),
                json: (json(path), self.container.as_ref().map(json)),
            })
        });
        ConnNames {
            cgroup,
            netns: self.netns.clone(),
            dev: None,
        }
    }

    fn namespace(&mut self, _: u32, _: &[u32]) -> Namespace {
        self.namespace.clone()
    }

    fn descriptors(&mut self, _: u32) -> Option<Descriptors> {
        self.descriptors
    }

    /// Any process, which may have ended, or several.
    fn open_by(&mut self, inode: u64) -> Open {
        match self.owner {
            Some(owner) if inode % 4 == 3 => Open::By(vec![owner.pid, owner.pid ^ 1]),
            Some(owner) => Open::By(vec![owner.pid]),
            None if inode % 2 == 0 => Open::Nobody,
            None => Open::Unknown,
        }
    }

    fn process(&mut self, pid: u32) -> Found<Process> {
        let process = |owner: Owner| Process {
            owner: Owner { pid, ..owner },
            uid: Some(pid),
            cgroup: None,
            started_ns: u64::from(pid),
        };
        match pid % 3 {
            0 => Found::Gone,
            1 => Found::Unknown,
            _ => self.owner.map(process).map_or(Found::Unknown, Found::Alive),
        }
    }

    fn sample(&mut self, targets: &[Target], _: Duration) -> Vec<Carried> {
        vec![self.carried; targets.len()]
    }
}
