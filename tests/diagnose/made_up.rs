//! Made-up hosts, whose every oddity is a finding because all limits are at their minimum: what
//! holds for all findings, whatever the rule.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use diagnose_tools::abi::{RawHandshakes, TransitionCount};
use diagnose_tools::diagnose::limits::Limits;
use diagnose_tools::diagnose::rules::RULES;
use diagnose_tools::diagnose::{self, Scope};
use diagnose_tools::render::i18n::Lang;
use fastrand::Rng;
use testkit::fake::Fake;
use testkit::host::FakeHost;
use testkit::scene::{CLIENT, Conn, SERVED, Socket, TIME_WAIT, pair, step};

use crate::support::words::{Diagnosis, Finding};
use crate::support::{add, grammar};

/// The file of limits with all at their minimum, or one key at its maximum.
fn limits(highest: &str) -> Limits {
    let mut text = String::new();
    for rule in RULES {
        text += &format!("[{}]\n", rule.name());
        for limit in rule.limits {
            let (low, high) = limit.range;
            let value = if limit.key == highest { high } else { low };
            text += &format!("{} = {value}\n", limit.key);
        }
    }
    Limits::parse(&text).unwrap()
}

const FULL_STATES: [u8; 9] = [1, 2, 3, 4, 5, 8, 9, 11, TIME_WAIT];
const STEPS: [(u8, u8); 9] = [
    (2, 7),
    (2, 3),
    (4, 11),
    (1, 7),
    (12, 7),
    (5, 6),
    (9, 7),
    (2, 1),
    (8, 9),
];

/// A connection of one of a few processes, whose pids start at `pids`, with a few others.
fn conn(random: &mut Rng, number: u16, pids: u32) -> Conn {
    let is_served = random.bool();
    let is_local = random.u8(..6) == 0;
    let (server, client) = match is_local {
        true => ("127.0.0.1:80", format!("127.0.0.1:{}", 40_000 + number)),
        false if is_served => (
            "10.0.0.1:80",
            format!("10.9.0.{}:{}", random.u8(1..4), 9 + number),
        ),
        false => (
            "10.5.0.1:5432",
            format!("10.0.0.{}:{}", random.u8(1..3), 40_000 + number),
        ),
    };
    let (local, remote, role) = match is_served {
        true => (server.to_owned(), client, SERVED),
        false => (client, server.to_owned(), CLIENT),
    };
    let (pid, comm) = [(0, ""), (142, "nginx"), (143, "nginx"), (900, "curl")][random.usize(..4)];
    let state = FULL_STATES[random.usize(..FULL_STATES.len())];
    let (sent, used) = (random.u64(..3) * 700, random.u32(..2) * 512);
    Conn {
        local,
        role,
        pid: if pid == 0 { 0 } else { pids + pid },
        comm,
        full: state != TIME_WAIT,
        sent,
        acked: sent,
        received: random.u64(..3) * 700,
        window: random.u32(..3) * 1_400,
        sndbuf_used: used,
        rcvbuf_used: random.u32(..2) * 768,
        last_recv: random.u32(..20) * 1_000,
        last_sent: random.u32(..20) * 1_000,
        unacked: used / 512,
        retransmits: random.u8(..5),
        probes: random.u8(..3),
        flags: random.u16(..8),
        ..Conn::served(remote, random.u64(..200)).state(state)
    }
}

fn socket(random: &mut Rng) -> Socket {
    let up_to = |random: &mut Rng, most: u32| {
        let number = random.u32(..=most);
        [random.u32(..=number), number]
    };
    let [half_open, half_open_max] = up_to(random, 66);
    Socket {
        accept: up_to(random, 512),
        half_open: [half_open, half_open_max, 64],
        unfinished: up_to(random, 9),
        ago: random.u64(..20),
        alarms: random.u16(..32),
        handshakes: RawHandshakes {
            syns: random.u64(..90),
            cookies_sent: random.u64(..80),
            expired: random.u64(..5),
            syn_accept_queue_full: random.u64(..2),
            ..RawHandshakes::default()
        },
        ..Socket::default()
    }
}

/// The same host for the same seed, except for the pids.
fn made_up(seed: u64, pids: u32) -> (Fake, FakeHost) {
    let mut random = Rng::with_seed(seed);
    let random = &mut random;
    let mut fake = Fake::new(1, 4096);
    fake.threshold = 1;
    fake.listeners = (0..random.usize(..3))
        .map(|_| socket(random).bytes())
        .collect();
    let count = [1, 2, 5, 40, 160][random.usize(..5)];
    let conns: Vec<_> = (0..count).map(|n| conn(random, n, pids)).collect();
    add(&fake, conns.iter().cloned());
    let raddr = |n| match n {
        0 => [127, 0, 0, 1].into(),
        n => [10, 9, 0, n].into(),
    };
    let pairs = (0..4).map(|n| pair(raddr(n), random.u32(1..300), random.bool()));
    fake.pairs = pairs.collect();
    let owned: Vec<_> = conns.iter().filter(|conn| conn.pid != 0).collect();
    let steps = if owned.is_empty() {
        0
    } else {
        random.usize(..200)
    };
    for _ in 0..steps {
        let (old, new) = STEPS[random.usize(..STEPS.len())];
        let conn = owned[random.usize(..owned.len())];
        let record = step(conn, random.u64(..60_000), old, new, random.u16(..30));
        fake.rings[0].write(&record);
    }
    let total = |(old, new)| TransitionCount {
        old_state: old,
        new_state: new,
        count: 200 + random.u64(..9),
        ..TransitionCount::default()
    };
    fake.transition_counts = [(2, 3), (4, 11)].map(total).into();
    let reserved = ["", "40000-40004"][random.usize(..2)];
    let host = FakeHost::default()
        .set("net.ipv4.ip_local_port_range", "40000 40019")
        .set("net.ipv4.ip_local_reserved_ports", reserved)
        .set("net.ipv4.tcp_syncookies", ["0", "1"][random.usize(..2)]);
    (fake, host)
}

