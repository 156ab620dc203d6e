//! Records of a busy host: connections of web servers and their clients, in containers.

use std::fs;
use std::mem::offset_of;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use diagnose_tools::abi::{
    ConnBytes, RawConn, RawIdent, RawMeters, RawRecord, RecordBytes, TCPSTATES_HAS_LISTENER,
    TCPSTATES_HAS_METERS, TCPSTATES_HAS_OWNER, TCPSTATES_HAS_SYNACKS, TCPSTATES_HAS_UID,
    TCPSTATES_SINCE_EXACT, TCPSTATES_SINCE_KNOWN,
};
use diagnose_tools::host::names::Names;
use diagnose_tools::host::processes::{Found, Living};

use crate::fake::{Fake, NOW};
use crate::records::Bytes;

const CGROUPS: u64 = 300;
const NAMESPACES: u64 = 4;
/// Time between two records.
const STEP_NS: u64 = 7_000;
const PROCESSES: [&[u8]; 6] = [
    b"nginx",
    b"curl",
    b"postgres",
    b"java",
    b"kube-apiserver",
    b"php-fpm: pool w",
];

/// The steps of a loopback connection, of client and server alternately: the old state, the new
/// one, and the reason from then on. The names of the states are in the kernel's header.
const LIFE: [(Side, u8, u8, u16); 10] = [
    (Side::Client, 7, 2, 0),
    (Side::Server, 0, 12, 0),
    (Side::Client, 2, 1, 0),
    (Side::Server, 12, 1, 0),
    (Side::Client, 1, 4, 1),
    (Side::Server, 1, 8, 2),
    (Side::Client, 4, 5, 1),
    (Side::Server, 8, 9, 2),
    (Side::Client, 5, 6, 1),
    (Side::Server, 9, 7, 2),
];
const SYN_RECV: u8 = 12;
const TIME_WAIT: u8 = 6;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// The directories of cgroups and namespaces, which are removed when this is dropped.
pub struct Host {
    dir: PathBuf,
    cgroups: Vec<u64>,
    namespaces: Vec<u32>,
}

impl Host {
    /// Makes the directories.
    pub fn make() -> Self {
        let dir = format!("diagnose-tools-decode-{}", std::process::id());
        let dir = std::env::temp_dir().join(dir);
        let make = |path: String| {
            let path = dir.join(path);
            fs::create_dir_all(&path).expect("a directory");
            path.metadata().expect("just made").ino()
        };
        let cgroups = (0..CGROUPS).map(|n| make(format!("cgroup/{}", cgroup(n))));
        let cgroups = cgroups.collect();
        let namespaces = (0..NAMESPACES).map(|n| make(format!("netns/blue-{n}")) as u32);
        let namespaces = namespaces.collect();
        Self {
            dir,
            cgroups,
            namespaces,
        }
    }

    pub fn names(&self) -> Names {
        let names = Names::new(
            Some(self.dir.join("cgroup")),
            self.dir.join("netns"),
            Duration::from_secs(1),
        );
        // All its processes live.
        names.with_living(Living::new(Box::new(|_| Found::Alive(0))))
    }

    /// Records `count` transitions, distributed over the rings in the order of time.
    pub fn fill(&self, fake: &Fake, count: u64) {
        for n in 0..count {
            let ring = &fake.rings[n as usize % fake.rings.len()];
            ring.write(&self.record(n));
        }
    }

    /// This number of live connections, some of which are not full sockets.
    pub fn connections(&self, count: u64) -> Vec<ConnBytes> {
        (0..count).map(|n| self.connection(n)).collect()
    }

    fn record(&self, n: u64) -> RecordBytes {
        let connection = n / LIFE.len() as u64;
        let (side, old, new, reason) = LIFE[n as usize % LIFE.len()];
        let full = ![SYN_RECV, TIME_WAIT].contains(&new);
        let mut bytes = Bytes::transition(NOW + n * STEP_NS, old, new);
        self.who(&mut bytes, offset_of!(RawRecord, who), connection, side);
        if full {
            meters(&mut bytes, offset_of!(RawRecord, meters), n);
        }
        let synacks = TCPSTATES_HAS_SYNACKS * u32::from(side == Side::Server);
        let flags = flags(n, full) | synacks as u16;
        let error = if mix(n) % 50 == 0 { 104u16 } else { 0 };
        bytes
            .put(offset_of!(RawRecord, in_old_ns), span(n).to_ne_bytes())
            .put(offset_of!(RawRecord, flags), flags.to_ne_bytes())
            .put(offset_of!(RawRecord, reason), reason.to_ne_bytes())
            .put(offset_of!(RawRecord, error), error.to_ne_bytes())
            .put(offset_of!(RawRecord, synacks), 1u16.to_ne_bytes());
        bytes.0
    }

