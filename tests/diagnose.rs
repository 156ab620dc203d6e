//! `--diagnose` against a backend in memory: of each rule a case that it finds,
//! with the exact numbers, and its healthy neighbour, which it does not.

mod fake;

use std::collections::HashMap;
use std::mem::offset_of;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use diagnose_tools::abi::{
    self, Edge, GroupBytes, ListenerBytes, RawConn, RawGroup, RawHandshakes, RawIdent, RawListener,
    RawMeters, RawRecord,
};
use diagnose_tools::backend::Backend;
use diagnose_tools::cli::options;
use diagnose_tools::command::{self, options::DiagnoseOptions};
use diagnose_tools::diagnose::finding::{Finding, Severity};
use diagnose_tools::diagnose::limits::Limits;
use diagnose_tools::diagnose::{self, Diagnosis, Scope};
use diagnose_tools::error::Error;
use diagnose_tools::host::names::{ConnNames, Names};
use diagnose_tools::host::netns::Namespace;
use diagnose_tools::host::sample::{Carried, Target};
use diagnose_tools::host::sockets::Listening;
use diagnose_tools::host::{Descriptors, Host};
use diagnose_tools::model::ident::{Ident, Owner};
use diagnose_tools::render::Style;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use fake::{Bytes, Fake, NOW};
use jiff::tz::TimeZone;
use serde_json::Value;

const SECOND: u64 = 1_000_000_000;
const NETNS: u32 = 4_026_531_840;
const SERVER: &str = "10.0.0.1:80";

const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const FIN_WAIT1: u8 = 4;
const FIN_WAIT2: u8 = 5;
const TIME_WAIT: u8 = 6;
const CLOSE: u8 = 7;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const NEW_SYN_RECV: u8 = 12;

const CLIENT: u8 = 1;
const SERVED: u8 = 2;

/// What the rules ask of a host, told by the test.
struct FakeHost {
    settings: HashMap<&'static str, String>,
    counters: HashMap<String, u64>,
    closed: Option<String>,
    carried: Carried,
    sampled: Vec<Target>,
    names: Names,
}

impl FakeHost {
    /// The defaults of a kernel.
    fn new() -> Self {
        let settings = [
            ("net.core.somaxconn", "4096"),
            ("net.ipv4.ip_local_port_range", "32768 60999"),
            ("net.ipv4.ip_local_reserved_ports", ""),
            ("net.ipv4.tcp_abort_on_overflow", "0"),
            ("net.ipv4.tcp_fin_timeout", "60"),
            ("net.ipv4.tcp_keepalive_intvl", "75"),
            ("net.ipv4.tcp_keepalive_probes", "9"),
            ("net.ipv4.tcp_keepalive_time", "7200"),
            ("net.ipv4.tcp_max_orphans", "16384"),
            ("net.ipv4.tcp_max_syn_backlog", "512"),
            ("net.ipv4.tcp_max_tw_buckets", "16384"),
            ("net.ipv4.tcp_orphan_retries", "0"),
            ("net.ipv4.tcp_retries2", "15"),
            ("net.ipv4.tcp_syn_retries", "6"),
            ("net.ipv4.tcp_synack_retries", "5"),
            ("net.ipv4.tcp_syncookies", "1"),
            ("net.ipv4.tcp_tw_reuse", "2"),
        ];
        Self {
            settings: settings.map(|(n, v)| (n, v.to_owned())).into(),
            counters: HashMap::from([("TcpExtListenDrops".to_owned(), 77)]),
            closed: None,
            carried: Carried::default(),
            sampled: Vec::new(),
            names: Names::new(None, PathBuf::from("/nonexistent"), Duration::ZERO),
        }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.insert(name, value.into());
        self
    }
}

impl Host for FakeHost {
    fn names(&mut self, who: &Ident) -> ConnNames {
        self.names.of(who)
    }

    fn namespace(&mut self, inode: u32, _: &[u32]) -> Namespace {
        assert_eq!(inode, NETNS);
        Namespace {
            settings: self.settings.clone(),
            counters: self.counters.clone(),
            listening: vec![Listening {
                addr: [10, 0, 0, 1].into(),
                port: 80,
                inode: 4_711,
            }],
            closed: self.closed.clone(),
        }
    }

    fn holder(&mut self, socket: &Listening) -> Option<Owner> {
        assert_eq!(socket.inode, 4_711);
        let mut comm = [0; 16];
        comm[..6].copy_from_slice(b"mysqld");
        Some(Owner { pid: 77, comm })
    }

    fn descriptors(&mut self, _: u32) -> Option<Descriptors> {
        Some(Descriptors {
            open: 1_010,
            limit: Some(1_024),
        })
    }

    fn sample(&mut self, targets: &[Target], patience: Duration) -> Vec<Carried> {
        assert!(!patience.is_zero());
        self.sampled.extend(targets.iter().cloned());
        vec![self.carried; targets.len()]
    }
}

/// A live connection; what is not told is 0.
#[derive(Clone)]
struct Conn {
    local: String,
    remote: String,
    state: u8,
    role: u8,
    /// Seconds in the state, and since it was first seen.
    age: u64,
    pid: u32,
    comm: &'static str,
    full: bool,
    sent: u64,
    acked: u64,
    received: u64,
    window: u32,
    sndbuf_used: u32,
    rcvbuf_used: u32,
    /// Milliseconds ago.
    last_recv: u32,
    last_sent: u32,
    unacked: u32,
    retransmits: u8,
    probes: u8,
    flags: u16,
}

impl Conn {
    /// One of nginx, ESTABLISHED for so long.
    fn served(remote: String, age: u64) -> Self {
        Self {
            local: SERVER.into(),
            remote,
            state: ESTABLISHED,
            role: SERVED,
            age,
            pid: 142,
            comm: "nginx",
            full: true,
            sent: 0,
            acked: 0,
            received: 0,
            window: 64_240,
            sndbuf_used: 0,
            rcvbuf_used: 0,
            last_recv: (age * 1_000) as u32,
            last_sent: (age * 1_000) as u32,
            unacked: 0,
            retransmits: 0,
            probes: 0,
            flags: 0,
        }
    }

    /// One that curl has begun.
    fn begun(local: String, remote: &str, age: u64) -> Self {
        Self {
            local,
            role: CLIENT,
            pid: 900,
            comm: "curl",
            ..Self::served(remote.into(), age)
        }
    }

    fn state(self, state: u8) -> Self {
        Self { state, ..self }
    }

    /// A request or timewait socket.
    fn small(self) -> Self {
        Self {
            full: false,
            ..self
        }
    }

    fn bytes(&self) -> [u8; abi::CONN_SIZE] {
        let mut bytes = Bytes([0; abi::CONN_SIZE]);
        let (who, meters) = (offset_of!(RawConn, who), offset_of!(RawConn, meters));
        let flags = if self.full { 7u16 | 0x30 } else { 3 };
        let since = NOW - self.age * SECOND;
        bytes
            .ident(who, &self.local, &self.remote)
            .put(who + offset_of!(RawIdent, role), [self.role])
            .put(offset_of!(RawConn, since_ns), since.to_ne_bytes())
            .put(offset_of!(RawConn, first_seen_ns), since.to_ne_bytes())
            .put(offset_of!(RawConn, state), [self.state])
            .put(offset_of!(RawConn, flags), flags.to_ne_bytes());
        if self.pid != 0 {
            bytes.owner(who, self.pid, self.comm.as_bytes());
            let owned = (abi::TCPSTATES_HAS_OWNER | abi::TCPSTATES_HAS_UID) as u16;
            bytes.put(who + offset_of!(RawIdent, flags), owned.to_ne_bytes());
        }
        let mut meter = |at: usize, n: u32| {
            bytes.put(meters + at, n.to_ne_bytes());
        };
        meter(offset_of!(RawMeters, snd_wnd), self.window);
        meter(offset_of!(RawMeters, sndbuf_used), self.sndbuf_used);
        meter(offset_of!(RawMeters, rcvbuf_used), self.rcvbuf_used);
        for (at, n) in [
            (offset_of!(RawMeters, bytes_sent), self.sent),
            (offset_of!(RawMeters, bytes_acked), self.acked),
            (offset_of!(RawMeters, bytes_received), self.received),
        ] {
            bytes.put(meters + at, n.to_ne_bytes());
        }
        bytes
            .put(
                offset_of!(RawConn, last_recv_ms),
                u64::from(self.last_recv).to_ne_bytes(),
            )
            .put(
                offset_of!(RawConn, last_sent_ms),
                u64::from(self.last_sent).to_ne_bytes(),
            )
            .put(offset_of!(RawConn, unacked), self.unacked.to_ne_bytes())
            .put(offset_of!(RawConn, retransmits), [self.retransmits])
            .put(offset_of!(RawConn, probes), [self.probes])
            .put(offset_of!(RawConn, sock_flags), self.flags.to_ne_bytes());
        bytes.0
    }
}

