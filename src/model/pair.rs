//! Pairs of addresses: number of connections between two hosts.

use std::mem::offset_of;
use std::net::IpAddr;

use crate::abi::{self, PairBytes, RawPair, array};
use crate::model::ident::address;

/// The connections between two addresses, whichever side started them: `struct tcpstates_pair`. If
/// both addresses are the same, both ends of a connection are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Local address; IPv4 as `::ffff:a.b.c.d`.
    pub laddr: [u8; 16],
    /// Remote address; IPv4 as `::ffff:a.b.c.d`.
    pub raddr: [u8; 16],
    /// Inode number of the network namespace.
    pub netns: u32,
    /// The sockets' family: 4 or 6.
    pub family: u8,
    /// Whether its alarm is raised.
    pub alarm: bool,
    /// The device that the sockets are bound to; 0: none.
    pub ifindex: u32,
    /// Connections in SYN_SENT and SYN_RECV.
    pub half_open: u32,
    /// Connections in ESTABLISHED.
    pub established: u32,
    /// Connections in FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, CLOSING and LAST_ACK.
    pub closing: u32,
    /// Connections in TIME_WAIT.
    pub timewait: u32,
    /// Highest value of [`Pair::connections`].
    pub peak: u64,
    /// Connections that were started, and those found at the activation.
    pub started: u64,
    /// Requests that ended half-open.
    pub unfinished: u64,
    /// Monotonic nanoseconds when the pair was first seen.
    pub first_ns: u64,
    /// Monotonic nanoseconds when the last connection was started.
    pub last_ns: u64,
}

impl Pair {
    /// Decodes an element of the table.
    pub fn decode(bytes: &PairBytes) -> Self {
        let word = |at| abi::u32_at(bytes, at);
        let long = |at| abi::u64_at(bytes, at);
        Self {
            laddr: array(bytes, offset_of!(RawPair, laddr)),
            raddr: array(bytes, offset_of!(RawPair, raddr)),
            netns: word(offset_of!(RawPair, netns)),
            family: bytes[offset_of!(RawPair, family)],
            alarm: bytes[offset_of!(RawPair, alarm)] != 0,
            ifindex: word(offset_of!(RawPair, ifindex)),
            half_open: word(offset_of!(RawPair, half_open)),
            established: word(offset_of!(RawPair, established)),
            closing: word(offset_of!(RawPair, closing)),
            timewait: word(offset_of!(RawPair, timewait)),
            peak: long(offset_of!(RawPair, peak)),
            started: long(offset_of!(RawPair, started)),
            unfinished: long(offset_of!(RawPair, unfinished)),
            first_ns: long(offset_of!(RawPair, first_ns)),
            last_ns: long(offset_of!(RawPair, last_ns)),
        }
    }

    /// The local address in the sockets' family.
    pub fn local(&self) -> IpAddr {
        address(&self.laddr, self.family)
    }

    /// The remote address in the sockets' family.
    pub fn remote(&self) -> IpAddr {
        address(&self.raddr, self.family)
    }

    /// The number that is compared with `threshold`: connections that are not in TIME_WAIT. A
    /// connection of an address with itself counts twice.
    pub fn connections(&self) -> u64 {
        let ends = [self.half_open, self.established, self.closing].map(u64::from);
        let ends: u64 = ends.iter().sum();
        match self.laddr == self.raddr {
            true => ends.div_ceil(2),
            false => ends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::random::random_bytes;
    use std::net::Ipv4Addr;

    #[test]
    fn fields_come_from_their_places() {
        let mut bytes = [0; abi::PAIR_SIZE];
        let mapped = |last| Ipv4Addr::new(10, 0, 0, last).to_ipv6_mapped().octets();
        bytes[0..16].copy_from_slice(&mapped(1));
        bytes[16..32].copy_from_slice(&mapped(2));
        bytes[32..36].copy_from_slice(&5u32.to_ne_bytes());
        bytes[36] = 4;
        bytes[37] = 1;
        bytes[40] = 15;
        for (index, number) in (6u32..=9).enumerate() {
            let at = 48 + 4 * index;
            bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
        }
        for (index, number) in (10u64..=14).enumerate() {
            let at = 64 + 8 * index;
            bytes[at..at + 8].copy_from_slice(&number.to_ne_bytes());
        }
        let pair = Pair::decode(&bytes);
        assert_eq!(pair.local().to_string(), "10.0.0.1");
        assert_eq!(pair.remote().to_string(), "10.0.0.2");
        assert_eq!((pair.netns, pair.alarm, pair.ifindex), (5, true, 15));
        let counts = [pair.half_open, pair.established, pair.closing];
        assert_eq!((counts, pair.timewait), ([6, 7, 8], 9));
        assert_eq!(pair.connections(), 21);
        bytes[16..32].copy_from_slice(&mapped(1));
        assert_eq!(Pair::decode(&bytes).connections(), 11, "both ends of each");
        assert_eq!((pair.peak, pair.started, pair.unfinished), (10, 11, 12));
        assert_eq!((pair.first_ns, pair.last_ns), (13, 14));
    }

    #[test]
    fn any_bytes_decode() {
        let mut seed = 0xbeef;
        for _ in 0..20_000 {
            let pair = Pair::decode(&random_bytes(&mut seed));
            assert!(!pair.local().to_string().is_empty());
            assert!(pair.connections() <= 3 * u64::from(u32::MAX));
        }
        assert_eq!(Pair::decode(&[0xff; abi::PAIR_SIZE]).raddr, [0xff; 16]);
    }
}
