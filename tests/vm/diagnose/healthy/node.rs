//! A node that balancers check: they connect, and close or reset.

use std::ffi::CStr;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{SockaddrIn, bind, connect};

use super::conversations::lent;
use crate::support::link::{FAR, Link};
use crate::support::netns::Netns;
use crate::support::nstat::Counters;
use crate::support::process::{Line, Process};
use crate::support::talk::{self, Habits, Manners, Spec, Talk};
use crate::support::{ss, traffic};

/// A server that is only checked, and one that is used as well.
pub struct Node {
    checks: Process,
    standby: Process,
    used: Talk,
    link: Link,
}

/// Number of rounds of checks that a diagnosis must see: together more than its limit of resets.
const ROUNDS: u64 = 26;
/// Each balancer checks once in this time.
const PAUSE: Duration = Duration::from_secs(1);

impl Node {
    pub fn start() -> Self {
        let link = Link::new("checknear", "checkfar");
        link.lend("10.78.0.0/16");
        link.wait();
        let at = SocketAddr::new(FAR, 0);
        let (standby, to) = talk::start_server(&link.far, c"standby", at, Manners::MUTE);
        let used = Talk::start(&link.far, &link.near, FAR, used());
        let checks = Checks {
            to: vec![to, used.to],
            request: b"",
        };
        Self {
            checks: start_checks(&link.near, c"balancers", checks),
            standby,
            used,
            link,
        }
    }

    /// Waits until there were enough checks.
    pub fn wait(&mut self) {
        self.used.wait();
        self.checks.line.hear();
    }

    pub fn assert_goes_on(&mut self) {
        self.checks.assert_runs();
        self.standby.assert_runs();
        let name = &self.link.far.name;
        self.used.assert_goes_on(&ss::table(Some(name)));
        let resets = Counters::of(name).get("TcpEstabResets");
        assert!(resets >= 4 * ROUNDS, "the node got {resets} resets");
    }
}

fn used() -> Spec {
    Spec {
        names: [c"used", c"users"],
        manners: Manners {
            answer: |_| b"hello",
            ..Manners::MUTE
        },
        habits: Habits {
            first: b"hello",
            again: Some((b"hello", Duration::from_secs(5))),
            ..Habits::MUTE
        },
        from: |n| lent(1, n),
        count: 30,
    }
}

/// What is checked, and how.
pub struct Checks {
    pub to: Vec<SocketAddr>,
    /// Sent, and answered, before the connection is reset.
    pub request: &'static [u8],
}

/// Starts checks that never end; reports when there were enough of them.
pub fn start_checks(netns: &Netns, name: &CStr, checks: Checks) -> Process {
    Process::named(netns, name, move |line| check(line, &checks))
}

fn check(mut line: Line, checks: &Checks) {
    for round in 1.. {
        for to in &checks.to {
            for balancer in 0..2 {
                let stream = traffic::connect_from(lent(2, balancer), *to);
                ask_and_reset(stream, checks.request);
            }
            ask_and_reset(connect_without_ack(lent(2, 2), *to), checks.request);
            drop(traffic::connect_from(lent(2, 3), *to));
        }
        if round == ROUNDS {
            line.tell(&[]);
        }
        thread::sleep(PAUSE);
    }
}

fn ask_and_reset(mut stream: TcpStream, request: &[u8]) {
    if !request.is_empty() {
        stream.write_all(request).expect("write");
        let len = stream.read(&mut [0; 64]).expect("read");
        assert_ne!(len, 0, "the server has closed");
    }
    traffic::close_by_reset(stream);
}

/// Connects without the last ACK of the handshake, which is sent with the first data: a reset comes
/// before it, and the server sees no connection.
fn connect_without_ack(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let SocketAddr::V4(to) = to else {
        panic!("an IPv4 address is wanted")
    };
    let socket = traffic::unconnected();
    traffic::set_tcp_option(&socket, libc::TCP_QUICKACK, 0);
    let from = SocketAddrV4::new(from, 0);
    bind(socket.as_raw_fd(), &SockaddrIn::from(from)).expect("bind");
    connect(socket.as_raw_fd(), &SockaddrIn::from(to)).expect("connect");
    TcpStream::from(socket)
}
