//! `connect()` fails because no local port is left, or because the port that the program bound is
//! in use.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity, Subject};
use crate::diagnose::identity::About;
use crate::diagnose::limits::Limit;
use crate::diagnose::message::{HostAddress, SocketAddress};
use crate::diagnose::recent::{NoPort, NoPortKey};
use crate::diagnose::rules::local_ports::{self, Alone, Used, alone, destinations};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::Service;
use crate::diagnose::tally::{Tally, percent};
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::ident::{Ident, Owner};
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["port-exhaustion"],
    looks_at: words!(
        "calls of connect() in the last minute that found no local port, or whose bound \
               address and port were in use to the destination; the share of the local ports that \
               connections from one local address to one destination use, TIME_WAIT excluded; and \
               the share of those that one connection each has for itself, over all destinations: \
               bind() without IP_BIND_ADDRESS_NO_PORT holds a port for every destination",
        "最近一分钟没有找到本地端口的 connect() 调用，或所绑定的地址和端口到该目的地已被占用的调用；一个本地地址到一个目的地的连接占用的本地端口比例，不含 TIME_WAIT；以及在所有目的地中各由一个连接独占的端口比例：没有设置 IP_BIND_ADDRESS_NO_PORT 的 bind() 占用的端口对所有目的地都不可用"
    ),
    refuted_by: words!(
        "ports that only TIME_WAIT uses (see `time-wait`); for bind(): ports that \
                 connections to several destinations share, which connect() has chosen; for the \
                 range: a port that the program has bound itself; for a bound port: a later \
                 connection to the destination from another port (then it is information)",
        "只被 TIME_WAIT 占用的端口（参见 `time-wait`）；对于 bind()：由 connect() 选择、被多个目的地的连接共用的端口；对于端口范围：程序自己绑定的端口；对于绑定的端口：此后从其他端口到该目的地的连接（则只作为提示）"
    ),
    alike: words!(
        "ports that sockets without a connection hold; a bound port that the last connection \
            has left meanwhile; a bind() that fails, which changes no TCP state",
        "没有连接的套接字占用的端口；绑定的端口，其最后的连接已在此期间结束；失败的 bind()，它不改变任何 TCP 状态"
    ),
    remedy: words!(
        "reuse connections, find the leak, widen the range; IP_BIND_ADDRESS_NO_PORT, or no \
             fixed source port",
        "复用连接，查找泄漏，扩大端口范围；设置 IP_BIND_ADDRESS_NO_PORT，或不固定源端口"
    ),
    limits: &[COUNT, local_ports::SHARE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 1,
    range: (1, 100_000_000),
    unit: words!(
        "calls of connect() of one process in the last minute that failed because no port was \
           free",
        "最近一分钟一个进程因没有空闲端口而失败的 connect() 次数"
    ),
    why: words!("each is a request that failed", "每一次都是一个失败的请求"),
};

/// Percent of the range: connect() may have chosen half of it without sharing a port.
const MORE_THAN_HALF: u64 = 51;

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// connect() failed.
    NoPort {
        /// The process that called connect().
        owner: Option<Owner>,
        /// The destination.
        to: Destinations,
        /// Number of failed connect() calls in the last minute.
        failed: u64,
        /// Why no port was available.
        cause: Cause,
    },
    /// The local ports will soon run out.
    RunningOut {
        /// Number of used ports.
        used: u64,
        /// Number of ports in the range.
        ports: u64,
        /// The destination.
        destination: SocketAddress,
    },
    /// bind() holds the local ports of an address for every destination.
    Held {
        /// Number of ports that one connection has for itself.
        held: u64,
        /// Number of ports in the range.
        ports: u64,
        /// The local address.
        local: HostAddress,
        /// Number of destinations.
        destinations: u64,
    },
}

/// Where failed calls went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destinations {
    /// To one destination.
    One(SocketAddress),
    /// To this number of destinations.
    Many(u64),
}

