//! Arguments that problems and remedies of several rules share.

use std::net::IpAddr;

use crate::diagnose::finding::Peer;
use crate::model::endpoint::Dev;

/// The address of a host, with the device if that is needed to identify the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAddress {
    /// The address.
    pub addr: IpAddr,
    /// The device.
    pub dev: Option<Dev>,
}

impl HostAddress {
    /// The address of a peer.
    pub fn of(peer: &Peer) -> Self {
        Self {
            addr: peer.addr,
            dev: peer.dev.clone(),
        }
    }
}

/// The address of a listener or destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketAddress {
    /// The address.
    pub addr: IpAddr,
    /// The device that the sockets are bound to.
    pub dev: Option<Dev>,
    /// The port.
    pub port: u16,
}

/// The sources of the connections of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sources {
    /// All connections are from one address.
    One(HostAddress),
    /// Number of addresses.
    Many(u64),
}
