//! Many connections to one listener that behave alike: of a few sources, or
//! of so many that most of the listener's connections are of that kind.

use std::collections::{BTreeMap, HashSet};

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::{HostAddress, SocketAddress, Sources};
use crate::diagnose::rules::Bound;
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::{Tally, percent};
use crate::model::conn::Conn;
use crate::model::ident::Ident;

/// Connections of one source.
pub const ONE_SOURCE: Limit = Limit {
    key: "one-source",
    default: 50,
    range: (1, 1_000_000),
    unit: "connections of one source to one listener",
    why: "a browser opens 6 to a server, so a household or a small office stays below",
};
/// Connections of all sources together ...
pub const MANY_SOURCES: Limit = Limit {
    key: "many-sources",
    default: 200,
    range: (1, 1_000_000),
    unit: "connections to one listener",
    why: "fewer hardly ever fill a server's workers",
};
/// ... and their share.
pub const SHARE: Limit = Limit {
    key: "share",
    default: 50,
    range: (1, 100),
    unit: "percent of the listener's ESTABLISHED",
    why: "below half, a busy server may simply have that many slow clients",
};

/// From when on many is a disaster.
pub const CRITICAL: Limit = Limit {
    key: "critical",
    default: 500,
    range: (1, 10_000_000),
    unit: "connections",
    why: "a web server's usual limit of workers or connections is between 150 and 1,024",
};

/// What is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What the connections do.
    pub kind: Kind,
    /// How many.
    pub connections: u64,
    /// Where they come from.
    pub sources: Sources,
    /// Where they go.
    pub listener: SocketAddress,
}

/// What the connections of a crowd do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They do not finish the headers of their requests.
    SlowHeaders,
    /// They do not finish the bodies.
    SlowBodies,
    /// One or the other.
    SlowRequests,
    /// They hardly take the answers.
    SlowReads,
    /// They carry no data.
    Silent,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Limit the connections of one source.
    LimitSources {
        /// The sources that stand out.
        block: Vec<HostAddress>,
    },
}

/// The connections of a crowd.
pub struct Crowd<'a> {
    /// The listener.
    pub service: Service,
    /// Those of the sources that are many; all when it is the sources that are many.
    pub conns: Vec<&'a Conn>,
}

impl<'a> Crowd<'a> {
    /// Who they are.
    pub fn whos(&self) -> impl Iterator<Item = &'a Ident> + Clone {
        self.conns.iter().map(|conn| &conn.who)
    }

    /// How many.
    pub fn size(&self) -> u64 {
        self.conns.len() as u64
    }

    /// What a rule has found: `age_ms` is how old each of the connections is.
    pub fn finding(
        &self,
        facts: &Facts,
        limits: &Bound,
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
        let severity = match self.size() >= limits.get(&CRITICAL) {
            true => Severity::Critical,
            false => Severity::Warning,
        };
        let oldest = self.conns.iter().map(|c| age_ms(c)).max();
        let block = subject.addresses();
        Finding::new(rule, severity, problem, subject)
            .number("connections", self.size())
            .number("established", facts.live(&self.service).established)
            .number("oldest_s", oldest.unwrap_or(0) / 1_000)
            .remedy(Action::LimitSources { block })
    }
}

/// The crowds among the connections that `is_one` picks.
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
        // Most of what it has: whoever they are.
    } else if many.is_empty() {
        return None;
    }
    if !many.is_empty() {
        let many: HashSet<_> = many.into_iter().map(|(addr, _)| addr).collect();
        conns.retain(|conn| many.contains(&source(conn)));
    }
    Some(Crowd { service, conns })
}