/// Why a call of connect() found no local port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The address and port that the program bound are in use to this destination.
    BoundInUse,
    /// Connections to the destination use the ports.
    ToDestination,
    /// bind() holds this number of the ports for every destination.
    Held(u64),
    /// The ports are free again.
    Unknown,
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Reuse connections.
    ReuseConnections,
    /// Find out why the connections are kept.
    FindLeak,
    /// Let connect() choose the port.
    BindNoPort,
    /// The same, if the program binds its address.
    IfBound,
    /// Use another port, or wait for the end of the earlier connection.
    OtherPort,
    /// TIME_WAIT holds the port only without timestamps.
    Timestamps,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let mut groups = failures(facts, limits);
    groups.retain(|_, group| group.failed >= limits.get(&COUNT));
    let mut found: Vec<_> = groups
        .iter()
        .map(|(key, group)| group.finding(facts, *key))
        .collect();
    let told: HashSet<_> = groups.values().flat_map(Group::tuples).collect();
    for used in destinations(facts) {
        let held = used.timewait * 2 < used.ports;
        let share = used.share() >= limits.get(&local_ports::SHARE);
        if held && share && !told.contains(&(used.service, used.local)) {
            found.push(running_out(facts, &used));
        }
    }
    let told = groups.keys().filter(|key| key.cause == Kind::Held);
    let told: HashSet<_> = told.map(|key| key.netns).collect();
    for alone in alone(facts) {
        let least = limits.get(&local_ports::SHARE).max(MORE_THAN_HALF);
        if alone.share() >= least && !told.contains(&alone.netns) {
            found.push(held(facts, &alone));
        }
    }
    found
}

/// The kind of a [`Cause`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    BoundInUse,
    ToDestination,
    Held,
    Unknown,
}

impl Kind {
    /// Its name in the ids of findings: a problem that lasts may have ports that are free again.
    fn name(self) -> &'static str {
        match self {
            Self::BoundInUse => "bound-in-use",
            Self::ToDestination | Self::Unknown => "no-port",
            Self::Held => "held",
        }
    }
}

/// What the failed calls of one finding have in common: the cause, and the process with the most of
/// them. Ports that bind() holds are missing to all processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct GroupKey {
    netns: u32,
    cause: Kind,
    pid: Option<u32>,
}

/// The failed calls of one finding.
#[derive(Default)]
struct Group<'a> {
    failed: u64,
    last_ns: u64,
    pids: Tally<Option<u32>>,
    examples: BTreeMap<Option<u32>, &'a Ident>,
    services: BTreeMap<Service, u64>,
    locals: BTreeSet<IpAddr>,
    ports: BTreeSet<u16>,
    /// Number of ports that bind() holds.
    held: u64,
}

/// From one local address to one destination, with or without a bound port.
type Tuple = (Service, IpAddr, bool);

/// Groups the failed calls by cause and process.
fn failures<'a>(facts: &'a Facts, limits: &Bound) -> BTreeMap<GroupKey, Group<'a>> {
    let mut by_tuple: BTreeMap<Tuple, Vec<(&NoPortKey, &NoPort)>> = BTreeMap::new();
    for (key, failed) in &facts.recent.no_port {
        let tuple = (key.service, key.local, key.bound);
        by_tuple.entry(tuple).or_default().push((key, failed));
    }
    let mut groups: BTreeMap<GroupKey, Group> = BTreeMap::new();
    if by_tuple.is_empty() {
        return groups;
    }
    let ports = Ports::of(facts);
    for (tuple, failed) in by_tuple {
        let cause = ports.cause(facts, tuple, limits.get(&local_ports::SHARE));
        let mut pids = Tally::default();
        failed.iter().for_each(|(k, f)| pids.add(k.pid, f.count));
        let most = pids.top().and_then(|(pid, _)| pid);
        let key = GroupKey {
            netns: tuple.0.netns,
            cause,
            pid: most.filter(|_| cause != Kind::Held),
        };
        let group = groups.entry(key).or_default();
        group.held = ports.held_in(tuple.0.netns).len() as u64;
        failed.iter().for_each(|(k, f)| group.add(k, f));
    }
    groups
}

/// The ports that are in use.
struct Ports<'a> {
    to: HashMap<(Service, IpAddr), Used<'a>>,
    held: HashMap<u32, HashSet<u16>>,
}

impl<'a> Ports<'a> {
    fn of(facts: &'a Facts) -> Self {
        let to = local_ports::destinations_with(facts, 1).into_iter();
        Self {
            to: to.map(|used| ((used.service, used.local), used)).collect(),
            held: local_ports::held(facts),
        }
    }

    fn held_in(&self, netns: u32) -> HashSet<u16> {
        self.held.get(&netns).cloned().unwrap_or_default()
    }

