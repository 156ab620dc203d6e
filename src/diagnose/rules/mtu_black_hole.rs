//! Small packets pass and large ones are lost: the path has a smaller MTU than it tells.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::{SocketAddress, Sources};
use crate::diagnose::rules::pile::{self, Pile};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::{Tally, percent};
use crate::fmt::text::words;
use crate::model::conn::{Activity, Conn};
use crate::model::ident::{Ident, Remote};
use crate::model::meters::Meters;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["mtu-black-hole"],
    looks_at: words!(
        "connections, by listener or destination, that retransmit data of more than a small \
               packet, and whose peer has sent data since the first retransmission, or just before \
               it if none of its connections has ever had a full packet acknowledged",
        "正在重传较大报文的连接，且对端在第一次重传之后发送过数据（若其连接从未有满长的报文得到确认，则在第一次重传之前不久也算），按监听端或目的地统计"
    ),
    refuted_by: words!(
        "a peer from which nothing has come since; data that fits into a small packet; \
                 full packets that the peer has acknowledged; a share of the connections so small \
                 that some clients have vanished",
        "此后没有收到对端的任何数据；数据装得进小报文；对端确认过满长的报文；所占比例很小，只是部分客户端消失"
    ),
    alike: words!(
        "a path that loses all that we send, but not what the peer sends; an outage that \
            begins just after the peers' requests",
        "路径丢失本机发送的一切、但不丢失对端发送的报文；恰在对端的请求到达之后开始的网络中断"
    ),
    remedy: words!(
        "let ICMP `fragmentation needed` (IPv6: `packet too big`) through, clamp the MSS on \
             the router of the tunnel, or enable `tcp_mtu_probing`",
        "放行 ICMP `fragmentation needed`（IPv6 为 `packet too big`），在隧道的路由器上限制 MSS，或启用 `tcp_mtu_probing`"
    ),
    limits: &[COUNT, pile::SHARE, HEARD, RETRANSMITS],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 10,
    range: (1, 100_000_000),
    unit: words!(
        "connections that stall, whether or not their peer has been heard since",
        "停滞的连接数，无论对端此后是否有响应"
    ),
    why: words!(
        "mobile clients that vanish just after their request look the same, one by one",
        "发出请求后随即消失的移动客户端，单个看来与此相同"
    ),
};
const HEARD: Limit = Limit {
    key: "heard",
    default: 3,
    range: (1, 100_000_000),
    unit: words!(
        "connections that stall although their peer has been heard since",
        "停滞而对端此后仍有响应的连接数"
    ),
    why: words!(
        "a peer that is heard is not gone; a few packets may be lost by chance",
        "有响应的对端没有消失；少数报文可能偶然丢失"
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

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Number of connections.
    pub connections: u64,
    /// The listener or destination.
    pub at: SocketAddress,
    /// The peers of a listener; `None` for a destination.
    pub sources: Option<Sources>,
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Test the path, and let ICMP through.
    TestPath,
    /// Clamp the MSS on the router.
    ClampMss,
    /// Effect of probing for the MTU.
    MtuProbing,
}

/// States in which there may be data to send.
const SENDING: [State; 4] = [
    State::ESTABLISHED,
    State::CLOSE_WAIT,
    State::FIN_WAIT1,
    State::LAST_ACK,
];
/// Used bytes of a send buffer that has more than one small packet: an empty packet takes up to
/// 1,280 of them, and the smallest MTU of IPv6 is as large.
const MORE_THAN_SMALL: u32 = 2_400;
/// Acknowledged bytes that are certainly not only those of small packets.
const LARGE_PASSED: u64 = 4_096;
/// The first retransmission comes after this time at least (`TCP_RTO_MIN`).
const FIRST_TIMEOUT_MS: u64 = 200;
/// The first retransmission if no round trip was measured (`TCP_TIMEOUT_INIT`).
const BLIND_TIMEOUT_MS: u64 = 1_000;
/// Time-outs grow until this number of them (`TCP_RTO_MAX`).
const MOST_DOUBLINGS: u8 = 9;
/// Time that a program may take between its peer's last data and its own first.
const ANSWERED_MS: u64 = 2_000;

/// Connections whose packets the path may swallow.
pub struct Stalls<'a, 'h> {
    facts: &'a Facts<'h>,
    retransmits: u64,
    heard: u64,
    count: u64,
    share: u64,
    /// Peers that have acknowledged more than small packets, collected on first use.
    passed: OnceCell<HashSet<(u32, Remote)>>,
    holes: OnceCell<BTreeMap<Service, Hole<'a>>>,
}

/// Connections of a service that stall.
#[derive(Default)]
struct Hole<'a> {
    conns: Vec<&'a Conn>,
    heard: u64,
}

