//! Stream sockets of any protocol, for which `std` and nix have no names.

#![allow(unsafe_code, reason = "raw system calls")]

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

pub const IPPROTO_MPTCP: i32 = 262;
const IPPROTO_DCCP: i32 = 33;
const SOCK_DCCP: i32 = 6;
const SOL_DCCP: i32 = 269;
const DCCP_SOCKOPT_SERVICE: i32 = 2;
const AF_SMC: i32 = 43;

/// A kind of socket that listens, connects and accepts like TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tcp,
    Mptcp,
    Dccp,
    /// Falls back to TCP without its hardware.
    Smc,
}

impl Kind {
    /// Whether the kernel supports it; loads its module if necessary.
    pub fn is_there(self) -> bool {
        let module = match self {
            Self::Tcp => return true,
            Self::Mptcp => return self.socket().is_ok(),
            Self::Dccp => "dccp_ipv4",
            Self::Smc => "smc",
        };
        // By name, because a distribution may have disabled the alias.
        let _ = std::process::Command::new("modprobe").arg(module).output();
        self.socket().is_ok()
    }

    fn socket(self) -> io::Result<OwnedFd> {
        let (family, kind, protocol) = match self {
            Self::Tcp => (libc::AF_INET, libc::SOCK_STREAM, 0),
            Self::Mptcp => (libc::AF_INET, libc::SOCK_STREAM, IPPROTO_MPTCP),
            Self::Dccp => (libc::AF_INET, SOCK_DCCP, IPPROTO_DCCP),
            Self::Smc => (AF_SMC, libc::SOCK_STREAM, 0),
        };
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
        let socket = owned(fd)?;
        if self == Self::Dccp {
            set_option(&socket, SOL_DCCP, DCCP_SOCKOPT_SERVICE, 1i32.to_be())?;
        }
        Ok(socket)
    }

    pub fn listen(self, at: SocketAddrV4) -> OwnedFd {
        let socket = self.socket().expect("the kernel has it");
        set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1).expect("SO_REUSEADDR");
        let (addr, len) = address(at);
        // SAFETY: the kernel reads one address of this length there.
        done(unsafe { libc::bind(socket.as_raw_fd(), (&raw const addr).cast(), len) })
            .expect("bind");
        // SAFETY: no memory is passed.
        done(unsafe { libc::listen(socket.as_raw_fd(), 64) }).expect("listen");
        socket
    }

    pub fn connect(self, to: SocketAddrV4) -> OwnedFd {
        let socket = self.socket().expect("the kernel has it");
        let (addr, len) = address(to);
        // SAFETY: the kernel reads one address of this length there.
        done(unsafe { libc::connect(socket.as_raw_fd(), (&raw const addr).cast(), len) })
            .unwrap_or_else(|e| panic!("{self:?} to {to}: {e}"));
        socket
    }
}

pub fn accept(listener: &OwnedFd) -> OwnedFd {
    let none = std::ptr::null_mut();
    // SAFETY: no address is asked for.
    owned(unsafe { libc::accept(listener.as_raw_fd(), none, none.cast()) }).expect("accept")
}

const HELLO: [u8; 5] = *b"hello";

/// Sends a few bytes.
pub fn say(from: &OwnedFd) {
    // SAFETY: five bytes are read from an array of five.
    let sent = unsafe { libc::send(from.as_raw_fd(), HELLO.as_ptr().cast(), 5, 0) };
    assert_eq!(sent, 5, "{}", io::Error::last_os_error());
}

/// Receives them at the other end.
pub fn hear(to: &OwnedFd) {
    let mut bytes = [0u8; 5];
    // SAFETY: five bytes are written to an array of five.
    let read = unsafe { libc::recv(to.as_raw_fd(), bytes.as_mut_ptr().cast(), 5, 0) };
    assert_eq!((read, bytes), (5, HELLO), "{}", io::Error::last_os_error());
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    done(fd)?;
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn done(ret: i32) -> io::Result<()> {
    match ret {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sets an option whose value is a number.
pub fn set_option(socket: &impl AsRawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel reads one number there.
    done(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            len,
        )
    })
}

fn address(of: SocketAddrV4) -> (libc::sockaddr_in, libc::socklen_t) {
    // SAFETY: integers only, so all zero is a valid value.
    let mut addr: libc::sockaddr_in = unsafe { mem::zeroed() };
    addr.sin_family = libc::AF_INET as libc::sa_family_t;
    addr.sin_port = of.port().to_be();
    addr.sin_addr.s_addr = u32::from_ne_bytes(of.ip().octets());
    (addr, size_of::<libc::sockaddr_in>() as libc::socklen_t)
}

/// `127.0.0.1:PORT`.
pub fn local(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}
