//! More connections of one pair of addresses than the threshold of the activation.

use std::collections::HashMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity, Subject};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::{HostAddress, SocketAddress};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::{Tally, percent};
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::endpoint::{Dev, is_link_local};
use crate::model::ident::Remote;
use crate::model::meters::Meters;
use crate::model::pair::Pair;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["pair-threshold"],
    looks_at: words!(
        "connections of one pair of addresses, without those in TIME_WAIT, compared with the \
               `threshold` of the activation: information if they are used (a pool, a proxy), a \
               warning if they are unused or far above the threshold; both ends of a connection \
               within this host are one connection",
        "一个地址对的连接（不含 TIME_WAIT）与激活时的 `threshold` 之比：若在使用中（连接池、代理）则为提示，若未使用或远超阈值则为警告；本机内部连接的两端算一个连接"
    ),
    refuted_by: words!(
        "data in both directions on most of the connections, or keepalive: a pool or a \
                 proxy (information only); half-open connections, of which nothing is known, are \
                 not unused, nor is a subflow if another one of its MPTCP connection carries data; more connections than `times` within this host",
        "多数连接有双向数据或 keepalive：是连接池或代理（只作为提示）；情况未知的半连接不算未使用，同一 MPTCP 连接的其他子流有数据时该子流也不算；本机内部超过 `times` 的连接"
    ),
    alike: words!("many users behind one NAT", "同一 NAT 之后的众多用户"),
    remedy: words!(
        "find the leak, or raise the threshold",
        "查找泄漏，或调大阈值"
    ),
    limits: &[UNUSED, UNUSED_AGE, TIMES],
    find,
};

const UNUSED: Limit = Limit {
    key: "unused",
    default: 50,
    range: (1, 100),
    unit: words!(
        "percent that have not carried data both ways",
        "没有双向传输过数据的连接的百分比"
    ),
    why: words!(
        "a pool of which half was never used is too large, or it is no pool",
        "有一半从未使用的连接池过大，或者不是连接池"
    ),
};
const UNUSED_AGE: Limit = Limit {
    key: "age-s",
    default: 5,
    range: (0, 86_400),
    unit: words!(
        "age in seconds: a younger connection cannot be called unused",
        "存在的秒数：更短的连接不能算未使用"
    ),
    why: words!("it has not had time to be used", "它还来不及被使用"),
};
/// Percent of the connections that must have keepalive to be a pool.
const MOST: u64 = 90;
const TIMES: Limit = Limit {
    key: "times",
    default: 4,
    range: (1, 1_000_000),
    unit: words!("times the threshold", "阈值的倍数"),
    why: words!(
        "that many are a leak or an attack, however they are used",
        "这么多连接，无论如何使用，都是泄漏或攻击"
    ),
};

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The number of connections is at or above the threshold.
    Above {
        /// Number of connections.
        connections: u64,
        /// Address of this host.
        local: HostAddress,
        /// Address of the remote host.
        remote: HostAddress,
        /// Number of connections without data in both directions.
        unused: u64,
    },
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The connections are unused, or too many.
    FindLeak {
        /// The service with most of the connections.
        most: Option<Share>,
    },
    /// The connections may be intended.
    RaiseThreshold {
        /// The service with most of the connections.
        most: Option<Share>,
    },
}

/// The service with most of the connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Number of connections.
    pub connections: u64,
    /// The listener or destination.
    pub at: SocketAddress,
}

