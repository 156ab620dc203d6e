//! What connections have in common: the listener that they came to, or where they go.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::model::conn::Conn;
use crate::model::ident::{Ident, Role};
use crate::model::state::State;

/// Which side began the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// They came to a listener here.
    Server,
    /// They were begun here.
    Client,
}

/// What connections have in common: the listener that they came to, or, of those that were
/// begun here, where they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Which side this host is.
    pub side: Side,
    /// The device that the listener, or the socket that calls, is bound to; 0: none.
    pub ifindex: u32,
    /// Address of the listener, or of the destination.
    pub addr: IpAddr,
    /// Port of the listener, or of the destination.
    pub port: u16,
}

/// How many connections a service has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Live {
    /// In ESTABLISHED.
    pub established: u64,
    /// In any state but TIME_WAIT.
    pub all: u64,
}

/// Listeners by namespace and port.
pub(super) type Sockets = HashMap<(u32, u16), Vec<Ident>>;

/// What a connection belongs to: the listener that it came to, or where it goes.
pub(super) fn service(sockets: &Sockets, who: &Ident) -> Service {
    let at = |side, (addr, port), ifindex| Service {
        netns: who.netns,
        side,
        ifindex,
        addr,
        port,
    };
    let local = || (who.local(), who.lport);
    let called = || at(Side::Client, (who.remote(), who.rport), who.ifindex);
    if who.role == Some(Role::Listener) {
        return at(Side::Server, local(), who.ifindex);
    }
    if let Some(listener) = who.listener() {
        return at(Side::Server, listener, listener_device(sockets, who));
    }
    match who.role {
        Some(Role::Client) => called(),
        role => match (listening(sockets, who), role) {
            (Some(l), _) => at(Side::Server, (l.local(), l.lport), l.ifindex),
            (None, Some(_)) => at(Side::Server, local(), who.ifindex),
            (None, None) => called(),
        },
    }
}

/// The device that the listener of a connection is bound to.
fn listener_device(sockets: &Sockets, who: &Ident) -> u32 {
    // A listener that is bound to a device passes that on.
    let Some(end) = who.listener.filter(|_| who.ifindex != 0) else {
        return 0;
    };
    let here = sockets.get(&(who.netns, end.port)).into_iter().flatten();
    let listener = on_device(here.filter(|l| l.laddr == end.addr), who.ifindex);
    listener.map_or(who.ifindex, |l| l.ifindex)
}

/// Of listeners of one address and port, the one that a socket which is bound to this device must
/// have come to. A connection has its listener's device. Those of a listener without one have none,
/// but of link-local peers theirs; in a VRF the latter have not that of the VRF, which is left then.
fn on_device<'a>(
    listeners: impl Iterator<Item = &'a Ident> + Clone,
    ifindex: u32,
) -> Option<&'a Ident> {
    let on = |index| listeners.clone().find(|l| l.ifindex == index);
    let left = || listeners.clone().next().filter(|_| ifindex != 0);
    on(ifindex).or_else(|| on(0)).or_else(left)
}

/// How many connections each service has.
pub(super) fn live(sockets: &Sockets, conns: &[Conn]) -> HashMap<Service, Live> {
    let mut by_service: HashMap<_, Live> = HashMap::new();
    for conn in conns {
        if [State::LISTEN, State::TIME_WAIT].contains(&conn.state) {
            continue;
        }
        let live = by_service.entry(service(sockets, &conn.who)).or_default();
        live.all += 1;
        live.established += u64::from(conn.state == State::ESTABLISHED);
    }
    by_service
}

/// The listener that has the local address of a connection, else the one that has any.
fn listening<'a>(sockets: &'a Sockets, who: &Ident) -> Option<&'a Ident> {
    let here = sockets.get(&(who.netns, who.lport))?;
    let exact = here.iter().filter(|l| l.laddr == who.laddr);
    let any = |l: &&Ident| {
        let mapped =
            l.local() == IpAddr::from([0, 0, 0, 0]) && who.local().to_canonical().is_ipv4();
        mapped || l.laddr == [0; 16]
    };
    on_device(exact, who.ifindex).or_else(|| on_device(here.iter().filter(any), who.ifindex))
}
