//! Checks which addresses are local, by asking the kernel whether a socket can be bound to them.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::path::PathBuf;

use nix::ifaddrs::getifaddrs;

use crate::host::netns::{Namespaces, inside};

/// An address, and the index of its device; 0: none.
pub type Local = (IpAddr, u32);

/// Maximum number of namespaces that are searched for an address.
const MOST_NAMESPACES: usize = 64;

/// Those of the addresses that certainly no socket can have, in this namespace or in any.
pub fn absent(namespaces: &mut Namespaces, netns: Option<u32>, addresses: &[Local]) -> Vec<Local> {
    let mut left = addresses.to_vec();
    if netns.is_none_or(|inode| namespaces.is_here(inode)) {
        left.retain(is_absent_here);
    }
    if left.is_empty() {
        return left;
    }
    // A namespace that cannot be entered may have all of them.
    let Some(others) = others(namespaces, netns) else {
        return Vec::new();
    };
    for (inode, path) in others {
        if inside(&path, inode, || left.retain(is_absent_here)).is_err() {
            return Vec::new();
        }
    }
    left
}

/// The namespaces to check in addition to that of the caller; `None`: they were not found, or are
/// too many.
fn others(namespaces: &mut Namespaces, netns: Option<u32>) -> Option<Vec<(u32, PathBuf)>> {
    match netns {
        Some(inode) if namespaces.is_here(inode) => Some(Vec::new()),
        Some(inode) => Some(vec![(inode, namespaces.find(inode.into(), &[])?)]),
        None => namespaces.others(MOST_NAMESPACES),
    }
}

/// Whether no socket of the calling thread's namespace can have this address. False if the kernel
/// refuses it for another reason.
fn is_absent_here((address, device): &Local) -> bool {
    let address = match address {
        IpAddr::V4(_) => SocketAddr::new(*address, 0),
        IpAddr::V6(v6) => SocketAddrV6::new(*v6, 0, 0, *device).into(),
    };
    let refused = UdpSocket::bind(address).err().map(|e| e.kind());
    // Only sockets of a VRF can have an address of that VRF.
    refused == Some(ErrorKind::AddrNotAvailable) && !is_of_interface(address.ip())
}

/// Whether an interface has the address; true if that cannot be determined.
fn is_of_interface(address: IpAddr) -> bool {
    let Ok(mut all) = getifaddrs() else {
        return true;
    };
    all.any(|interface| {
        let has = interface.address.as_ref();
        let v4 = has
            .and_then(|a| a.as_sockaddr_in())
            .map(|a| IpAddr::V4(a.ip()));
        let v6 = has
            .and_then(|a| a.as_sockaddr_in6())
            .map(|a| IpAddr::V6(a.ip()));
        v4.or(v6) == Some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netns::inode_of;
    use std::path::Path;

    #[test]
    fn local_addresses_are_told_from_others() {
        let here = inode_of(Path::new("/proc/self/ns/net")).unwrap() as u32;
        let all = [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "192.0.2.77",
            "fe80::77",
            "2001:db8::77",
        ];
        let all = all.map(|text| (text.parse::<IpAddr>().unwrap(), 0));
        let absent = absent(&mut Namespaces::default(), Some(here), &all);
        // Without its device a link-local address cannot be checked, and without IPv6, neither can
        // other IPv6 addresses.
        assert!(
            absent == [all[3], all[5]] || absent == [all[3]],
            "{absent:?}"
        );
        let none = super::absent(&mut Namespaces::default(), Some(1), &all);
        assert_eq!(none, [], "of a namespace that is not found nothing is told");
    }
}
