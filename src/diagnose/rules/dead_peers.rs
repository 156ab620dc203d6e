//! ESTABLISHED connections whose peer disappeared without closing.

use std::collections::BTreeMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::mtu_black_hole::Stalls;
use crate::diagnose::rules::pile::{Kind, Pile, is_retransmitting};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::Service;
use crate::fmt::text::words;
use crate::model::conn::{Activity, Conn};
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["dead-peers"],
    looks_at: words!(
        "ESTABLISHED connections, by listener or destination, whose retransmissions or \
               keepalives are not answered; and, as information, those that are idle for long \
               without keepalive or TCP_USER_TIMEOUT",
        "重传或 keepalive 得不到应答的 ESTABLISHED 连接，按监听端或目的地统计；长时间空闲且未启用 keepalive 和 TCP_USER_TIMEOUT 的连接只作为提示"
    ),
    refuted_by: words!(
        "an acknowledgement after the retransmissions; data that has come since the first \
                 of them, or a peer that was heard just before and has never acknowledged a full \
                 packet (`mtu-black-hole`); a zero window whose probes are answered",
        "重传之后得到确认；第一次重传以来收到过数据，或对端刚才还有响应但从未确认过满长的报文（`mtu-black-hole`）；零窗口的探测得到应答"
    ),
    alike: words!(
        "a host that is down, and a firewall that forgot the connection",
        "主机宕机，与防火墙丢失了连接记录"
    ),
    remedy: words!(
        "compare the peers; keepalive or TCP_USER_TIMEOUT in the program",
        "比较各对端；在程序中启用 keepalive 或 TCP_USER_TIMEOUT"
    ),
    limits: &[COUNT, RETRANSMITS, PROBES, IDLE_COUNT, IDLE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 20,
    range: (1, 100_000_000),
    unit: words!("connections without an answer", "得不到应答的连接数"),
    why: words!(
        "mobile clients vanish one by one all the time",
        "移动客户端随时会零星消失"
    ),
};
const RETRANSMITS: Limit = Limit {
    key: "retransmits",
    default: 3,
    range: (1, 255),
    unit: words!("time-outs in a row", "连续超时次数"),
    why: words!(
        "a path that loses a tenth of the packets loses three in a row in one of a thousand",
        "丢包率为十分之一的路径，连续丢三次的概率是千分之一"
    ),
};
const PROBES: Limit = Limit {
    key: "probes",
    default: 2,
    range: (1, 255),
    unit: words!(
        "keepalives in a row that were not answered",
        "连续未得到应答的 keepalive 次数"
    ),
    why: words!("one may be lost", "偶尔会丢失一次"),
};
const IDLE_COUNT: Limit = Limit {
    key: "idle-count",
    default: 100,
    range: (1, 100_000_000),
    unit: words!(
        "idle connections without keepalive",
        "未启用 keepalive 的空闲连接数"
    ),
    why: words!("fewer cost nothing", "更少则没有开销"),
};
const IDLE: Limit = Limit {
    key: "idle-s",
    default: 7_200,
    range: (1, 31_536_000),
    unit: words!(
        "seconds without data in either direction",
        "双向均无数据的秒数"
    ),
    why: words!(
        "the default time of keepalive; few firewalls remember a connection for longer",
        "keepalive 的默认时间；很少有防火墙把连接记录保留更久"
    ),
};

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Compare the peers.
    ComparePeers,
    /// Give up retransmitting earlier.
    LowerRetries,
    /// Enable keepalive in the program.
    SetKeepalive,
    /// Effect of the time before the first probe.
    KeepaliveTime,
    /// Effect of the time between probes.
    KeepaliveInterval,
    /// Effect of the number of probes.
    KeepaliveProbes,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let (mut dead, mut idle): (BTreeMap<_, Vec<&Conn>>, BTreeMap<_, Vec<&Conn>>) =
        Default::default();
    let stalls = Stalls::new(facts, limits);
    for conn in facts.conns.iter().filter(|c| c.state == State::ESTABLISHED) {
        let Some(activity) = conn.activity else {
            continue;
        };
        // Its peer is there.
        if stalls.refute(conn) {
            continue;
        }
        if is_dead(limits, conn, &activity) {
            dead.entry(facts.service(&conn.who)).or_default().push(conn);
        } else if is_idle(limits, &activity) {
            idle.entry(facts.service(&conn.who)).or_default().push(conn);
        }
    }
    let many = |all: BTreeMap<Service, Vec<_>>, least| {
        let pile = |(service, conns)| Pile { service, conns };
        let piles: Vec<Pile> = all.into_iter().map(pile).collect();
        piles.into_iter().filter(move |p| p.size() >= least)
    };
    let dead = many(dead, limits.get(&COUNT)).map(|pile| unanswered(facts, &pile));
    let idle = many(idle, limits.get(&IDLE_COUNT)).map(|pile| silent(facts, &pile));
    dead.chain(idle).collect()
}

