//! Untrusted input: peers that choose addresses, processes that choose names, and readers that
//! inspect every byte.

use std::collections::HashSet;
use std::ffi::CStr;
use std::fs::File;
use std::mem::offset_of;
use std::net::{
    Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream,
};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::Duration;
use std::{env, fs, io};

use diagnose_tools::abi::{
    self, ClockChange, Hook, RECORD_SIZE, RawConn, RawIdent, RawListener, RawMeters, RawPair,
    RawRecord, RingState, Settings, Snapshot, Stats, Table, TransitionCount, Version, call,
};
use libtest_mimic::Trial;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn6, bind, connect, socket};
use serde_json::Value;

use crate::support::device::{self, Mapping};
use crate::support::netns::{Netns, ip};
use crate::support::process::Process;
use crate::support::raw::{HOST, Peer, Wire, peer_addr};
use crate::support::segment::{RST, SYN, Segment};
use crate::support::{memory, scenario, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("no_address_of_the_kernel_comes_out", kernel_addresses),
        scenario("ids_tell_nothing_of_where_sockets_are", ids),
        scenario("reserved_bytes_are_zero_in_all_that_is_given", reserved),
        scenario("names_of_processes_reach_no_terminal_as_they_are", names),
        scenario(
            "addresses_cannot_be_chosen_to_share_a_bucket",
            chosen_addresses,
        ),
        scenario("a_flood_from_many_addresses_takes_no_more_memory", flood),
    ]
}

/// One connection of each kind, and what holds it. The ring has been overwritten more than once.
struct Zoo {
    _wire: Wire,
    _netns: Netns,
    _held: Vec<(TcpStream, TcpStream)>,
    _listeners: Vec<TcpListener>,
}

fn zoo() -> Zoo {
    tool::activate("ring=64 threshold=3");
    let netns = Netns::new("zoo");
    let wire = Wire::new(&netns);
    let listener = netns.run(|| traffic::listen_with_backlog(HOST, 64));
    let to = v4(&listener);
    for n in 0..5 {
        Peer::new(&wire, SocketAddrV4::new(peer_addr(n), 30000 + n), to).half_open();
    }
    let listeners = vec![
        traffic::listen(traffic::V4),
        traffic::listen(traffic::V6),
        listener,
    ];
    let mut held = Vec::new();
    for listener in &listeners[..2] {
        for _ in 0..5 {
            held.push(traffic::pair(listener));
            traffic::client_first(listener);
            traffic::reset(listener);
        }
        traffic::refused(listener.local_addr().expect("bound").ip());
    }
    // Alarms of that pair are raised and cleared, between the records of others.
    for _ in 0..40 {
        traffic::client_first(&listeners[0]);
        held.push(traffic::pair(&listeners[0]));
        held.push(traffic::pair(&listeners[1]));
        held.truncate(12);
    }
    held.clear();
    for listener in &listeners[..2] {
        held.extend((0..4).map(|_| traffic::pair(listener)));
    }
    Zoo {
        _wire: wire,
        _netns: netns,
        _held: held,
        _listeners: listeners,
    }
}

fn v4(listener: &TcpListener) -> SocketAddrV4 {
    match listener.local_addr().expect("bound") {
        SocketAddr::V4(addr) => addr,
        SocketAddr::V6(addr) => panic!("{addr} is not an IPv4 address"),
    }
}

/// Content of the caller's memory before a call fills it in.
const POISON: u8 = 0xa5;

/// The bytes of one structure that a call fills in.
fn structure<T>(device: &File, request: u32) -> Vec<u8> {
    let mut bytes = vec![POISON; size_of::<T>()];
    filled(device, request, &mut bytes);
    bytes
}

#[allow(unsafe_code, reason = "raw system calls")]
fn filled(device: &File, request: u32, bytes: &mut [u8]) {
    // SAFETY: the memory has the size that the request's number encodes.
    unsafe { device::ioctl(device, u64::from(request), bytes.as_mut_ptr().addr()) }
        .unwrap_or_else(|e| panic!("request {request:#x}: {e}"));
}