/// `10.9.0.1:PORT`: all of one source.
fn attacker(number: u64) -> String {
    format!("10.9.0.1:{}", 20_000 + number)
}

/// A source of its own for each number.
fn stranger(number: u64) -> String {
    let [.., high, low] = (number as u16).to_be_bytes();
    format!("10.200.{high}.{low}:30000")
}

/// Clients that ask now and then: ten connections of each address.
fn healthy(number: u64) -> Conn {
    let remote = format!("10.77.0.{}:{}", 1 + number / 10, 40_000 + number);
    Conn {
        sent: 9_000,
        acked: 9_000,
        received: 700,
        last_recv: 1_500,
        last_sent: 1_490,
        ..Conn::served(remote, 50)
    }
}

/// nginx, which listens since the activation with a backlog of 511.
#[derive(Clone, Copy, Default)]
struct Socket {
    accept: [u32; 2],
    half_open: [u32; 3],
    unfinished: [u32; 2],
    /// Seconds since the last one with a SYN.
    ago: u64,
    alarms: u16,
    handshakes: RawHandshakes,
}

impl Socket {
    fn bytes(&self) -> ListenerBytes {
        let mut bytes = Bytes([0; abi::LISTENER_SIZE]);
        let who = offset_of!(RawListener, who);
        let owned = (abi::TCPSTATES_HAS_OWNER | abi::TCPSTATES_HAS_UID) as u16;
        bytes
            .ident(who, SERVER, "0.0.0.0:0")
            .owner(who, 141, b"nginx")
            .put(who + offset_of!(RawIdent, flags), owned.to_ne_bytes())
            .put(who + offset_of!(RawIdent, role), [3])
            .put(offset_of!(RawListener, alarms), self.alarms.to_ne_bytes())
            .put(
                offset_of!(RawListener, unfinished_ns),
                (NOW - self.ago * SECOND).to_ne_bytes(),
            );
        for (at, number) in [
            (offset_of!(RawListener, accept_queue), self.accept[0]),
            (offset_of!(RawListener, accept_queue_max), self.accept[1]),
            (offset_of!(RawListener, accept_queue_limit), 511),
            (offset_of!(RawListener, half_open), self.half_open[0]),
            (offset_of!(RawListener, half_open_max), self.half_open[1]),
            (offset_of!(RawListener, half_open_limit), self.half_open[2]),
            (offset_of!(RawListener, unfinished), self.unfinished[0]),
            (offset_of!(RawListener, unfinished_max), self.unfinished[1]),
        ] {
            bytes.put(at, number.to_ne_bytes());
        }
        let h = &self.handshakes;
        for (at, number) in [
            (offset_of!(RawHandshakes, syns), h.syns),
            (offset_of!(RawHandshakes, cookies_sent), h.cookies_sent),
            (
                offset_of!(RawHandshakes, cookies_accepted),
                h.cookies_accepted,
            ),
            (offset_of!(RawHandshakes, syn_queue_full), h.syn_queue_full),
            (
                offset_of!(RawHandshakes, syn_accept_queue_full),
                h.syn_accept_queue_full,
            ),
            (
                offset_of!(RawHandshakes, ack_accept_queue_full),
                h.ack_accept_queue_full,
            ),
            (offset_of!(RawHandshakes, promoted), h.promoted),
            (offset_of!(RawHandshakes, expired), h.expired),
        ] {
            bytes.put(
                offset_of!(RawListener, handshakes) + at,
                number.to_ne_bytes(),
            );
        }
        bytes.0
    }
}

/// 10.0.0.1 and `raddr`.
fn group(raddr: Ipv4Addr, established: u32, alarm: bool) -> GroupBytes {
    let mut bytes = Bytes([0; abi::GROUP_SIZE]);
    let mapped = |addr: Ipv4Addr| addr.to_ipv6_mapped().octets();
    bytes
        .put(offset_of!(RawGroup, laddr), mapped([10, 0, 0, 1].into()))
        .put(offset_of!(RawGroup, raddr), mapped(raddr))
        .put(offset_of!(RawGroup, netns), NETNS.to_ne_bytes())
        .put(offset_of!(RawGroup, family), [4])
        .put(offset_of!(RawGroup, alarm), [u8::from(alarm)])
        .put(offset_of!(RawGroup, established), established.to_ne_bytes())
        .put(offset_of!(RawGroup, peak), 700u64.to_ne_bytes());
    bytes.0
}

/// A transition of `conn`, so many milliseconds ago.
fn step(conn: &Conn, ago_ms: u64, old: u8, new: u8, reason: u16) -> [u8; abi::RECORD_SIZE] {
    let mut bytes = Bytes([0; abi::RECORD_SIZE]);
    let who = offset_of!(RawRecord, who);
    let ts = NOW - ago_ms * 1_000_000;
    let owned = abi::TCPSTATES_HAS_OWNER as u16;
    bytes
        .put(offset_of!(RawRecord, ts), ts.to_ne_bytes())
        .put(offset_of!(RawRecord, type_), 1u16.to_ne_bytes())
        .put(offset_of!(RawRecord, old_state), [old])
        .put(offset_of!(RawRecord, new_state), [new])
        .put(offset_of!(RawRecord, reason), reason.to_ne_bytes())
        .ident(who, &conn.local, &conn.remote)
        .put(who + offset_of!(RawIdent, role), [conn.role])
        .owner(who, conn.pid, conn.comm.as_bytes())
        .put(who + offset_of!(RawIdent, flags), owned.to_ne_bytes());
    bytes.0
}

/// A host on which nginx listens, and serves 200 healthy connections.
fn host() -> Fake {
    let mut fake = Fake::new(1, 4096);
    fake.listeners = vec![
        Socket {
            half_open: [0, 3, 511],
            ..Socket::default()
        }
        .bytes(),
    ];
    add(&fake, (0..200).map(healthy));
    fake
}

fn add(fake: &Fake, conns: impl IntoIterator<Item = Conn>) {
    let bytes = conns.into_iter().map(|c| c.bytes());
    fake.conns.borrow_mut().extend(bytes);
}

fn look_with(fake: &Fake, host: &mut FakeHost, scope: &Scope) -> Diagnosis {
    let diagnosis = diagnose::look(fake, scope, host).unwrap();
    for finding in &diagnosis.findings {
        assert!(
            !finding.summary.contains('\n') && finding.advice.iter().all(|a| !a.text.is_empty())
        );
        // The healthy ones are never named.
        let named = finding.subject.peers.iter().map(|p| p.addr.to_string());
        assert!(
            !named.into_iter().any(|a| a.starts_with("10.77.")),
            "{finding:#?}"
        );
    }
    diagnosis
}

fn look(fake: &Fake) -> Vec<Finding> {
    look_with(fake, &mut FakeHost::new(), &Scope::default()).findings
}

/// The only finding.
fn only(findings: &[Finding]) -> &Finding {
    assert_eq!(findings.len(), 1, "{findings:#?}");
    &findings[0]
}

fn number(finding: &Finding, name: &str) -> u64 {
    let found = finding.numbers.iter().find(|(n, _)| *n == name);
    found.unwrap_or_else(|| panic!("no {name}: {finding:#?}")).1
}

fn peers(finding: &Finding) -> Vec<(String, u64)> {
    let peers = finding.subject.peers.iter();
    peers.map(|p| (p.addr.to_string(), p.count)).collect()
}

/// The settings that are named, with their values.
fn settings(finding: &Finding) -> Vec<(&str, &str)> {
    let advice = finding.advice.iter();
    let named = advice.filter_map(|a| Some((a.setting?, a.value.as_deref()?)));
    named.collect()
}

fn is(finding: &Finding, rule: &str, severity: Severity) {
    assert_eq!(
        (finding.rule, finding.severity),
        (rule, severity),
        "{finding:#?}"
    );
}

#[test]
fn a_healthy_host_has_no_findings() {
    let diagnosis = look_with(&host(), &mut FakeHost::new(), &Scope::default());
    assert_eq!(diagnosis.findings, []);
    assert_eq!((diagnosis.connections, diagnosis.listeners), (200, 1));
    assert_eq!(diagnosis.checked.len(), 20);
}

