//! Many connections to one listener that behave alike: from a few sources, or from so many that
//! they are most of the listener's connections.

use std::collections::{BTreeMap, HashSet};

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::{HostAddress, SocketAddress, Sources};
use crate::diagnose::rules::Bound;
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::{Tally, percent, sum};
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::ident::{Ident, Owner};

/// Number of connections from one source.
pub const ONE_SOURCE: Limit = Limit {
    key: "one-source",
    default: 50,
    range: (1, 1_000_000),
    unit: words!(
        "connections of one source to one listener",
        "一个来源到一个监听端的连接数"
    ),
    why: words!(
        "a browser opens 6 to a server, so a household or a small office stays below",
        "浏览器对一台服务器打开 6 个连接，因此一个家庭或小型办公室低于此数"
    ),
};
/// Number of connections from all sources ...
pub const MANY_SOURCES: Limit = Limit {
    key: "many-sources",
    default: 200,
    range: (1, 1_000_000),
    unit: words!("connections to one listener", "到一个监听端的连接数"),
    why: words!(
        "fewer hardly ever fill a server's workers",
        "更少的连接几乎不会占满服务器的工作进程"
    ),
};
/// ... and their share of the listener's connections.
pub const SHARE: Limit = Limit {
    key: "share",
    default: 50,
    range: (1, 100),
    unit: words!(
        "percent of the listener's ESTABLISHED",
        "占该监听端 ESTABLISHED 连接的百分比"
    ),
    why: words!(
        "below half, a busy server may simply have that many slow clients",
        "不到一半时，繁忙的服务器可能确实有这么多慢速客户端"
    ),
};

/// Number of connections from which on the severity is critical.
pub const CRITICAL: Limit = Limit {
    key: "critical",
    default: 500,
    range: (1, 10_000_000),
    unit: words!("connections", "连接数"),
    why: words!(
        "a web server's usual limit of workers or connections is between 150 and 1,024",
        "Web 服务器的工作进程数或连接数上限通常在 150 到 1,024 之间"
    ),
};

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Behavior of the connections.
    pub kind: Kind,
    /// Number of connections.
    pub connections: u64,
    /// Sources of the connections.
    pub sources: Sources,
    /// The listener that they are connected to.
    pub listener: SocketAddress,
}

/// Behavior of the connections of a crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They do not complete the request headers.
    SlowHeaders,
    /// They do not complete the request bodies.
    SlowBodies,
    /// They do not complete headers or bodies.
    SlowRequests,
    /// They read the responses very slowly.
    SlowReads,
    /// They transfer no data.
    Silent,
    /// They transfer no data, and a few clients keep them ready.
    Pool,
    /// They send data that the server does not answer, as a protocol may have it.
    OneWay,
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Limit the number of connections per source.
    LimitSources {
        /// The sources with the most connections.
        block: Vec<HostAddress>,
    },
    /// The other ends are on this host: look at their process.
    SeeOtherEnds {
        /// The process that has most of them.
        owner: Option<Owner>,
        /// Number of connections whose other end is on this host.
        connections: u64,
        /// Bytes that it has not read.
        unread: u64,
    },
}

/// The connections of a crowd.
pub struct Crowd<'a> {
    /// The listener.
    pub service: Service,
    /// Connections of the sources that exceed the limit, or all connections if no single source
    /// exceeds it.
    pub conns: Vec<&'a Conn>,
}

impl<'a> Crowd<'a> {
    /// Identities of the connections.
    pub fn whos(&self) -> impl Iterator<Item = &'a Ident> + Clone {
        self.conns.iter().map(|conn| &conn.who)
    }

    /// Number of connections.
    pub fn size(&self) -> u64 {
        self.conns.len() as u64
    }

    /// Creates a finding; `age_ms` returns the age of a connection.
    pub fn finding(
        &self,
        facts: &Facts,
        limits: &Bound,
        rule: &'static str,
        kind: Kind,
        age_ms: impl Fn(&Conn) -> u64,
    ) -> Finding {
        let mut finding = self.unjudged(facts, rule, kind, age_ms);
        if self.size() >= limits.get(&CRITICAL) {
            finding.severity = Severity::Critical;
        }
        let block = finding.subject.addresses();
        let action = other_ends(facts, self.whos(), self.size());
        finding.remedy(action.unwrap_or(Action::LimitSources { block }))
    }

    /// Creates a warning without remedies.
    pub fn unjudged(
        &self,
        facts: &Facts,
        rule: &'static str,
        kind: Kind,
        age_ms: impl Fn(&Conn) -> u64,
    ) -> Finding {
        let subject = facts.subject(&self.service, self.whos());
        let problem = Problem {
            kind,
            connections: self.size(),
            sources: subject.sources(),
            listener: facts.at(&self.service),
        };
        let oldest = self.conns.iter().map(|c| age_ms(c)).max();
        Finding::new(rule, Severity::Warning, problem, subject)
            .number("connections", self.size())
            .number("established", facts.live(&self.service).established)
            .number("oldest_s", oldest.unwrap_or(0) / 1_000)
    }
}

/// If most of the other ends of these connections are on this host, too: their process is the cause.
pub fn other_ends<'a>(
    facts: &Facts,
    whos: impl Iterator<Item = &'a Ident>,
    size: u64,
) -> Option<Action> {
    let others: Vec<&Conn> = whos.filter_map(|who| facts.other_end(who)).collect();
    let netns = others.first()?.who.netns;
    let owner = facts.owners(netns, others.iter().map(|c| &c.who)).owner;
    let connections = others.len() as u64;
    (connections * 2 > size).then(|| Action::SeeOtherEnds {
        owner,
        connections,
        unread: sum(others.iter().map(|c| c.unread())),
    })
}

/// Finds crowds among the connections that match `is_one`.
pub fn crowds<'a>(
    facts: &'a Facts,
    limits: &Bound,
    is_one: impl Fn(&Conn) -> bool,
) -> Vec<Crowd<'a>> {
    let mut by_service: BTreeMap<_, Vec<&Conn>> = BTreeMap::new();
    for conn in facts.conns.iter().filter(|c| is_one(c)) {
        let service = facts.service(&conn.who);
        if service.side == Side::Server {
            by_service.entry(service).or_default().push(conn);
        }
    }
    let crowd = |(service, conns)| crowd(facts, limits, service, conns);
    by_service.into_iter().filter_map(crowd).collect()
}

fn crowd<'a>(
    facts: &Facts,
    limits: &Bound,
    service: Service,
    mut conns: Vec<&'a Conn>,
) -> Option<Crowd<'a>> {
    let source = |conn: &Conn| conn.who.peer();
    let sources = Tally::of(conns.iter().map(|c| source(c)));
    let many: Vec<_> = sources.at_least(limits.get(&ONE_SOURCE));
    let all = conns.len() as u64;
    let share = percent(all, facts.live(&service).established);
    if all >= limits.get(&MANY_SOURCES) && share >= limits.get(&SHARE) {
        // They are most of the listener's connections, whatever the sources.
    } else if many.is_empty() {
        return None;
    }
    if !many.is_empty() {
        let many: HashSet<_> = many.into_iter().map(|(addr, _)| addr).collect();
        conns.retain(|conn| many.contains(&source(conn)));
    }
    Some(Crowd { service, conns })
}
