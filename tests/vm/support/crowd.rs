//! Healthy connections: what stands beside each situation, and what no
//! diagnosis may name.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io::{self, ErrorKind, Read, Write};
use std::iter;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::link::{FAR, Link};
use super::netns::Netns;
use super::process::{Line, Process};
use super::{guest, traffic};

/// Addresses of the clients are in here, and none of anything else.
const PREFIX: &str = "10.9.0.0/16";
const ADDRESSES: u8 = 20;
pub const CONNECTIONS: usize = 200;
/// Between two requests: each connection has one every twenty seconds, less often where they
/// take long.
const PAUSE: Duration = Duration::from_millis(100);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: healthy\r\n\r\n";
/// How each answer ends.
pub const BODY: &str = "hello\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";

/// Clients that ask now and then on connections that they keep, each address
/// has ten of them; and, if it is theirs, the server that answers at once.
pub struct Crowd {
    clients: Process,
    server: Option<Process>,
}

impl Crowd {
    /// Beside what happens on a link: from the near to the far end.
    pub fn across(link: &Link) -> Self {
        let (server, to) = start_server(&link.far, c"healthy", FAR);
        Self {
            server: Some(server),
            ..Self::of(link, to)
        }
    }

    /// Beside what happens in a namespace.
    pub fn within(netns: &Netns) -> Self {
        let (server, to) = start_server(netns, c"healthy", traffic::V4);
        netns.ip(&["route", "add", "local", PREFIX, "dev", "lo"]);
        Self {
            clients: start_clients(netns, to),
            server: Some(server),
        }
    }

    /// Clients of a server at the far end.
    pub fn of(link: &Link, to: SocketAddr) -> Self {
        link.lend(PREFIX);
        Self {
            clients: start_clients(&link.near, to),
            server: None,
        }
    }

    /// Every request has been answered, to now.
    pub fn assert_well(&mut self) {
        self.clients.assert_runs();
        if let Some(server) = &mut self.server {
            server.assert_runs();
        }
    }

    /// Their processes; the server's only if it serves nobody else.
    pub fn pids(&self) -> BTreeSet<u64> {
        let server = self.server.as_ref().map(Process::pid);
        iter::once(self.clients.pid()).chain(server).collect()
    }

    /// Whether a text has a client's address.
    pub fn is_in(text: &str) -> bool {
        text.contains("10.9.")
    }
}

/// A server that answers, as a process that is called so, and where it listens.
pub fn start_server(netns: &Netns, name: &CStr, at: IpAddr) -> (Process, SocketAddr) {
    let mut server = Process::named(netns, name, move |line| serve(line, at));
    let port = server.line.hear()[0];
    let port = u16::try_from(port).expect("a port");
    (server, SocketAddr::new(at, port))
}

fn start_clients(netns: &Netns, to: SocketAddr) -> Process {
    let mut clients = Process::named(netns, c"crowd", move |line| call(line, to));
    clients.line.hear();
    clients
}

fn call(mut line: Line, to: SocketAddr) {
    let from = |n: usize| Ipv4Addr::new(10, 9, 0, 1 + (n % usize::from(ADDRESSES)) as u8);
    let mut streams: Vec<_> = (0..CONNECTIONS).map(|n| connect(from(n), to)).collect();
    line.tell(&[]);
    for n in (0..CONNECTIONS).cycle() {
        thread::sleep(guest::slowed(PAUSE));
        ask(&mut streams[n]);
    }
}

/// A connection that works: on a link that has just come up, SYNs are lost, and
/// when two CPUs serve what is sent again, the kernel resets what comes of it.
fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    for _ in 0..9 {
        let mut stream = traffic::connect_from(from, to);
        if try_ask(&mut stream).is_ok() {
            return stream;
        }
    }
    panic!("{to} does not answer");
}

/// A request, and the whole answer to it.
pub fn ask(stream: &mut TcpStream) {
    try_ask(stream).expect("an answer");
}

fn try_ask(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    while !answer.ends_with(BODY.as_bytes()) {
        let mut piece = [0; 1024];
        let len = stream.read(&mut piece)?;
        assert_ne!(len, 0, "the server has closed");
        answer.extend(&piece[..len]);
    }
    Ok(())
}

/// Tells its port, then answers each request of each connection.
fn serve(mut line: Line, at: IpAddr) {
    let listener = traffic::listen_at(SocketAddr::new(at, 0), 1024);
    line.tell(&[listener.local_addr().expect("bound").port().into()]);
    let mut streams = Vec::new();
    loop {
        let ready = wait(&listener, &streams);
        // Downwards: those that end leave a gap.
        for at in ready.into_iter().rev() {
            match at.checked_sub(1) {
                None => streams.push(listener.accept().expect("accept").0),
                Some(at) if answers(&mut streams[at]) => {}
                Some(at) => drop(streams.swap_remove(at)),
            }
        }
    }
}

/// What has something to read: 0 is the listener, the streams come behind it.
fn wait(listener: &TcpListener, streams: &[TcpStream]) -> Vec<usize> {
    let all = iter::once(listener.as_fd()).chain(streams.iter().map(AsFd::as_fd));
    let mut fds: Vec<_> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    poll(&mut fds, PollTimeout::NONE).expect("poll");
    let is_ready = |fd: &PollFd| fd.any().unwrap_or_default();
    let ready = fds.iter().enumerate().filter(|(_, fd)| is_ready(fd));
    ready.map(|(at, _)| at).collect()
}

/// Reads a request and answers; false when the client has gone.
fn answers(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1024]) {
        Ok(0) => false,
        Ok(_) => {
            stream.write_all(ANSWER).expect("an answer");
            true
        }
        Err(e) if e.kind() == ErrorKind::ConnectionReset => false,
        Err(e) => panic!("a request: {e}"),
    }
}