/// The bytes of the elements of a table; the memory behind them is unchanged.
fn table<T>(device: &File, request: u32) -> Vec<u8> {
    const ROOM: usize = 5000;
    let mut elements = vec![POISON; ROOM * size_of::<T>()];
    let mut table = Table {
        entries: elements.as_mut_ptr().addr() as u64,
        capacity: ROOM as u32,
        count: 0,
    };
    device::call(device, u64::from(request), &mut table).expect("a table");
    let behind = elements.split_off(table.count as usize * size_of::<T>());
    assert!(
        behind.iter().all(|b| *b == POISON),
        "written behind the end"
    );
    assert!(
        !elements.is_empty(),
        "request {request:#x}: nothing to look at"
    );
    elements
}

fn snapshot(device: &File) -> Vec<u8> {
    const ROOM: usize = 5000;
    let mut elements = vec![POISON; ROOM * size_of::<RawConn>()];
    let mut snapshot = Snapshot {
        entries: elements.as_mut_ptr().addr() as u64,
        capacity: ROOM as u32,
        count: 0,
        restart: 1,
        reserved: 0,
    };
    device::call(device, u64::from(call::SNAPSHOT), &mut snapshot).expect("a snapshot");
    elements.truncate(snapshot.count as usize * size_of::<RawConn>());
    assert!(!elements.is_empty(), "no connection");
    elements
}

fn rings(device: &File) -> Vec<Vec<u8>> {
    let settings = device::settings(device);
    let ring = |number: u32| {
        let offset = i64::from(number) * settings.ring_bytes as i64;
        let len = settings.ring_bytes as usize;
        let mapping = Mapping::new(device, len, libc::PROT_READ, libc::MAP_SHARED, offset);
        mapping.expect("a ring").bytes()
    };
    (0..settings.nr_rings).map(ring).collect()
}

/// The upper half of the address space, with four levels of page tables.
const KERNEL: u64 = 0xffff_8000_0000_0000;

/// Positions where eight bytes, at any alignment, are an address of the kernel. All bits set means
/// a number without a limit, not an address.
fn addresses(bytes: &[u8]) -> Vec<(usize, u64)> {
    let words = bytes.windows(8).map(|w| w.try_into().expect("eight bytes"));
    let words = words.map(u64::from_le_bytes).enumerate();
    words
        .filter(|(_, word)| *word >= KERNEL && *word != u64::MAX)
        .collect()
}

fn assert_no_address(what: &str, bytes: &[u8]) {
    let found = addresses(bytes);
    assert!(
        found.is_empty(),
        "{what}: at {:?}, of {} bytes",
        &found[..found.len().min(5)],
        bytes.len()
    );
}

fn kernel_addresses() {
    assert_eq!(addresses(&[0, 8, 7, 6, 5, 4, 0x80, 0xff, 0xff]).len(), 1);
    let zoo = zoo();
    let device = device::open();
    let given = [
        ("version", structure::<Version>(&device, call::GET_VERSION)),
        (
            "settings",
            structure::<Settings>(&device, call::GET_SETTINGS),
        ),
        ("stats", structure::<Stats>(&device, call::GET_STATS)),
        (
            "transition_counts",
            table::<TransitionCount>(&device, call::GET_TRANSITION_COUNTS),
        ),
        ("rings", table::<RingState>(&device, call::GET_RINGS)),
        ("hooks", table::<Hook>(&device, call::GET_HOOKS)),
        (
            "listeners",
            table::<RawListener>(&device, call::GET_LISTENERS),
        ),
        ("pairs", table::<RawPair>(&device, call::GET_PAIRS)),
        ("lives", structure::<abi::Lives>(&device, call::GET_LIVES)),
        ("cgroups", table::<abi::Cgroup>(&device, call::GET_CGROUPS)),
        ("clocks", table::<ClockChange>(&device, call::GET_CLOCKS)),
        ("snapshot", snapshot(&device)),
    ];
    for (what, bytes) in &given {
        assert_no_address(what, bytes);
    }
    for ring in rings(&device) {
        assert_no_address("a ring", &ring);
    }
    for option in [
        "--settings=json=1",
        "--settings",
        "--report=json=1 peek=1 transitions=1 connections=1 listeners=1",
        "--report=format=detail peek=1 transitions=1 connections=1",
        "--report=peek=1 transitions=1 connections=1 listeners=1",
        "--diagnose",
    ] {
        assert_no_address_in_text(option, &tool::tcpstates(&[option]));
    }
    drop(zoo);
    tool::tcpstates(&["--deactivate"]);
}

