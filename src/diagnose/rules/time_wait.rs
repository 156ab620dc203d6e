//! Connections that this host closed first, kept for delayed packets. On the server side they cost
//! little; on the client side each occupies a local port.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::SocketAddress;
use crate::diagnose::rules::local_ports::{self, destinations};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::{Service, Side};
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["time-wait"],
    looks_at: words!(
        "connections in TIME_WAIT, by listener or destination; of a destination, the share \
               of the ports of one local address that connect() may choose from",
        "处于 TIME_WAIT 的连接，按监听端或目的地统计；对于目的地，还有其占一个本地地址可供 connect() 选择的端口的比例"
    ),
    refuted_by: words!(
        "local ports that the kernel reuses after a second (`tcp_tw_reuse`): information",
        "一秒后可被内核复用的本地端口（`tcp_tw_reuse`）：提示"
    ),
    alike: words!(
        "nothing: TIME_WAIT is what it is; whether it does harm depends on the ports",
        "无：TIME_WAIT 就是 TIME_WAIT；是否有危害取决于端口"
    ),
    remedy: words!(
        "reuse connections (keep-alive, a pool)",
        "复用连接（keep-alive、连接池）"
    ),
    limits: &[COUNT, local_ports::SHARE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 1_000,
    range: (1, 100_000_000),
    unit: words!(
        "connections of one listener or destination: information",
        "一个监听端或目的地的连接数：提示"
    ),
    why: words!(
        "worth knowing: 16 and more short connections a second, for a minute",
        "值得了解：一分钟内每秒有 16 个以上的短连接"
    ),
};

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// There are many connections in TIME_WAIT.
    Many {
        /// Whether this host is the server.
        side: Side,
        /// Number of connections.
        connections: u64,
        /// The listener or destination.
        at: SocketAddress,
    },
    /// They occupy most of the local ports for a destination.
    RunningOut {
        /// Number of used ports.
        used: u64,
        /// Number of ports in the range.
        ports: u64,
        /// The destination.
        destination: SocketAddress,
        /// Number of connections in TIME_WAIT.
        timewait: u64,
    },
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Harmless on the server side; keep-alive would save handshakes.
    SaveHandshakes,
    /// Reuse connections.
    ReuseConnections,
    /// Reuse connections because ports are running out.
    ReuseForPorts,
    /// Effect of the limit of TIME_WAIT sockets.
    TwBuckets,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let waiting = facts.in_state(&[State::TIME_WAIT], 0);
    let running_out = running_out(facts, limits);
    let told: BTreeSet<_> = running_out.keys().map(|(service, _)| *service).collect();
    let many = waiting.iter().filter(|(service, conns)| {
        conns.len() as u64 >= limits.get(&COUNT) && !told.contains(&service.canonical())
    });
    let infos = many.map(|(service, conns)| pile(facts, service, conns));
    infos.chain(running_out.values().cloned()).collect()
}

fn pile(facts: &Facts, service: &Service, conns: &[&Conn]) -> Finding {
    let problem = Problem::Many {
        side: service.side,
        connections: conns.len() as u64,
        at: facts.at(service),
    };
    let namespace = facts.namespace(service.netns);
    let whos = conns.iter().map(|c| &c.who);
    let finding = facts
        .finding("time-wait", Severity::Info, problem, service, whos)
        .number("timewait", conns.len() as u64)
        .number("live", facts.live(service).all)
        .counters(&namespace, &["TcpExtTCPTimeWaitOverflow"])
        .remedy(match service.side {
            Side::Server => Action::SaveHandshakes,
            Side::Client => Action::ReuseConnections,
        });
    buckets(facts, service, finding)
}

/// Destinations for which TIME_WAIT occupies most of the ports of a local address.
fn running_out(facts: &Facts, limits: &Bound) -> BTreeMap<(Service, IpAddr), Finding> {
    let mut found = BTreeMap::new();
    for used in destinations(facts) {
        if used.timewait * 2 < used.ports || used.share() < limits.get(&local_ports::SHARE) {
            continue;
        }
        let service = used.service;
        let problem = Problem::RunningOut {
            used: used.ports,
            ports: used.range.count,
            destination: facts.at(&service),
            timewait: used.timewait,
        };
        // A port in TIME_WAIT does not matter if the kernel may reuse it.
        let severity = match used.is_reused(facts) {
            true => Severity::Info,
            false => Severity::Warning,
        };
        let whos = used.conns.iter().map(|c| &c.who);
        let mut finding = used
            .numbers(facts.finding("time-wait", severity, problem, &service, whos))
            .remedy(Action::ReuseForPorts);
        finding.subject.local = Some((used.local, None));
        let finding = local_ports::settings(facts, service.netns, finding);
        found.insert((service, used.local), buckets(facts, &service, finding));
    }
    found
}

fn buckets(facts: &Facts, service: &Service, finding: Finding) -> Finding {
    finding.remedy_if(facts.remedy(
        service.netns,
        "net.ipv4.tcp_max_tw_buckets",
        Action::TwBuckets,
    ))
}
