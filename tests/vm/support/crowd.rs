//! Healthy connections that run beside each situation, and must not appear in any diagnosis.

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

/// The clients' addresses are in this prefix, and no other address is.
const PREFIX: &str = "10.9.0.0/16";
const ADDRESSES: u8 = 20;
pub const CONNECTIONS: usize = 200;
/// Pause between two requests: each connection has a request every twenty seconds, less often where
/// requests take long.
const PAUSE: Duration = Duration::from_millis(100);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: healthy\r\n\r\n";
/// The end of each answer.
pub const BODY: &str = "hello\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";

/// Clients that send requests now and then on connections that they keep open, ten per address;
/// and, if they have their own, a server that answers at once.
pub struct Crowd {
    clients: Process,
    server: Option<Process>,
}

impl Crowd {
    /// A crowd across a link: from the near to the far end.
    pub fn across(link: &Link) -> Self {
        let (server, to) = start_server(&link.far, c"healthy", FAR);
        Self {
            server: Some(server),
            ..Self::of(link, to)
        }
    }

    /// A crowd within a namespace.
    pub fn within(netns: &Netns) -> Self {
        let (server, to) = start_server(netns, c"healthy", traffic::V4);
        netns.ip(&["route", "add", "local", PREFIX, "dev", "lo"]);
        Self {
            clients: start_clients(netns, to),
            server: Some(server),
        }
    }

    /// Clients of an existing server at the far end.
    pub fn of(link: &Link, to: SocketAddr) -> Self {
        link.lend(PREFIX);
        Self {
            clients: start_clients(&link.near, to),
            server: None,
        }
    }

    /// Asserts that every request so far has been answered.
    pub fn assert_well(&mut self) {
        self.clients.assert_runs();
        if let Some(server) = &mut self.server {
            server.assert_runs();
        }
    }

    /// Ids of their processes; the server's only if it serves no other clients.
    pub fn pids(&self) -> BTreeSet<u64> {
        let server = self.server.as_ref().map(Process::pid);
        iter::once(self.clients.pid()).chain(server).collect()
    }

    /// Whether a text contains a client's address.
    pub fn is_in(text: &str) -> bool {
        text.contains("10.9.")
    }
}

/// Starts a server with this process name; returns it and its address.
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

/// Opens a connection and makes sure that it works: on a link that has just come up, SYNs are lost,
/// and when two CPUs process the retransmitted ones, the kernel resets the connection.
fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    for _ in 0..9 {
        let mut stream = traffic::connect_from(from, to);
        if try_ask(&mut stream).is_ok() {
            return stream;
        }
    }
    panic!("{to} does not answer");
}

/// Sends a request, and reads the whole answer.
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

/// Sends its port, then answers each request on each connection.
fn serve(mut line: Line, at: IpAddr) {
    let listener = traffic::listen_at(SocketAddr::new(at, 0), 1024);
    line.tell(&[listener.local_addr().expect("bound").port().into()]);
    let mut streams = Vec::new();
    loop {
        let ready = wait(&listener, &streams);
        // From the end: removed streams leave a gap.
        for at in ready.into_iter().rev() {
            match at.checked_sub(1) {
                None => streams.push(listener.accept().expect("accept").0),
                Some(at) if answers(&mut streams[at]) => {}
                Some(at) => drop(streams.swap_remove(at)),
            }
        }
    }
}

/// What is readable: 0 is the listener, then the streams follow.
fn wait(listener: &TcpListener, streams: &[TcpStream]) -> Vec<usize> {
    let all = iter::once(listener.as_fd()).chain(streams.iter().map(AsFd::as_fd));
    let mut fds: Vec<_> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    poll(&mut fds, PollTimeout::NONE).expect("poll");
    let is_ready = |fd: &PollFd| fd.any().unwrap_or_default();
    let ready = fds.iter().enumerate().filter(|(_, fd)| is_ready(fd));
    ready.map(|(at, _)| at).collect()
}

/// Reads a request and answers; false when the client has closed.
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