/// A request in crumbs: the last one came a second ago, none was answered.
fn slow(number: u64) -> Conn {
    Conn {
        received: 300,
        last_recv: 1_000,
        ..Conn::served(attacker(number), 20)
    }
}

#[test]
fn slow_requests_of_one_source() {
    let fake = host();
    add(&fake, (0..49).map(slow));
    assert_eq!(look(&fake), []);
    add(&fake, [slow(49)]);
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "slow-request", Severity::Warning);
    assert_eq!(
        finding.summary,
        "slow requests: 50 connections from 10.9.0.1 to 10.0.0.1:80 send requests and do not \
         finish them"
    );
    assert_eq!(peers(finding), [("10.9.0.1".into(), 50)]);
    assert_eq!(finding.subject.peer_count, 1);
    let owner = finding.subject.owner.unwrap();
    assert_eq!((owner.pid, owner.comm_bytes()), (142, &b"nginx"[..]));
    let numbers = ["connections", "established", "oldest_s", "bytes_received"];
    let expected = [50, 250, 20, 15_000];
    assert_eq!(numbers.map(|name| number(finding, name)), expected);
    assert_eq!(number(finding, "bytes_per_second_each"), 15);
    add(&fake, (50..500).map(slow));
    is(only(&look(&fake)), "slow-request", Severity::Critical);
}

#[test]
fn slow_requests_that_were_answered_before() {
    let fake = host();
    let refused = |number| Conn {
        sent: 300,
        last_sent: 15_000,
        ..slow(number)
    };
    add(&fake, (0..60).map(refused));
    is(only(&look(&fake)), "slow-request", Severity::Warning);
}

#[test]
fn what_is_not_a_slow_request() {
    let long_poll = |n| Conn {
        sent: 4_000,
        last_recv: 20_000,
        last_sent: 1_000,
        ..slow(n)
    };
    let waits_for_its_answer = |n| Conn {
        last_recv: 19_990,
        ..slow(n)
    };
    let fast = |n| Conn {
        received: 256 * 20,
        ..slow(n)
    };
    let young = |n| Conn { age: 7, ..slow(n) };
    let idle = |n| Conn {
        age: 900,
        last_recv: 121_000,
        ..slow(n)
    };
    let client = |n| Conn {
        role: CLIENT,
        ..slow(n)
    };
    let kinds: [fn(u64) -> Conn; 6] = [long_poll, waits_for_its_answer, fast, young, idle, client];
    for (index, kind) in kinds.into_iter().enumerate() {
        let fake = host();
        add(&fake, (0..100).map(kind));
        assert_eq!(look(&fake), [], "{index}");
    }
}

#[test]
fn slow_requests_of_many_sources() {
    let of = |number| Conn {
        remote: stranger(number),
        ..slow(number)
    };
    let fake = host();
    add(&fake, (0..199).map(of));
    assert_eq!(look(&fake), []);
    // Half of the listener's, now that there are as many as healthy ones.
    add(&fake, [of(199)]);
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "slow-request", Severity::Warning);
    assert_eq!((finding.subject.peer_count, peers(finding)), (200, vec![]));
    assert!(
        finding.summary.contains("200 connections from 200 sources"),
        "{}",
        finding.summary
    );
    add(&fake, (200..203).map(healthy));
    assert_eq!(look(&fake), []);
}

#[test]
fn packets_tell_headers_from_bodies() {
    let fake = host();
    add(&fake, (0..60).map(slow));
    let scope = Scope {
        patience: Duration::from_secs(1),
        ..Scope::default()
    };
    let carried = |headers, body, encrypted| Carried {
        headers,
        body,
        encrypted,
    };
    let table = [
        (
            carried(30, 0, 0),
            "slow-headers",
            "slow headers (slowloris): 60 connections",
        ),
        (carried(1, 29, 0), "slow-body", "slow POST: 60 connections"),
        (
            carried(0, 0, 30),
            "slow-request",
            "slow requests: 60 connections",
        ),
        (
            carried(15, 15, 0),
            "slow-request",
            "slow requests: 60 connections",
        ),
    ];
    for (carried, rule, summary) in table {
        let mut host = FakeHost {
            carried,
            ..FakeHost::new()
        };
        let diagnosis = look_with(&fake, &mut host, &scope);
        let finding = only(&diagnosis.findings);
        is(finding, rule, Severity::Warning);
        assert!(finding.summary.starts_with(summary), "{}", finding.summary);
        assert_eq!(number(finding, "sampled_body"), carried.body);
        let [target] = &host.sampled[..] else {
            panic!("{:?}", host.sampled);
        };
        assert_eq!(
            (target.netns, target.port, target.clients.len()),
            (NETNS, 80, 60)
        );
        assert!(
            target
                .clients
                .contains(&("10.9.0.1".parse().unwrap(), 20_000))
        );
        assert_eq!(target.pids, [142]);
    }
}

#[test]
fn slow_reads() {
    fn slow(number: u64) -> Conn {
        Conn {
            sent: 20_000,
            acked: 2_000,
            received: 120,
            window: 400,
            sndbuf_used: 90_000,
            last_sent: 3_000,
            ..Conn::served(attacker(number), 20)
        }
    }
    let fake = host();
    add(&fake, (0..60).map(slow));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "slow-read", Severity::Warning);
    assert_eq!(number(finding, "bytes_per_second_each"), 100);
    assert_eq!(number(finding, "largest_window"), 400);
    assert_eq!(number(finding, "sndbuf_used"), 60 * 90_000);

    let honest = |n| Conn {
        acked: 20 * 1_024,
        ..slow(n)
    };
    let open = |n| Conn {
        window: 2_920,
        ..slow(n)
    };
    let gone = |n| Conn {
        retransmits: 3,
        ..slow(n)
    };
    let kinds: [fn(u64) -> Conn; 2] = [honest, open];
    for kind in kinds {
        let fake = host();
        add(&fake, (0..100).map(kind));
        assert_eq!(look(&fake), []);
    }
    let fake = host();
    add(&fake, (0..100).map(gone));
    is(only(&look(&fake)), "dead-peers", Severity::Warning);
    // The average was good, but nothing has gone out for long.
    let stuck = |n| Conn {
        last_sent: 5_000,
        ..honest(n)
    };
    let fake = host();
    add(&fake, (0..60).map(stuck));
    is(only(&look(&fake)), "slow-read", Severity::Warning);
}

#[test]
fn silent_connections() {
    let silent = |number, age| Conn::served(attacker(number), age);
    let fake = host();
    add(&fake, (0..60).map(|n| silent(n, 9)));
    assert_eq!(look(&fake), []);
    let fake = host();
    add(&fake, (0..60).map(|n| silent(n, 10)));
    let findings = look(&fake);
    is(only(&findings), "silent-connections", Severity::Warning);
    assert_eq!(number(&findings[0], "connections"), 60);
}

/// A flood of so many a second, `ago` seconds ago.
fn flood(unfinished: u32, ago: u64) -> Socket {
    Socket {
        half_open: [511, 511, 511],
        unfinished: [unfinished, 6_000],
        ago,
        alarms: 1 << 4,
        handshakes: RawHandshakes {
            syns: 90_000,
            cookies_sent: 80_000,
            cookies_accepted: 20,
            expired: 400,
            ..RawHandshakes::default()
        },
        ..Socket::default()
    }
}

fn request(remote: String) -> Conn {
    Conn {
        pid: 0,
        ..Conn::served(remote, 2).state(NEW_SYN_RECV).small()
    }
}

fn of_rule<'a>(findings: &'a [Finding], rule: &str) -> Vec<&'a Finding> {
    findings.iter().filter(|f| f.rule == rule).collect()
}

#[test]
fn syn_floods() {
    let mut fake = host();
    fake.listeners = vec![flood(5_500, 1).bytes()];
    add(&fake, (0..511).map(|n| request(attacker(n))));
    let findings = look(&fake);
    let finding = of_rule(&findings, "syn-flood")[0];
    is(finding, "syn-flood", Severity::Warning);
    assert_eq!(
        finding.summary,
        "SYN flood: 5500 handshakes a second at 10.0.0.1:80 are not finished, from 10.9.0.1"
    );
    assert_eq!(peers(finding), [("10.9.0.1".into(), 511)]);
    let numbers = [
        "unfinished_peak",
        "half_open",
        "half_open_limit",
        "cookies_sent",
    ];
    assert_eq!(
        numbers.map(|n| number(finding, n)),
        [6_000, 511, 511, 80_000]
    );
    assert_eq!(number(finding, "TcpExtListenDrops"), 77);
    assert_eq!(finding.subject.owner.unwrap().pid, 141);
    let expected = [
        ("net.ipv4.tcp_syncookies", "1"),
        ("net.core.somaxconn", "4096"),
        ("net.ipv4.tcp_synack_retries", "5"),
    ];
    assert_eq!(settings(finding), expected);
    is(
        of_rule(&findings, "half-open-full")[0],
        "half-open-full",
        Severity::Warning,
    );
}

