//! Number of local ports that connections occupy: to one destination, and those that serve one
//! connection only.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::{Tally, percent};
use crate::fmt::text::words;
use crate::host::netns::LocalPorts;
use crate::model::conn::Conn;
use crate::model::state::State;

/// Share of the ports from which on they are about to run out.
pub const SHARE: Limit = Limit {
    key: "share",
    default: 70,
    range: (1, 100),
    unit: words!(
        "percent of ip_local_port_range, less the reserved ones, used from one local address to \
           one destination",
        "一个本地地址到一个目的地所用端口占 ip_local_port_range（扣除保留端口）的百分比"
    ),
    why: words!(
        "leaves time to act; above it, connect() searches longer for each port",
        "留出处理的时间；超过时 connect() 查找每个端口需要更久"
    ),
};

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Widen the range.
    WidenRange,
    /// Effect of reusing ports in TIME_WAIT.
    TwReuse,
}

/// Fewer connections to a destination cannot exhaust any realistic range, so the namespace is not
/// read for them.
const WORTH_A_LOOK: usize = 20;

/// The local ports that connections from one address to one destination occupy.
pub struct Used<'a> {
    /// The destination.
    pub service: Service,
    /// The local address.
    pub local: IpAddr,
    /// Its connections with a local port in the range.
    pub conns: Vec<&'a Conn>,
    /// Number of distinct local ports in the range.
    pub ports: u64,
    /// Number of connections in TIME_WAIT.
    pub timewait: u64,
    /// The ports from which connect() chooses.
    pub range: LocalPorts,
}

impl Used<'_> {
    /// Used ports in percent of the range.
    pub fn share(&self) -> u64 {
        percent(self.ports, self.range.count)
    }

    /// Whether the kernel reuses a port in TIME_WAIT for a new connection after a second.
    pub fn is_reused(&self, facts: &Facts) -> bool {
        let reuse = facts
            .namespace(self.service.netns)
            .number("net.ipv4.tcp_tw_reuse");
        let loopback = self.local.to_canonical().is_loopback();
        reuse == Some(1) || reuse == Some(2) && loopback
    }

    /// Adds the numbers that led to the finding.
    pub fn numbers(&self, finding: Finding) -> Finding {
        let finding = finding.number("ports_used", self.ports);
        range_numbers(self.range, finding)
            .number("percent", self.share())
            .number("timewait", self.timewait)
    }
}

/// Adds the range and its size.
pub fn range_numbers(range: LocalPorts, finding: Finding) -> Finding {
    finding
        .number("ports", range.count)
        .number("port_low", range.low)
        .number("port_high", range.high)
}

/// The connections that this host has started, by key.
fn started<'a, K: Hash + Eq>(
    facts: &'a Facts,
    key: impl Fn(&Conn, Service) -> K,
) -> HashMap<K, Vec<&'a Conn>> {
    let mut by_key: HashMap<K, Vec<&Conn>> = HashMap::new();
    for conn in facts.conns.iter().filter(|c| c.state != State::LISTEN) {
        // A socket of IPv6 with an IPv4 address occupies the same ports.
        let service = facts.service(&conn.who).canonical();
        if service.side == Side::Client {
            by_key.entry(key(conn, service)).or_default().push(conn);
        }
    }
    by_key
}

fn local_of(conn: &Conn) -> IpAddr {
    conn.who.local().to_canonical()
}

/// The destinations with enough connections to exhaust the ports, by local address.
pub fn destinations<'a>(facts: &'a Facts) -> Vec<Used<'a>> {
    destinations_with(facts, WORTH_A_LOOK)
}

/// The destinations with this number of connections, by local address.
pub fn destinations_with<'a>(facts: &'a Facts, least: usize) -> Vec<Used<'a>> {
    let mut by_tuple = started(facts, |conn, service| (service, local_of(conn)));
    by_tuple.retain(|_, conns| conns.len() >= least);
    let mut all: Vec<_> = by_tuple
        .into_iter()
        .filter_map(|(tuple, conns)| used(facts, tuple, conns))
        .collect();
    all.sort_unstable_by_key(|used| (used.service, used.local));
    all
}

