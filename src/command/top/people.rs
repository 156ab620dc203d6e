//! Names for connections: their processes, containers and devices. They are looked up again from
//! time to time, because processes come and go.

use std::time::{Duration, Instant};

use crate::command::select::Selector;
use crate::fmt::escape::printable;
use crate::fmt::line;
use crate::host::Host;
use crate::host::held::held;
use crate::model::conn::Conn;
use crate::model::endpoint::Dev;
use crate::model::holders::{Attachment, Holders};
use crate::model::ident::{Ident, Owner};
use crate::model::top::groups::Group;
use crate::render::process::Live;

/// Most sockets for which it is found out which processes have them open. Of more, the processes
/// that opened them are shown.
const MOST_SOCKETS: u64 = 20_000;
/// Least age of names before they are looked up again.
const AGE: Duration = Duration::from_secs(10);
/// Looking them up takes at most this part of the time.
const PART: u32 = 200;
/// Digits of a container's id that are shown.
const ID: usize = 12;

/// Makes the host of the connections anew, which then knows nothing yet.
pub type MakeHost<'a> = Box<dyn FnMut() -> Box<dyn Host> + 'a>;

/// The host of the connections.
pub struct People<'a> {
    make: MakeHost<'a>,
    host: Box<dyn Host>,
    made: Instant,
    /// How long it took to read which processes have which sockets.
    took: Duration,
    /// Whether it is known which processes have sockets open.
    exact: bool,
    /// Whether processes come and go.
    changes: bool,
}

impl<'a> People<'a> {
    /// A host; the one of a capture does not change.
    pub fn new(mut make: MakeHost<'a>, changes: bool) -> Self {
        Self {
            host: make(),
            make,
            made: Instant::now(),
            took: Duration::ZERO,
            exact: false,
            changes,
        }
    }

    /// Forgets old names; `sockets` is the number of sockets.
    pub fn refresh(&mut self, sockets: u64) {
        let age = AGE.max(self.took * PART);
        if self.changes && self.made.elapsed() >= age {
            (self.host, self.made) = ((self.make)(), Instant::now());
            self.exact = false;
        }
        let exact = sockets <= MOST_SOCKETS;
        if exact && !self.exact {
            let start = Instant::now();
            self.host.open_by(0);
            self.took = start.elapsed();
        }
        self.exact = exact;
    }

    /// The host.
    pub fn host(&mut self) -> &mut dyn Host {
        &mut *self.host
    }

    /// Whether the processes are those that have the sockets open, and not those that opened them.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// Whether a live connection is selected.
    #[inline]
    pub fn shows(&mut self, selector: &Selector, conn: &Conn, now_ns: u64) -> bool {
        match self.exact {
            true => selector.connection(conn, now_ns, &mut *self.host),
            false => selector.connection_as_recorded(conn, now_ns, &mut *self.host),
        }
    }

    /// Whether the owner that was recorded is selected.
    pub fn shows_recorded(&mut self, selector: &Selector, who: &Ident) -> bool {
        selector.recorded(who, &mut *self.host)
    }

    /// The process of a connection.
    pub fn owner(&mut self, conn: &Conn) -> Option<Owner> {
        match self.exact {
            true => {
                let held = held(&mut *self.host, &conn.who, Attachment::of(conn));
                held.who.owner.or(held.holders.opened_by)
            }
            false => conn.who.owner,
        }
    }

    /// The processes of a connection as text.
    pub fn process(&mut self, who: &Ident, socket: Attachment) -> String {
        if self.exact {
            let held = held(&mut *self.host, who, socket);
            return line::text(&Live(held.who.owner, &held.holders));
        }
        line::text(&Live(who.owner, &Holders::default()))
    }

    /// The start of the id of a connection's container, or its name.
    pub fn container(&mut self, who: &Ident) -> String {
        let names = self.host.names(who);
        names.container().map_or("-".into(), short_id)
    }

    /// The control group of a connection.
    pub fn cgroup(&mut self, who: &Ident) -> Option<String> {
        let names = self.host.names(who);
        names.cgroup_path().map(printable)
    }

    /// The name of a connection's network namespace, with its number.
    pub fn netns(&mut self, who: &Ident) -> String {
        match self.host.names(who).netns {
            Some(name) => format!("{} ({})", printable(&name), who.netns),
            None => who.netns.to_string(),
        }
    }

    /// The device that a socket is bound to.
    pub fn dev(&mut self, who: &Ident) -> Option<Dev> {
        let pid = who.owner.map(|owner| owner.pid);
        let bound = who.ifindex != 0;
        bound.then(|| self.host.dev(who.netns, who.ifindex, pid))
    }

    /// The name of a container or control group; `example` is one of its connections.
    pub fn group(&mut self, group: &Group, example: &Ident) -> Option<String> {
        let who = Ident {
            cgroup: group.cgroup,
            ..*example
        };
        let names = self.host.names(&who);
        let path = names.cgroup_path().map(printable);
        match (names.container(), path) {
            (Some(container), Some(path)) => Some(format!("{} {path}", short_id(container))),
            (_, path) => path,
        }
    }
}

/// Ids of containers are cut as their programs cut them; names are whole.
fn short_id(container: &str) -> String {
    let is_id = container.len() == 64 && container.bytes().all(|b| b.is_ascii_hexdigit());
    match is_id {
        true => container.chars().take(ID).collect(),
        false => printable(container),
    }
}
