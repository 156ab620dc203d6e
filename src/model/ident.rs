//! The identity of a connection: its addresses, its owner and its side.

use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::abi::{self, RawIdent, array};
use crate::fmt::escape::{Printable, is_plain_padded};
use crate::fmt::line::{Line, Put, put_first};
use crate::model::state::State;

/// The side of a connection that a socket is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It sent the first SYN.
    Client,
    /// A listener accepted its SYN.
    Server,
    /// A listening socket.
    Listener,
}

impl Role {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        match u32::from(number) {
            abi::TCPSTATES_ROLE_CLIENT => Some(Self::Client),
            abi::TCPSTATES_ROLE_SERVER => Some(Self::Server),
            abi::TCPSTATES_ROLE_LISTENER => Some(Self::Listener),
            _ => None,
        }
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Listener => "listener",
        }
    }
}

/// The process that owns a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// Thread group id in the initial pid namespace.
    pub pid: u32,
    /// Name of the thread group leader: NUL-padded, any bytes.
    pub comm: [u8; 16],
}

impl Owner {
    /// The name without its padding.
    pub fn comm_bytes(&self) -> &[u8] {
        // All bytes are checked at once: the lowest bit that is set belongs to the first NUL.
        const EACH: u128 = u128::from_ne_bytes([1; 16]);
        let text = u128::from_le_bytes(self.comm);
        let nuls = text.wrapping_sub(EACH) & !text & (EACH << 7);
        &self.comm[..nuls.trailing_zeros() as usize / 8]
    }
}

/// `PID/NAME`.
impl Put for Owner {
    fn put(&self, line: &mut Line) {
        self.pid.put(line);
        line.push(b'/');
        let name = self.comm_bytes();
        // Most names are plain and are copied with their padding, because a copy of constant length
        // is faster.
        match is_plain_padded(&self.comm) {
            true => put_first(line, &self.comm, name.len()),
            false => Printable(name).put(line),
        }
    }
}

/// An address and a port as in the module: IPv4 as `::ffff:a.b.c.d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub addr: [u8; 16],
    /// The port.
    pub port: u16,
}

/// The identity of a connection: `struct tcpstates_ident`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ident {
    /// The module's id of the connection; 0: not tracked.
    pub conn: u64,
    /// Local address; IPv4 as `::ffff:a.b.c.d`.
    pub laddr: [u8; 16],
    /// Remote address; IPv4 as `::ffff:a.b.c.d`.
    pub raddr: [u8; 16],
    /// Local port; 0: not yet chosen.
    pub lport: u16,
    /// Remote port.
    pub rport: u16,
    /// Local address and port of the listener that received the SYN, if known.
    pub listener: Option<Endpoint>,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Id of the owner's or the socket's cgroup, if known.
    pub cgroup: Option<u64>,
    /// The owner, if known.
    pub owner: Option<Owner>,
    /// `sk_uid` in the initial user namespace, if known.
    pub uid: Option<u32>,
    /// The socket's family: 4 or 6.
    pub family: u8,
    /// The side, if known.
    pub role: Option<Role>,
    /// Whether it is older than the activation.
    pub seeded: bool,
    /// Whether it is a subflow of an MPTCP connection.
    pub subflow: bool,
    /// The device that the socket is bound to; 0: none.
    pub ifindex: u32,
}

/// The remote host of a connection. Two devices may lead to two hosts with the same address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Remote {
    /// Its address; IPv4 is not mapped.
    pub addr: IpAddr,
    /// The device that the socket is bound to; 0: none.
    pub ifindex: u32,
}

impl Ident {
    #[inline]
    pub(crate) fn decode(bytes: &[u8; size_of::<RawIdent>()]) -> Self {
        let flags = u32::from(abi::u16_at(bytes, offset_of!(RawIdent, flags)));
        let has = |flag: u32| flags & flag != 0;
        let owner = Owner {
            pid: abi::u32_at(bytes, offset_of!(RawIdent, pid)),
            comm: array(bytes, offset_of!(RawIdent, comm)),
        };
        let listener = Endpoint {
            addr: array(bytes, offset_of!(RawIdent, listener_addr)),
            port: abi::u16_at(bytes, offset_of!(RawIdent, listener_port)),
        };
        let cgroup = abi::u64_at(bytes, offset_of!(RawIdent, cgroup));
        Self {
            conn: abi::u64_at(bytes, offset_of!(RawIdent, conn)),
            laddr: array(bytes, offset_of!(RawIdent, laddr)),
            raddr: array(bytes, offset_of!(RawIdent, raddr)),
            lport: abi::u16_at(bytes, offset_of!(RawIdent, lport)),
            rport: abi::u16_at(bytes, offset_of!(RawIdent, rport)),
            listener: has(abi::TCPSTATES_HAS_LISTENER).then_some(listener),
            netns: abi::u32_at(bytes, offset_of!(RawIdent, netns)),
            cgroup: (cgroup != 0).then_some(cgroup),
            owner: has(abi::TCPSTATES_HAS_OWNER).then_some(owner),
            uid: has(abi::TCPSTATES_HAS_UID)
                .then_some(abi::u32_at(bytes, offset_of!(RawIdent, uid))),
            family: bytes[offset_of!(RawIdent, family)],
            role: Role::from_number(bytes[offset_of!(RawIdent, role)]),
            seeded: has(abi::TCPSTATES_SEEDED),
            subflow: has(abi::TCPSTATES_IS_SUBFLOW),
            ifindex: abi::u32_at(bytes, offset_of!(RawIdent, ifindex)),
        }
    }

