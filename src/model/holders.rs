//! Who has the socket of a live connection or listener open.

use rustc_hash::FxHashMap;

use crate::model::conn::Conn;
use crate::model::ident::{Ident, Owner};
use crate::model::state::State;

/// The socket of a live connection or listener, as processes have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// It has this inode number, by which it is found among the descriptors of processes.
    Inode(u64),
    /// It has none yet, such as in the accept queue, or the number is unknown.
    Unknown,
    /// No process has it open any more.
    Orphan,
    /// It is a request or timewait socket, which no process can have open.
    Small,
}

impl Attachment {
    /// The socket of a live connection.
    pub fn of(conn: &Conn) -> Self {
        match conn.activity {
            None => Self::Small,
            Some(activity) if activity.orphan => Self::Orphan,
            Some(activity) => activity.ino.map_or(Self::Unknown, Self::Inode),
        }
    }
}

/// Why the owner of a socket is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hold {
    /// It has the socket open, or that could not be found out and it is the process that opened it.
    #[default]
    Open,
    /// It had the socket open, of which only a timewait or request socket is left.
    Past,
    /// There is no owner: the socket is an orphan.
    Orphan,
}

/// The processes of a socket beside its owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders {
    /// Why the owner is shown.
    pub hold: Hold,
    /// All processes that have the socket open, the owner first, if there are several; at most
    /// [`Holders::MOST`].
    pub several: Vec<Owner>,
    /// Number of processes that have the socket open; 0: unknown, or none.
    pub count: u64,
    /// The process that called `connect()`, `accept()` or `listen()`, if it does not have the socket
    /// open.
    pub opened_by: Option<Owner>,
    /// The owner has ended.
    pub gone: bool,
}

impl Holders {
    /// Maximum number of processes that are named.
    pub const MOST: usize = 256;
}

/// A live socket with its processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its identity; the owner is the first process that has it open, and user and cgroup are those
    /// of that process.
    pub who: Ident,
    /// The other processes.
    pub holders: Holders,
}

impl Held {
    /// The processes that are shown: those that have it open, else the one that had it, or that has
    /// opened it.
    pub fn shown(&self) -> Vec<Owner> {
        match self.holders.several.is_empty() {
            true => Vec::from_iter(self.who.owner.or(self.holders.opened_by)),
            false => self.holders.several.clone(),
        }
    }
}

/// Inode numbers of listening sockets, by the module's ids.
pub type ListenerInodes = FxHashMap<u64, u64>;

/// Adds the listening sockets of a snapshot.
pub fn add_listeners(inodes: &mut ListenerInodes, conns: &[Conn]) {
    for conn in conns.iter().filter(|c| c.state == State::LISTEN) {
        if let Attachment::Inode(inode) = Attachment::of(conn) {
            inodes.insert(conn.who.conn, inode);
        }
    }
}

/// The socket of a listener.
pub fn of_listener(inodes: &ListenerInodes, who: &Ident) -> Attachment {
    let inode = inodes.get(&who.conn).copied();
    inode.map_or(Attachment::Unknown, Attachment::Inode)
}
