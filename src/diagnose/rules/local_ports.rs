//! Number of local ports that the connections to each destination occupy.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::percent;
use crate::host::netns::LocalPorts;
use crate::model::conn::Conn;
use crate::model::state::State;

/// Share of the ports from which on they are about to run out.
pub const SHARE: Limit = Limit {
    key: "share",
    default: 70,
    range: (1, 100),
    unit: "percent of ip_local_port_range, less the reserved ones, used to one destination",
    why: "leaves time to act; above it, connect() searches longer for each port",
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
        finding
            .number("ports_used", self.ports)
            .number("ports", self.range.count)
            .number("percent", self.share())
            .number("timewait", self.timewait)
            .number("port_low", self.range.low)
            .number("port_high", self.range.high)
    }
}

/// All destinations with a minimum number of connections.
pub fn destinations<'a>(facts: &'a Facts) -> Vec<Used<'a>> {
    let mut by_tuple: HashMap<(Service, IpAddr), Vec<&Conn>> = HashMap::new();
    for conn in facts.conns.iter().filter(|c| c.state != State::LISTEN) {
        let service = facts.service(&conn.who);
        if service.side == Side::Client {
            let tuple = (service, conn.who.local());
            by_tuple.entry(tuple).or_default().push(conn);
        }
    }
    by_tuple.retain(|_, conns| conns.len() >= WORTH_A_LOOK);
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
    conns.retain(|c| (range.low..=range.high).contains(&c.who.lport));
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

/// Adds the settings that affect local ports.
pub fn settings(facts: &Facts, netns: u32, finding: Finding) -> Finding {
    finding
        .remedy_if(facts.remedy(netns, "net.ipv4.ip_local_port_range", Action::WidenRange))
        .remedy_if(facts.remedy(netns, "net.ipv4.tcp_tw_reuse", Action::TwReuse))
}