#[test]
fn a_syn_flood_without_cookies_and_with_spoofed_sources() {
    let mut fake = host();
    let mut listening = flood(5_500, 1);
    listening.handshakes.syn_queue_full = 80_000;
    listening.handshakes.cookies_sent = 0;
    fake.listeners = vec![listening.bytes()];
    add(&fake, (0..511).map(|n| request(stranger(n))));
    let mut host = FakeHost::new().set("net.ipv4.tcp_syncookies", "0");
    let findings = look_with(&fake, &mut host, &Scope::default()).findings;
    let finding = of_rule(&findings, "syn-flood")[0];
    is(finding, "syn-flood", Severity::Critical);
    assert!(
        finding
            .summary
            .ends_with("from 511 or more sources, most likely spoofed")
    );
    assert_eq!((finding.subject.peer_count, peers(finding)), (511, vec![]));
    assert!(settings(finding).contains(&("net.ipv4.tcp_max_syn_backlog", "512")));
    is(
        of_rule(&findings, "half-open-full")[0],
        "half-open-full",
        Severity::Critical,
    );
}

#[test]
fn a_syn_flood_that_is_over_is_information() {
    let mut fake = host();
    let mut over = flood(5_500, 11);
    over.half_open[0] = 0;
    fake.listeners = vec![over.bytes()];
    let findings = look(&fake);
    let finding = of_rule(&findings, "syn-flood")[0];
    is(finding, "syn-flood", Severity::Info);
    assert_eq!(number(finding, "seconds_ago"), 11);
    assert!(
        finding.summary.contains("11 seconds ago"),
        "{}",
        finding.summary
    );
    is(
        of_rule(&findings, "half-open-full")[0],
        "half-open-full",
        Severity::Info,
    );
    assert_eq!(findings.len(), 2);
}

#[test]
fn a_syn_flood_that_falls_below_the_limit_is_not_called_over() {
    let mut fake = host();
    fake.listeners = vec![flood(150, 1).bytes()];
    let findings = look(&fake);
    let finding = of_rule(&findings, "syn-flood")[0];
    is(finding, "syn-flood", Severity::Info);
    assert_eq!(
        finding.summary,
        "below the limit of 200 a second now: 150 handshakes a second at 10.0.0.1:80 are not \
         finished, up to 6000 were"
    );
    assert_eq!(number(finding, "unfinished_per_second"), 150);
}

#[test]
fn what_is_not_a_syn_flood() {
    let mut few = flood(199, 1);
    (few.unfinished[1], few.half_open) = (199, [0, 100, 511]);
    let mut fake = host();
    fake.listeners = vec![few.bytes()];
    assert_eq!(look(&fake), []);
    // SYNs that find no room in the accept queue are no flood.
    // A burst that was under way when a second ended.
    let mut burst = flood(900, 1);
    (burst.unfinished[1], burst.half_open) = (900, [0, 100, 511]);
    burst.handshakes = RawHandshakes {
        syns: 90_000,
        promoted: 89_101,
        ..RawHandshakes::default()
    };
    fake.listeners = vec![burst.bytes()];
    assert_eq!(look(&fake), []);
    burst.handshakes.promoted = 89_100;
    fake.listeners = vec![burst.bytes()];
    is(only(&look(&fake)), "syn-flood", Severity::Warning);
    // One second alone does not make the module's alarm.
    burst.alarms = 0;
    fake.listeners = vec![burst.bytes()];
    let findings = look(&fake);
    is(only(&findings), "syn-flood", Severity::Info);
    assert_eq!(
        only(&findings).summary,
        "900 handshakes at 10.0.0.1:80 were not finished in one second, not yet in two"
    );
    let mut stuck = flood(900, 1);
    stuck.accept = [512, 512];
    stuck.half_open = [0, 100, 511];
    stuck.handshakes = RawHandshakes {
        syns: 15_000,
        syn_accept_queue_full: 7_000,
        ..RawHandshakes::default()
    };
    fake.listeners = vec![stuck.bytes()];
    is(only(&look(&fake)), "accept-queue-full", Severity::Critical);
    // It has room again: what is not finished now has another reason.
    stuck.accept[0] = 3;
    fake.listeners = vec![stuck.bytes()];
    let findings = look(&fake);
    assert_eq!(findings.len(), 2);
    is(&findings[0], "syn-flood", Severity::Warning);
    is(&findings[1], "accept-queue-full", Severity::Info);
}

#[test]
fn a_full_accept_queue() {
    let full = |now, max, dropped| Socket {
        accept: [now, max],
        half_open: [0, 3, 511],
        handshakes: RawHandshakes {
            ack_accept_queue_full: dropped,
            syn_accept_queue_full: dropped,
            ..RawHandshakes::default()
        },
        ..Socket::default()
    };
    let found = |listening: Socket| {
        let mut fake = host();
        fake.listeners = vec![listening.bytes()];
        look(&fake)
    };
    // It holds one more than its limit.
    assert_eq!(found(full(511, 511, 0)), []);
    is(
        only(&found(full(512, 512, 0))),
        "accept-queue-full",
        Severity::Warning,
    );
    is(
        only(&found(full(3, 512, 7))),
        "accept-queue-full",
        Severity::Info,
    );
    let findings = found(full(512, 512, 7));
    let finding = only(&findings);
    is(finding, "accept-queue-full", Severity::Critical);
    assert_eq!(
        finding.summary,
        "141/nginx does not accept: the accept queue of 10.0.0.1:80 is full (512 waiting, limit 511)"
    );
    let numbers = [
        "accept_queue",
        "accept_queue_limit",
        "syns_dropped",
        "last_acks_dropped",
    ];
    assert_eq!(numbers.map(|n| number(finding, n)), [512, 511, 7, 7]);
    let expected = [
        ("net.core.somaxconn", "4096"),
        ("net.ipv4.tcp_abort_on_overflow", "0"),
    ];
    assert_eq!(settings(finding), expected);
    assert!(
        finding.advice[1].text.contains("a backlog of 511 only"),
        "{finding:#?}"
    );
    // Raised and not yet cleared: it was full a moment ago.
    let mut alarmed = full(480, 512, 7);
    alarmed.alarms = 1 << 2;
    is(
        only(&found(alarmed)),
        "accept-queue-full",
        Severity::Critical,
    );
}

#[test]
fn the_process_of_a_listener_that_is_older_is_looked_for() {
    let full = Socket {
        accept: [512, 512],
        half_open: [0, 3, 511],
        ..Socket::default()
    };
    let mut unknown = Bytes(full.bytes());
    let who = offset_of!(RawListener, who);
    unknown.put(who + offset_of!(RawIdent, flags), 0u16.to_ne_bytes());
    let mut fake = host();
    fake.listeners = vec![unknown.0];
    let findings = look(&fake);
    let finding = only(&findings);
    assert!(
        finding.summary.starts_with("77/mysqld does not accept"),
        "{finding:#?}"
    );
    assert_eq!(finding.subject.owner.unwrap().pid, 77);
}

#[test]
fn listeners_that_share_a_port_are_one() {
    let mut fake = host();
    let idle = Socket {
        half_open: [0, 3, 511],
        ..Socket::default()
    };
    let full = Socket {
        accept: [512, 512],
        ..idle
    };
    fake.listeners = vec![idle.bytes(), full.bytes(), idle.bytes()];
    let findings = look(&fake);
    assert_eq!(number(only(&findings), "listeners"), 3);
    assert_eq!(number(&findings[0], "accept_queue"), 512);
}

/// The device that a structure's socket is bound to.
fn bind<const N: usize>(bytes: [u8; N], at: usize, ifindex: u32) -> [u8; N] {
    let mut bytes = Bytes(bytes);
    bytes.put(at, ifindex.to_ne_bytes());
    bytes.0
}

