//! Connections of a process or a control group, by state.

use rustc_hash::FxHashMap;

use crate::model::conn::Conn;
use crate::model::ident::Owner;
use crate::model::state::State;
use crate::model::top::screen::{By, Order};

/// Number of states, with a place for numbers that are unknown.
const STATES: usize = 14;

/// The connections of one process or control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The process; `None`: it is not known, or the group is a control group.
    pub owner: Option<Owner>,
    /// The control group; `None`: it is not known, or the group is a process.
    pub cgroup: Option<u64>,
    /// Number of sockets, listeners included.
    pub total: u64,
    /// Bytes that live connections have sent.
    pub sent: u64,
    /// Bytes that they have received.
    pub received: u64,
    /// Segments that they have retransmitted.
    pub retrans: u64,
    /// There are at most 2^24 sockets; a group is small, because a host may have many.
    states: [u32; STATES],
}

impl Group {
    fn new(owner: Option<Owner>, cgroup: Option<u64>) -> Self {
        Self {
            owner,
            cgroup,
            total: 0,
            sent: 0,
            received: 0,
            retrans: 0,
            states: [0; STATES],
        }
    }

    #[inline]
    fn add(&mut self, conn: &Conn) {
        let state = usize::from(conn.state.known_as().0).min(STATES - 1);
        self.states[state] += 1;
        self.total += 1;
        if let Some(meters) = &conn.meters {
            self.sent = self.sent.saturating_add(meters.bytes_sent);
            self.received = self.received.saturating_add(meters.bytes_received);
            self.retrans = self.retrans.saturating_add(meters.retrans.into());
        }
    }

    /// Number of sockets in any of these states, as displayed.
    pub fn count(&self, states: &[State]) -> u64 {
        let of = |state: &State| self.states.get(usize::from(state.0)).copied().unwrap_or(0);
        states.iter().map(of).map(u64::from).sum()
    }

    fn weight(&self, order: Order) -> u64 {
        match order {
            Order::Bytes => self.sent.saturating_add(self.received),
            Order::Retrans => self.retrans,
            _ => self.total,
        }
    }

    fn id(&self) -> u64 {
        let pid = self.owner.map(|owner| owner.pid.into());
        pid.or(self.cgroup).unwrap_or(u64::MAX)
    }
}

/// All groups of one kind.
#[derive(Debug)]
pub struct Groups {
    by: By,
    known: FxHashMap<u64, usize>,
    groups: Vec<Group>,
    /// The group of the last connection: many in a row have the same.
    last: Option<(u64, usize)>,
}

impl Groups {
    /// No groups.
    pub fn new(by: By) -> Self {
        Self {
            by,
            known: FxHashMap::default(),
            groups: Vec::new(),
            last: None,
        }
    }

    /// Adds a connection; `owner` is the process that is shown for it.
    #[inline]
    pub fn add(&mut self, conn: &Conn, owner: Option<Owner>) {
        let (owner, cgroup) = match self.by {
            By::Process => (owner, None),
            By::Container => (None, conn.who.cgroup),
        };
        let key = owner.map(|owner| owner.pid.into()).or(cgroup);
        let key = key.unwrap_or(u64::MAX);
        let index = match self.last {
            Some((last, index)) if last == key => index,
            _ => self.find(key, owner, cgroup),
        };
        self.last = Some((key, index));
        self.groups[index].add(conn);
    }

    fn find(&mut self, key: u64, owner: Option<Owner>, cgroup: Option<u64>) -> usize {
        let groups = &mut self.groups;
        *self.known.entry(key).or_insert_with(|| {
            groups.push(Group::new(owner, cgroup));
            groups.len() - 1
        })
    }

    /// The groups in an order; groups of equal weight by their numbers.
    pub fn into_sorted(mut self, order: Order) -> Vec<Group> {
        match order {
            Order::Name => self.groups.sort_by_key(|group| {
                let comm = group.owner.map(|owner| owner.comm);
                (comm.is_none(), comm, group.id())
            }),
            order => self.groups.sort_by_key(|group| {
                let weight = group.weight(order);
                (std::cmp::Reverse(weight), group.id())
            }),
        }
        self.groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi;

    fn conn(state: State, pid: u32, cgroup: u64, sent: u64) -> (Conn, Option<Owner>) {
        let mut conn = Conn::decode(&[0; abi::CONN_SIZE]);
        conn.state = state;
        conn.who.cgroup = (cgroup != 0).then_some(cgroup);
        conn.meters = Some(crate::model::meters::Meters {
            bytes_sent: sent,
            retrans: 2,
            ..Default::default()
        });
        let owner = Owner {
            pid,
            comm: [b'a' + (pid % 26) as u8; 16],
        };
        (conn, (pid != 0).then_some(owner))
    }

    fn grouped(by: By, order: Order) -> Vec<Group> {
        let mut groups = Groups::new(by);
        for (state, pid, cgroup, sent) in [
            (State::ESTABLISHED, 7, 1, 10),
            (State::ESTABLISHED, 7, 2, 10),
            (State::NEW_SYN_RECV, 0, 0, 0),
            (State(200), 7, 1, 0),
            (State::CLOSE_WAIT, 5, 1, 900),
        ] {
            let (conn, owner) = conn(state, pid, cgroup, sent);
            groups.add(&conn, owner);
        }
        groups.into_sorted(order)
    }

    #[test]
    fn each_socket_is_in_one_group() {
        let groups = grouped(By::Process, Order::Count);
        let pids: Vec<_> = groups.iter().map(|g| g.owner.map(|o| o.pid)).collect();
        assert_eq!(pids, [Some(7), Some(5), None]);
        assert_eq!((groups[0].total, groups[0].sent), (3, 20));
        assert_eq!(groups[0].count(&[State::ESTABLISHED]), 2);
        assert_eq!(groups[2].count(&[State::SYN_RECV, State::SYN_SENT]), 1);
        let cgroups = grouped(By::Container, Order::Count);
        let ids: Vec<_> = cgroups.iter().map(|g| (g.cgroup, g.total)).collect();
        assert_eq!(ids, [(Some(1), 3), (Some(2), 1), (None, 1)]);
    }

    #[test]
    fn groups_have_several_orders() {
        let pids = |order| -> Vec<_> {
            let groups = grouped(By::Process, order);
            groups.iter().map(|g| g.owner.map(|o| o.pid)).collect()
        };
        assert_eq!(pids(Order::Bytes), [Some(5), Some(7), None]);
        assert_eq!(pids(Order::Retrans), [Some(7), Some(5), None]);
        assert_eq!(pids(Order::Name), [Some(5), Some(7), None]);
    }
}
