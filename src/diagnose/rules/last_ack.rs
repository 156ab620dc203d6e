//! Both ends have closed, but the last ACK does not arrive.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::mtu_black_hole::Stalls;
use crate::diagnose::rules::pile::{self, Kind, is_orphan, is_retransmitting};
use crate::diagnose::rules::{Bound, Rule};
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["last-ack"],
    looks_at: words!(
        "connections in LAST_ACK, by listener or destination",
        "处于 LAST_ACK 的连接，按监听端或目的地统计"
    ),
    refuted_by: words!(
        "a FIN that is only seconds old; data that the peer still takes and acknowledges; \
                 a share of the connections that is small",
        "FIN 发出才几秒；对端仍在接收并确认数据；所占比例很小"
    ),
    alike: words!(
        "peers that are gone, and a path that drops the last ACK",
        "对端已消失，与路径丢弃最后一个 ACK"
    ),
    remedy: words!("compare the peers", "比较各对端"),
    limits: &[COUNT, AGE, pile::SHARE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 100,
    range: (1, 100_000_000),
    unit: words!("connections", "连接数"),
    why: words!(
        "fewer are peers that vanished one by one",
        "更少则是零星消失的对端"
    ),
};
const AGE: Limit = Limit {
    key: "age-s",
    default: 10,
    range: (0, 86_400),
    unit: words!("seconds in LAST_ACK, at least", "处于 LAST_ACK 的最少秒数"),
    why: words!(
        "the last ACK comes within a round trip, after some losses within seconds",
        "最后一个 ACK 在一个往返时间内到达，即使有丢包也只需几秒"
    ),
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