/// What a connection that retransmits shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stall {
    /// The peer has sent data since: it is not gone.
    Heard {
        /// Whether large packets are lost; otherwise small ones are lost as well.
        large: bool,
    },
    /// Large packets are lost, and the peer was heard just before.
    Likely,
}

impl<'a, 'h> Stalls<'a, 'h> {
    /// With the limits of this rule, whichever rule asks.
    pub fn new(facts: &'a Facts<'h>, limits: &Bound) -> Self {
        let limit = |limit| limits.of(&RULE, limit);
        Self {
            facts,
            retransmits: limit(&RETRANSMITS),
            heard: limit(&HEARD),
            count: limit(&COUNT),
            share: limit(&pile::SHARE),
            passed: OnceCell::new(),
            holes: OnceCell::new(),
        }
    }

    /// Whether a connection that waits for an acknowledgement gets none, and nothing refutes that its
    /// peer is gone.
    pub fn is_stuck(&self, conn: &Conn, within_ms: u64) -> bool {
        !pile::is_draining(conn, within_ms) && !self.refute(conn)
    }

    /// Whether it is refuted that the peer of a connection is gone: it was heard, or it is one of
    /// those that large packets do not reach.
    pub fn refute(&self, conn: &Conn) -> bool {
        match self.of(conn) {
            Some(Stall::Heard { .. }) => true,
            Some(Stall::Likely) => self.holes().contains_key(&self.facts.service(&conn.who)),
            None => false,
        }
    }

    /// The services whose connections stall.
    fn holes(&self) -> &BTreeMap<Service, Hole<'a>> {
        self.holes.get_or_init(|| {
            let mut holes: BTreeMap<Service, Hole> = BTreeMap::new();
            for conn in &self.facts.conns {
                let heard = match self.of(conn) {
                    Some(Stall::Heard { large: true }) => 1,
                    Some(Stall::Likely) => 0,
                    Some(Stall::Heard { large: false }) | None => continue,
                };
                let hole = holes.entry(self.facts.service(&conn.who)).or_default();
                hole.conns.push(conn);
                hole.heard += heard;
            }
            holes.retain(|service, hole| self.is_hole(service, hole));
            holes
        })
    }

    fn is_hole(&self, service: &Service, hole: &Hole) -> bool {
        let all = hole.conns.len() as u64;
        let share = percent(all, self.facts.live(service).all);
        hole.heard >= self.heard || all >= self.count && share >= self.share
    }

    /// Whether the peer of a connection has acknowledged more than small packets, on any of its
    /// connections.
    fn has_passed(&self, who: &Ident) -> bool {
        let has_passed = |c: &&Conn| c.meters.is_some_and(|m| m.bytes_acked >= LARGE_PASSED);
        let passed = self.passed.get_or_init(|| {
            let conns = self.facts.conns.iter().filter(has_passed);
            conns.map(|c| (c.who.netns, c.who.peer())).collect()
        });
        passed.contains(&(who.netns, who.peer()))
    }

    /// What a connection shows; `None`: it does not retransmit, or its peer may be gone.
    fn of(&self, conn: &Conn) -> Option<Stall> {
        let (activity, meters) = (conn.activity?, conn.meters?);
        let stalls = u64::from(activity.retransmits) >= self.retransmits && activity.unacked > 0;
        if !stalls || !SENDING.contains(&conn.state) {
            return None;
        }
        let heard_ms = activity.last_recv_ms?;
        let large = meters.sndbuf_used >= MORE_THAN_SMALL;
        if heard_ms < least_ms(&activity) {
            return Some(Stall::Heard { large });
        }
        let is_likely = large
            && has_exchanged(&meters)
            && heard_ms <= most_ms(&activity, &meters)
            && !self.has_passed(&conn.who);
        is_likely.then_some(Stall::Likely)
    }
}