/// Namespace, device, family and addresses: the module's key of a pair.
type Key = (u32, u32, u8, [u8; 16], [u8; 16]);

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let threshold = u64::from(facts.settings.activation.threshold);
    let is_over = |p: &&Pair| threshold > 0 && (p.alarm || p.connections() >= threshold);
    let pairs: Vec<_> = facts.pairs.iter().filter(is_over).collect();
    let mut conns: HashMap<Key, Vec<&Conn>> = pairs.iter().map(|p| (key(p), vec![])).collect();
    for conn in &facts.conns {
        let who = &conn.who;
        let pair = (who.netns, who.ifindex, who.family, who.laddr, who.raddr);
        if let Some(of_pair) = conns.get_mut(&pair) {
            if ![State::LISTEN, State::TIME_WAIT].contains(&conn.state) {
                of_pair.push(conn);
            }
        }
    }
    let of_pair = |key: &Key| conns.get(key).map_or(&[][..], |conns| conns);
    let found = pairs.iter().filter_map(|pair| {
        let (key, mirrored) = (key(pair), mirrored(pair));
        let is_second = mirrored != key
            && conns.contains_key(&mirrored)
            && is_second(facts, of_pair(&key), of_pair(&mirrored), pair);
        (!is_second).then(|| finding(facts, limits, pair, of_pair(&key)))
    });
    found.collect()
}

/// Of the two ends of connections within a namespace, the client's is the second one.
fn is_second(facts: &Facts, conns: &[&Conn], others: &[&Conn], pair: &Pair) -> bool {
    let serves = |conns: &[&Conn]| {
        let service = most(facts, conns).map(|(service, _)| service);
        service.is_some_and(|service| service.side == Side::Server)
    };
    match (serves(conns), serves(others)) {
        (true, false) => false,
        (false, true) => true,
        _ => pair.laddr > pair.raddr,
    }
}

/// The service with most of the connections.
fn most(facts: &Facts, conns: &[&Conn]) -> Option<(Service, u64)> {
    Tally::of(conns.iter().map(|c| facts.service(&c.who))).top()
}

fn key(pair: &Pair) -> Key {
    (
        pair.netns,
        pair.ifindex,
        pair.family,
        pair.laddr,
        pair.raddr,
    )
}

/// The key of the pair as seen from the remote address.
fn mirrored(pair: &Pair) -> Key {
    let (netns, ifindex, family, laddr, raddr) = key(pair);
    (netns, ifindex, family, raddr, laddr)
}

/// Number of connections by kind.
#[derive(Default)]
struct Counts {
    half_open: u64,
    established: u64,
    closing: u64,
    unused: u64,
    with_keepalive: u64,
}

/// Both ends of one connection, as far as they are known.
#[derive(Default)]
struct Ends<'a>(Vec<&'a Conn>);

impl Ends<'_> {
    fn any(&self, is_so: impl Fn(&Conn) -> bool) -> bool {
        self.0.iter().any(|end| is_so(end))
    }

    /// Whether it is old enough, and no end with meters has carried data in both directions.
    /// Nothing is known of the others.
    fn is_unused(&self, facts: &Facts, age_ms: u64) -> bool {
        let one_way = |m: Meters| m.bytes_sent == 0 || m.bytes_received == 0;
        self.any(|end| end.meters.is_some_and(one_way))
            && !self.any(|end| end.meters.is_some_and(|m| !one_way(m)))
            && !self.any(|end| facts.subflows().carry_for(end))
            && self.any(|end| facts.lifetime_ms(end) >= age_ms)
    }

    fn is_half_open(&self) -> bool {
        let half_open = [State::SYN_SENT, State::SYN_RECV, State::NEW_SYN_RECV];
        self.any(|end| half_open.contains(&end.state))
    }
}

/// Counts the connections of a pair. Those of an address with itself have both ends here.
fn count(facts: &Facts, limits: &Bound, pair: &Pair, conns: &[&Conn]) -> Counts {
    let mut ends: HashMap<(u16, u16), Ends> = HashMap::new();
    let is_within = pair.laddr == pair.raddr;
    for conn in conns {
        let (local, remote) = (conn.who.lport, conn.who.rport);
        let ports = match is_within {
            true => (local.min(remote), local.max(remote)),
            false => (local, remote),
        };
        ends.entry(ports).or_default().0.push(conn);
    }
    let age_ms = limits.get(&UNUSED_AGE) * 1_000;
    let mut counts = Counts::default();
    for ends in ends.values() {
        if ends.is_half_open() {
            counts.half_open += 1;
        } else if ends.any(|end| end.state != State::ESTABLISHED) {
            counts.closing += 1;
        } else {
            counts.established += 1;
        }
        let keeps = |end: &Conn| end.activity.is_some_and(|a| a.keepalive);
        let kept = ends.any(|end| keeps(end) || facts.other_end(&end.who).is_some_and(keeps));
        counts.unused += u64::from(ends.is_unused(facts, age_ms));
        counts.with_keepalive += u64::from(kept);
    }
    if !is_within || conns.is_empty() {
        let ends = 1 + u64::from(is_within);
        counts.half_open = u64::from(pair.half_open).div_ceil(ends);
        counts.established = u64::from(pair.established).div_ceil(ends);
        counts.closing = u64::from(pair.closing).div_ceil(ends);
    }
    // The table of pairs and the connections are not read at the same moment.
    counts.unused = counts.unused.min(counts.all());
    counts.with_keepalive = counts.with_keepalive.min(counts.all());
    counts
}