fn findings(seed: u64, pids: u32, highest: &str) -> Vec<Finding> {
    let (fake, mut host) = made_up(seed, pids);
    let scope = Scope {
        limits: limits(highest),
        ..Scope::default()
    };
    let diagnosis = diagnose::look(&fake, &scope, &mut host).unwrap();
    Diagnosis::new(diagnosis).findings
}

const HOSTS: u64 = 200;

/// Names of two numbers, the first of which is never more than the second.
const AT_MOST: &[(&str, &str)] = &[
    ("accept_queue", "accept_queue_peak"),
    ("connections", "live"),
    ("descriptors", "descriptors_limit"),
    ("half_open", "half_open_peak"),
    ("held_by_process", "connections"),
    ("last_minute", "since_activation"),
    ("orphans", "connections"),
    ("ports_used", "ports"),
    ("resets", "ends"),
    ("retransmitting", "connections"),
    ("timewait", "ports_used"),
    ("unfinished_per_second", "unfinished_peak"),
    ("unread", "connections"),
    ("unsent", "connections"),
    ("unused", "connections"),
    ("with_keepalive", "connections"),
    ("zero_window", "connections"),
];
/// Names of numbers with their maximum.
const MOST: &[(&str, u64)] = &[("percent", 100), ("seconds", 60), ("seconds_ago", 60)];

#[test]
fn numbers_agree_with_each_other() {
    let mut compared = BTreeSet::new();
    for seed in 0..HOSTS {
        for finding in findings(seed, 0, "") {
            let number = |name: &str| {
                let mut all = finding.numbers.iter().filter(|(n, _)| *n == name);
                let found = all.next().map(|(_, number)| *number);
                assert!(all.next().is_none(), "{name} twice: {finding:#?}");
                found
            };
            for (less, more) in AT_MOST {
                if let (Some(a), Some(b)) = (number(less), number(more)) {
                    assert!(a <= b, "{seed}: {less} {a} of {more} {b}: {finding:#?}");
                    compared.insert(*less);
                }
            }
            for (name, most) in MOST {
                let number = number(name);
                assert!(number <= Some(*most), "{seed}: {name}: {finding:#?}");
            }
            let subject = &finding.subject;
            assert!(
                subject.peer_count >= subject.peers.len() as u64,
                "{finding:#?}"
            );
            if let Some(connections) = number("connections") {
                let of_peers: u64 = subject.peers.iter().map(|p| p.count).sum();
                assert!(of_peers <= connections, "{seed}: {finding:#?}");
            }
        }
    }
    assert!(compared.len() > 12, "{compared:?}");
}

/// The names of `nstat` speak for themselves.
#[test]
fn the_documentation_says_what_each_number_counts() {
    for name in ["docs/diagnosis.md", "docs/diagnosis.zh-CN.md"] {
        says_what_each_number_counts(name);
    }
}

fn says_what_each_number_counts(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once("<!-- numbers: begin -->").unwrap();
    let (table, _) = rest.split_once("<!-- numbers: end -->").unwrap();
    let cells = table.lines().filter_map(|line| line.split('|').nth(1));
    let told: BTreeSet<_> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    for seed in 0..HOSTS {
        for finding in findings(seed, 0, "") {
            let names = finding.numbers.iter().map(|(name, _)| *name);
            let unknown = names.filter(|name| !name.starts_with("Tcp") && !told.contains(name));
            assert_eq!(unknown.collect::<Vec<_>>(), [""; 0], "{}", finding.rule);
        }
    }
}

#[test]
fn sentences_agree_with_their_numbers() {
    let mut rules = BTreeSet::new();
    for seed in 0..HOSTS {
        for finding in findings(seed, 0, "") {
            rules.insert(finding.rule);
            let [english, chinese] = [Lang::En, Lang::Zh].map(|lang| finding.sentences(lang));
            for text in english {
                assert_eq!(grammar::english(&text), None, "{seed}: {text}");
            }
            for text in chinese {
                assert_eq!(grammar::chinese(&text), None, "{seed}: {text}");
            }
        }
    }
    assert!(rules.len() > 15, "{rules:?}");
}

#[test]
fn each_finding_has_an_id_of_its_own() {
    for seed in 0..HOSTS {
        let findings = findings(seed, 0, "");
        let ids: BTreeSet<_> = findings.iter().map(|f| f.id.as_str()).collect();
        assert_eq!(ids.len(), findings.len(), "{seed}: {ids:#?}");
        for finding in &findings {
            let of_rule = RULES.iter().find(|r| r.names.contains(&finding.rule));
            let rule = of_rule.unwrap().name();
            assert!(
                finding.id.starts_with(&format!("{rule}:")),
                "{}",
                finding.id
            );
        }
    }
}

/// After the workers are restarted, and whatever the severity.
#[test]
fn a_problem_that_lasts_keeps_its_id() {
    for seed in 0..HOSTS {
        let ids = |pids, highest| {
            let findings = findings(seed, pids, highest).into_iter();
            let ids: BTreeSet<_> = findings.map(|f| f.id).collect();
            ids
        };
        let before = ids(0, "");
        assert_eq!(ids(20_000, ""), before, "{seed}");
        assert_eq!(ids(0, "critical"), before, "{seed}");
    }
}