#[test]
fn listeners_of_one_port_on_two_devices_are_two() {
    let mut fake = host();
    let idle = Socket {
        half_open: [0, 3, 511],
        ..Socket::default()
    };
    let full = Socket {
        accept: [512, 512],
        ..idle
    };
    let at = offset_of!(RawListener, who) + offset_of!(RawIdent, ifindex);
    fake.listeners = vec![bind(idle.bytes(), at, 2), bind(full.bytes(), at, 3)];
    let findings = look(&fake);
    let finding = only(&findings);
    assert_eq!(number(finding, "listeners"), 1);
    assert_eq!(finding.subject.dev.as_ref().map(|dev| dev.index), Some(3));
    assert!(finding.summary.contains("%3:"), "{finding:#?}");
}

#[test]
fn pairs_and_peers_behind_two_devices_are_two() {
    let mut fake = host();
    let addr: Ipv4Addr = [10, 0, 0, 2].into();
    let at = offset_of!(RawGroup, ifindex);
    fake.groups = vec![
        bind(group(addr, 600, true), at, 2),
        bind(group(addr, 20, false), at, 3),
    ];
    let who = offset_of!(RawConn, who) + offset_of!(RawIdent, ifindex);
    add(
        &fake,
        (0..620).map(|n| Conn::served(format!("10.0.0.2:{}", 1_000 + n), 9)),
    );
    let before = fake.conns.borrow().len() - 620;
    for (index, conn) in fake.conns.borrow_mut()[before..].iter_mut().enumerate() {
        *conn = bind(*conn, who, if index < 600 { 2 } else { 3 });
    }
    let findings = look(&fake);
    let finding = only(
        &of_rule(&findings, "pair-threshold")
            .into_iter()
            .cloned()
            .collect::<Vec<_>>(),
    )
    .clone();
    assert_eq!(number(&finding, "unused"), 600);
    assert!(
        finding.summary.contains("between 10.0.0.1%2 and 10.0.0.2,"),
        "{finding:#?}"
    );
    assert_eq!(peers(&finding), [("10.0.0.2".into(), 600)]);
}

#[test]
fn a_half_open_queue_that_is_full_without_a_flood() {
    let mut fake = host();
    let listening = |now, max| Socket {
        half_open: [now, max, 384],
        unfinished: [30, 90],
        ..Socket::default()
    };
    fake.listeners = vec![listening(364, 364).bytes()];
    assert_eq!(look(&fake), []);
    fake.listeners = vec![listening(384, 384).bytes()];
    add(&fake, (0..384).map(|n| request(attacker(n))));
    let mut host = FakeHost::new().set("net.ipv4.tcp_syncookies", "0");
    let findings = look_with(&fake, &mut host, &Scope::default()).findings;
    let finding = only(&findings);
    is(finding, "half-open-full", Severity::Critical);
    assert_eq!(peers(finding), [("10.9.0.1".into(), 384)]);
    let numbers = ["half_open", "half_open_limit", "accept_queue_limit"];
    assert_eq!(numbers.map(|n| number(finding, n)), [384, 384, 511]);
    let expected = [
        ("net.ipv4.tcp_syncookies", "0"),
        ("net.core.somaxconn", "4096"),
        ("net.ipv4.tcp_max_syn_backlog", "512"),
        ("net.ipv4.tcp_synack_retries", "5"),
    ];
    assert_eq!(settings(finding), expected);
    assert!(
        finding.advice[2]
            .text
            .contains("above three quarters of it, 384"),
        "{finding:#?}"
    );
}

#[test]
fn more_connections_of_a_pair_than_the_threshold() {
    let used = |n| Conn {
        sent: 900,
        received: 900,
        ..Conn::served(attacker(n), 60)
    };
    // Idle for too short a time to be silent connections.
    let unused = |n| Conn {
        received: 10,
        ..Conn::served(attacker(n), 6)
    };
    let of = |conns: Vec<Conn>, count| {
        let mut fake = host();
        fake.groups = vec![group([10, 9, 0, 1].into(), count, false)];
        add(&fake, conns);
        look(&fake)
    };
    assert_eq!(of((0..499).map(used).collect(), 499), []);
    let findings = of((0..500).map(used).collect(), 500);
    let finding = only(&findings);
    is(finding, "pair-threshold", Severity::Info);
    assert_eq!(
        finding.summary,
        "500 connections between 10.0.0.1 and 10.9.0.1, all of them in use"
    );
    let numbers = ["connections", "threshold", "peak", "established", "unused"];
    assert_eq!(numbers.map(|n| number(finding, n)), [500, 500, 700, 500, 0]);
    assert!(
        finding.advice[0]
            .text
            .starts_with("500 of them belong to 10.0.0.1:80")
    );
    let half = (0..250).map(used).chain((250..500).map(unused));
    is(
        only(&of(half.collect(), 500)),
        "pair-threshold",
        Severity::Warning,
    );
    let fewer = (0..251).map(used).chain((251..500).map(unused));
    is(
        only(&of(fewer.collect(), 500)),
        "pair-threshold",
        Severity::Info,
    );
    is(
        only(&of((0..2_000).map(used).collect(), 2_000)),
        "pair-threshold",
        Severity::Warning,
    );
}

#[test]
fn a_threshold_that_is_off_finds_nothing() {
    let mut fake = host();
    fake.threshold = 0;
    fake.groups = vec![group([10, 9, 0, 1].into(), 5_000, false)];
    assert_eq!(look(&fake), []);
}

#[test]
fn programs_that_do_not_close() {
    let left = |n, age| Conn {
        sent: 10,
        received: 10,
        rcvbuf_used: 768,
        ..Conn::served(stranger(n), age).state(CLOSE_WAIT)
    };
    let fake = host();
    add(&fake, (0..99).map(|n| left(n, 61)));
    add(&fake, (99..300).map(|n| left(n, 59)));
    assert_eq!(look(&fake), []);
    let fake = host();
    add(&fake, (0..100).map(|n| left(n, 60)));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "close-wait", Severity::Warning);
    assert_eq!(
        finding.summary,
        "142/nginx does not close 100 connections whose peers have closed (CLOSE_WAIT)"
    );
    let numbers = [
        "oldest_s",
        "unread",
        "rcvbuf_used",
        "descriptors",
        "descriptors_limit",
    ];
    assert_eq!(
        numbers.map(|n| number(finding, n)),
        [60, 100, 76_800, 1_010, 1_024]
    );
    assert_eq!(settings(finding), []);
    add(&fake, (100..1_000).map(|n| left(n, 60)));
    is(only(&look(&fake)), "close-wait", Severity::Critical);
}

#[test]
fn time_wait_of_a_server_is_information() {
    let waiting = |n| Conn::served(stranger(n), 20).state(TIME_WAIT).small();
    let fake = host();
    add(&fake, (0..999).map(waiting));
    assert_eq!(look(&fake), []);
    add(&fake, (999..5_000).map(waiting));
    let findings = look(&fake);
    is(only(&findings), "time-wait", Severity::Info);
    assert_eq!(number(&findings[0], "timewait"), 5_000);
}

/// Connections to a database, on `count` of the ports from 40000.
fn to_database(count: u64, state: u8) -> Vec<Conn> {
    let conn = |n| {
        let conn = Conn::begun(format!("10.0.0.1:{}", 40_000 + n), "10.5.0.1:5432", 20);
        let conn = Conn {
            sent: 9,
            received: 9,
            ..conn
        };
        match state {
            TIME_WAIT => conn.state(state).small(),
            _ => conn.state(state),
        }
    };
    (0..count).map(conn).collect()
}

fn narrow() -> FakeHost {
    FakeHost::new().set("net.ipv4.ip_local_port_range", "40000 40099")
}

#[test]
fn local_ports_that_run_out() {
    let found = |count, state, mut host: FakeHost| {
        let fake = self::host();
        add(&fake, to_database(count, state));
        look_with(&fake, &mut host, &Scope::default()).findings
    };
    assert_eq!(found(69, TIME_WAIT, narrow()), []);
    let findings = found(70, TIME_WAIT, narrow());
    let finding = only(&findings);
    is(finding, "time-wait", Severity::Warning);
    assert_eq!(
        finding.summary,
        "70 of the 100 local ports for 10.5.0.1:5432 are used, 70 of them by TIME_WAIT"
    );
    let numbers = [
        "ports_used",
        "ports",
        "percent",
        "timewait",
        "port_low",
        "port_high",
    ];
    assert_eq!(
        numbers.map(|n| number(finding, n)),
        [70, 100, 70, 70, 40_000, 40_099]
    );
    let expected = [
        ("net.ipv4.ip_local_port_range", "40000 40099"),
        ("net.ipv4.tcp_tw_reuse", "2"),
        ("net.ipv4.tcp_max_tw_buckets", "16384"),
    ];
    assert_eq!(settings(finding), expected);
    // The kernel takes them over after a second.
    let reuse = narrow().set("net.ipv4.tcp_tw_reuse", "1");
    is(
        only(&found(90, TIME_WAIT, reuse)),
        "time-wait",
        Severity::Info,
    );
    // Ports that are reserved are not there for connect().
    let reserved = narrow().set("net.ipv4.ip_local_reserved_ports", "40090-40099");
    is(
        only(&found(63, TIME_WAIT, reserved)),
        "time-wait",
        Severity::Warning,
    );
    is(
        only(&found(70, ESTABLISHED, narrow())),
        "port-exhaustion",
        Severity::Warning,
    );
    assert_eq!(found(90, TIME_WAIT, FakeHost::new()), []);
}

