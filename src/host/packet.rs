//! TCP segments of incoming packets: the classic BPF program that selects those to one port, and
//! the parser in user space.

use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use socket2::SockFilter;

/// Number of bytes of a packet that are read.
pub const SNAP: usize = 1024;

const TCP: u32 = 6;
const IPV6_HEADER: usize = 40;

/// Opcodes of classic BPF (`linux/bpf_common.h`).
mod code {
    pub const LD_BYTE: u16 = 0x30;
    pub const LD_HALF: u16 = 0x28;
    pub const LD_HALF_BEHIND_X: u16 = 0x48;
    pub const LDX_HEADER: u16 = 0xb1;
    pub const JUMP_EQUAL: u16 = 0x15;
    pub const JUMP_ANY_BIT: u16 = 0x45;
    pub const RETURN: u16 = 0x06;
}

/// A filter for TCP packets to a port, starting at the network header. It excludes fragments and,
/// for IPv6, packets with extension headers.
pub fn program(ipv4: bool, port: u16) -> Vec<SockFilter> {
    let op = |code, k| SockFilter::new(code, 0, 0, k);
    // A jump skips this many instructions: the last instruction but one accepts the packet, the
    // last drops it.
    let jump = |code, yes, no, k| SockFilter::new(code, yes, no, k);
    let take = [op(code::RETURN, SNAP as u32), op(code::RETURN, 0)];
    let mut program = match ipv4 {
        true => vec![
            op(code::LD_BYTE, 9),
            jump(code::JUMP_EQUAL, 0, 6, TCP),
            op(code::LD_HALF, 6),
            jump(code::JUMP_ANY_BIT, 4, 0, 0x1fff),
            op(code::LDX_HEADER, 0),
            op(code::LD_HALF_BEHIND_X, 2),
            jump(code::JUMP_EQUAL, 0, 1, port.into()),
        ],
        false => vec![
            op(code::LD_BYTE, 6),
            jump(code::JUMP_EQUAL, 0, 3, TCP),
            op(code::LD_HALF, IPV6_HEADER as u32 + 2),
            jump(code::JUMP_EQUAL, 0, 1, port.into()),
        ],
    };
    program.extend(take);
    program
}

/// A segment that was received.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Source address and port.
    pub from: (IpAddr, u16),
    /// Destination port.
    pub to: u16,
    /// Its sequence number.
    pub seq: u32,
    /// The payload, which may be truncated.
    pub data: &'a [u8],
}

/// Parses a packet that starts with its network header, and ignores padding of the link. Returns
/// `None` if it is not such a packet.
pub fn parse(packet: &[u8]) -> Option<Segment<'_>> {
    let packet = LaxSlicedPacket::from_ip(packet).ok()?;
    let from = match packet.net? {
        LaxNetSlice::Ipv4(ip) => ip.header().source_addr().into(),
        LaxNetSlice::Ipv6(ip) => ip.header().source_addr().into(),
        LaxNetSlice::Arp(_) => return None,
    };
    let TransportSlice::Tcp(tcp) = packet.transport? else {
        return None;
    };
    Some(Segment {
        from: (from, tcp.source_port()),
        to: tcp.destination_port(),
        seq: tcp.sequence_number(),
        data: tcp.payload(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    fn tcp(data: &[u8]) -> Vec<u8> {
        let mut segment = vec![0x9c, 0x40, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 0x18];
        segment.resize(20, 0);
        segment.extend(data);
        segment
    }

    fn v4(data: &[u8]) -> Vec<u8> {
        let tcp = tcp(data);
        let mut packet = vec![0x45, 0, 0, 20 + tcp.len() as u8, 0, 0, 0x40, 0, 64, 6, 0, 0];
        packet.extend([10, 9, 0, 1, 10, 0, 0, 1]);
        packet.extend(tcp);
        packet
    }

    fn v6(data: &[u8]) -> Vec<u8> {
        let tcp = tcp(data);
        let mut packet = vec![0x60, 0, 0, 0, 0, tcp.len() as u8, 6, 64];
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend(tcp);
        packet
    }

    #[test]
    fn segments_are_read_without_the_padding_of_the_link() {
        let mut packet = v4(b"x=1");
        packet.extend([0; 6]);
        let segment = parse(&packet).unwrap();
        assert_eq!(segment.from, ("10.9.0.1".parse().unwrap(), 40000));
        assert_eq!((segment.to, segment.seq), (80, 0x0102_0304));
        assert_eq!(segment.data, b"x=1");
        let packet = v6(b"X-a: b\r\n");
        let segment = parse(&packet).unwrap();
        assert_eq!(segment.from, ("::1".parse().unwrap(), 40000));
        assert_eq!(segment.data, b"X-a: b\r\n");
    }

    #[test]
    fn a_segment_that_is_cut_off_is_read_as_far_as_it_goes() {
        for (packet, header) in [(v4(b"GET / HTTP/1.1"), 40), (v6(b"GET / HTTP/1.1"), 60)] {
            let segment = parse(&packet[..header + 5]).unwrap();
            assert_eq!((segment.to, segment.data), (80, &b"GET /"[..]));
            assert_eq!(parse(&packet[..header]).unwrap().data, b"");
            assert_eq!(parse(&packet[..header - 1]), None);
        }
    }

    #[test]
    fn any_bytes_are_looked_at_and_none_panics() {
        let packets = [v4(b"GET / HTTP/1.1\r\n"), v6(b"GET / HTTP/1.1\r\n")];
        for packet in packets {
            for end in 0..packet.len() {
                let _ = parse(&packet[..end]);
            }
            for at in 0..packet.len() {
                for byte in [0, 0x0f, 0x7f, 0xff] {
                    let mut broken = packet.clone();
                    broken[at] = byte;
                    let _ = parse(&broken);
                }
            }
        }
        let mut udp = v4(b"x");
        udp[9] = 17;
        assert_eq!(parse(&udp), None);
    }
}