    /// Why calls from an address to a destination fail, according to the ports that are in use now.
    fn cause(&self, facts: &Facts, (service, local, bound): Tuple, share: u64) -> Kind {
        if bound {
            return Kind::BoundInUse;
        }
        let used = self.to.get(&(service, local));
        if used.is_some_and(|used| used.share() >= share) {
            return Kind::ToDestination;
        }
        let Some(range) = facts.namespace(service.netns).local_ports() else {
            return Kind::Unknown;
        };
        let mut ports = self.held_in(service.netns);
        let held = ports.len();
        let conns = used.map_or(&[][..], |used| &used.conns);
        ports.extend(conns.iter().map(|c| c.who.lport));
        let most = held * 2 > ports.len();
        match most && percent(ports.len() as u64, range.count) >= share {
            true => Kind::Held,
            false => Kind::Unknown,
        }
    }
}

impl<'a> Group<'a> {
    fn add(&mut self, key: &NoPortKey, failed: &'a NoPort) {
        self.failed += failed.count;
        self.last_ns = self.last_ns.max(failed.last_ns);
        self.pids.add(key.pid, failed.count);
        self.examples.entry(key.pid).or_insert(&failed.example);
        *self.services.entry(key.service).or_default() += failed.count;
        self.locals.insert(key.local);
        self.ports.extend(&failed.ports);
    }

    /// All pairs of a destination and a local address.
    fn tuples(&self) -> impl Iterator<Item = (Service, IpAddr)> + '_ {
        let with = |local: IpAddr| self.services.keys().map(move |service| (*service, local));
        self.locals.iter().copied().flat_map(with)
    }

    /// The live connections that have the bound addresses and ports.
    fn in_use<'b>(&self, facts: &'b Facts) -> Vec<&'b Conn> {
        let is_it = |c: &&Conn| {
            let service = facts.service(&c.who).canonical();
            self.ports.contains(&c.who.lport)
                && self.services.contains_key(&service)
                && self.locals.contains(&c.who.local().to_canonical())
        };
        facts.conns.iter().filter(is_it).collect()
    }

    /// Whether each destination has been reached since from another port of the address: programs,
    /// such as the kernel's NFS, may try one reserved port after the other.
    fn has_another_port(&self, facts: &Facts) -> bool {
        let is_later = |c: &&Conn| {
            c.first_seen_ns >= self.last_ns
                && c.state != State::SYN_SENT
                && !self.ports.contains(&c.who.lport)
                && self.locals.contains(&c.who.local().to_canonical())
        };
        let later = facts.conns.iter().filter(is_later);
        let reached: HashSet<_> = later.map(|c| facts.service(&c.who).canonical()).collect();
        self.services
            .keys()
            .all(|service| reached.contains(service))
    }

    fn finding(&self, facts: &Facts, key: GroupKey) -> Finding {
        let subject = self.subject(facts, key.netns);
        let problem = Problem::NoPort {
            owner: subject.owner,
            to: match self.only_service() {
                Some(service) => Destinations::One(facts.at(service)),
                None => Destinations::Many(self.services.len() as u64),
            },
            failed: self.failed,
            cause: match key.cause {
                Kind::BoundInUse => Cause::BoundInUse,
                Kind::ToDestination => Cause::ToDestination,
                Kind::Held => Cause::Held(self.held),
                Kind::Unknown => Cause::Unknown,
            },
        };
        let severity = match key.cause == Kind::BoundInUse && self.has_another_port(facts) {
            true => Severity::Info,
            false => Severity::Critical,
        };
        let finding = Finding::new("port-exhaustion", severity, problem, subject)
            .about(match key.pid {
                Some(_) => About::Process,
                None => About::Namespace,
            })
            .variant(key.cause.name())
            .number("failed", self.failed)
            .number("seconds_ago", facts.seconds_since(self.last_ns))
            .number("destinations", self.services.len() as u64);
        match key.cause {
            Kind::BoundInUse => self.bound_in_use(facts, key.netns, finding),
            Kind::Held => {
                let finding = finding.number("ports_held", self.held);
                let finding = with_range(facts, key.netns, finding).remedy(Action::BindNoPort);
                local_ports::settings(facts, key.netns, finding)
            }
            Kind::ToDestination | Kind::Unknown => self.exhausted(facts, key.netns, finding),
        }
    }

    fn only_service(&self) -> Option<&Service> {
        let mut services = self.services.keys();
        services.next().filter(|_| services.next().is_none())
    }

    /// The process with the most failed calls; the local address, port and destination if there is
    /// only one.
    fn subject(&self, facts: &Facts, netns: u32) -> Subject {
        let most = self.pids.top().map(|(pid, _)| pid).unwrap_or_default();
        let example = self.examples.get(&most).copied();
        let mut subject = match self.only_service() {
            Some(service) => facts.subject(service, example),
            None => facts.owners(netns, example),
        };
        subject.processes = self.examples.keys().flatten().count() as u64;
        if let (Some(local), 1) = (self.locals.first(), self.locals.len()) {
            let port = self.ports.first().filter(|_| self.ports.len() == 1);
            subject.local = Some((*local, port.copied()));
        }
        if self.services.len() > 1 {
            let services = self.services.iter();
            let destination = |(service, count): (&Service, &u64)| (service.destination(), *count);
            facts.set_destinations(&mut subject, &services.map(destination).collect());
        }
        subject
    }

    fn bound_in_use(&self, facts: &Facts, netns: u32, finding: Finding) -> Finding {
        let in_use = self.in_use(facts);
        let waiting = in_use.iter().filter(|c| c.state == State::TIME_WAIT);
        let waiting = waiting.count() as u64;
        let finding = finding
            .number("local_ports", self.ports.len() as u64)
            .number("in_use", in_use.len() as u64)
            .number("timewait", waiting)
            .remedy(Action::OtherPort);
        match waiting {
            0 => finding,
            _ => finding.remedy_if(facts.remedy(
                netns,
                "net.ipv4.tcp_timestamps",
                Action::Timestamps,
            )),
        }
    }

    fn exhausted(&self, facts: &Facts, netns: u32, finding: Finding) -> Finding {
        let all = local_ports::destinations_with(facts, 1);
        let tuples: HashSet<_> = self.tuples().collect();
        let of_these = all
            .iter()
            .filter(|u| tuples.contains(&(u.service, u.local)));
        let finding = match of_these.max_by_key(|u| u.ports) {
            Some(used) => used.numbers(finding),
            None => with_range(facts, netns, finding),
        };
        let finding = finding
            .remedy(Action::ReuseConnections)
            .remedy(Action::IfBound);
        local_ports::settings(facts, netns, finding)
    }
}

