//! Finds the processes that have a live socket open. The module knows who called `connect()`,
//! `accept()` or `listen()`; the socket may have been inherited, passed on or kept since.

use crate::host::Host;
use crate::host::processes::{Found, Process};
use crate::host::sockets::Open;
use crate::model::holders::{Attachment, Held, Hold, Holders};
use crate::model::ident::{Ident, Owner};

/// A live socket with its processes. Where these cannot be found out, its owner is the one that the
/// module has recorded.
pub fn held(host: &mut dyn Host, who: &Ident, socket: Attachment) -> Held {
    match socket {
        Attachment::Small => past(host, who),
        Attachment::Orphan => Held {
            holders: Holders {
                hold: Hold::Orphan,
                ..Holders::default()
            },
            ..abandoned(who)
        },
        Attachment::Unknown => recorded(host, who),
        Attachment::Inode(inode) => match host.open_by(inode) {
            Open::By(pids) => open_by(host, who, &pids),
            Open::Nobody => kept(host, who),
            Open::Unknown => recorded(host, who),
        },
    }
    .with_opener(who)
}

/// The owner of a connection that has ended, as recorded.
pub fn past(host: &mut dyn Host, who: &Ident) -> Held {
    let found = who.owner.map(|owner| host.process(owner.pid));
    Held {
        who: *who,
        holders: Holders {
            hold: Hold::Past,
            gone: found == Some(Found::Gone),
            ..Holders::default()
        },
    }
}

/// As recorded, unless that process has ended.
fn recorded(host: &mut dyn Host, who: &Ident) -> Held {
    let found = who.owner.map(|owner| host.process(owner.pid));
    match found {
        Some(Found::Gone) => abandoned(who),
        _ => as_recorded(who),
    }
}

/// A socket that is in no table of descriptors: io_uring or the kernel itself has it, or it is being
/// passed on.
fn kept(host: &mut dyn Host, who: &Ident) -> Held {
    let Some(owner) = who.owner else {
        return as_recorded(who);
    };
    match host.process(owner.pid) {
        Found::Alive(process) if process.owner == owner => as_recorded(who),
        Found::Unknown => as_recorded(who),
        Found::Alive(_) | Found::Gone => abandoned(who),
    }
}

fn as_recorded(who: &Ident) -> Held {
    Held {
        who: *who,
        holders: Holders::default(),
    }
}

/// A socket without an owner.
fn abandoned(who: &Ident) -> Held {
    Held {
        who: Ident {
            owner: None,
            ..*who
        },
        holders: Holders::default(),
    }
}

/// A socket that these processes have open: first the recorded one, if it is among them.
fn open_by(host: &mut dyn Host, who: &Ident, pids: &[u32]) -> Held {
    let recorded = who.owner.map(|owner| owner.pid);
    let (mut named, mut first): (Vec<Owner>, Option<Process>) = (Vec::new(), None);
    let is_first = |pid: &&u32| Some(**pid) == recorded;
    let in_order = pids.iter().filter(is_first);
    let in_order = in_order.chain(pids.iter().filter(|pid| !is_first(pid)));
    let mut ended = 0;
    for pid in in_order.take(Holders::MOST) {
        match host.process(*pid) {
            Found::Alive(process) => {
                first.get_or_insert(process);
                named.push(process.owner);
            }
            Found::Gone | Found::Unknown => ended += 1,
        }
    }
    let Some(first) = first else {
        return kept(host, who);
    };
    let count = pids.len() as u64 - ended;
    let of_another = recorded != Some(first.owner.pid);
    Held {
        who: Ident {
            owner: Some(first.owner),
            uid: who.uid.filter(|_| !of_another).or(first.uid),
            cgroup: who.cgroup.filter(|_| !of_another).or(first.cgroup),
            ..*who
        },
        holders: Holders {
            several: if count > 1 { named } else { Vec::new() },
            count,
            ..Holders::default()
        },
    }
}

