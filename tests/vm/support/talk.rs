//! Servers and clients that talk like those of a protocol: who speaks first, how much, how often.
//! Each is one process that waits for all its connections at once.

use std::collections::{HashMap, VecDeque};
use std::ffi::CStr;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{setsockopt, sockopt};

use super::netns::Netns;
use super::process::{Line, Process};
use super::{ss, traffic};

/// How a server talks.
#[derive(Clone, Copy)]
pub struct Manners {
    /// Sent to each new client.
    pub greeting: &'static [u8],
    /// What is sent for data that arrived; empty: nothing.
    pub answer: fn(&[u8]) -> &'static [u8],
    /// Time before an answer.
    pub delay: Duration,
    /// Sent to all clients, again and again.
    pub push: Option<(&'static [u8], Duration)>,
    /// Whether a connection stays open when its client has closed its side.
    pub keeps_half_closed: bool,
}

impl Manners {
    /// It reads everything, and never says anything.
    pub const MUTE: Self = Self {
        greeting: b"",
        answer: |_| b"",
        delay: Duration::ZERO,
        push: None,
        keeps_half_closed: false,
    };

    fn speaks_to(&self, habits: &Habits) -> bool {
        let is_answered = |data: &[u8]| !data.is_empty() && !(self.answer)(data).is_empty();
        let again = habits.again.map_or(&b""[..], |(data, _)| data);
        !self.greeting.is_empty()
            || self.push.is_some()
            || is_answered(habits.first)
            || is_answered(again)
    }
}

/// How a client talks on each of its connections.
#[derive(Clone, Copy)]
pub struct Habits {
    /// Sent once, at the start.
    pub first: &'static [u8],
    /// Whether it sends nothing before the server's greeting.
    pub waits: bool,
    /// Sent again and again, on each connection once in this time.
    pub again: Option<(&'static [u8], Duration)>,
    /// Whether it closes its side after the first words.
    pub half_closes: bool,
}

impl Habits {
    /// It connects, and never says anything.
    pub const MUTE: Self = Self {
        first: b"",
        waits: false,
        again: None,
        half_closes: false,
    };
}

/// A server and its clients.
pub struct Spec {
    /// Names of the processes: server, clients.
    pub names: [&'static CStr; 2],
    pub manners: Manners,
    pub habits: Habits,
    /// The address of each connection's client.
    pub from: fn(usize) -> Ipv4Addr,
    pub count: usize,
}

/// A server and clients that stay connected.
pub struct Talk {
    clients: Process,
    server: Process,
    spec: Spec,
    /// Address of the server.
    pub to: SocketAddr,
}

impl Talk {
    /// Starts both, at this address of the server's namespace. The clients are not yet connected.
    pub fn start(server: &Netns, clients: &Netns, at: IpAddr, spec: Spec) -> Self {
        let (process, to) =
            start_server(server, spec.names[0], SocketAddr::new(at, 0), spec.manners);
        let calls = (0..spec.count).map(|n| ((spec.from)(n), to)).collect();
        Self {
            clients: start_clients(clients, spec.names[1], calls, spec.habits),
            server: process,
            spec,
            to,
        }
    }

    /// Waits until all clients are connected.
    pub fn wait(&mut self) {
        self.clients.line.hear();
    }

