//! Arguments of problems and remedies that several rules have.

use std::net::IpAddr;

use crate::diagnose::finding::Peer;
use crate::model::endpoint::Dev;

/// The address of a host, with its device where it means nothing without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAddress {
    /// The address.
    pub addr: IpAddr,
    /// The device.
    pub dev: Option<Dev>,
}

impl HostAddress {
    /// That of a peer.
    pub fn of(peer: &Peer) -> Self {
        Self {
            addr: peer.addr,
            dev: peer.dev.clone(),
        }
    }
}

/// Where a listener is, or where connections go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketAddress {
    /// The address.
    pub addr: IpAddr,
    /// The device that the sockets are bound to.
    pub dev: Option<Dev>,
    /// The port.
    pub port: u16,
}

/// Where the connections of a listener come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sources {
    /// All from one address.
    One(HostAddress),
    /// From so many addresses.
    Many(u64),
}
