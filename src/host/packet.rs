//! Segments of TCP in packets as they come in: the classic BPF program that
//! picks those to one port, and what user space reads of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use socket2::SockFilter;

/// Bytes of a packet that are looked at.
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

/// A program that takes TCP to a port, from the network header on: no fragments and, with IPv6,
/// no extension headers.
pub fn program(ipv4: bool, port: u16) -> Vec<SockFilter> {
    let op = |code, k| SockFilter::new(code, 0, 0, k);
    // A jump goes over so many instructions: to the last but one it takes, to the last it drops.
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

/// A segment that came in.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Who sent it.
    pub from: (IpAddr, u16),
    /// To which port.
    pub to: u16,
    /// Its sequence number.
    pub seq: u32,
    /// What it carries, as far as it was not cut off.
    pub data: &'a [u8],
}

/// Reads a packet from its network header on; `None` when it is not one of these.
pub fn parse(packet: &[u8]) -> Option<Segment<'_>> {
    let (from, tcp) = match packet.first()? >> 4 {
        4 => ipv4(packet)?,
        6 => ipv6(packet)?,
        _ => return None,
    };
    let half = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    let header = usize::from(tcp.get(12)? >> 4) * 4;
    Some(Segment {
        from: (from, half(0)?),
        to: half(2)?,
        seq: u32::from(half(4)?) << 16 | u32::from(half(6)?),
        data: tcp.get(header.max(20)..)?,
    })
}

/// The sender, and what follows the header, without padding of the link.
fn ipv4(packet: &[u8]) -> Option<(IpAddr, &[u8])> {
    let header = usize::from(packet.first()? & 15) * 4;
    let length = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let from: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let end = length.min(packet.len());
    let is_tcp = u32::from(*packet.get(9)?) == TCP;
    is_tcp.then_some((Ipv4Addr::from(from).into(), packet.get(header..end)?))
}

fn ipv6(packet: &[u8]) -> Option<(IpAddr, &[u8])> {
    let length = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
    let from: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
    let end = (IPV6_HEADER + length).min(packet.len());
    let is_tcp = u32::from(*packet.get(6)?) == TCP;
    is_tcp.then_some((Ipv6Addr::from(from).into(), packet.get(IPV6_HEADER..end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

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
