//! Our FIN is not acknowledged: the peer is gone, or does not read data.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::mtu_black_hole::Stalls;
use crate::diagnose::rules::pile::{self, Kind, Pile, is_orphan, is_retransmitting};
use crate::diagnose::rules::{Bound, Rule};
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["fin-wait1"],
    looks_at: words!(
        "connections in FIN_WAIT1, by listener or destination: unsent data, zero windows, \
               orphans",
        "处于 FIN_WAIT1 的连接，按监听端或目的地统计：未发送的数据、零窗口、孤儿连接"
    ),
    refuted_by: words!(
        "a FIN that is only seconds old; data that the peer still takes and acknowledges \
                 (the end of a slow download); a peer that is heard while large packets are lost \
                 (`mtu-black-hole`); a share of the connections so small that some clients have \
                 vanished",
        "FIN 发出才几秒；对端仍在接收并确认数据（慢速下载的末尾）；大报文丢失而对端仍有响应（`mtu-black-hole`）；所占比例很小，只是部分客户端消失"
    ),
    alike: words!(
        "peers that are gone, and a path that drops what we send",
        "对端已消失，与路径丢弃本机发送的报文"
    ),
    remedy: words!(
        "compare the peers; end answers that are not read",
        "比较各对端；结束无人读取的应答"
    ),
    limits: &[COUNT, AGE, pile::SHARE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 100,
    range: (1, 100_000_000),
    unit: words!("connections", "连接数"),
    why: words!(
        "fewer are clients that vanished one by one",
        "更少则是零星消失的客户端"
    ),
};
const AGE: Limit = Limit {
    key: "age-s",
    default: 10,
    range: (0, 86_400),
    unit: words!(
        "seconds in FIN_WAIT1, at least",
        "处于 FIN_WAIT1 的最少秒数"
    ),
    why: words!(
        "a FIN is acknowledged within a round trip, after some losses within seconds",
        "FIN 在一个往返时间内得到确认，即使有丢包也只需几秒"
    ),
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
