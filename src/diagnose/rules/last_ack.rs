//! Both ends have closed, but the last ACK does not arrive.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::mtu_black_hole::Stalls;
use crate::diagnose::rules::pile::{self, Kind, is_orphan, is_retransmitting};
use crate::diagnose::rules::{Bound, Rule};
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["last-ack"],
    looks_at: "connections in LAST_ACK, by listener or destination",
    refuted_by: "a FIN that is only seconds old; data that the peer still takes and acknowledges; \
                 a share of the connections that is small",
    alike: "peers that are gone, and a path that drops the last ACK",
    remedy: "compare the peers",
    limits: &[COUNT, AGE, pile::SHARE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 100,
    range: (1, 100_000_000),
    unit: "connections",
    why: "fewer are peers that vanished one by one",
};
const AGE: Limit = Limit {
    key: "age-s",
    default: 10,
    range: (0, 86_400),
    unit: "seconds in LAST_ACK, at least",
    why: "the last ACK comes within a round trip, after some losses within seconds",
};

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Compare the peers.
    ComparePeers,
    /// When orphans are given up.
    OrphanRetries,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let finding = |pile: &pile::Pile| {
        pile.warning(facts, "last-ack", Kind::LastAck)
            .number("retransmitting", pile.count(is_retransmitting))
            .number("orphans", pile.count(is_orphan))
            .remedy(Action::ComparePeers)
            .remedy_if(facts.remedy(
                pile.service.netns,
                "net.ipv4.tcp_orphan_retries",
                Action::OrphanRetries,
            ))
    };
    let stalls = Stalls::new(facts, limits);
    let age_ms = limits.get(&AGE) * 1_000;
    let is_stuck = |conn: &Conn| stalls.is_stuck(conn, age_ms);
    pile::findings(
        facts,
        limits,
        State::LAST_ACK,
        (&COUNT, &AGE),
        is_stuck,
        finding,
    )
}
