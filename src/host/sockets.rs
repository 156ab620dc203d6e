//! Owners of listening sockets according to `/proc`, for listeners that are older than the
//! activation and whose process the module does not know.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::model::ident::Owner;

/// A listening socket of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// Its address.
    pub addr: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its inode number, which identifies it in `/proc/PID/fd`.
    pub inode: u64,
}

/// The state LISTEN in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Reads the listeners of `/proc/net/tcp` or `tcp6`. Stops at the first other socket: listeners
/// come first, and a million connections may follow.
pub fn read(path: &Path) -> Vec<Listening> {
    let Ok(file) = File::open(path) else {
        return Vec::new();
    };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    lines.skip(1).map_while(|line| parse(&line)).collect()
}

/// Parses a line; `None` if it is not a listener.
fn parse(line: &str) -> Option<Listening> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (addr, port) = fields.get(1)?.split_once(':')?;
    if *fields.get(3)? != LISTEN {
        return None;
    }
    Some(Listening {
        addr: address(addr)?,
        port: u16::from_str_radix(port, 16).ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Parses an address that is printed as 32-bit words in host byte order; the bytes of each are in
/// network byte order.
fn address(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..hex.len()).step_by(8) {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// For each inode a process that has the socket open: the one with the lowest number, such as a
/// server that has forked its workers. Processes are read once for all of them, until all are found.
pub fn holders(proc: &Path, inodes: &[u64]) -> Vec<Option<Owner>> {
    let mut missing: HashSet<u64> = inodes.iter().copied().collect();
    let mut found = HashMap::new();
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    for pid in pids {
        if missing.is_empty() {
            break;
        }
        let descriptors = fs::read_dir(proc.join(pid.to_string()).join("fd"));
        let descriptors = descriptors.into_iter().flatten().flatten();
        for inode in descriptors.filter_map(|d| socket_of(&fs::read_link(d.path()).ok()?)) {
            if missing.remove(&inode) {
                found.insert(inode, pid);
            }
        }
    }
    let holder = |inode| owner(proc, *found.get(inode)?);
    inodes.iter().map(holder).collect()
}

/// The inode in the link of a descriptor of a socket.
fn socket_of(link: &Path) -> Option<u64> {
    let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
    inode.parse().ok()
}

/// The process with its current name.
fn owner(proc: &Path, pid: u32) -> Option<Owner> {
    let name = fs::read(proc.join(pid.to_string()).join("comm")).ok()?;
    let name = name.strip_suffix(b"\n").unwrap_or(&name);
    let mut comm = [0; 16];
    // The last byte stays 0, as in the kernel.
    for (to, from) in comm.iter_mut().take(15).zip(name) {
        *to = *from;
    }
    Some(Owner { pid, comm })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const REST: &str = "00000000:00000000 00:00000000 00000000     0        0";

    #[test]
    fn listeners_are_read_up_to_the_first_connection() {
        let line = |addr: &str, state: &str, inode: u64| {
            format!("   0: {addr} 00000000:0000 {state} {REST} {inode} 1 0 100 0 0 10 0")
        };
        let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
        let v4 = line(&format!("{}:1F90", word([127, 0, 0, 1])), "0A", 77);
        let expected = Listening {
            addr: "127.0.0.1".parse().unwrap(),
            port: 8080,
            inode: 77,
        };
        assert_eq!(parse(&v4), Some(expected));
        let one = [[0; 4], [0; 4], [0; 4], [0, 0, 0, 1]].map(word).concat();
        let v6 = parse(&line(&format!("{one}:0050"), "0A", 5)).unwrap();
        assert_eq!((v6.addr, v6.port), ("::1".parse().unwrap(), 80));
        assert_eq!(parse(&line("0100007F:0050", "01", 5)), None);
        for broken in [
            "",
            "0: x",
            "0: 7F:0050 0 0A",
            "0: äöüäöü:0050 0 0A 1 2 3 4 5 6",
        ] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_process_that_listens_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let listening = read(Path::new("/proc/thread-self/net/tcp"));
        let it = listening
            .iter()
            .find(|l| l.addr == at.ip() && l.port == at.port());
        let inode = it.unwrap().inode;
        let owners = holders(Path::new("/proc"), &[u64::MAX, inode, inode]);
        assert_eq!((owners[0], owners[1]), (None, owners[2]));
        let owner = owners[1].unwrap();
        assert_eq!(owner.pid, std::process::id());
        let name = fs::read("/proc/self/comm").unwrap();
        assert_eq!(owner.comm_bytes(), name.strip_suffix(b"\n").unwrap());
    }
}
