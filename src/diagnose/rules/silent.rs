//! Connections that never transferred data.

use std::collections::HashSet;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::crowd::{self, Crowd, Kind, crowds};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::tally::percent;
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::ident::{Ident, Remote};
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["silent-connections"],
    looks_at: words!(
        "ESTABLISHED connections of a listener without a byte in either direction",
        "监听端的双向均无任何字节的 ESTABLISHED 连接"
    ),
    refuted_by: words!(
        "a byte in either direction, also on another subflow of the same MPTCP connection; a \
                 connection that is still young; clients on this host, and a few clients that keep \
                 a pool: keepalive at either end, or other connections of the same client to this \
                 listener that are used (then it is information)",
        "任一方向有过字节，包括同一 MPTCP 连接的其他子流；连接还很新；本机上的客户端，以及保持连接池的少数客户端：任一端启用了 keepalive，或同一客户端到该监听端的其他连接在使用中（则只作为提示）"
    ),
    alike: words!(
        "a pool that a proxy keeps ready without keepalive, port scanners that hold their \
            connections",
        "代理保持备用且未启用 keepalive 的连接池，与不释放连接的端口扫描器"
    ),
    remedy: words!(
        "let the server close what asks for nothing, limit connections per source",
        "让服务器关闭没有请求的连接，限制单个来源的连接数"
    ),
    limits: &[
        crowd::ONE_SOURCE,
        crowd::MANY_SOURCES,
        crowd::SHARE,
        crowd::CRITICAL,
        AGE,
        CLIENTS,
        USED,
    ],
    find,
};

const AGE: Limit = Limit {
    key: "age-s",
    default: 10,
    range: (1, 86_400),
    unit: words!(
        "seconds in ESTABLISHED, at least",
        "处于 ESTABLISHED 的最少秒数"
    ),
    why: words!(
        "a client that has something to ask does so at once",
        "有请求的客户端会立即发送"
    ),
};
const CLIENTS: Limit = Limit {
    key: "clients",
    default: 8,
    range: (0, 1_000_000),
    unit: words!(
        "clients that keep a pool, at most",
        "保持连接池的客户端的最多个数"
    ),
    why: words!(
        "the application servers of a database or cache",
        "数据库或缓存的应用服务器"
    ),
};
const USED: Limit = Limit {
    key: "used",
    default: 5,
    range: (1, 100),
    unit: words!(
        "percent of the clients' connections that are used: then the others are their pool",
        "这些客户端在使用中的连接的百分比：达到时其余的是它们的连接池"
    ),
    why: words!(
        "a pool is filled for the highest load, an attacker has no use for its connections",
        "连接池按最高负载准备，而攻击者并不使用自己的连接"
    ),
};
/// Percent of the connections that must have keepalive, or their other end on this host.
const MOST: u64 = 90;

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the server close them.
    CloseSilent,
    /// A pool may stay; otherwise make the server close it.
    KeepPool,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let is_silent = |conn: &Conn| {
        conn.state == State::ESTABLISHED
            && conn.meters.is_some_and(|m| m.bytes() == 0)
            && !facts.subflows().carry_for(conn)
            && facts.age_ms(conn) >= limits.get(&AGE) * 1_000
    };
    let crowds = crowds(facts, limits, is_silent);
    let found = crowds.iter().map(|crowd| finding(facts, limits, crowd));
    found.collect()
}

fn finding(facts: &Facts, limits: &Bound, crowd: &Crowd) -> Finding {
    let kept = crowd.whos().zip(&crowd.conns);
    let kept = kept.filter(|(who, conn)| has_keepalive(facts, who, conn));
    let kept = kept.count() as u64;
    let age_ms = |conn: &Conn| facts.age_ms(conn);
    let (name, kind) = ("silent-connections", Kind::Silent);
    let clients: HashSet<Remote> = crowd.whos().map(Ident::peer).collect();
    let used = used(facts, crowd, &clients);
    let has_pool = percent(kept, crowd.size()) >= MOST
        || percent(used, used + crowd.size()) >= limits.get(&USED);
    let here = crowd.whos().filter(|who| facts.other_end(who).is_some());
    let is_pool = percent(here.count() as u64, crowd.size()) >= MOST
        || clients.len() as u64 <= limits.get(&CLIENTS) && has_pool;
    let finding = match is_pool {
        true => {
            let mut finding = crowd.unjudged(facts, name, Kind::Pool, age_ms);
            finding.severity = Severity::Info;
            finding.remedy(Action::KeepPool)
        }
        false => crowd
            .finding(facts, limits, name, kind, age_ms)
            .remedy(Action::CloseSilent),
    };
    finding.number("with_keepalive", kept).number("used", used)
}

/// Whether either end has `SO_KEEPALIVE`; the other end is only known if it is on this host.
fn has_keepalive(facts: &Facts, who: &Ident, conn: &Conn) -> bool {
    let has = |conn: &Conn| conn.activity.is_some_and(|a| a.keepalive);
    has(conn) || facts.other_end(who).is_some_and(has)
}

/// Number of the clients' connections to the listener that have carried data.
fn used(facts: &Facts, crowd: &Crowd, clients: &HashSet<Remote>) -> u64 {
    let is_used = |c: &&Conn| {
        c.state == State::ESTABLISHED
            && c.meters
                .is_some_and(|m| m.bytes_sent > 0 && m.bytes_received > 0)
            && clients.contains(&c.who.peer())
            && facts.service(&c.who) == crowd.service
    };
    facts.conns.iter().filter(is_used).count() as u64
}
