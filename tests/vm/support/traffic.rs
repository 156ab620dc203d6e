//! Real connections of each kind, on one machine.

use std::io::{Read, Write};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream,
};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::netns::Reuse;
use super::{guest, netns, ss};

pub const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

pub fn listen(addr: IpAddr) -> TcpListener {
    TcpListener::bind((addr, 0)).expect("a listener")
}

/// A listener with this backlog.
pub fn listen_with_backlog(addr: impl Into<IpAddr>, backlog: i32) -> TcpListener {
    listen_at(SocketAddr::new(addr.into(), 0), backlog)
}

/// The same at a given port.
pub fn listen_at(addr: SocketAddr, backlog: i32) -> TcpListener {
    let listener = TcpListener::bind(addr).expect("a listener");
    // A second listen() only changes the backlog.
    let backlog = Backlog::new(backlog).expect("a backlog");
    nix::sys::socket::listen(&listener, backlog).expect("listen");
    bound_waiting(&listener);
    listener
}

/// A listener that shares its port with others (SO_REUSEPORT); 0: a new port.
pub fn listen_beside(addr: Ipv4Addr, port: u16) -> TcpListener {
    let socket = unconnected();
    setsockopt(&socket, sockopt::ReusePort, &true).expect("SO_REUSEPORT");
    let addr = SockaddrIn::from(SocketAddrV4::new(addr, port));
    bind(socket.as_raw_fd(), &addr).expect("bind");
    let backlog = Backlog::new(64).expect("a backlog");
    nix::sys::socket::listen(&socket, backlog).expect("listen");
    bound_waiting(&socket);
    TcpListener::from(socket)
}

/// Sets a timeout, so that a wait which is too long is an error: in accept() and, for accepted
/// sockets, in read().
pub fn bound_waiting(listener: &impl AsFd) {
    let limit = TimeVal::seconds(60);
    setsockopt(listener, sockopt::ReceiveTimeout, &limit).expect("SO_RCVTIMEO");
}

/// A connection: the client's end and the server's end.
pub fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connect");
    let (server, _) = listener.accept().expect("accept");
    (client, server)
}

/// A connection whose server has sent more than the client accepts: its FIN has to wait.
pub fn stuffed(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let (client, mut server) = pair(listener);
    server.set_nonblocking(true).expect("set");
    while server.write(&[0; 65_536]).is_ok() {}
    (client, server)
}

/// A connection from this address; the kernel chooses the port when it knows the destination, so
/// that one port can be used for many addresses.
pub fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    try_connect_from(from, to).expect("connect")
}

/// A socket that is neither bound nor connected.
pub fn unconnected() -> OwnedFd {
    let flags = SockFlag::empty();
    socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("socket")
}

/// Like [`connect_from`], but it may be refused.
pub fn try_connect_from(from: Ipv4Addr, to: SocketAddr) -> nix::Result<TcpStream> {
    let SocketAddr::V4(to) = to else {
        panic!("an IPv4 address is wanted")
    };
    let socket = unconnected();
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true).expect("IP_BIND_ADDRESS_NO_PORT");
    let from = SocketAddrV4::new(from, 0);
    bind(socket.as_raw_fd(), &SockaddrIn::from(from)).expect("bind");
    connect(socket.as_raw_fd(), &SockaddrIn::from(to))?;
    Ok(TcpStream::from(socket))
}

/// Waits until the peer has closed.
pub fn wait_for_fin(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0; 1]).expect("a FIN"), 0);
}

/// The same. The peer's socket is replaced by one in TIME_WAIT, and for a moment neither can be
/// found: a segment that arrives then is answered with a reset (fixed by "inet: Avoid ehash lookup
/// race in `inet_twsk_hashdance_schedule()`", of October 2025). That moment is long enough to
/// matter only where each access is checked.
pub fn wait_for_time_wait(stream: &mut TcpStream) {
    wait_for_fin(stream);
    if guest::sanitizer().is_some() {
        thread::sleep(Duration::from_millis(20));
    }
}

/// Sends and receives some bytes; then the client closes first.
pub fn client_first(listener: &TcpListener) {
    let (mut client, mut server) = pair(listener);
    client.write_all(b"request").expect("write");
    server.read_exact(&mut [0; 7]).expect("read");
    drop(client);
    wait_for_fin(&mut server);
}

pub fn server_first(listener: &TcpListener) {
    let (mut client, server) = pair(listener);
    drop(server);
    wait_for_fin(&mut client);
}

/// Closes with a reset instead of a FIN.
pub fn close_by_reset(stream: TcpStream) {
    let now = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&stream, sockopt::Linger, &now).expect("linger 0");
}

pub fn reset(listener: &TcpListener) {
    let (client, mut server) = pair(listener);
    close_by_reset(client);
    server.read(&mut [0; 1]).expect_err("a reset");
}

/// A connection that is refused because nothing listens there.
pub fn refused(addr: IpAddr) {
    let listener = listen(addr);
    let nobody = listener.local_addr().expect("bound");
    drop(listener);
    TcpStream::connect(nobody).expect_err("refused");
}

/// Both ends of `count` connections, half-closed by the client at once and held in that state for a
/// while.
pub fn half_closed(listener: &TcpListener, count: usize, hold: Duration) {
    let pairs: Vec<_> = (0..count).map(|_| pair(listener)).collect();
    for (client, _) in &pairs {
        client.shutdown(Shutdown::Write).expect("shutdown");
    }
    thread::sleep(hold);
    for (mut client, server) in pairs {
        drop(server);
        wait_for_fin(&mut client);
    }
}