fn used<'a>(
    facts: &Facts,
    (service, local): (Service, IpAddr),
    mut conns: Vec<&'a Conn>,
) -> Option<Used<'a>> {
    let range = facts.namespace(service.netns).local_ports()?;
    conns.retain(|c| range.has(c.who.lport));
    let ports: HashSet<_> = conns.iter().map(|c| c.who.lport).collect();
    let waiting = conns.iter().filter(|c| c.state == State::TIME_WAIT);
    Some(Used {
        service,
        local,
        ports: ports.len() as u64,
        timewait: waiting.count() as u64,
        conns,
        range,
    })
}

/// The local ports that one connection has for itself, no destination having more than half of the
/// range. `connect()` starts with the ports of one parity for each destination, so its destinations
/// share ports; a port that bind() has chosen serves no other one.
pub struct Alone<'a> {
    /// The namespace.
    pub netns: u32,
    /// The local address.
    pub local: IpAddr,
    /// The connections, each on a port of its own.
    pub conns: Vec<&'a Conn>,
    /// Number of destinations.
    pub destinations: u64,
    /// The ports from which connect() chooses.
    pub range: LocalPorts,
}

impl Alone<'_> {
    /// These ports in percent of the range.
    pub fn share(&self) -> u64 {
        percent(self.conns.len() as u64, self.range.count)
    }
}

/// By local address, the ports that one connection each has for itself.
pub fn alone<'a>(facts: &'a Facts) -> Vec<Alone<'a>> {
    let mut by_local = started(facts, |conn, service| (service.netns, local_of(conn)));
    by_local.retain(|_, conns| conns.len() >= WORTH_A_LOOK);
    let alone = |((netns, local), conns): ((u32, IpAddr), Vec<&'a Conn>)| {
        let range = facts.namespace(netns).local_ports()?;
        let conns = unshared(range, conns);
        let services = conns.iter().map(|c| facts.service(&c.who).canonical());
        let services = Tally::of(services);
        let (_, most) = services.top()?;
        let destinations = services.kinds();
        (most * 2 <= range.count).then_some(Alone {
            netns,
            local,
            conns,
            destinations,
            range,
        })
    };
    let mut all: Vec<_> = by_local.into_iter().filter_map(alone).collect();
    all.sort_unstable_by_key(|alone| (alone.netns, alone.local));
    all
}

/// Ports of the range that connect() does not use for any destination, by namespace: those that one
/// connection has for itself, whatever its local address, and those of listeners.
pub fn held(facts: &Facts) -> HashMap<u32, HashSet<u16>> {
    let mut held = HashMap::new();
    for (netns, conns) in started(facts, |_, service| service.netns) {
        let Some(range) = facts.namespace(netns).local_ports() else {
            continue;
        };
        let conns = unshared(range, conns);
        let mut ports: HashSet<_> = conns.iter().map(|c| c.who.lport).collect();
        let listeners = facts.listeners.iter().map(|l| &l.who);
        let here = listeners.filter(|who| who.netns == netns && range.has(who.lport));
        ports.extend(here.map(|who| who.lport));
        held.insert(netns, ports);
    }
    held
}

/// The connections whose port in the range no other one of them uses, by port.
fn unshared(range: LocalPorts, mut conns: Vec<&Conn>) -> Vec<&Conn> {
    conns.retain(|c| range.has(c.who.lport));
    let mut counts: HashMap<u16, u32> = HashMap::new();
    for conn in &conns {
        *counts.entry(conn.who.lport).or_default() += 1;
    }
    conns.retain(|c| counts.get(&c.who.lport) == Some(&1));
    conns.sort_unstable_by_key(|c| c.who.lport);
    conns
}

/// Adds the settings that affect local ports.
pub fn settings(facts: &Facts, netns: u32, finding: Finding) -> Finding {
    finding
        .remedy_if(facts.remedy(netns, "net.ipv4.ip_local_port_range", Action::WidenRange))
        .remedy_if(facts.remedy(netns, "net.ipv4.tcp_tw_reuse", Action::TwReuse))
}
