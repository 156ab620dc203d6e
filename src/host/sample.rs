//! Samples the data of slow clients for some seconds: whether it belongs to headers or bodies of
//! requests, which no TCP counter shows. The data is classified, counted and discarded; it is never
//! printed or stored.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::host::netns::{Namespaces, inside};
use crate::host::packet::{self, SNAP};
use crate::host::payload::{self, Piece};

/// Connections to sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Inode number of their network namespace.
    pub netns: u32,
    /// Processes that are likely in it.
    pub pids: Vec<u32>,
    /// The local port.
    pub port: u16,
    /// The remote ends, IPv4 not mapped.
    pub clients: HashSet<(IpAddr, u16)>,
}

/// Counts of the data of one target, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// Parts of headers.
    pub headers: u64,
    /// Parts of bodies.
    pub body: u64,
    /// TLS records.
    pub encrypted: u64,
}

/// Classification of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Headers that do not end.
    Headers,
    /// Bodies that do not end.
    Body,
    /// Unknown because the data is encrypted.
    Encrypted,
    /// Unknown because there was too little data, or both kinds.
    Unknown,
}

/// Sampling stops after this many pieces.
const ENOUGH: u64 = 30;
/// With fewer pieces the result is unknown.
const LEAST: u64 = 3;
/// Percentage of pieces that must agree.
const AGREE: u64 = 80;
/// Maximum number of targets in one diagnosis.
const MOST_TARGETS: usize = 16;
/// From `linux/if_ether.h`. A socket for one protocol receives only incoming packets, so each
/// packet on a loopback device is seen once.
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;

impl Carried {
    /// Classifies the pieces.
    pub fn verdict(self) -> Verdict {
        let all = self.headers + self.body + self.encrypted;
        let agree = |count: u64| count >= LEAST && count * 100 >= all * AGREE;
        if agree(self.headers) {
            Verdict::Headers
        } else if agree(self.body) {
            Verdict::Body
        } else if agree(self.encrypted) {
            Verdict::Encrypted
        } else {
            Verdict::Unknown
        }
    }

    /// Number of pieces.
    pub fn pieces(self) -> u64 {
        self.headers + self.body + self.encrypted
    }

    fn add(&mut self, piece: Piece) {
        match piece {
            Piece::Headers => self.headers += 1,
            Piece::Body => self.body += 1,
            Piece::Encrypted => self.encrypted += 1,
            Piece::Unclear => {}
        }
    }
}

/// Samples all targets in parallel, for at most `patience`. A target that cannot be sampled has no
/// counts.
pub fn sample(namespaces: &mut Namespaces, targets: &[Target], patience: Duration) -> Vec<Carried> {
    let path = |target: &Target| namespaces.find(target.netns.into(), &target.pids);
    let paths: Vec<_> = targets.iter().map(path).collect();
    let deadline = Instant::now() + patience;
    let looked = |(target, path): (&Target, Option<PathBuf>)| {
        let look = || read(target, deadline).unwrap_or_default();
        path.and_then(|path| inside(&path, target.netns, look).ok())
            .unwrap_or_default()
    };
    let mut carried = vec![Carried::default(); targets.len()];
    thread::scope(|scope| {
        let pairs = carried.iter_mut().zip(targets.iter().zip(paths));
        for (carried, pair) in pairs.take(MOST_TARGETS) {
            // If no thread can be created, the target has no counts.
            let work = move || *carried = looked(pair);
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
    });
    carried
}

/// Reads the incoming packets of a target, in the namespace of the calling thread.
fn read(target: &Target, deadline: Instant) -> io::Result<Carried> {
    let ipv4 = target.clients.iter().filter(|(addr, _)| addr.is_ipv4());
    let ipv4 = ipv4.count() * 2 >= target.clients.len();
    let protocol = if ipv4 { ETH_P_IP } else { ETH_P_IPV6 };
    let protocol = Protocol::from(i32::from(protocol.to_be()));
    let mut socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
    socket.attach_filter(&packet::program(ipv4, target.port))?;
    let mut carried = Carried::default();
    let mut last: HashMap<(IpAddr, u16), u32> = HashMap::new();
    let mut buffer = [0; SNAP];
    while carried.pieces() < ENOUGH {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.read(&mut buffer) {
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        // Packets that arrived before the filter was attached are checked here.
        let Some(segment) = packet::parse(&buffer[..length]) else {
            continue;
        };
        let from = (segment.from.0.to_canonical(), segment.from.1);
        if segment.to != target.port || !target.clients.contains(&from) || is_probe(segment.data) {
            continue;
        }
        // Skip a retransmission, and a packet that is seen on a bridge and on its port.
        if last.insert(from, segment.seq) != Some(segment.seq) {
            carried.add(payload::look(segment.data));
        }
    }
    Ok(carried)
}

/// No data, or the single byte of a keepalive.
fn is_probe(data: &[u8]) -> bool {
    data.is_empty() || data == [0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_majority_decides() {
        let verdict = |headers, body, encrypted| {
            Carried {
                headers,
                body,
                encrypted,
            }
            .verdict()
        };
        assert_eq!(verdict(30, 0, 0), Verdict::Headers);
        assert_eq!(verdict(6, 24, 0), Verdict::Body);
        assert_eq!(verdict(7, 23, 0), Verdict::Unknown);
        assert_eq!(verdict(0, 2, 0), Verdict::Unknown);
        assert_eq!(verdict(0, 0, 9), Verdict::Encrypted);
        assert_eq!(verdict(0, 0, 0), Verdict::Unknown);
    }
}