/// Runs `work`, and waits until its connections in this namespace have ended, except for TIME_WAIT.
pub fn to_their_end(work: impl FnOnce()) {
    let before = ss::table(None);
    work();
    until("the connections have ended", || {
        let rows = ss::table(None);
        rows.iter()
            .all(|row| row.0 == "TIME_WAIT" || before.contains(row))
    });
}

/// The same four-tuple again and again, ended by resets so that no TIME_WAIT blocks it.
pub fn same_ports(listener: &TcpListener, count: usize) {
    let SocketAddr::V4(to) = listener.local_addr().expect("bound") else {
        panic!("an IPv4 listener is wanted");
    };
    let spare = listen(V4).local_addr().expect("bound").port();
    for _ in 0..count {
        let client = bound(SocketAddrV4::new(Ipv4Addr::LOCALHOST, spare), true).expect("bind");
        connect(client.as_raw_fd(), &SockaddrIn::from(to)).expect("connect");
        let (mut server, _) = listener.accept().expect("accept");
        close_by_reset(TcpStream::from(client));
        server.read(&mut [0; 1]).expect_err("a reset");
    }
}

/// A socket that is bound to an address and port (0: bind() chooses one), with or without
/// SO_REUSEADDR.
pub fn bound(at: SocketAddrV4, reuse: bool) -> nix::Result<OwnedFd> {
    let socket = unconnected();
    setsockopt(&socket, sockopt::ReuseAddr, &reuse).expect("SO_REUSEADDR");
    bind(socket.as_raw_fd(), &SockaddrIn::from(at))?;
    Ok(socket)
}

/// A connect() that gets no answer: SYN_SENT. The address must not be reachable.
pub fn unanswered(to: SocketAddr) -> TcpStream {
    let SocketAddr::V4(v4) = to else {
        panic!("an IPv4 address is wanted")
    };
    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK,
        None,
    )
    .expect("socket");
    let err = connect(socket.as_raw_fd(), &SockaddrIn::from(v4)).expect_err("nobody answers");
    assert_eq!(err, nix::errno::Errno::EINPROGRESS);
    TcpStream::from(socket)
}

/// Number of kinds of connections that end at once.
pub const KINDS: usize = 4;

/// A connection of one kind, which has ended on return.
pub fn one_of(kind: usize, listener: &TcpListener) {
    match kind % KINDS {
        0 => client_first(listener),
        1 => server_first(listener),
        2 => reset(listener),
        _ => refused(listener.local_addr().expect("bound").ip()),
    }
}

/// Some of each kind: at least `count` connections.
pub fn mixed(addr: IpAddr, count: usize) {
    let listener = listen(addr);
    let half = count / 10;
    for i in 0..count - half {
        one_of(i, &listener);
    }
    half_closed(&listener, half, Duration::from_millis(300));
}

/// Stops other threads when it is dropped, also when an assertion fails.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Short connections until stopped; returns their number. A fast machine would use up all ports
/// within the minute of TIME_WAIT: from now on they are reused in this namespace.
pub fn churn(stop: &AtomicBool) -> u64 {
    netns::reuse_time_wait(Reuse::OnLoopback);
    churn_with(stop, || ())
}

/// The same, but it leaves time to others where CPUs run alternately, and enough ports: it makes
/// fewer connections in a minute than there are ports.
pub fn churn_gently(stop: &AtomicBool) -> u64 {
    churn_with(stop, || thread::sleep(Duration::from_millis(3)))
}

fn churn_with(stop: &AtomicBool, pause: impl Fn()) -> u64 {
    let listener = listen(V4);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        client_first(&listener);
        pause();
        count += 1;
    }
    count
}

/// Sets an option whose value is a number, such as TCP_USER_TIMEOUT.
#[allow(unsafe_code, reason = "nix does not know all of them")]
pub fn set_tcp_option(socket: &impl AsRawFd, option: i32, value: i32) {
    // SAFETY: the kernel reads one number there.
    let ret = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_TCP,
            option,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    assert_eq!(ret, 0, "{option}: {}", std::io::Error::last_os_error());
}

/// Number of received bytes that were not read.
#[allow(unsafe_code, reason = "nix does not know it")]
pub fn unread(stream: &TcpStream) -> i32 {
    let mut bytes = 0i32;
    // SAFETY: the kernel writes one number there.
    let ret = unsafe { libc::ioctl(stream.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    assert_eq!(ret, 0, "{}", std::io::Error::last_os_error());
    bytes
}

/// States, with their numbers in TCP_INFO.
pub const ESTABLISHED: u8 = 1;
pub const FIN_WAIT2: u8 = 5;
pub const CLOSE: u8 = 7;

/// Waits until the socket itself reports a state.
pub fn wait_for_state(stream: &TcpStream, state: u8) {
    until("the state is there", || {
        tcp_info(stream).tcpi_state == state
    });
}

/// Waits until a connection can be accepted: the peer's connect() returns earlier.
pub fn wait_to_accept(listener: &TcpListener) {
    until("a connection can be accepted", || {
        let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).expect("poll") == 1
    });
}

/// Waits until a condition holds, which takes long only on a busy host.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    within(Duration::from_secs(30), what, is_so);
}

/// Waits until a condition holds, with a time limit.
pub fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = guest::slowed(limit);
    let deadline = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The kernel's information about the socket: TCP_INFO.
#[allow(unsafe_code, reason = "nix does not know this option")]
pub fn tcp_info(stream: &TcpStream) -> libc::tcp_info {
    // SAFETY: integers only, so all zero is a valid value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `info` has room for `len` bytes.
    let ret = unsafe {
        let to = (&raw mut info).cast();
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_TCP,
            libc::TCP_INFO,
            to,
            &raw mut len,
        )
    };
    assert_eq!(ret, 0, "TCP_INFO: {}", std::io::Error::last_os_error());
    info
}
