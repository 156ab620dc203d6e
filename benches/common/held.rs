//! Connections that are held open, as on a busy server. They are made without packets, like those
//! of a restored checkpoint (TCP_REPAIR), so that a million of them can be opened and closed
//! quickly.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::socket::{SockaddrIn, bind, connect};

use crate::support::netns::Netns;
use crate::support::process::{Line, Process};
use crate::support::traffic::{set_tcp_option, unconnected};

/// Number of remote ports for each address.
const PORTS: usize = 50_000;

/// Connections in a separate namespace; nothing is left of them when they end. A separate process
/// holds them, because a fork copies all descriptors of the parent.
pub struct Held {
    process: Process,
    netns: Netns,
}

impl Held {
    pub fn new(name: &str) -> Self {
        const MOST: u64 = 4_000_000;
        fs::write("/proc/sys/fs/nr_open", MOST.to_string()).expect("fs.nr_open");
        fs::write("/proc/sys/fs/file-max", MOST.to_string()).expect("fs.file-max");
        let netns = Netns::new(name);
        let process = Process::named(&netns, c"held", |line| {
            setrlimit(Resource::RLIMIT_NOFILE, MOST, MOST).expect("RLIMIT_NOFILE");
            hold(line);
        });
        Self { process, netns }
    }

    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Opens or closes connections until there are `live`; new ones have peers with at least
    /// `addresses` addresses.
    pub fn keep(&mut self, live: usize, addresses: usize) {
        self.process.line.tell(&[live as u64, addresses as u64]);
        self.process.line.hear();
    }
}

/// Executes commands until it is killed.
fn hold(mut line: Line) {
    let mut sockets = Vec::new();
    loop {
        let told = line.hear();
        let [live, addresses] = [0, 1].map(|n| usize::try_from(told[n]).expect("a number"));
        sockets.truncate(live);
        while sockets.len() < live {
            sockets.push(open(sockets.len(), addresses));
        }
        line.tell(&[]);
    }
}

/// Opens the `number`-th connection: no two have the same ends.
fn open(number: usize, addresses: usize) -> OwnedFd {
    let (round, address) = (number / addresses, number % addresses);
    let address = u32::try_from(address + addresses * (round / PORTS)).expect("few");
    let port = u16::try_from(10_000 + round % PORTS).expect("a port");
    let peer = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + address);
    let socket = unconnected();
    set_tcp_option(&socket, libc::TCP_REPAIR, 1);
    let local = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080);
    bind(socket.as_raw_fd(), &SockaddrIn::from(local)).expect("bind");
    let peer = SockaddrIn::from(SocketAddrV4::new(peer, port));
    connect(socket.as_raw_fd(), &peer).expect("a connection without packets");
    socket
}
