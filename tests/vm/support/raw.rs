//! A hand-made peer: a TUN device is a namespace's only link, and this module makes the segments of
//! its other end one by one. No other kernel takes part.

#![allow(unsafe_code, reason = "a TUN device is made by an ioctl")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::guest;
use super::netns::Netns;
use super::segment::{self, ACK, FIN, PSH, RST, SYN, Segment};

/// The namespace's own address on its link.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 1);
/// A router that only sends ICMP messages.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 79, 255, 254);

/// Time limit for an answer of the kernel, on a busy machine.
const PATIENCE_S: u64 = 20;

/// An address at the other end of the wire: number 0, 1, 2 ...
pub fn peer_addr(number: u16) -> Ipv4Addr {
    let [high, low] = (number + 2).to_be_bytes();
    Ipv4Addr::new(10, 79, high, low)
}

/// The other end of a namespace's link.
pub struct Wire {
    tun: File,
    /// Segments that arrived while another one was awaited.
    early: RefCell<VecDeque<Segment>>,
}

impl Wire {
    pub fn new(netns: &Netns) -> Self {
        let tun = netns.run(open_tun);
        netns.ip(&["addr", "add", &format!("{HOST}/16"), "dev", "tun"]);
        netns.ip(&["link", "set", "tun", "txqueuelen", "10000", "up"]);
        Self {
            tun,
            early: RefCell::default(),
        }
    }

    /// A second handle for the same end, for another thread.
    pub fn twin(&self) -> Self {
        Self {
            tun: self.tun.try_clone().expect("a descriptor"),
            early: RefCell::default(),
        }
    }

    pub fn send(&self, segment: &Segment) {
        self.write(&segment.to_packet());
    }

    /// Sends ICMP's `Destination unreachable` about a segment of the kernel.
    pub fn send_unreachable(&self, code: u8, about: &Segment) {
        self.write(&segment::unreachable(ROUTER, code, about));
    }

    fn write(&self, packet: &[u8]) {
        (&self.tun).write_all(packet).expect("the wire takes it");
    }

    /// The next segment that is `wanted`; the others are kept for later.
    pub fn find(&self, limit: Duration, wanted: impl Fn(&Segment) -> bool) -> Option<Segment> {
        let mut early = self.early.borrow_mut();
        if let Some(at) = early.iter().position(&wanted) {
            return early.remove(at);
        }
        let deadline = Instant::now() + limit;
        while let Some(segment) = self.read(deadline) {
            if wanted(&segment) {
                return Some(segment);
            }
            early.push_back(segment);
        }
        None
    }

    /// All segments that have arrived, and those that arrive until there is none for `quiet`.
    pub fn drain(&self, quiet: Duration) -> Vec<Segment> {
        let mut all: Vec<_> = self.early.borrow_mut().drain(..).collect();
        while let Some(segment) = self.read(Instant::now() + quiet) {
            all.push(segment);
        }
        all
    }

    /// The next TCP segment that arrives.
    fn read(&self, deadline: Instant) -> Option<Segment> {
        let mut packet = [0; 2048];
        loop {
            match (&self.tun).read(&mut packet) {
                Ok(len) => {
                    if let Some(segment) = Segment::parse(&packet[..len]) {
                        return Some(segment);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let left = deadline.checked_duration_since(Instant::now())?;
                    self.wait(left);
                }
                Err(e) => panic!("the wire: {e}"),
            }
        }
    }

    fn wait(&self, limit: Duration) {
        // A caller with a longer limit calls again.
        let millis = u16::try_from(limit.as_millis() + 1).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(self.tun.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(millis)).expect("poll");
    }
}

/// Opens the device `tun` in the namespace of this thread: packets without a header.
fn open_tun() -> File {
    // Without udev it is not loaded automatically.
    let loaded = Command::new("modprobe").arg("tun").status();
    assert!(loaded.is_ok_and(|s| s.success()), "modprobe tun");
    let tun = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .expect("/dev/net/tun");
    // SAFETY: integers only, so all zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"tun") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the kernel reads and writes one ifreq there.
    let ret = unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
    assert_eq!(ret, 0, "TUNSETIFF: {}", io::Error::last_os_error());
    tun
}

/// A hand-made end of one connection. It answers nothing by itself.
pub struct Peer<'w> {
    wire: &'w Wire,
    pub local: SocketAddrV4,
    pub remote: SocketAddrV4,
    /// The next sequence number to send.
    pub seq: u32,
    /// The next sequence number expected.
    pub ack: u32,
    pub window: u16,
}

impl<'w> Peer<'w> {
    pub fn new(wire: &'w Wire, local: SocketAddrV4, remote: SocketAddrV4) -> Self {
        Self {
            wire,
            local,
            remote,
            seq: 0x1000_0000 + u32::from(local.port()) * 0x100,
            ack: 0,
            window: 65535,
        }
    }

    /// The peer to which the kernel has sent this SYN; the SYN is already received.
    pub fn called_by(wire: &'w Wire, syn: &Segment) -> Self {
        let mut peer = Self::new(wire, syn.to, syn.from);
        peer.ack = syn.seq.wrapping_add(syn.len());
        peer
    }

    pub fn segment(&self, flags: u8) -> Segment {
        Segment {
            seq: self.seq,
            ack: if flags & ACK == 0 { 0 } else { self.ack },
            window: self.window,
            ..Segment::new(self.local, self.remote, flags)
        }
    }

    /// Sends a segment, and advances the sequence number.
    pub fn send(&mut self, flags: u8) {
        let segment = self.segment(flags);
        self.wire.send(&segment);
        self.seq = self.seq.wrapping_add(segment.len());
    }

    pub fn send_data(&mut self, payload: &[u8]) {
        let mut segment = self.segment(PSH | ACK);
        segment.payload = payload.to_vec();
        self.wire.send(&segment);
        self.seq = self.seq.wrapping_add(segment.len());
    }

    /// Waits for the kernel's next segment of this connection with all of these flags, and
    /// processes its length and sequence number.
    pub fn expect(&mut self, flags: u8) -> Segment {
        let ends = (self.remote, self.local);
        let segment = self
            .wire
            .find(guest::patience(PATIENCE_S), |s| {
                (s.from, s.to) == ends && s.flags & flags == flags
            })
            .unwrap_or_else(|| panic!("no segment with flags {flags:#x} for {}", self.local));
        self.ack = segment.seq.wrapping_add(segment.len());
        segment
    }

    /// Opens a connection to a listener of the kernel up to the SYN-ACK.
    pub fn half_open(&mut self) -> Segment {
        self.send(SYN);
        self.expect(SYN | ACK)
    }

    /// Opens a connection to a listener of the kernel.
    pub fn open(&mut self) {
        self.half_open();
        self.send(ACK);
    }

    /// Answers a SYN of the kernel, which opens the connection.
    pub fn answer(&mut self) {
        self.send(SYN | ACK);
        self.expect(ACK);
    }

    pub fn reset(&mut self) {
        self.send(RST | ACK);
    }

    pub fn close(&mut self) {
        self.send(FIN | ACK);
    }
}