    /// The local address in the socket's family.
    pub fn local(&self) -> IpAddr {
        address(&self.laddr, self.family)
    }

    /// The remote address in the socket's family.
    pub fn remote(&self) -> IpAddr {
        address(&self.raddr, self.family)
    }

    /// The remote host.
    pub fn peer(&self) -> Remote {
        Remote {
            addr: self.remote().to_canonical(),
            ifindex: self.ifindex,
        }
    }

    /// Whether the socket is connected to itself: both ends are the same address and port.
    pub fn is_self_connected(&self) -> bool {
        (self.laddr, self.lport) == (self.raddr, self.rport) && self.lport != 0
    }

    /// The listener's address and port, if known.
    pub fn listener(&self) -> Option<(IpAddr, u16)> {
        self.listener
            .map(|end| (address(&end.addr, self.family), end.port))
    }

    /// Whether it is a listener, according to its side or its states.
    pub(crate) fn is_listener(&self, states: &[State]) -> bool {
        match self.role {
            Some(role) => role == Role::Listener,
            None => states.contains(&State::LISTEN),
        }
    }
}

pub(crate) fn address(bytes: &[u8; 16], family: u8) -> IpAddr {
    match (family, bytes) {
        (4, &[.., a, b, c, d]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::V6(Ipv6Addr::from(*bytes)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fmt::escape::printable_bytes;
    use crate::fmt::line;
    use crate::fmt::random::random_bytes;

    /// An identity in namespace 4026531840, from `ADDRESS:PORT` texts.
    pub(crate) fn ident(local: &str, remote: &str) -> Ident {
        let (local, remote): (std::net::SocketAddr, std::net::SocketAddr) =
            (local.parse().unwrap(), remote.parse().unwrap());
        let octets = |ip| match ip {
            IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
            IpAddr::V6(a) => a.octets(),
        };
        Ident {
            conn: 1,
            laddr: octets(local.ip()),
            raddr: octets(remote.ip()),
            lport: local.port(),
            rport: remote.port(),
            listener: None,
            netns: 4_026_531_840,
            cgroup: None,
            owner: None,
            uid: None,
            family: if local.is_ipv4() { 4 } else { 6 },
            role: None,
            seeded: false,
            subflow: false,
            ifindex: 0,
        }
    }

    #[test]
    fn a_name_ends_before_its_first_nul() {
        let mut seed = 0x000a_11ce;
        for round in 0..20_000u32 {
            let mut comm: [u8; 16] = random_bytes(&mut seed);
            // Clears all bits but the highest and the lowest, in none to all of the bytes.
            let cleared = |byte: &u8| u32::from(byte % 16) < round % 17;
            for byte in comm.iter_mut().filter(|byte| cleared(byte)) {
                *byte &= 0x81;
            }
            let plainly: Vec<u8> = comm.iter().copied().take_while(|&byte| byte != 0).collect();
            assert_eq!(Owner { pid: 1, comm }.comm_bytes(), plainly);
        }
    }

    #[test]
    fn an_owner_is_its_number_and_its_printable_name() {
        for name in [
            &b""[..],
            b"nginx",
            b"sixteen bytes ..",
            b"a\nb",
            "\u{e9}".as_bytes(),
            b"x\0\x1b",
        ] {
            let mut comm = [0; 16];
            comm[..name.len()].copy_from_slice(name);
            let owner = Owner { pid: 77, comm };
            let expected = format!("77/{}", printable_bytes(owner.comm_bytes()));
            assert_eq!(line::text(&owner), expected);
        }
    }

    #[test]
    fn a_mapped_address_keeps_its_family() {
        let mapped = Ipv4Addr::new(1, 2, 3, 4).to_ipv6_mapped().octets();
        assert_eq!(address(&mapped, 4).to_string(), "1.2.3.4");
        assert_eq!(address(&mapped, 6).to_string(), "::ffff:1.2.3.4");
    }
}