#[test]
fn calls_that_find_no_local_port() {
    let fake = host();
    let call = Conn::begun("10.0.0.1:0".into(), "10.5.0.1:5432", 0);
    fake.rings[0].write(&step(&call, 61_000, CLOSE, CLOSE, 17));
    assert_eq!(look(&fake), []);
    fake.rings[0].write(&step(&call, 3_000, SYN_SENT, CLOSE, 17));
    fake.rings[0].write(&step(&call, 2_000, SYN_SENT, CLOSE, 17));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "port-exhaustion", Severity::Critical);
    assert_eq!(
        (number(finding, "failed"), number(finding, "seconds_ago")),
        (2, 2)
    );
    assert!(
        finding
            .summary
            .starts_with("900/curl found no local port for 10.5.0.1:5432")
    );
}

#[test]
fn piles_of_closing_states() {
    let table = [
        (FIN_WAIT1, "fin-wait1"),
        (FIN_WAIT2, "fin-wait2"),
        (LAST_ACK, "last-ack"),
    ];
    for (state, rule) in table {
        let conn = |n, age| Conn {
            sent: 10,
            received: 10,
            sndbuf_used: 512,
            retransmits: 1,
            flags: 2,
            ..Conn::served(stranger(n), age).state(state)
        };
        let fake = host();
        add(&fake, (0..99).map(|n| conn(n, 10)));
        add(&fake, (99..300).map(|n| conn(n, 9)));
        assert_eq!(look(&fake), [], "{rule}");
        let fake = host();
        add(&fake, (0..100).map(|n| conn(n, 10)));
        let findings = look(&fake);
        let finding = only(&findings);
        is(finding, rule, Severity::Warning);
        assert_eq!(finding.subject.peer_count, 100);
        let numbers = ["connections", "live", "oldest_s", "orphans"];
        assert_eq!(numbers.map(|n| number(finding, n)), [100, 300, 10, 100]);
        // Of a crowd of a thousand, so many vanish at any time.
        add(&fake, (200..1_001).map(healthy));
        assert_eq!(look(&fake), [], "{rule}");
    }
}

#[test]
fn fin_wait2_says_what_its_time_out_is_for() {
    let conn = |n, flags| Conn {
        sent: 10,
        received: 10,
        flags,
        ..Conn::served(stranger(n), 30).state(FIN_WAIT2)
    };
    let of = |flags| {
        let fake = host();
        add(&fake, (0..150).map(|n| conn(n, flags)));
        look(&fake)
    };
    let held = of(0);
    assert_eq!(
        (number(&held[0], "held_by_process"), settings(&held[0])),
        (150, vec![])
    );
    let orphans = of(2);
    assert_eq!(settings(&orphans[0]), [("net.ipv4.tcp_fin_timeout", "60")]);
}

#[test]
fn a_destination_that_does_not_answer() {
    let call = |n: u64, age| Conn::begun(format!("10.0.0.1:{}", 40_000 + n), "10.5.0.1:5432", age);
    let fake = host();
    add(&fake, (0..19).map(|n| call(n, 3).state(SYN_SENT)));
    add(&fake, (19..60).map(|n| call(n, 2).state(SYN_SENT)));
    assert_eq!(look(&fake), []);
    // One that gave up counts as well.
    fake.rings[0].write(&step(&call(99, 9), 30_000, SYN_SENT, CLOSE, 9));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "syn-sent", Severity::Warning);
    assert_eq!(
        finding.summary,
        "20 calls of 900/curl to 10.5.0.1:5432 without an answer"
    );
    let numbers = ["syn_sent", "failed_last_minute", "oldest_s"];
    assert_eq!(numbers.map(|n| number(finding, n)), [19, 1, 3]);
    assert_eq!(settings(finding), [("net.ipv4.tcp_syn_retries", "6")]);
}

#[test]
fn a_scanner() {
    let call = |n: u64| {
        let remote = format!("10.6.0.{n}:22");
        Conn::begun(format!("10.0.0.1:{}", 40_000 + n), &remote, 1).state(SYN_SENT)
    };
    let fake = host();
    add(&fake, (0..60).map(call));
    (60..99).for_each(|n| fake.rings[0].write(&step(&call(n), 5_000, SYN_SENT, CLOSE, 10)));
    // Calls that succeed are no scan.
    (100..250).for_each(|n| fake.rings[0].write(&step(&call(n), 900, SYN_SENT, ESTABLISHED, 0)));
    assert_eq!(look(&fake), []);
    fake.rings[0].write(&step(&call(99), 800, SYN_SENT, CLOSE, 11));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "scanner", Severity::Warning);
    assert!(
        finding
            .summary
            .starts_with("900/curl calls 100 destinations (100 addresses, 1 port)")
    );
    let numbers = [
        "destinations",
        "syn_sent",
        "refused_last_minute",
        "unanswered_last_minute",
    ];
    assert_eq!(numbers.map(|n| number(finding, n)), [100, 60, 39, 1]);
    assert_eq!(finding.subject.peers.len(), 10);
    assert_eq!(finding.subject.peers[0].port, Some(22));
}

#[test]
fn peers_that_are_gone() {
    let lost = |n, retransmits| Conn {
        sent: 100,
        received: 100,
        unacked: 2,
        retransmits,
        sndbuf_used: 4_096,
        ..Conn::served(stranger(n), 30)
    };
    let fake = host();
    add(&fake, (0..19).map(|n| lost(n, 3)));
    add(&fake, (19..90).map(|n| lost(n, 2)));
    assert_eq!(look(&fake), []);
    add(&fake, [lost(90, 4)]);
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "dead-peers", Severity::Warning);
    let numbers = [
        "connections",
        "most_retransmits",
        "unacked_segments",
        "with_keepalive",
    ];
    assert_eq!(numbers.map(|n| number(finding, n)), [20, 4, 40, 0]);
    assert!(settings(finding).contains(&("net.ipv4.tcp_keepalive_time", "7200")));
}

#[test]
fn connections_that_are_idle_for_long() {
    let idle = |n, flags, quiet: u32| Conn {
        sent: 100,
        received: 100,
        last_recv: quiet,
        last_sent: quiet,
        flags,
        age: 900,
        ..Conn::served(stranger(n), 900)
    };
    let long = 7_200_000;
    let of = |flags, quiet| {
        let fake = host();
        add(&fake, (0..500).map(|n| idle(n, flags, quiet)));
        look(&fake)
    };
    // With keepalive, or TCP_USER_TIMEOUT, somebody notices.
    assert_eq!(
        (of(1, long), of(4, long), of(0, long - 1)),
        (vec![], vec![], vec![])
    );
    let findings = of(0, long);
    is(only(&findings), "dead-peers", Severity::Info);
    assert_eq!(number(&findings[0], "idle_s"), 7_200);
}