impl Held {
    /// Adds the recorded owner, unless it is shown.
    fn with_opener(mut self, recorded: &Ident) -> Self {
        let shown = self.who.owner.iter().chain(&self.holders.several);
        let is_shown = |opener: &Owner| shown.clone().any(|owner| owner.pid == opener.pid);
        self.holders.opened_by = recorded.owner.filter(|opener| !is_shown(opener));
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;
    use crate::host::Descriptors;
    use crate::host::names::ConnNames;
    use crate::host::netns::Namespace;
    use crate::host::sample::{Carried, Target};
    use crate::host::sockets::OpenSockets;
    use crate::model::ident::tests::ident;

    /// A host with these processes and sockets, and no other.
    struct Small {
        processes: HashMap<u32, &'static str>,
        sockets: OpenSockets,
    }

    fn owner(pid: u32, name: &str) -> Owner {
        let mut comm = [0; 16];
        comm[..name.len()].copy_from_slice(name.as_bytes());
        Owner { pid, comm }
    }

    impl Host for Small {
        fn names(&mut self, _: &Ident) -> ConnNames {
            ConnNames::default()
        }

        fn namespace(&mut self, _: u32, _: &[u32]) -> Namespace {
            Namespace::default()
        }

        fn descriptors(&mut self, _: u32) -> Option<Descriptors> {
            None
        }

        fn open_by(&mut self, inode: u64) -> Open {
            self.sockets.get(inode)
        }

        fn process(&mut self, pid: u32) -> Found<Process> {
            let process = |name: &&str| Process {
                owner: owner(pid, name),
                uid: Some(pid),
                cgroup: Some(pid.into()),
                started_ns: 0,
            };
            let found = self.processes.get(&pid).map(process);
            found.map_or(Found::Gone, Found::Alive)
        }

        fn sample(&mut self, _: &[Target], _: Duration) -> Vec<Carried> {
            Vec::new()
        }
    }

    /// nginx has replaced its first process; a worker was renamed, and another one is gone.
    fn host(complete: bool) -> Small {
        let processes = [(191, "nginx"), (192, "worker"), (193, "sleep")];
        let pairs = vec![(5, 191), (5, 192), (6, 192), (7, 193), (8, 199)];
        Small {
            processes: processes.into(),
            sockets: OpenSockets::new(pairs, complete),
        }
    }

    fn recorded(pid: u32, name: &str) -> Ident {
        Ident {
            owner: Some(owner(pid, name)),
            uid: Some(0),
            cgroup: Some(1),
            ..ident("10.0.0.1:80", "10.0.0.2:9")
        }
    }

    /// Owner, number of holders and opener, each by its number.
    fn found(held: &Held) -> (Option<u32>, u64, Option<u32>) {
        let pid = |owner: Option<Owner>| owner.map(|owner| owner.pid);
        (
            pid(held.who.owner),
            held.holders.count,
            pid(held.holders.opened_by),
        )
    }

    #[test]
    fn who_has_it_open_is_the_owner() {
        let find = |who, inode| held(&mut host(true), &who, Attachment::Inode(inode));
        let daemon = find(recorded(190, "nginx"), 5);
        assert_eq!(found(&daemon), (Some(191), 2, Some(190)));
        let several = [owner(191, "nginx"), owner(192, "worker")];
        assert_eq!(daemon.holders.several, several);
        assert_eq!((daemon.who.uid, daemon.who.cgroup), (Some(191), Some(191)));
        // The one that has opened it comes first, with what the module knows.
        let opener = find(recorded(192, "worker"), 5);
        assert_eq!(found(&opener), (Some(192), 2, None));
        assert_eq!((opener.who.uid, opener.who.cgroup), (Some(0), Some(1)));
        let renamed = find(recorded(192, "python3"), 6);
        assert_eq!(renamed.who.owner, Some(owner(192, "worker")));
        assert_eq!(found(&renamed), (Some(192), 1, None), "the same process");
        assert!(renamed.holders.several.is_empty());
        let unknown = Ident {
            owner: None,
            ..recorded(1, "")
        };
        assert_eq!(found(&find(unknown, 7)), (Some(193), 1, None));
    }

    #[test]
    fn what_nobody_has_open_belongs_to_its_opener_or_to_nobody() {
        let find = |who, socket| held(&mut host(true), &who, socket);
        for inode in [4, 8] {
            let socket = Attachment::Inode(inode);
            let kept = find(recorded(191, "nginx"), socket);
            assert_eq!(found(&kept), (Some(191), 0, None));
            for (pid, name) in [(190, "nginx"), (191, "another")] {
                let left = find(recorded(pid, name), socket);
                assert_eq!(found(&left), (None, 0, Some(pid)));
            }
        }
        let orphan = find(recorded(191, "nginx"), Attachment::Orphan);
        assert_eq!(found(&orphan), (None, 0, Some(191)));
        assert_eq!(orphan.holders.hold, Hold::Orphan);
        let [left, ended] = [191, 190].map(|pid| find(recorded(pid, "nginx"), Attachment::Small));
        assert_eq!(
            (found(&left), left.holders.gone),
            ((Some(191), 0, None), false)
        );
        assert_eq!(
            (found(&ended), ended.holders.gone),
            ((Some(190), 0, None), true)
        );
        assert_eq!(left.holders.hold, Hold::Past);
    }

    #[test]
    fn where_not_all_processes_are_seen_nothing_is_said() {
        let find = |pid, socket| {
            let held = held(&mut host(false), &recorded(pid, "nginx"), socket);
            (found(&held), held.holders.hold)
        };
        let socket = Attachment::Inode(4);
        assert_eq!(find(191, socket), ((Some(191), 0, None), Hold::Open));
        assert_eq!(
            find(191, Attachment::Unknown),
            ((Some(191), 0, None), Hold::Open)
        );
        assert_eq!(find(190, socket), ((None, 0, Some(190)), Hold::Open));
        let found = Attachment::Inode(7);
        assert_eq!(find(191, found), ((Some(193), 1, Some(191)), Hold::Open));
    }
}