/// Milliseconds from the first transmission of the oldest segment that is not acknowledged to its
/// last retransmission, if the first time-out was this long: the time-outs double.
fn timeouts_ms(activity: &Activity, first_ms: u64) -> u64 {
    let doublings = activity.retransmits.min(MOST_DOUBLINGS);
    first_ms * ((1 << doublings) - 1)
}

/// Milliseconds since that first transmission, at least. A retransmission counts as sent, unless
/// this host could not send it.
fn least_ms(activity: &Activity) -> u64 {
    let sent_ms = activity.last_sent_ms.unwrap_or(0);
    timeouts_ms(activity, FIRST_TIMEOUT_MS).max(sent_ms)
}

/// The same, at most: with the round trip, some tolerance, and the time to answer.
fn most_ms(activity: &Activity, meters: &Meters) -> u64 {
    let first_ms = match meters.srtt_us {
        0 => BLIND_TIMEOUT_MS,
        us => FIRST_TIMEOUT_MS + u64::from(us) / 1_000,
    };
    let sent_ms = activity.last_sent_ms.unwrap_or(0);
    let lasts_ms = timeouts_ms(activity, first_ms).saturating_add(sent_ms);
    let tolerated_ms = lasts_ms / 4 + ANSWERED_MS;
    lasts_ms.saturating_add(tolerated_ms)
}

/// Whether data has passed before, in either direction. Our SYN and the peer's FIN count as a byte.
fn has_exchanged(meters: &Meters) -> bool {
    meters.bytes_received > 1 || meters.bytes_acked > 1
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let stalls = Stalls::new(facts, limits);
    let holes = stalls.holes().iter();
    holes
        .map(|(service, hole)| finding(facts, *service, hole))
        .collect()
}

fn finding(facts: &Facts, service: Service, hole: &Hole) -> Finding {
    let conns = hole.conns.clone();
    let pile = Pile { service, conns };
    let mut subject = facts.subject(&service, pile.whos());
    let sources = (service.side == Side::Server).then(|| subject.sources());
    if service.side == Side::Client {
        facts.set_peers(&mut subject, &Tally::of(pile.whos().map(Ident::peer)));
    }
    let problem = Problem {
        connections: pile.size(),
        at: facts.at(&service),
        sources,
    };
    let activities = || pile.conns.iter().filter_map(|c| c.activity);
    let most = activities().map(|a| a.retransmits).max().unwrap_or(0);
    let last = activities().filter_map(|a| a.last_recv_ms).min();
    Finding::new("mtu-black-hole", Severity::Warning, problem, subject)
        .number("connections", pile.size())
        .number("heard_since", hole.heard)
        .number("last_heard_ms", last.unwrap_or(0))
        .number("most_retransmits", most)
        .number(
            "unacked_segments",
            activities().map(|a| u64::from(a.unacked)).sum::<u64>(),
        )
        .number("live", facts.live(&service).all)
        .remedy(Action::TestPath)
        .remedy(Action::ClampMss)
        .remedy_if(facts.remedy(
            service.netns,
            "net.ipv4.tcp_mtu_probing",
            Action::MtuProbing,
        ))
}