#[test]
fn resets() {
    let end = |fake: &Fake, number: u64, ago_ms, reason| {
        let conn = Conn::served(attacker(number), 1);
        fake.rings[0].write(&step(&conn, ago_ms, ESTABLISHED, CLOSE, reason));
    };
    // All at one moment: a program has ended.
    let fake = host();
    (0..400).for_each(|n| end(&fake, n, 30_000, 5));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "resets", Severity::Info);
    let numbers = ["resets", "ends", "percent", "seconds", "seconds_ago"];
    assert_eq!(numbers.map(|n| number(finding, n)), [400, 400, 100, 1, 30]);
    assert_eq!(peers(finding), [("10.9.0.1".into(), 400)]);
    // They go on.
    let fake = host();
    (0..60).for_each(|n| end(&fake, n, 59_000 - n * 900, 12));
    let findings = look(&fake);
    is(only(&findings), "resets", Severity::Warning);
    assert!(
        findings[0].summary.starts_with("900/curl") || findings[0].summary.starts_with("142/nginx")
    );
    // The kinds are judged together.
    let fake = host();
    (0..60).for_each(|n| end(&fake, n, 59_000 - n * 900, 12));
    (0..65).for_each(|n| end(&fake, n, 59_000 - n * 900, 5));
    let severities: Vec<_> = look(&fake).iter().map(|f| f.severity).collect();
    assert_eq!(severities, [Severity::Warning; 2]);
    // It has stopped.
    let fake = host();
    (0..60).for_each(|n| end(&fake, n, 59_000 - n * 800, 12));
    is(only(&look(&fake)), "resets", Severity::Info);
    // Most clients are served.
    let fake = host();
    (0..60).for_each(|n| end(&fake, n, 59_000 - n * 900, 12));
    (0..61).for_each(|n| end(&fake, n, 500, 1));
    is(only(&look(&fake)), "resets", Severity::Info);
    let fake = host();
    (0..49).for_each(|n| end(&fake, n, 30_000, 5));
    assert_eq!(look(&fake), []);
}

#[test]
fn a_server_that_refuses_and_one_that_was_restarted() {
    let fake = host();
    let refused = |n| Conn::begun(format!("10.0.0.1:{}", 40_000 + n), "10.5.0.1:80", 1);
    for n in 0..60 {
        let call = step(&refused(n), 59_000 - n * 900, SYN_SENT, CLOSE, 10);
        fake.rings[0].write(&call);
    }
    let findings = look(&fake);
    is(only(&findings), "resets", Severity::Warning);
    let summary =
        "10.5.0.1:80 refuses the calls of 900/curl: 60 resets in the last minute, most in SYN_SENT";
    assert_eq!(findings[0].summary, summary);
    let again = Conn {
        sent: 9,
        received: 9,
        ..refused(99)
    };
    add(&fake, [again]);
    is(only(&look(&fake)), "resets", Severity::Info);
}

#[test]
fn simultaneous_ends_are_information() {
    let mut fake = host();
    let edge = |old_state, new_state, count| Edge {
        old_state,
        new_state,
        count,
        ..Edge::default()
    };
    fake.edges = vec![edge(2, 3, 3), edge(4, 11, 4), edge(1, 4, 90)];
    let findings = look(&fake);
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.rule, f.severity, number(f, "since_activation")))
        .collect();
    let expected = [
        ("simultaneous", Severity::Info, 3),
        ("simultaneous", Severity::Info, 4),
    ];
    assert_eq!(found, expected);
}

#[test]
fn counters_of_any_size_are_added_up() {
    let mut fake = host();
    let mut listener = Bytes(flood(5_000, 0).bytes());
    let all = [u8::MAX; size_of::<RawHandshakes>()];
    listener.put(offset_of!(RawListener, handshakes), all);
    fake.listeners = vec![listener.0; 2];
    let edge = Edge {
        old_state: 2,
        new_state: 3,
        count: u64::MAX,
        ..Edge::default()
    };
    fake.edges = vec![edge; 2];
    let findings = look(&fake);
    let full = of_rule(&findings, "accept-queue-full");
    assert_eq!(number(full[0], "syns_dropped"), u64::MAX);
    let opens = of_rule(&findings, "simultaneous");
    assert_eq!(number(opens[0], "since_activation"), u64::MAX);
}

#[test]
fn what_the_host_does_not_have_is_never_advised() {
    let mut fake = host();
    fake.listeners = vec![flood(5_500, 1).bytes()];
    let mut host = FakeHost::new();
    host.settings.remove("net.ipv4.tcp_synack_retries");
    let diagnosis = look_with(&fake, &mut host, &Scope::default());
    for finding in &diagnosis.findings {
        assert!(
            finding
                .advice
                .iter()
                .all(|a| !a.text.contains("tcp_synack_retries"))
        );
    }
    // A namespace that cannot be entered: values are not known, and that is said.
    let mut host = FakeHost::new();
    host.settings.values_mut().for_each(String::clear);
    host.closed = Some("entering it: Operation not permitted".into());
    let diagnosis = look_with(&fake, &mut host, &Scope::default());
    let advice = diagnosis.findings.iter().flat_map(|f| &f.advice);
    let with_setting: Vec<_> = advice.filter(|a| a.setting.is_some()).collect();
    assert!(!with_setting.is_empty());
    for advice in with_setting {
        assert_eq!(advice.value, None);
        assert!(advice.text.contains("could not be read"), "{}", advice.text);
    }
    let expected = vec![(NETNS, "entering it: Operation not permitted".to_owned())];
    assert_eq!(diagnosis.unreadable, expected);
}

#[test]
fn a_connection_that_is_older_belongs_to_its_listener_by_its_port() {
    let fake = host();
    let old = |number| Conn {
        role: 0,
        ..slow(number)
    };
    add(&fake, (0..60).map(old));
    let findings = look(&fake);
    is(only(&findings), "slow-request", Severity::Warning);
    assert_eq!(
        findings[0].subject.local,
        Some(("10.0.0.1".parse().unwrap(), Some(80)))
    );
}

#[test]
fn rules_and_filters_narrow_what_is_looked_at() {
    let fake = host();
    add(&fake, (0..60).map(slow));
    let scope = |keys| options::diagnose(keys).unwrap().scope;
    let found = |keys| {
        let scope = Scope {
            patience: Duration::ZERO,
            ..scope(keys)
        };
        let diagnosis = look_with(&fake, &mut FakeHost::new(), &scope);
        (
            diagnosis.findings.len(),
            diagnosis.connections,
            diagnosis.checked.len(),
        )
    };
    assert_eq!(found(""), (1, 260, 20));
    assert_eq!(found("rules=slow-request|resets"), (1, 260, 2));
    assert_eq!(found("rules=slow-body"), (0, 260, 1));
    assert_eq!(found("raddr=10.9.0.0/16"), (1, 60, 20));
    assert_eq!(found("raddr=!10.9.0.0/16"), (0, 200, 20));
    assert_eq!(found("netns=7"), (0, 0, 20));
    // A listener has no remote end, and a pair has no ports.
    let mut fake = host();
    let full = Socket {
        accept: [512, 512],
        half_open: [0, 3, 511],
        ..Socket::default()
    };
    fake.listeners = vec![full.bytes()];
    fake.groups = vec![group([10, 9, 0, 1].into(), 5_000, true)];
    let found = |keys| {
        look_with(&fake, &mut FakeHost::new(), &scope(keys))
            .findings
            .len()
    };
    assert_eq!(found(""), 2);
    assert_eq!(found("raddr=10.9.0.0/16"), 2);
    assert_eq!(found("raddr=10.8.0.0/16"), 1);
    assert_eq!(found("port=81"), 1);
}

fn run(fake: &Fake, keys: &str, lang: Lang, width: Option<usize>) -> (String, Option<Error>) {
    let options = DiagnoseOptions {
        scope: Scope {
            patience: Duration::ZERO,
            ..options::diagnose(keys).unwrap().scope
        },
        ..options::diagnose(keys).unwrap()
    };
    let style = Style {
        labels: lang.labels(),
        clock: Clock::with_zone(&fake.stats().unwrap(), TimeZone::UTC),
        width,
        color: false,
    };
    let mut out = Vec::new();
    let done = command::diagnose::diagnose(fake, &options, &mut FakeHost::new(), &style, &mut out);
    (String::from_utf8(out).unwrap(), done.err())
}

