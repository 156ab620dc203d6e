//! Our FIN is not acknowledged: the peer is gone, or does not read data.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::mtu_black_hole::Stalls;
use crate::diagnose::rules::pile::{self, Kind, Pile, is_orphan, is_retransmitting};
use crate::diagnose::rules::{Bound, Rule};
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["fin-wait1"],
    looks_at: "connections in FIN_WAIT1, by listener or destination: unsent data, zero windows, \
               orphans",
    refuted_by: "a FIN that is only seconds old; data that the peer still takes and acknowledges \
                 (the end of a slow download); a peer that is heard while large packets are lost \
                 (`mtu-black-hole`); a share of the connections so small that some clients have \
                 vanished",
    alike: "peers that are gone, and a path that drops what we send",
    remedy: "compare the peers; end answers that are not read",
    limits: &[COUNT, AGE, pile::SHARE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 100,
    range: (1, 100_000_000),
    unit: "connections",
    why: "fewer are clients that vanished one by one",
};
const AGE: Limit = Limit {
    key: "age-s",
    default: 10,
    range: (0, 86_400),
    unit: "seconds in FIN_WAIT1, at least",
    why: "a FIN is acknowledged within a round trip, after some losses within seconds",
};

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The peers do not read.
    SeeSlowRead,
    /// Compare the peers.
    ComparePeers,
    /// Give up orphans earlier.
    LowerOrphanRetries,
    /// Effect of the limit of orphans.
    MaxOrphans,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let stalls = Stalls::new(facts, limits);
    let age_ms = limits.get(&AGE) * 1_000;
    let is_stuck = |conn: &Conn| stalls.is_stuck(conn, age_ms);
    pile::findings(
        facts,
        limits,
        State::FIN_WAIT1,
        (&COUNT, &AGE),
        is_stuck,
        |pile| finding(facts, pile),
    )
}

fn finding(facts: &Facts, pile: &Pile) -> Finding {
    let zero = pile.count(|c| c.meters.is_some_and(|m| m.snd_wnd == 0));
    let netns = pile.service.netns;
    pile.warning(facts, "fin-wait1", Kind::FinWait1)
        .number(
            "unsent",
            pile.count(|c| c.meters.is_some_and(|m| m.sndbuf_used > 0)),
        )
        .number("zero_window", zero)
        .number("retransmitting", pile.count(is_retransmitting))
        .number("orphans", pile.count(is_orphan))
        .remedy(match zero * 2 > pile.size() {
            true => Action::SeeSlowRead,
            false => Action::ComparePeers,
        })
        .remedy_if(facts.remedy(
            netns,
            "net.ipv4.tcp_orphan_retries",
            Action::LowerOrphanRetries,
        ))
        .remedy_if(facts.remedy(netns, "net.ipv4.tcp_max_orphans", Action::MaxOrphans))
}