/// Asserts that no number in the text, decimal or hexadecimal, is a kernel address.
fn assert_no_address_in_text(what: &str, text: &str) {
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        let hex = word.trim_start_matches("0x");
        let numbers = [word.parse(), u64::from_str_radix(hex, 16)];
        for number in numbers.into_iter().flatten() {
            assert!(
                number < KERNEL || number == u64::MAX,
                "{what}: {word} in {text}"
            );
        }
    }
}

/// Ids are consecutive: if they contained parts of a socket's address, they would be larger.
fn ids() {
    tool::activate_here("");
    let listener = traffic::listen(traffic::V4);
    for _ in 0..50 {
        traffic::client_first(&listener);
    }
    let report = tool::report("transitions=1");
    let ids: HashSet<_> = report
        .transitions
        .iter()
        .map(|t| t["conn"].as_u64())
        .collect();
    let ids: Vec<_> = ids.into_iter().flatten().collect();
    assert!(ids.len() > 100, "both ends, and the listener: {ids:?}");
    // In addition there are the older connections, and those of other processes.
    let most = 2 * (ids.len() as u64 + report.number("/seeded") + 20);
    assert!(ids.iter().all(|id| *id <= most), "{ids:?} beyond {most}");
    tool::end();
}

fn assert_zero<T>(what: &str, elements: &[u8], ranges: &[Range<usize>]) {
    for element in elements.chunks_exact(size_of::<T>()) {
        for range in ranges {
            let bytes = &element[range.clone()];
            assert!(
                bytes.iter().all(|b| *b == 0),
                "{what}: {range:?} is {bytes:?}"
            );
        }
    }
}

/// A field of a structure that starts at `$at` in another one.
macro_rules! field {
    ($at:expr, $type:ty, $($name:tt).+, $len:expr) => {{
        let start = $at + offset_of!($type, $($name).+);
        start..start + $len
    }};
}

