//! The service that connections share: the listener that accepted them, or their destination.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::model::conn::Conn;
use crate::model::ident::{Ident, Remote, Role};
use crate::model::state::State;

/// Which side started the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// They came to a listener on this host.
    Server,
    /// They were started on this host.
    Client,
}

/// The service that connections share: the listener that they came to, or the destination of those
/// that were started on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// The side of this host.
    pub side: Side,
    /// The device that the listener or the connecting socket is bound to; 0: none.
    pub ifindex: u32,
    /// Address of the listener, or of the destination.
    pub addr: IpAddr,
    /// Port of the listener, or of the destination.
    pub port: u16,
}

impl Service {
    /// The same for sockets of both families: an IPv4 address is not mapped.
    pub fn canonical(self) -> Self {
        let addr = self.addr.to_canonical();
        Self { addr, ..self }
    }

    /// Its host and port.
    pub fn destination(&self) -> (Remote, u16) {
        let Self { addr, ifindex, .. } = *self;
        (Remote { addr, ifindex }, self.port)
    }
}

/// Number of connections of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Live {
    /// Connections in ESTABLISHED.
    pub established: u64,
    /// Connections in any state except TIME_WAIT.
    pub all: u64,
}

/// Listeners by namespace and port.
pub(super) type Sockets = HashMap<(u32, u16), Vec<Ident>>;

/// The service of a connection: the listener that it came to, or its destination.
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
    // A connection inherits the device of its listener.
    let Some(end) = who.listener.filter(|_| who.ifindex != 0) else {
        return 0;
    };
    let here = sockets.get(&(who.netns, end.port)).into_iter().flatten();
    let listener = on_device(here.filter(|l| l.laddr == end.addr), who.ifindex);
    listener.map_or(who.ifindex, |l| l.ifindex)
}

/// Selects, from the listeners of one address and port, the one that a socket bound to this device
/// must have come to. A connection inherits the device of its listener. If the listener is not
/// bound, the connection has no device, except that a connection with a link-local peer has the
/// device of that peer; in a VRF that is not the device of the VRF, so the remaining listener is
/// used.
fn on_device<'a>(
    listeners: impl Iterator<Item = &'a Ident> + Clone,
    ifindex: u32,
) -> Option<&'a Ident> {
    let on = |index| listeners.clone().find(|l| l.ifindex == index);
    let left = || listeners.clone().next().filter(|_| ifindex != 0);
    on(ifindex).or_else(|| on(0)).or_else(left)
}

/// Number of connections of each service.
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

/// The listener on the local address of a connection, otherwise the listener on any address.
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