    /// Asserts that all connections are among the sockets of the server's namespace, and that data
    /// came to the clients if any were sent.
    pub fn assert_goes_on(&mut self, sockets: &[ss::Row]) {
        let [name, _] = self.spec.names;
        self.server.assert_runs();
        self.clients.assert_runs();
        let state = match self.spec.habits.half_closes {
            true => "CLOSE_WAIT",
            false => "ESTABLISHED",
        };
        let count = count(sockets, state, |row| row.1.1 == self.to.port());
        assert_eq!(count, self.spec.count, "{name:?} has {state}");
        let received = received(&mut self.clients);
        let speaks = self.spec.manners.speaks_to(&self.spec.habits);
        assert_eq!(received > 0, speaks, "{received} bytes came from {name:?}");
    }
}

/// Number of sockets in a state for which the condition holds.
pub fn count(sockets: &[ss::Row], state: &str, is_so: impl Fn(&ss::Row) -> bool) -> usize {
    let is_one = |row: &&ss::Row| row.0 == state && is_so(row);
    sockets.iter().filter(is_one).count()
}

/// Starts a server; returns it and its address.
pub fn start_server(
    netns: &Netns,
    name: &CStr,
    at: SocketAddr,
    manners: Manners,
) -> (Process, SocketAddr) {
    let mut server = Process::named(netns, name, move |line| serve(line, at, manners));
    let port = u16::try_from(server.line.hear()[0]).expect("a port");
    (server, SocketAddr::new(at.ip(), port))
}

/// Starts clients, with a connection for each pair of source and destination. They report when all
/// are connected.
pub fn start_clients(
    netns: &Netns,
    name: &CStr,
    calls: Vec<(Ipv4Addr, SocketAddr)>,
    habits: Habits,
) -> Process {
    Process::named(netns, name, move |line| talk(line, &calls, habits))
}

/// Number of bytes that clients have received so far.
pub fn received(clients: &mut Process) -> u64 {
    clients.line.tell(&[]);
    clients.line.hear()[0]
}

/// The number of the listener, or of the line to the other process; streams have others.
const OWN: u64 = u64::MAX;

/// Several sockets to wait for.
struct Waiting(Epoll);

impl Waiting {
    /// Waits for this one, and for others that are added.
    fn new(own: impl AsFd) -> Self {
        let waiting = Self(Epoll::new(EpollCreateFlags::empty()).expect("epoll"));
        waiting.add(own, OWN);
        waiting
    }

    fn add(&self, fd: impl AsFd, number: u64) {
        let readable = EpollEvent::new(EpollFlags::EPOLLIN, number);
        self.0.add(fd, readable).expect("EPOLL_CTL_ADD");
    }

    fn remove(&self, fd: impl AsFd) {
        self.0.delete(fd).expect("EPOLL_CTL_DEL");
    }

    /// The numbers of those that are readable; none at this time, if none is.
    fn until(&self, time: Option<Instant>) -> Vec<u64> {
        let left = time.map(|t| t.saturating_duration_since(Instant::now()));
        // Rounded up, so that it does not return too early.
        let whole = left.map(|t| Duration::from_millis(t.as_micros().div_ceil(1000) as u64));
        let timeout = whole.map_or(EpollTimeout::NONE, |t| t.try_into().expect("a timeout"));
        let mut ready = [EpollEvent::empty(); 256];
        let count = self.0.wait(&mut ready, timeout).expect("epoll_wait");
        ready[..count].iter().map(EpollEvent::data).collect()
    }
}

/// A server's connections.
struct Serving {
    manners: Manners,
    waiting: Waiting,
    streams: HashMap<u64, TcpStream>,
    /// Number of connections so far.
    accepted: u64,
    /// What will be sent, in the order of time.
    later: VecDeque<(Instant, u64, &'static [u8])>,
    next_push: Option<Instant>,
}

/// Sends its port, then serves.
fn serve(mut line: Line, at: SocketAddr, manners: Manners) {
    let listener = traffic::listen_at(at, 4096);
    listener.set_nonblocking(true).expect("O_NONBLOCK");
    let mut serving = Serving {
        manners,
        waiting: Waiting::new(&listener),
        streams: HashMap::new(),
        accepted: 0,
        later: VecDeque::new(),
        next_push: manners.push.map(|(_, every)| Instant::now() + every),
    };
    line.tell(&[listener.local_addr().expect("bound").port().into()]);
    loop {
        serving.step(&listener);
    }
}

impl Serving {
    fn step(&mut self, listener: &TcpListener) {
        let next = self.later.front().map(|(time, ..)| *time);
        let next = next.into_iter().chain(self.next_push).min();
        for number in self.waiting.until(next) {
            match number {
                OWN => self.accept_all(listener),
                _ => self.read(number),
            }
        }
        while let Some((time, number, words)) = self.later.front().copied() {
            if time > Instant::now() {
                break;
            }
            self.later.pop_front();
            self.send(number, words);
        }
        self.push();
    }

