//! Connections of one listener, or to one destination, that remain in a state that is normally
//! short.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::{SocketAddress, Sources};
use crate::diagnose::rules::Bound;
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::percent;
use crate::fmt::text::words;
use crate::model::conn::{Activity, Conn};
use crate::model::ident::Ident;
use crate::model::state::State;

/// Share of the service's connections.
pub const SHARE: Limit = Limit {
    key: "share",
    default: 10,
    range: (0, 100),
    unit: words!(
        "percent of the listener's, or the destination's, connections without TIME_WAIT",
        "占该监听端或目的地的连接（不含 TIME_WAIT）的百分比"
    ),
    why: words!(
        "some clients of a large crowd vanish at any time",
        "大量客户端中随时会有一些消失"
    ),
};

/// Stamps of a socket are in ticks of the kernel, the time in the state is not.
pub const TICKS_MS: u64 = 100;
/// They are also older: a stamp is of the moment at which its connection was read, and reading all
/// data of a large host takes seconds.
const READING_MS: u64 = 5_000;

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What the connections wait for.
    pub kind: Kind,
    /// Number of connections.
    pub connections: u64,
    /// The listener or destination.
    pub at: SocketAddress,
    /// Sources of the connections of a listener; `None` for a destination.
    pub sources: Option<Sources>,
}

/// What the connections of a pile wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In FIN_WAIT1 for the acknowledgement of the FIN.
    FinWait1,
    /// In FIN_WAIT2 for the peer's FIN.
    FinWait2,
    /// In LAST_ACK for the last ACK.
    LastAck,
    /// In ESTABLISHED for a peer that does not answer.
    Unanswered,
    /// In ESTABLISHED without activity.
    Idle,
}

/// Connections that have piled up.
pub struct Pile<'a> {
    /// The listener or destination.
    pub service: Service,
    /// The connections.
    pub conns: Vec<&'a Conn>,
}

/// Creates a finding for each pile of a state: at least `count` connections that have been in it
/// for `age` seconds and that match `is_stuck`.
pub fn findings<'a>(
    facts: &'a Facts,
    limits: &Bound,
    state: State,
    (count, age): (&Limit, &Limit),
    is_stuck: impl Fn(&Conn) -> bool,
    finding: impl Fn(&Pile<'a>) -> Finding,
) -> Vec<Finding> {
    let old = facts.in_state(&[state], limits.get(age) * 1_000);
    let pile = |(service, mut conns): (Service, Vec<&'a Conn>)| {
        conns.retain(|conn| is_stuck(conn));
        let size = conns.len() as u64;
        let share = percent(size, facts.live(&service).all);
        let is_pile = size >= limits.get(count) && share >= limits.get(&SHARE);
        is_pile.then(|| finding(&Pile { service, conns }))
    };
    old.into_iter().filter_map(pile).collect()
}

impl<'a> Pile<'a> {
    /// Identities of the connections.
    pub fn whos(&self) -> impl Iterator<Item = &'a Ident> + Clone {
        self.conns.iter().map(|c| &c.who)
    }

    /// Number of connections.
    pub fn size(&self) -> u64 {
        self.conns.len() as u64
    }

    /// Number of connections that match `is_so`.
    pub fn count(&self, is_so: impl Fn(&Conn) -> bool) -> u64 {
        self.conns.iter().filter(|c| is_so(c)).count() as u64
    }

    /// Creates a warning.
    pub fn warning(&self, facts: &Facts, rule: &'static str, kind: Kind) -> Finding {
        let subject = facts.subject(&self.service, self.whos());
        let problem = Problem {
            kind,
            connections: self.size(),
            at: facts.at(&self.service),
            sources: (self.service.side == Side::Server).then(|| subject.sources()),
        };
        let oldest = self.conns.iter().map(|c| facts.age_ms(c)).max();
        Finding::new(rule, Severity::Warning, problem, subject)
            .number("connections", self.size())
            .number("live", facts.live(&self.service).all)
            .number("oldest_s", oldest.unwrap_or(0) / 1_000)
    }
}

/// Whether data that it sent was not acknowledged in time.
pub fn is_retransmitting(conn: &Conn) -> bool {
    conn.activity.is_some_and(|a| a.retransmits > 0)
}

/// Whether no process has the socket open any more.
pub fn is_orphan(conn: &Conn) -> bool {
    conn.activity.is_some_and(|a| a.orphan)
}

/// Whether what happened `ago_ms` ago happened since the connection has been in its state, and
/// less than `within_ms` ago.
pub fn is_since(facts: &Facts, conn: &Conn, ago_ms: Option<u64>, within_ms: u64) -> bool {
    let since = |ms: u64| ms.saturating_add(TICKS_MS + READING_MS) < facts.age_ms(conn);
    ago_ms.is_some_and(|ms| since(ms) && ms < within_ms)
}

/// Whether the peer still acknowledges what the socket sends: it has sent something within
/// `within_ms`, and waits neither for an acknowledgement nor for the window.
pub fn is_draining(conn: &Conn, within_ms: u64) -> bool {
    let sends = |a: Activity| {
        let lately = a.last_sent_ms.is_some_and(|ms| ms < within_ms);
        lately && a.retransmits == 0 && a.probes == 0
    };
    conn.activity.is_some_and(sends)
}
