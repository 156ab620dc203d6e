//! Connections that are held open: what a busy server has. They are made
//! without packets, as a checkpoint is restored (TCP_REPAIR), so that a million
//! of them comes and goes in no time.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};

use crate::support::netns::Netns;
use crate::support::traffic::set_tcp_option;

/// Remote ports of one address.
const PORTS: usize = 50_000;

/// Connections in a namespace of their own; nothing is left of them when they end.
pub struct Held {
    netns: Netns,
    sockets: Vec<OwnedFd>,
}

impl Held {
    pub fn new(name: &str) -> Self {
        const MOST: u64 = 4_000_000;
        fs::write("/proc/sys/fs/nr_open", MOST.to_string()).expect("fs.nr_open");
        fs::write("/proc/sys/fs/file-max", MOST.to_string()).expect("fs.file-max");
        setrlimit(Resource::RLIMIT_NOFILE, MOST, MOST).expect("RLIMIT_NOFILE");
        Self {
            netns: Netns::new(name),
            sockets: Vec::new(),
        }
    }

    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Has so many connections, with peers that have so many addresses at least.
    pub fn grow(&mut self, live: usize, addresses: usize) {
        let sockets = &mut self.sockets;
        self.netns.run(|| {
            while sockets.len() < live {
                sockets.push(open(sockets.len(), addresses));
            }
        });
    }

    pub fn clear(&mut self) {
        self.sockets.clear();
    }
}

/// The `number`-th: no two have the same ends.
fn open(number: usize, addresses: usize) -> OwnedFd {
    let (round, address) = (number / addresses, number % addresses);
    let address = u32::try_from(address + addresses * (round / PORTS)).expect("few");
    let port = u16::try_from(10_000 + round % PORTS).expect("a port");
    let peer = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + address);
    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::empty(),
        None,
    );
    let socket = socket.expect("socket");
    set_tcp_option(&socket, libc::TCP_REPAIR, 1);
    let local = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080);
    bind(socket.as_raw_fd(), &SockaddrIn::from(local)).expect("bind");
    let peer = SockaddrIn::from(SocketAddrV4::new(peer, port));
    connect(socket.as_raw_fd(), &peer).expect("a connection without packets");
    socket
}