    fn accept_all(&mut self, listener: &TcpListener) {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => panic!("accept: {e}"),
            };
            self.waiting.add(&stream, self.accepted);
            self.streams.insert(self.accepted, stream);
            self.say(self.accepted, self.manners.greeting);
            self.accepted += 1;
        }
    }

    fn read(&mut self, number: u64) {
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        let mut data = [0; 8192];
        match stream.read(&mut data) {
            Ok(0) if self.manners.keeps_half_closed => self.waiting.remove(stream),
            Ok(0) => drop(self.streams.remove(&number)),
            Ok(len) => self.say(number, (self.manners.answer)(&data[..len])),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => {
                self.streams.remove(&number);
            }
            Err(e) => panic!("read: {e}"),
        }
    }

    /// Sends it after the delay.
    fn say(&mut self, number: u64, words: &'static [u8]) {
        if self.manners.delay.is_zero() {
            return self.send(number, words);
        }
        let time = Instant::now() + self.manners.delay;
        self.later.push_back((time, number, words));
    }

    /// A client that has gone is forgotten.
    fn send(&mut self, number: u64, words: &[u8]) {
        let stream = self.streams.get_mut(&number);
        if stream.is_some_and(|stream| stream.write_all(words).is_err()) {
            self.streams.remove(&number);
        }
    }

    fn push(&mut self) {
        let Some((words, every)) = self.manners.push else {
            return;
        };
        if self.next_push.is_some_and(|time| time <= Instant::now()) {
            self.streams
                .retain(|_, stream| stream.write_all(words).is_ok());
            self.next_push = Some(Instant::now() + every);
        }
    }
}

/// Connections of clients.
struct Talking {
    habits: Habits,
    waiting: Waiting,
    streams: Vec<TcpStream>,
    /// Number of bytes received on each.
    received: Vec<u64>,
}

fn talk(mut line: Line, calls: &[(Ipv4Addr, SocketAddr)], habits: Habits) {
    let mut talking = Talking {
        habits,
        waiting: Waiting::new(&line),
        streams: Vec::new(),
        received: Vec::new(),
    };
    calls.iter().for_each(|call| talking.call(*call));
    line.tell(&[]);
    let mut turns = (0..calls.len()).cycle();
    let mut again = habits.again.map(|(words, every)| {
        let pause = every / u32::try_from(calls.len()).expect("a small number");
        (words, pause, Instant::now() + pause)
    });
    loop {
        for number in talking.waiting.until(again.map(|(.., time)| time)) {
            match number {
                OWN => talking.report(&mut line),
                _ => talking.read(number as usize),
            }
        }
        if let Some((words, pause, time)) = &mut again {
            while *time <= Instant::now() {
                *time += *pause;
                let turn = turns.next().expect("there are some");
                talking.streams[turn].write_all(words).expect("write");
            }
        }
    }
}

impl Talking {
    fn call(&mut self, (from, to): (Ipv4Addr, SocketAddr)) {
        let mut stream = traffic::connect_from(from, to);
        setsockopt(&stream, sockopt::KeepAlive, &true).expect("SO_KEEPALIVE");
        self.waiting.add(&stream, self.streams.len() as u64);
        if !self.habits.waits {
            stream.write_all(self.habits.first).expect("write");
        }
        if self.habits.half_closes {
            stream.shutdown(Shutdown::Write).expect("shutdown");
        }
        self.streams.push(stream);
        self.received.push(0);
    }

    fn read(&mut self, number: usize) {
        let stream = &mut self.streams[number];
        let len = stream.read(&mut [0; 8192]).expect("read");
        assert_ne!(len, 0, "the server has closed");
        if self.habits.waits && self.received[number] == 0 {
            stream.write_all(self.habits.first).expect("write");
        }
        self.received[number] += len as u64;
    }

    fn report(&self, line: &mut Line) {
        line.hear();
        line.tell(&[self.received.iter().sum()]);
    }
}