fn is_dead(limits: &Bound, conn: &Conn, activity: &Activity) -> bool {
    // A peer that is probed because its window is zero is alive as long as it answers; in that case
    // data is queued.
    let keepalive = activity.unacked == 0 && conn.meters.is_some_and(|m| m.sndbuf_used == 0);
    u64::from(activity.retransmits) >= limits.get(&RETRANSMITS)
        || keepalive && u64::from(activity.probes) >= limits.get(&PROBES)
}

/// Time since data was last received or sent; 0 if unknown.
fn quiet_ms(activity: &Activity) -> u64 {
    let stamps = [activity.last_recv_ms, activity.last_sent_ms];
    stamps.into_iter().flatten().min().unwrap_or(0)
}

fn is_idle(limits: &Bound, activity: &Activity) -> bool {
    quiet_ms(activity) >= limits.get(&IDLE) * 1_000 && !activity.keepalive && !activity.user_timeout
}

fn unanswered(facts: &Facts, pile: &Pile) -> Finding {
    let activities = || pile.conns.iter().filter_map(|c| c.activity);
    let finding = pile
        .warning(facts, "dead-peers", Kind::Unanswered)
        .number("retransmitting", pile.count(is_retransmitting))
        .number(
            "most_retransmits",
            activities()
                .map(|a| u64::from(a.retransmits))
                .max()
                .unwrap_or(0),
        )
        .number(
            "unacked_segments",
            activities().map(|a| u64::from(a.unacked)).sum::<u64>(),
        )
        .remedy(Action::ComparePeers)
        .remedy_if(facts.remedy(
            pile.service.netns,
            "net.ipv4.tcp_retries2",
            Action::LowerRetries,
        ));
    keepalive(facts, pile, finding)
}

fn silent(facts: &Facts, pile: &Pile) -> Finding {
    let mut finding = pile
        .warning(facts, "dead-peers", Kind::Idle)
        .variant("idle");
    finding.severity = Severity::Info;
    let quiet = |a: Activity| quiet_ms(&a) / 1_000;
    let longest = pile
        .conns
        .iter()
        .filter_map(|c| c.activity)
        .map(quiet)
        .max();
    keepalive(facts, pile, finding.number("idle_s", longest.unwrap_or(0)))
}

fn keepalive(facts: &Facts, pile: &Pile, finding: Finding) -> Finding {
    let asked = pile.count(|c| c.activity.is_some_and(|a| a.keepalive));
    let finding = finding
        .number("with_keepalive", asked)
        .remedy(Action::SetKeepalive);
    [
        ("net.ipv4.tcp_keepalive_time", Action::KeepaliveTime),
        ("net.ipv4.tcp_keepalive_intvl", Action::KeepaliveInterval),
        ("net.ipv4.tcp_keepalive_probes", Action::KeepaliveProbes),
    ]
    .into_iter()
    .fold(finding, |finding, (setting, action)| {
        finding.remedy_if(facts.remedy(pile.service.netns, setting, action))
    })
}