fn reserved() {
    let zoo = zoo();
    let device = device::open();
    let ident = |at| field!(at, RawIdent, reserved, 2);
    let ident1 = |at| field!(at, RawIdent, reserved1, 4);
    let handshakes =
        |at| at + offset_of!(abi::RawHandshakes, reserved)..at + size_of::<abi::RawHandshakes>();
    let settings = structure::<Settings>(&device, call::GET_SETTINGS);
    let config = offset_of!(Settings, config);
    assert_zero::<Settings>(
        "settings",
        &settings,
        &[
            field!(config, abi::Config, reserved, 40),
            field!(
                config + offset_of!(abi::Config, filter),
                abi::RawFilter,
                reserved,
                1
            ),
        ],
    );
    let stats = structure::<Stats>(&device, call::GET_STATS);
    assert_zero::<Stats>(
        "stats",
        &stats,
        &[handshakes(offset_of!(Stats, handshakes))],
    );
    let transitions = table::<TransitionCount>(&device, call::GET_TRANSITION_COUNTS);
    assert_zero::<TransitionCount>(
        "transition_counts",
        &transitions,
        &[field!(0, TransitionCount, reserved, 6)],
    );
    let states = table::<RingState>(&device, call::GET_RINGS);
    assert_zero::<RingState>("rings", &states, &[field!(0, RingState, reserved, 4)]);
    let pairs = table::<RawPair>(&device, call::GET_PAIRS);
    assert_zero::<RawPair>(
        "pairs",
        &pairs,
        &[
            field!(0, RawPair, reserved, 2),
            field!(0, RawPair, reserved1, 4),
        ],
    );
    let listeners = table::<RawListener>(&device, call::GET_LISTENERS);
    assert_zero::<RawListener>(
        "listeners",
        &listeners,
        &[
            ident(offset_of!(RawListener, who)),
            handshakes(offset_of!(RawListener, handshakes)),
            ident1(offset_of!(RawListener, who)),
            field!(0, RawListener, reserved, 8),
        ],
    );
    let conns = snapshot(&device);
    assert_zero::<RawConn>(
        "connections",
        &conns,
        &[
            ident(offset_of!(RawConn, who)),
            ident1(offset_of!(RawConn, who)),
            field!(0, RawConn, reserved0, 1),
        ],
    );
    for conn in conns.chunks_exact(size_of::<RawConn>()) {
        let at = offset_of!(RawConn, meters);
        assert_unmeasured(
            conn,
            offset_of!(RawConn, flags),
            at..at + size_of::<RawMeters>(),
        );
    }
    let kinds: Vec<_> = rings(&device)
        .iter()
        .map(|ring| assert_records(ring))
        .collect();
    let of = |kind: fn(&Kinds) -> usize| kinds.iter().map(kind).sum::<usize>();
    assert!(of(|k| k.alarms) > 0, "alarms are among them");
    assert!(of(|k| k.unmeasured) > 0, "and what is no full socket");
    assert!(
        of(|k| k.overwritten) > 0,
        "and their slots held others before"
    );
    drop(zoo);
    tool::tcpstates(&["--deactivate"]);
}

/// Asserts that records without meters have zeros in their place.
fn assert_unmeasured(bytes: &[u8], flags: usize, meters: Range<usize>) -> bool {
    let flags = u16::from_ne_bytes([bytes[flags], bytes[flags + 1]]);
    let unmeasured = u32::from(flags) & abi::TCPSTATES_HAS_METERS == 0;
    assert!(
        !unmeasured || bytes[meters].iter().all(|b| *b == 0),
        "meters of what has none"
    );
    unmeasured
}

/// Number of records of each kind in a ring.
struct Kinds {
    alarms: usize,
    unmeasured: usize,
    overwritten: usize,
}

fn assert_records(ring: &[u8]) -> Kinds {
    const PAGE: usize = 4096;
    let mut kinds = Kinds {
        alarms: 0,
        unmeasured: 0,
        overwritten: 0,
    };
    let meters = offset_of!(RawRecord, meters);
    for record in ring[PAGE..].chunks_exact(RECORD_SIZE) {
        let number = |at: usize| u64::from_ne_bytes(record[at..at + 8].try_into().expect("eight"));
        let kind = u16::from_ne_bytes([record[24], record[25]]);
        let who = field!(offset_of!(RawRecord, who), RawIdent, reserved, 2);
        assert_zero::<RawRecord>("a record", record, &[who]);
        kinds.overwritten += usize::from(number(0) > 2 * 64 + 1);
        if u32::from(kind) == abi::TCPSTATES_REC_ALARM {
            kinds.alarms += 1;
            let rest = [
                field!(0, abi::RawAlarm, reserved0, 4),
                field!(0, abi::RawAlarm, reserved, 72),
            ];
            assert_zero::<RawRecord>("an alarm", record, &rest);
            continue;
        }
        let rest = [
            field!(meters, RawMeters, unread, 4),
            field!(0, RawRecord, reserved0, 4),
            field!(0, RawRecord, reserved, 32),
        ];
        assert_zero::<RawRecord>("a transition", record, &rest);
        let range = meters..meters + size_of::<RawMeters>();
        let unmeasured = assert_unmeasured(record, offset_of!(RawRecord, flags), range);
        kinds.unmeasured += usize::from(unmeasured && kind != 0);
    }
    kinds
}