impl Counts {
    fn all(&self) -> u64 {
        self.half_open + self.established + self.closing
    }
}

/// Whether the connections are unused and no pool, or too many.
fn is_bad(facts: &Facts, limits: &Bound, counts: &Counts, conns: &[&Conn]) -> bool {
    let threshold = u64::from(facts.settings.activation.threshold);
    let is_pool = percent(counts.with_keepalive, counts.all()) >= MOST;
    let is_unused = percent(counts.unused, counts.all()) >= limits.get(&UNUSED);
    let are_here = || conns.iter().any(|c| facts.other_end(&c.who).is_some());
    let too_many = counts.all() >= limits.get(&TIMES) * threshold;
    is_unused && !is_pool || too_many && !are_here()
}

fn finding(facts: &Facts, limits: &Bound, pair: &Pair, conns: &[&Conn]) -> Finding {
    let threshold = u64::from(facts.settings.activation.threshold);
    let counts = count(facts, limits, pair, conns);
    let bad = is_bad(facts, limits, &counts, conns);
    let severity = if bad {
        Severity::Warning
    } else {
        Severity::Info
    };
    let dev = facts.dev(pair.netns, pair.ifindex);
    let problem = problem(pair, dev.as_ref(), &counts);
    let mut subject = subject(facts, pair, dev, conns);
    if let Some(peer) = subject.peers.first_mut() {
        peer.count = counts.all();
    }
    let finding = Finding::new("pair-threshold", severity, problem, subject)
        .number("connections", counts.all())
        .number("threshold", threshold)
        .number("peak", pair.peak)
        .number("half_open", counts.half_open)
        .number("established", counts.established)
        .number("closing", counts.closing)
        .number("timewait", pair.timewait)
        .number("unused", counts.unused)
        .number("with_keepalive", counts.with_keepalive);
    let most = most(facts, conns).map(|(service, connections)| Share {
        connections: connections.min(counts.all()),
        at: facts.at(&service),
    });
    finding.remedy(match bad {
        true => Action::FindLeak { most },
        false => Action::RaiseThreshold { most },
    })
}

fn problem(pair: &Pair, dev: Option<&Dev>, counts: &Counts) -> Problem {
    let remote = pair.remote().to_canonical();
    Problem::Above {
        connections: counts.all(),
        local: HostAddress {
            addr: pair.local().to_canonical(),
            dev: dev.cloned(),
        },
        remote: HostAddress {
            addr: remote,
            dev: dev.filter(|_| is_link_local(remote)).cloned(),
        },
        unused: counts.unused,
    }
}

fn subject(facts: &Facts, pair: &Pair, dev: Option<Dev>, conns: &[&Conn]) -> Subject {
    let whos = conns.iter().map(|c| &c.who);
    let mut subject = Subject {
        local: Some((pair.local(), None)),
        remote: Some((pair.remote(), None)),
        dev,
        ..facts.owners(pair.netns, whos)
    };
    let remote = Remote {
        addr: pair.remote().to_canonical(),
        ifindex: pair.ifindex,
    };
    subject.peers = vec![facts.peer(&subject, remote, None, pair.connections())];
    subject.peer_count = 1;
    subject
}
