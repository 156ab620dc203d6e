//! Text form of addresses, ports and devices.

use std::net::IpAddr;
use std::rc::Rc;

use crate::fmt::escape::Printable;
use crate::fmt::line::{self, Line, Put};
use crate::model::ident::Ident;

/// A device, written after `%`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dev {
    /// Its index, never 0.
    pub index: u32,
    /// Its name, if available.
    pub name: Option<Rc<str>>,
}

/// Writes the name, or the index if there is no name.
impl Put for Dev {
    fn put(&self, line: &mut Line) {
        match &self.name {
            Some(name) => Printable::text(name).put(line),
            None => self.index.put(line),
        }
    }
}

/// An address without a port: `1.2.3.4`, `fe80::1%eth0`.
pub struct Address<'a>(pub IpAddr, pub Option<&'a Dev>);

impl Put for Address<'_> {
    fn put(&self, line: &mut Line) {
        self.0.put(line);
        if let Some(dev) = self.1 {
            line.push(b'%');
            dev.put(line);
        }
    }
}

/// `1.2.3.4:80`, `[::1]:80`, `[fe80::1%eth0]:80` or `0.0.0.0%eth0:80`; a port of 0 is `*`.
pub struct End<'a>(pub Address<'a>, pub u16);

impl<'a> End<'a> {
    /// The local end of a socket, with the device that the socket is bound to.
    pub fn local(who: &Ident, dev: Option<&'a Dev>) -> Self {
        Self(Address(who.local(), dev), who.lport)
    }

    /// The remote end of a socket.
    pub fn remote(who: &Ident, dev: Option<&'a Dev>) -> Self {
        Self(Address::remote(who.remote(), dev), who.rport)
    }
}

impl<'a> Address<'a> {
    /// The address of the other end of a socket that is bound to this device. The device is
    /// included only if the address is link-local.
    pub fn remote(address: IpAddr, dev: Option<&'a Dev>) -> Self {
        Self(address, dev.filter(|_| is_link_local(address)))
    }
}

/// Whether the address is link-local, so that each link may have its own host with this address.
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

impl Put for End<'_> {
    fn put(&self, line: &mut Line) {
        let Self(address, port) = self;
        match address.0 {
            IpAddr::V4(_) => address.put(line),
            IpAddr::V6(_) => {
                line.push(b'[');
                address.put(line);
                line.push(b']');
            }
        }
        line.push(b':');
        match port {
            0 => line.push(b'*'),
            port => port.put(line),
        }
    }
}

/// The endpoint as a string.
pub fn endpoint(address: Address, port: u16) -> String {
    line::text(&End(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_tell_address_from_port() {
        let end = |addr: &str, port| endpoint(Address(addr.parse().unwrap(), None), port);
        assert_eq!(end("1.2.3.4", 80), "1.2.3.4:80");
        assert_eq!(end("::1", 80), "[::1]:80");
        assert_eq!(end("::", 0), "[::]:*");
        assert_eq!(end("::ffff:1.2.3.4", 80), "[::ffff:1.2.3.4]:80");
    }

    #[test]
    fn a_device_is_behind_the_address() {
        let dev = |name: Option<&str>| Dev {
            index: 7,
            name: name.map(Into::into),
        };
        let (named, unnamed) = (dev(Some("e\n0")), dev(None));
        let end = |addr: &str, dev| endpoint(Address(addr.parse().unwrap(), Some(dev)), 80);
        assert_eq!(end("0.0.0.0", &unnamed), "0.0.0.0%7:80");
        assert_eq!(end("fe80::1", &named), "[fe80::1%e\\n0]:80");
        let remote = |addr: &str| {
            let address = Address::remote(addr.parse().unwrap(), Some(&unnamed));
            line::text(&address)
        };
        assert_eq!(remote("fe80::2"), "fe80::2%7");
        assert_eq!(remote("2001:db8::2"), "2001:db8::2");
        assert_eq!(remote("10.0.0.2"), "10.0.0.2");
    }
}
