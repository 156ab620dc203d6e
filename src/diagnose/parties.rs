//! The processes of several sockets.

use std::collections::{HashMap, HashSet};

use crate::diagnose::tally::Tally;
use crate::model::holders::{Held, Hold};

/// The processes of several sockets: how many there are, and which has most of the sockets.
#[derive(Default)]
pub(super) struct Parties {
    /// All of them.
    pids: HashSet<u32>,
    /// Sockets by owner.
    owners: Tally<u32>,
    /// Sockets without an owner, by the process that has opened them.
    openers: Tally<u32>,
    /// A socket of each owner; `None`: without an owner.
    examples: HashMap<Option<u32>, Held>,
    /// A socket of each opener.
    opened: HashMap<u32, Held>,
}

impl Parties {
    /// Adds a socket.
    pub fn add(&mut self, held: Held) {
        let owner = held.who.owner.map(|owner| owner.pid);
        self.pids.extend(owner);
        self.pids.extend(held.holders.several.iter().map(|o| o.pid));
        match (owner, held.holders.opened_by) {
            (Some(pid), _) => self.owners.add(pid, 1),
            (None, Some(opener)) => {
                self.openers.add(opener.pid, 1);
                self.opened.entry(opener.pid).or_insert(held);
                return;
            }
            (None, None) => {}
        }
        self.examples.entry(owner).or_insert(held);
    }

    /// Number of processes that have one of the sockets open.
    pub fn count(&self) -> u64 {
        self.pids.len() as u64
    }

    /// Whether no process has them open because they were not accepted, or were closed: then the
    /// process that listens answers for them.
    pub fn may_be_of_listener(&self) -> bool {
        let is_kept =
            |held: &Held| held.holders.opened_by.is_some() && held.holders.hold != Hold::Orphan;
        let most = self.most();
        most.is_none_or(|held| held.who.owner.is_none() && !is_kept(held))
    }

    /// A socket of the process that has most of them; if none has any, of the process that has
    /// opened most of them.
    pub fn most(&self) -> Option<&Held> {
        let owner = self.owners.top().map(|(pid, _)| pid);
        let opener = || self.opened.get(&self.openers.top()?.0);
        match owner {
            Some(pid) => self.examples.get(&Some(pid)),
            None => opener().or_else(|| self.examples.get(&None)),
        }
    }
}