/// All bytes that a name may consist of: all but NUL, fifteen in each name.
const NAMES: [&CStr; 8] = [
    c"\x1b[2J\x1b]0;owned\x07",
    c"\"}],\"pid\":1,\"",
    c"back\\slash\\u0022",
    c"new\nline\r\n\tend",
    c"\xff\xfe\xc3(\xa0\xa1",
    c"\xe2\x80\xaeesrever",
    c"\xc2\x9b2J\xc2\x9d0;x",
    c"\x7f\x01\x02\x08\x08\x08",
];

fn names() {
    tool::activate("");
    let netns = Netns::new("names");
    let processes: Vec<_> = NAMES
        .iter()
        .map(|name| {
            let mut process = Process::named(&netns, name, |mut line| {
                // The accept queue is full, which raises an alarm and a finding.
                let listener = traffic::listen_with_backlog(traffic::V4, 1);
                let held =
                    [(); 2].map(|()| TcpStream::connect(listener.local_addr().expect("bound")));
                line.tell(&[]);
                line.hear();
                drop(held);
            });
            process.line.hear();
            process
        })
        .collect();
    let inside = |option: &str| {
        let text = netns.run(|| tool::run(&["tcpstates", option]));
        assert_eq!(text.status, 0, "{text:?}");
        assert_harmless(option, &text.stdout);
        assert_harmless(option, &text.stderr);
        text.stdout
    };
    let all = "peek=1 transitions=1 connections=1 listeners=1";
    for format in ["table", "detail"] {
        let text = inside(&format!("--report=format={format} {all}"));
        assert!(text.contains("\\u{1b}[2J"), "the name is there: {text}");
    }
    let found = inside("--diagnose");
    assert!(
        found.contains("\\u{1b}[2J"),
        "a finding has the name: {found}"
    );
    let mut told = HashSet::new();
    for option in [
        format!("--report=json=1 {all}"),
        "--diagnose=json=1".to_owned(),
    ] {
        for line in inside(&option).lines() {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            told.extend(value["comm"].as_str().map(str::to_owned));
            let pid = value["pid"].as_u64();
            assert!(
                pid.is_none_or(|pid| pid > 1),
                "a name has become a key: {line}"
            );
        }
    }
    let clean = NAMES.iter().filter_map(|name| name.to_str().ok());
    for name in clean {
        let name: String = name.chars().take(15).collect();
        assert!(
            told.iter()
                .any(|t| name.starts_with(t.as_str()) && !t.is_empty()),
            "{name:?} of {told:?}"
        );
    }
    for mut process in processes {
        process.line.tell(&[]);
        process.finish();
    }
    // The message names a process that still holds the module, too.
    let holder = Process::named(&netns, NAMES[0], |mut line| {
        let _held = device::open();
        line.tell(&[]);
        line.hear();
    });
    let mut holder = holder;
    holder.line.hear();
    let refused = tool::run(&["uninstall"]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stderr.contains("\\u{1b}[2J"), "{refused:?}");
    assert_harmless("uninstall", &refused.stderr);
    drop(holder);
    tool::tcpstates(&["--deactivate"]);
}

/// Asserts that a terminal would not interpret any of it.
fn assert_harmless(what: &str, text: &str) {
    let acts = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}');
    assert!(!text.chars().any(acts), "{what}: {text:?}");
}

/// Maximum number of pairs of addresses: with so few, there are four trees of them.
const PAIRS: u32 = 1024;

/// An address in 2001:db8::/32. Combining its halves with XOR and a rotation, as a hash without a
/// key would, gives the same value for every number.
fn chosen(number: u32) -> Ipv6Addr {
    let half = u128::from(0x2001_0db8_u32) << 32 | u128::from(number);
    let swapped = u128::from(number) << 32 | 0x2001_0db8;
    Ipv6Addr::from(half << 64 | swapped)
}

