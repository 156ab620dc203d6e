//! More connections of one pair of addresses than the threshold of the activation.

use std::collections::HashMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity, Subject};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::{HostAddress, SocketAddress};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::tally::{Tally, percent};
use crate::model::conn::Conn;
use crate::model::endpoint::{Dev, is_link_local};
use crate::model::ident::Remote;
use crate::model::meters::Meters;
use crate::model::pair::Pair;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["pair-threshold"],
    looks_at: "connections of one pair of addresses, without those in TIME_WAIT, compared with the \
               `threshold` of the activation: information if they are used (a pool, a proxy), a \
               warning if they are unused or far above the threshold",
    refuted_by: "data in both directions on most of the connections: a pool or a proxy \
                 (information only)",
    alike: "many users behind one NAT",
    remedy: "find the leak, or raise the threshold",
    limits: &[UNUSED, UNUSED_AGE, TIMES],
    find,
};

const UNUSED: Limit = Limit {
    key: "unused",
    default: 50,
    range: (1, 100),
    unit: "percent that have not carried data both ways",
    why: "a pool of which half was never used is too large, or it is no pool",
};
const UNUSED_AGE: Limit = Limit {
    key: "age-s",
    default: 5,
    range: (0, 86_400),
    unit: "age in seconds: a younger connection cannot be called unused",
    why: "it has not had time to be used",
};
const TIMES: Limit = Limit {
    key: "times",
    default: 4,
    range: (1, 1_000_000),
    unit: "times the threshold",
    why: "that many are a leak or an attack, however they are used",
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
    let found = pairs
        .iter()
        .map(|p| finding(facts, limits, p, conns.get(&key(p)).map_or(&[], |c| c)));
    found.collect()
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

fn finding(facts: &Facts, limits: &Bound, pair: &Pair, conns: &[&Conn]) -> Finding {
    let threshold = u64::from(facts.settings.activation.threshold);
    let all = pair.connections();
    let is_unused = |conn: &&&Conn| {
        let one_way = |m: Meters| m.bytes_sent == 0 || m.bytes_received == 0;
        facts.lifetime_ms(conn) >= limits.get(&UNUSED_AGE) * 1_000
            && conn.meters.is_none_or(one_way)
    };
    let unused = conns.iter().filter(is_unused).count() as u64;
    let bad = percent(unused, all) >= limits.get(&UNUSED) || all >= limits.get(&TIMES) * threshold;
    let severity = if bad {
        Severity::Warning
    } else {
        Severity::Info
    };
    let dev = facts.dev(pair.netns, pair.ifindex);
    let problem = problem(pair, dev.as_ref(), unused);
    let finding = Finding::new(
        "pair-threshold",
        severity,
        problem,
        subject(facts, pair, dev, conns),
    )
    .number("connections", all)
    .number("threshold", threshold)
    .number("peak", pair.peak)
    .number("half_open", pair.half_open)
    .number("established", pair.established)
    .number("closing", pair.closing)
    .number("timewait", pair.timewait)
    .number("unused", unused);
    let services = Tally::of(conns.iter().map(|c| facts.service(&c.who)));
    let most = services.top().map(|(service, connections)| Share {
        connections,
        at: facts.at(&service),
    });
    finding.remedy(match bad {
        true => Action::FindLeak { most },
        false => Action::RaiseThreshold { most },
    })
}

fn problem(pair: &Pair, dev: Option<&Dev>, unused: u64) -> Problem {
    let remote = pair.remote().to_canonical();
    Problem::Above {
        connections: pair.connections(),
        local: HostAddress {
            addr: pair.local().to_canonical(),
            dev: dev.cloned(),
        },
        remote: HostAddress {
            addr: remote,
            dev: dev.filter(|_| is_link_local(remote)).cloned(),
        },
        unused,
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