/// Adds the range from which connect() chooses.
fn with_range(facts: &Facts, netns: u32, finding: Finding) -> Finding {
    match facts.namespace(netns).local_ports() {
        Some(range) => local_ports::range_numbers(range, finding),
        None => finding,
    }
}

fn running_out(facts: &Facts, used: &Used) -> Finding {
    let problem = Problem::RunningOut {
        used: used.ports,
        ports: used.range.count,
        destination: facts.at(&used.service),
    };
    let whos = used.conns.iter().map(|c| &c.who);
    let finding = facts.finding(
        "port-exhaustion",
        Severity::Warning,
        problem,
        &used.service,
        whos,
    );
    let mut finding = used
        .numbers(finding)
        .remedy(Action::FindLeak)
        .remedy(Action::IfBound);
    finding.subject.local = Some((used.local, None));
    local_ports::settings(facts, used.service.netns, finding)
}

fn held(facts: &Facts, alone: &Alone) -> Finding {
    let held = alone.conns.len() as u64;
    let mut subject = facts.owners(alone.netns, alone.conns.iter().map(|c| &c.who));
    subject.local = Some((alone.local, None));
    let remotes = Tally::of(alone.conns.iter().map(|c| c.who.peer()));
    facts.set_peers(&mut subject, &remotes);
    let problem = Problem::Held {
        held,
        ports: alone.range.count,
        local: HostAddress {
            addr: alone.local,
            dev: None,
        },
        destinations: alone.destinations,
    };
    let waiting = alone.conns.iter().filter(|c| c.state == State::TIME_WAIT);
    let finding = Finding::new("port-exhaustion", Severity::Warning, problem, subject)
        .variant("held")
        .number("ports_held", held)
        .number("percent", alone.share())
        .number("destinations", alone.destinations)
        .number("timewait", waiting.count() as u64);
    let finding = local_ports::range_numbers(alone.range, finding).remedy(Action::BindNoPort);
    local_ports::settings(facts, alone.netns, finding)
}