/// Pairs that are no longer used are evicted whichever tree they are in: an attacker must not be
/// able to put them all into one tree.
fn chosen_addresses() {
    ip(&["-6", "route", "add", "local", "2001:db8::/32", "dev", "lo"]);
    fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1").expect("a sysctl");
    tool::activate(&format!("max-pairs={PAIRS}"));
    for number in 0..PAIRS + 200 {
        refused_from(chosen(number));
    }
    let before = tool::report("peek=1");
    assert_eq!(before.number("/pairs"), u64::from(PAIRS));
    for last in 1..100 {
        refused_from(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, last));
    }
    let after = tool::report("peek=1");
    let more = |path| after.number(path) - before.number(path);
    assert_eq!((more("/lost/uncounted"), more("/lost/evicted")), (0, 99));
    tool::end();
}

/// A connect() to a port without a listener: adds a pair of addresses, which is then idle.
fn refused_from(from: Ipv6Addr) {
    let socket = socket(
        AddressFamily::Inet6,
        SockType::Stream,
        SockFlag::empty(),
        None,
    );
    let socket = socket.expect("socket");
    let address = |ip, port| SockaddrIn6::from(SocketAddrV6::new(ip, port, 0, 0));
    bind(socket.as_raw_fd(), &address(from, 0)).unwrap_or_else(|e| panic!("{from}: {e}"));
    let to = address(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9);
    let error = connect(socket.as_raw_fd(), &to).expect_err("refused");
    assert_eq!(
        io::Error::from(error).kind(),
        io::ErrorKind::ConnectionRefused,
        "{from}: {error}"
    );
}

/// Number of addresses that the flood comes from.
fn sources() -> u32 {
    let wanted = env::var("DIAGNOSE_TOOLS_SOURCES").ok();
    wanted.map_or(20_000, |text| {
        text.parse().expect("DIAGNOSE_TOOLS_SOURCES is a number")
    })
}

/// Each address sends a SYN and resets the answer: its pair can be evicted for the next one.
fn flood() {
    const FIRST: u32 = 2 * PAIRS;
    let netns = Netns::new("flood");
    let wire = Wire::new(&netns);
    netns.ip(&["route", "add", "default", "dev", "tun"]);
    tool::activate(&format!("max-pairs={PAIRS} ring=1024"));
    let known = tool::report("peek=1").number("/pairs");
    let listener = netns.run(|| traffic::listen_with_backlog(HOST, 1024));
    let send = |numbers: Range<u32>| {
        for number in numbers {
            let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(11, 0, 0, 0)) + number);
            let mut segment = Segment::new(SocketAddrV4::new(from, 4000), v4(&listener), SYN);
            wire.send(&segment);
            // 5.10 ignores a RST with an ACK of data that was not sent.
            (segment.flags, segment.seq) = (RST, 1);
            wire.send(&segment);
            if number % 1000 == 0 {
                wire.drain(Duration::ZERO);
            }
        }
    };
    send(0..FIRST);
    let full = (memory_by_its_account(), memory::vmalloc_areas());
    send(FIRST..sources());
    let after = (memory_by_its_account(), memory::vmalloc_areas());
    assert_eq!(after, full, "memory of a full table");
    let report = tool::report("peek=1");
    let numbers = |paths: [&str; 3]| paths.map(|path| report.number(path));
    let all = u64::from(sources());
    assert_eq!(
        numbers(["/pairs", "/lost/evicted", "/lost/uncounted"]),
        [u64::from(PAIRS), known + all - u64::from(PAIRS), 0]
    );
    assert_eq!(
        numbers([
            "/handshakes/syns",
            "/handshakes/requests",
            "/handshakes/reset_received"
        ]),
        [all; 3]
    );
    assert_eq!(report.number("/untracked"), 0);
    report.assert_totals_balance();
    // It works as before.
    let before = report.number("/seen");
    traffic::client_first(&traffic::listen(traffic::V4));
    assert_eq!(tool::report("peek=1").number("/seen") - before, 12);
    drop(listener);
    tool::end();
}

/// Memory of the module, in bytes.
fn memory_by_its_account() -> u64 {
    let text = tool::tcpstates(&["--settings=json=1"]);
    let settings: Value = serde_json::from_str(&text).expect("settings are JSON");
    settings["memory_bytes"].as_u64().expect("memory_bytes")
}
