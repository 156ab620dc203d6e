//! Hand-made IPv4 packets: TCP segments (RFC 9293, 3.1) and ICMP messages about them (RFC 792).

use std::net::{Ipv4Addr, SocketAddrV4};

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// Lengths of headers without options.
const IP: usize = 20;
const TCP: usize = 20;

const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_TCP: u8 = 6;

/// A TCP segment over IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
    pub payload: Vec<u8>,
}

impl Segment {
    pub fn new(from: SocketAddrV4, to: SocketAddrV4, flags: u8) -> Self {
        Self {
            from,
            to,
            flags,
            seq: 0,
            ack: 0,
            window: 65535,
            payload: Vec::new(),
        }
    }

    /// Its length in the sequence space.
    pub fn len(&self) -> u32 {
        let controls = [SYN, FIN].iter().filter(|f| self.flags & **f != 0);
        self.payload.len() as u32 + controls.count() as u32
    }

    pub fn to_packet(&self) -> Vec<u8> {
        let mut tcp = Vec::with_capacity(TCP + self.payload.len());
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([(TCP as u8 / 4) << 4, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        // Checksum and urgent pointer, both zero.
        tcp.extend([0; 4]);
        tcp.extend(&self.payload);
        let pseudo = [
            &self.from.ip().octets()[..],
            &self.to.ip().octets(),
            &[0, PROTOCOL_TCP],
            &(tcp.len() as u16).to_be_bytes(),
        ]
        .concat();
        let sum = checksum(&[&pseudo[..], &tcp].concat());
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        packet(*self.from.ip(), *self.to.ip(), PROTOCOL_TCP, &tcp)
    }

    /// `None` when the packet is of another protocol.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let at = ip_header_len(packet)?;
        if packet.get(9) != Some(&PROTOCOL_TCP) {
            return None;
        }
        let tcp = packet.get(at..)?;
        let word = |i: usize| Some(u16::from_be_bytes([*tcp.get(i)?, *tcp.get(i + 1)?]));
        let long = |i: usize| Some((u32::from(word(i)?) << 16) | u32::from(word(i + 2)?));
        let data = usize::from(tcp.get(12)? >> 4) * 4;
        Some(Self {
            from: SocketAddrV4::new(address(packet, 12)?, word(0)?),
            to: SocketAddrV4::new(address(packet, 16)?, word(2)?),
            flags: *tcp.get(13)?,
            seq: long(4)?,
            ack: long(8)?,
            window: word(14)?,
            payload: tcp.get(data..)?.to_vec(),
        })
    }
}

/// ICMP's `Destination unreachable`, from a router, about a segment.
pub fn unreachable(router: Ipv4Addr, code: u8, about: &Segment) -> Vec<u8> {
    const DESTINATION_UNREACHABLE: u8 = 3;
    let mut icmp = vec![DESTINATION_UNREACHABLE, code, 0, 0, 0, 0, 0, 0];
    icmp.extend(&about.to_packet()[..IP + 8]);
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    packet(router, *about.from.ip(), PROTOCOL_ICMP, &icmp)
}

fn packet(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend(((IP + payload.len()) as u16).to_be_bytes());
    // No identification, do not fragment; time to live.
    header.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header.extend(payload);
    header
}

fn ip_header_len(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    (first >> 4 == 4).then_some(usize::from(first & 0xf) * 4)
}

fn address(packet: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
    Some(octets.into())
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2);
    let sum: u32 = words
        .map(|w| u32::from(u16::from_be_bytes([w[0], *w.get(1).unwrap_or(&0)])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