    fn connection(&self, n: u64) -> ConnBytes {
        let side = if n % 2 == 0 {
            Side::Client
        } else {
            Side::Server
        };
        let state = [1, 1, 1, 1, 8, TIME_WAIT, 5, SYN_RECV][(mix(n) % 8) as usize];
        let full = ![SYN_RECV, TIME_WAIT].contains(&state);
        let since = NOW - span(n).min(NOW);
        let mut bytes = Bytes::conn(state, since, flags(n, full));
        self.who(&mut bytes, offset_of!(RawConn, who), n, side);
        if full {
            meters(&mut bytes, offset_of!(RawConn, meters), n);
        }
        bytes.0
    }

    fn who<const N: usize>(&self, bytes: &mut Bytes<N>, at: usize, connection: u64, side: Side) {
        let random = mix(connection);
        let server = side == Side::Server;
        let of = |names: u64| (random.rotate_left(8) % names) as usize;
        let ends = [
            (address(random), 32_768 + (random % 28_000) as u16),
            (address(random % 20), [80, 443, 5432, 8080][of(4)]),
        ];
        let [local, remote] = if server { [ends[1], ends[0]] } else { ends };
        let mut known = TCPSTATES_HAS_OWNER | TCPSTATES_HAS_UID;
        if server {
            known |= TCPSTATES_HAS_LISTENER;
        }
        let comm = PROCESSES[of(PROCESSES.len() as u64)];
        bytes.0[at + offset_of!(RawIdent, comm)..][..comm.len()].copy_from_slice(comm);
        let pid = 300 + (random % 60_000) as u32;
        bytes
            .place(
                at,
                self.cgroups[of(CGROUPS)],
                self.namespaces[of(NAMESPACES)],
            )
            .put(
                at + offset_of!(RawIdent, conn),
                (connection + 1).to_ne_bytes(),
            )
            .put(at + offset_of!(RawIdent, laddr), local.0)
            .put(at + offset_of!(RawIdent, raddr), remote.0)
            .put(at + offset_of!(RawIdent, lport), local.1.to_ne_bytes())
            .put(at + offset_of!(RawIdent, rport), remote.1.to_ne_bytes())
            .put(at + offset_of!(RawIdent, listener_addr), local.0)
            .put(
                at + offset_of!(RawIdent, listener_port),
                local.1.to_ne_bytes(),
            )
            .put(at + offset_of!(RawIdent, pid), pid.to_ne_bytes())
            .put(
                at + offset_of!(RawIdent, uid),
                (of(2000) as u32).to_ne_bytes(),
            )
            .known(at, known)
            .put(at + offset_of!(RawIdent, family), [family(random)])
            .put(at + offset_of!(RawIdent, role), [1 + u8::from(server)]);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The path of a cgroup: a service, or a container of Kubernetes.
fn cgroup(n: u64) -> String {
    match n % 2 {
        0 => format!("system.slice/service-{n}.service"),
        _ => format!("kubepods.slice/kubepods-pod{n}.slice/cri-containerd-{n:064x}.scope"),
    }
}

/// Numbers that look random, but are the same in each run (splitmix64).
pub fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// One connection in four uses IPv6.
fn family(random: u64) -> u8 {
    if random % 4 == 0 { 6 } else { 4 }
}

fn address(random: u64) -> [u8; 16] {
    let low = random.to_be_bytes();
    match family(random) {
        4 => Ipv4Addr::new(10, low[1], low[2], low[3])
            .to_ipv6_mapped()
            .octets(),
        _ => {
            let mut octets = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            octets[8..].copy_from_slice(&low);
            octets
        }
    }
}

/// A duration from a microsecond to days.
fn span(n: u64) -> u64 {
    let random = mix(n);
    (random >> 16) >> (random % 38)
}

fn flags(n: u64, full: bool) -> u16 {
    let exact = if n % 16 == 0 {
        0
    } else {
        TCPSTATES_SINCE_EXACT
    };
    let meters = if full { TCPSTATES_HAS_METERS } else { 0 };
    (TCPSTATES_SINCE_KNOWN | exact | meters) as u16
}

fn meters<const N: usize>(bytes: &mut Bytes<N>, at: usize, n: u64) {
    let random = mix(!n);
    let bytes_of =
        |shift: u64| (random >> (20 + (random.rotate_left(9) + shift) % 40)).to_ne_bytes();
    bytes
        .put(at + offset_of!(RawMeters, bytes_sent), bytes_of(0))
        .put(at + offset_of!(RawMeters, bytes_acked), bytes_of(0))
        .put(at + offset_of!(RawMeters, bytes_received), bytes_of(7));
    let words = [
        (offset_of!(RawMeters, snd_cwnd), 10),
        (offset_of!(RawMeters, snd_wnd), 65_535),
        (offset_of!(RawMeters, rcv_wnd), 64_240),
        (offset_of!(RawMeters, sndbuf), 87_040),
        (offset_of!(RawMeters, sndbuf_used), (random % 9_000) as u32),
        (offset_of!(RawMeters, rcvbuf), 131_072),
        (offset_of!(RawMeters, rcvbuf_used), (random % 5_000) as u32),
        (offset_of!(RawMeters, retrans), (random % 4) as u32),
        (offset_of!(RawMeters, srtt_us), (random % 90_000) as u32),
    ];
    for (field, number) in words {
        bytes.put(at + field, number.to_ne_bytes());
    }
}
