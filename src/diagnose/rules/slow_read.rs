//! Clients that read their responses very slowly: the server keeps the rest in memory, and a worker
//! or a connection stays occupied.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::crowd::{self, Kind, crowds};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::tally::sum;
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["slow-read"],
    looks_at: words!(
        "connections of a listener in ESTABLISHED, FIN_WAIT1 or CLOSE_WAIT that have data to \
               send, to a peer that has a small window or must be probed, and that has \
               acknowledged few bytes a second",
        "监听端处于 ESTABLISHED、FIN_WAIT1 或 CLOSE_WAIT 且有数据待发送的连接，其对端窗口很小或需要探测，并且每秒只确认很少的字节"
    ),
    refuted_by: words!(
        "a window that is open; bytes that the peer acknowledges at a normal rate; a peer \
                 that acknowledges nothing (it is gone); a peer on this host is named as the cause, \
                 and not to be blocked",
        "窗口是打开的；对端以正常速率确认数据；对端什么也不确认（它已消失）；对端在本机时指明该进程是原因，不应封禁"
    ),
    alike: words!(
        "an honest program that is stopped in a debugger",
        "在调试器中暂停的正常程序"
    ),
    remedy: words!(
        "end answers that the client does not read, limit connections per source",
        "结束客户端不读取的应答，限制单个来源的连接数"
    ),
    limits: &[
        crowd::ONE_SOURCE,
        crowd::MANY_SOURCES,
        crowd::SHARE,
        crowd::CRITICAL,
        AGE,
        WINDOW,
        RATE,
        STUCK,
    ],
    find,
};

const AGE: Limit = Limit {
    key: "age-s",
    default: 8,
    range: (1, 86_400),
    unit: words!("seconds of the connection, at least", "连接存在的最少秒数"),
    why: words!(
        "an answer takes longer only if it is large or the client is slow",
        "只有应答很大或客户端很慢时才需要更久"
    ),
};
const WINDOW: Limit = Limit {
    key: "window",
    default: 2_920,
    range: (1, 1_073_725_440),
    unit: words!(
        "bytes of the peer's window, less than this",
        "对端窗口的字节数，须小于此值"
    ),
    why: words!(
        "two full segments: an honest program that reads has room for more",
        "两个满长的报文段：正常读取的程序有更大的空间"
    ),
};
const RATE: Limit = Limit {
    key: "bytes-per-second",
    default: 1_024,
    range: (1, 1_000_000_000),
    unit: words!(
        "acknowledged a second on average, less than this",
        "平均每秒确认的字节数，须小于此值"
    ),
    why: words!(
        "the slowest mobile networks take more",
        "最慢的移动网络也比这快"
    ),
};
const STUCK: Limit = Limit {
    key: "stuck-s",
    default: 5,
    range: (1, 86_400),
    unit: words!(
        "seconds since data could last be sent; from then on the average does not count",
        "距上次能够发送数据的秒数；超过后不再考虑平均值"
    ),
    why: words!(
        "a first window that was large makes the average look good for minutes",
        "较大的初始窗口会使平均值在数分钟内看起来正常"
    ),
};

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// End responses that the client does not read.
    EndAnswers,
}

/// Number of consecutive retransmission time-outs.
const DEAD: u8 = 3;

fn is_slow(facts: &Facts, limits: &Bound, conn: &Conn) -> bool {
    let (Some(meters), Some(activity)) = (conn.meters, conn.activity) else {
        return false;
    };
    let lifetime = facts.lifetime_ms(conn);
    let states = [State::ESTABLISHED, State::FIN_WAIT1, State::CLOSE_WAIT];
    let slow =
        meters.bytes_acked.saturating_mul(1_000) < limits.get(&RATE).saturating_mul(lifetime);
    let stuck = activity.last_sent_ms.unwrap_or(0) >= limits.get(&STUCK) * 1_000;
    states.contains(&conn.state)
        && lifetime >= limits.get(&AGE) * 1_000
        && meters.sndbuf_used > 0
        && (u64::from(meters.snd_wnd) < limits.get(&WINDOW) || activity.probes > 0)
        // A peer that acknowledges nothing is not slow but gone.
        && activity.retransmits < DEAD
        && (slow || stuck)
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let crowds = crowds(facts, limits, |conn| is_slow(facts, limits, conn));
    let finding = |crowd: crowd::Crowd| {
        let age_ms = |conn: &Conn| facts.lifetime_ms(conn);
        let meters = || crowd.conns.iter().filter_map(|c| c.meters);
        let acked = sum(meters().map(|m| m.bytes_acked));
        let ages = sum(crowd.conns.iter().map(|c| age_ms(c)));
        let windows = meters().map(|m| u64::from(m.snd_wnd));
        let queued: u64 = meters().map(|m| u64::from(m.sndbuf_used)).sum();
        crowd
            .finding(facts, limits, "slow-read", Kind::SlowReads, age_ms)
            .number(
                "bytes_per_second_each",
                acked.saturating_mul(1_000) / ages.max(1),
            )
            .number("largest_window", windows.max().unwrap_or(0))
            .number("sndbuf_used", queued)
            .remedy(Action::EndAnswers)
    };
    crowds.into_iter().map(finding).collect()
}
