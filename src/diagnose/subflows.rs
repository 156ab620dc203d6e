//! Subflows of MPTCP connections: one may carry all data while the others are ready to take over.

use std::collections::HashSet;

use crate::model::conn::Conn;

/// The MPTCP sockets of which a subflow has carried data, by inode number.
pub struct Subflows(HashSet<u64>);

impl Subflows {
    /// Those of these connections.
    pub fn of(conns: &[Conn]) -> Self {
        let used = conns
            .iter()
            .filter(|c| c.meters.is_some_and(|m| m.bytes() > 0));
        Self(used.filter_map(socket).collect())
    }

    /// Whether another subflow of the same MPTCP connection has carried data.
    pub fn carry_for(&self, conn: &Conn) -> bool {
        socket(conn).is_some_and(|socket| self.0.contains(&socket))
    }
}

fn socket(conn: &Conn) -> Option<u64> {
    conn.activity.filter(|_| conn.who.subflow)?.ino
}