#[test]
fn json_is_one_object_a_line_and_the_diagnosis_last() {
    let mut fake = host();
    fake.listeners = vec![flood(5_500, 1).bytes()];
    add(&fake, (0..511).map(|n| request(attacker(n))));
    (0..60).for_each(|n| {
        let conn = Conn::served(attacker(n), 1);
        fake.rings[0].write(&step(&conn, 1_000, ESTABLISHED, CLOSE, 5));
    });
    let (text, error) = run(&fake, "json=1 check=1", Lang::En, None);
    let error = error.unwrap();
    assert_eq!(error.exit_status(), 3);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (end, findings) = lines.split_last().unwrap();
    let rules: Vec<_> = findings
        .iter()
        .map(|f| f["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["syn-flood", "half-open-full", "resets"]);
    let first = &findings[0];
    assert_eq!(first["type"], "finding");
    assert_eq!(first["severity"], "warning");
    assert_eq!(first["ts"], "2023-11-14T22:13:20.000000000Z");
    assert_eq!(first["subject"]["laddr"], "10.0.0.1");
    assert_eq!(first["subject"]["lport"], 80);
    assert_eq!(first["subject"]["pid"], 141);
    assert_eq!(first["subject"]["comm"], "nginx");
    assert_eq!(first["subject"]["netns"], NETNS);
    assert_eq!(first["subject"]["peers"][0]["addr"], "10.9.0.1");
    assert_eq!(first["subject"]["peers"][0]["count"], 511);
    assert_eq!(first["numbers"]["unfinished_per_second"], 5_500);
    assert_eq!(first["advice"][0]["setting"], "net.ipv4.tcp_syncookies");
    assert_eq!(first["advice"][0]["value"], "1");
    assert_eq!(end["type"], "diagnosis");
    assert_eq!(end["findings"]["warning"], 2);
    assert_eq!(end["findings"]["info"], 1);
    assert_eq!(end["connections"], 711);
    assert_eq!(end["checked"].as_array().unwrap().len(), 20);
}

#[test]
fn information_alone_does_not_fail_a_check() {
    let fake = host();
    (0..60).for_each(|n| {
        let conn = Conn::served(attacker(n), 1);
        fake.rings[0].write(&step(&conn, 1_000, ESTABLISHED, CLOSE, 5));
    });
    let (text, error) = run(&fake, "check=1", Lang::En, None);
    assert!(
        error.is_none() && text.starts_with("INFO resets: "),
        "{text}"
    );
    let (text, error) = run(&host(), "check=1", Lang::En, None);
    assert!(error.is_none());
    assert_eq!(
        text,
        "Diagnosis 2023-11-14 22:13:20.000: nothing found (situations looked for 20, Live \
         connections 200, listeners 1)\n"
    );
}

#[test]
fn text_tells_what_who_numbers_and_what_to_do() {
    let fake = host();
    add(&fake, (0..60).map(slow));
    let (text, error) = run(&fake, "", Lang::En, None);
    assert!(error.is_none());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        "WARNING slow-request: slow requests: 60 connections from 10.9.0.1 to 10.0.0.1:80 send \
         requests and do not finish them"
    );
    assert!(
        lines[1].starts_with("  Who      Local 10.0.0.1:80, Process 142/nginx, "),
        "{text}"
    );
    assert_eq!(lines[2], "  Peers    10.9.0.1 (60)");
    assert!(lines[3].starts_with("  Numbers  connections 60, established 260, oldest_s 20, "));
    assert!(lines[4].starts_with("  To do    block 10.9.0.1 if nothing useful comes from there; "));
    assert!(
        lines
            .last()
            .unwrap()
            .contains("WARNING 1 (situations looked for 20, ")
    );
    let (text, _) = run(&fake, "", Lang::Zh, None);
    assert!(
        text.starts_with("警告 slow-request: ") && text.contains("  建议  "),
        "{text}"
    );
    for width in [40, 80, 132] {
        let (text, _) = run(&fake, "", Lang::En, Some(width));
        let wide = |line: &&str| diagnose_tools::fmt::width::width(line) > width;
        // The first line of a finding and the last of all are sentences for grep.
        let found: Vec<_> = text
            .lines()
            .filter(|l| l.starts_with("  "))
            .filter(wide)
            .collect();
        assert!(found.is_empty(), "{width}: {found:#?}");
    }
}

/// The files that must be read, and those that must not: what is wrong with them is their
/// first line.
#[test]
fn files_of_limits_are_checked() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let (mut valid, mut invalid) = (0, 0);
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let loaded = Limits::load(Some(&path));
        if name.starts_with("valid_") {
            assert!(loaded.is_ok(), "{name}: {loaded:?}");
            valid += 1;
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            let expected = text.lines().next().unwrap().strip_prefix("# ").unwrap();
            let error = loaded.expect_err(&name);
            assert_eq!(error.exit_status(), 2);
            let error = error.to_string();
            let said = error.strip_prefix(path.to_str().unwrap()).unwrap();
            assert_eq!(said, expected, "{name}");
            invalid += 1;
        }
    }
    assert!(valid >= 3 && invalid >= 8, "{valid} {invalid}");
}

#[test]
fn limits_of_a_file_hold() {
    let fake = host();
    add(&fake, (0..20).map(slow));
    let found = |text: &str| {
        let scope = Scope {
            limits: Limits::parse(text).unwrap(),
            ..Scope::default()
        };
        let diagnosis = look_with(&fake, &mut FakeHost::new(), &scope);
        (diagnosis.findings.len(), diagnosis.checked.len())
    };
    assert_eq!(found(""), (0, 20));
    assert_eq!(found("[slow-request]\none-source = 20\n"), (1, 20));
    assert_eq!(
        found("[slow-request]\none-source = 20\nenabled = false\n"),
        (0, 17)
    );
}

/// Many connections, and a full ring of the last minute.
#[test]
fn a_busy_host_is_looked_at_within_seconds() {
    let fake = Fake::new(1, 65_536);
    let conns = (0..20_000).map(|n| Conn {
        remote: format!("10.{}.{}.9:{}", n % 200, n / 200, 20_000 + n),
        ..healthy(n)
    });
    add(&fake, conns);
    for n in 0..65_536 {
        let conn = Conn::served(stranger(n), 1);
        fake.rings[0].write(&step(&conn, 59_000 - n / 2, ESTABLISHED, CLOSE, 1));
    }
    let began = std::time::Instant::now();
    assert_eq!(look(&fake), []);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn the_sample_file_says_the_defaults() {
    let expected = limits_file();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("etc/tcpstates.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, expected, "etc/tcpstates.toml: run with UPDATE=1");
    assert_eq!(Limits::parse(&text).unwrap(), Limits::default());
    // Nothing but comments: the same without them is every default, and is allowed.
    let bare = |line: &str| {
        line.strip_prefix('#')
            .filter(|l| !l.starts_with(' '))
            .map(str::to_owned)
    };
    let set: Vec<_> = text.lines().filter_map(bare).collect();
    let limits = Limits::parse(&set.join("\n")).unwrap();
    for rule in diagnose::rules::RULES {
        for limit in rule.limits {
            assert_eq!(
                limits.get(rule, limit),
                limit.default,
                "{} {}",
                rule.name(),
                limit.key
            );
        }
    }
}

/// `etc/tcpstates.toml`, made of the rules.
fn limits_file() -> String {
    let mut text = String::from(
        "# Limits of `diagnose-tools tcpstates --diagnose`, to be put into\n\
         # /etc/diagnose-tools/tcpstates.toml or named by --diagnose='config=PATH'.\n\
         # All lines are the defaults: take away the # before a section and its keys.\n",
    );
    for rule in diagnose::rules::RULES {
        text += &format!("\n#[{}]\n#enabled = true\n", rule.name());
        for limit in rule.limits {
            text += &format!("# {}\n#{} = {}\n", limit.unit, limit.key, limit.default);
        }
    }
    update("etc/tcpstates.toml", text)
}

#[test]
fn the_documentation_has_every_rule() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/diagnosis.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- rules: begin -->\n", "<!-- rules: end -->\n");
    let from = text.find(begin).unwrap() + begin.len();
    let to = text.find(end).unwrap();
    let expected = rules_text();
    if std::env::var_os("UPDATE").is_some() {
        update(
            "docs/diagnosis.md",
            text[..from].to_owned() + &expected + &text[to..],
        );
        return;
    }
    assert_eq!(
        text[from..to],
        expected,
        "docs/diagnosis.md: run with UPDATE=1"
    );
}

/// The part of `docs/diagnosis.md` that is made of the rules.
fn rules_text() -> String {
    let mut text = String::new();
    for rule in diagnose::rules::RULES {
        let names: Vec<_> = rule.names.iter().map(|name| format!("`{name}`")).collect();
        text += &format!(
            "\n### {}\n\nLooks at {}.\n",
            names.join(", "),
            rule.looks_at
        );
        if !rule.limits.is_empty() {
            text += "\n| key | default | allowed | what | why |\n|---|---|---|---|---|\n";
        }
        for limit in rule.limits {
            let (low, high) = limit.range;
            text += &format!(
                "| `{}` | {} | {low} to {high} | {} | {} |\n",
                limit.key, limit.default, limit.unit, limit.why
            );
        }
    }
    text + "\n"
}

/// Writes a file of the tree that is made of the rules, if `UPDATE` is set.
fn update(name: &str, text: String) -> String {
    if std::env::var_os("UPDATE").is_some() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
        std::fs::write(path, &text).unwrap();
    }
    text
}
