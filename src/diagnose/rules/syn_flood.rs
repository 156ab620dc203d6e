//! More handshakes are started and not finished than normal clients leave: an attack, or clients
//! that our packets do not reach.

use std::time::Duration;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity, Subject};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::{HostAddress, SocketAddress};
use crate::diagnose::rules::endpoint::{Endpoint, endpoints};
use crate::diagnose::rules::half_open_full::{self, queue_remedies};
use crate::diagnose::rules::{Bound, Rule, accept_queue_full};
use crate::diagnose::tally::{Tally, percent, sum};
use crate::fmt::text::words;
use crate::model::alarm::AlarmKind;
use crate::model::handshakes::dropped_otherwise;
use crate::model::listener::Listener;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["syn-flood"],
    looks_at: words!(
        "unfinished handshakes of a listener, a second, with and without SYN cookies, and \
               its alarm `unfinished`, if that is on; the sources are those of its half-open \
               requests",
        "监听端每秒未完成的握手，包括使用和不使用 SYN cookie 的，以及其 `unfinished` 告警（若已启用）；来源取自其半连接"
    ),
    refuted_by: words!(
        "handshakes that finish late: those of a burst are not counted once they have \
                 finished; SYNs that only a full accept queue drops; clients that have \
                 acknowledged and send nothing to a listener with TCP_DEFER_ACCEPT \
                 (`TcpExtTCPDeferAcceptDrop`): information",
        "完成较晚的握手：突发的握手在完成后不再计入；只因全连接队列满而丢弃的 SYN；已确认但没有向设置了 TCP_DEFER_ACCEPT 的监听端发送数据的客户端（`TcpExtTCPDeferAcceptDrop`）：提示"
    ),
    alike: words!(
        "clients that our SYN-ACKs do not reach (a firewall, asymmetric routing): they leave \
            unfinished handshakes, too",
        "收不到本机 SYN-ACK 的客户端（防火墙、非对称路由）：它们也会留下未完成的握手"
    ),
    remedy: words!(
        "keep SYN cookies on, block the sources if they are few, limit SYNs if they are many",
        "保持启用 SYN cookie，来源少则封禁，来源多则限制 SYN 速率"
    ),
    limits: &[UNFINISHED, RECENT, FEW],
    find,
};

const UNFINISHED: Limit = Limit {
    key: "unfinished",
    default: 200,
    range: (1, 100_000_000),
    unit: words!(
        "handshakes a second that are not finished",
        "每秒未完成的握手数"
    ),
    why: words!(
        "the default of --activate='unfinished=': above what lost ACKs and vanished clients of a \
          busy server cause, below any flood that does harm",
        "--activate='unfinished=' 的默认值：高于繁忙服务器因丢失 ACK 和客户端消失而产生的数量，低于任何有危害的洪水攻击"
    ),
};
const RECENT: Limit = Limit {
    key: "recent-s",
    default: 10,
    range: (1, 3_600),
    unit: words!(
        "seconds ago, at most: what ended earlier is information only",
        "距今的最多秒数：更早结束的只作为提示"
    ),
    why: words!(
        "a flood that pauses for longer has stopped doing harm",
        "停顿更久的洪水攻击已不再造成危害"
    ),
};
const FEW: Limit = Limit {
    key: "few-sources",
    default: 50,
    range: (1, 100),
    unit: words!(
        "percent of the half-open requests that the ten largest sources must have to be named",
        "最大的十个来源须占半连接的百分比，达到才列出来源"
    ),
    why: words!(
        "spoofed sources have one request or two each",
        "伪造的来源每个只有一两个请求"
    ),
};

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The flood is in progress.
    Flood {
        /// Unfinished handshakes per second.
        per_second: u64,
        /// Address of the listener.
        listener: SocketAddress,
        /// Sources of the flood.
        from: Origin,
    },
    /// The flood has ended.
    Over {
        /// Peak rate per second.
        peak: u64,
        /// Address of the listener.
        listener: SocketAddress,
        /// Time since the last SYN.
        ago: Duration,
    },
    /// The rate has fallen below the limit.
    Below {
        /// The limit per second.
        limit: u64,
        /// The current rate per second.
        per_second: u64,
        /// Peak rate per second.
        peak: u64,
        /// Address of the listener.
        listener: SocketAddress,
    },
    /// The limit was exceeded in one second only.
    OneSecond {
        /// Number of unfinished handshakes.
        handshakes: u64,
        /// Address of the listener.
        listener: SocketAddress,
    },
    /// The listener has `TCP_DEFER_ACCEPT`: handshakes wait for the clients' first data.
    Deferred {
        /// Number of half-open requests.
        half_open: u64,
        /// Address of the listener.
        listener: SocketAddress,
    },
}

/// Sources of a flood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Unknown: no half-open request is kept.
    Unknown,
    /// At least this many addresses, none of which has a large share.
    Spoofed(u64),
    /// These addresses have most of the requests.
    Known(Vec<HostAddress>),
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Enable SYN cookies.
    EnableCookies,
    /// Keep SYN cookies enabled.
    KeepCookies,
    /// Block the sources in the firewall.
    Block {
        /// The sources.
        sources: Vec<HostAddress>,
    },
    /// Limit SYNs: no source has a large share.
    LimitSyns,
    /// Effect of TCP_DEFER_ACCEPT.
    KeepDeferring,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let endpoints = endpoints(facts);
    let found = endpoints.iter().filter_map(|e| look(facts, limits, e));
    found.collect()
}

fn look(facts: &Facts, limits: &Bound, endpoint: &Endpoint) -> Option<Finding> {
    let least = limits.get(&UNFINISHED);
    let is_recent = |l: &Listener| {
        let since = l.unfinished_ns.map(|ns| facts.seconds_since(ns));
        since.is_some_and(|s| s <= limits.get(&RECENT))
    };
    let now = endpoint.sum(|l| if is_recent(l) { l.unfinished } else { 0 });
    let peak = endpoint.sum(|l| l.unfinished_max);
    // Handshakes of a burst that were in progress at the end of a second have finished since.
    let never = never_finished(endpoint);
    if peak < least || never < peak.min(now.max(least)) {
        return None;
    }
    let is_now = now >= least && is_confirmed(facts, endpoint, least);
    if is_deferred(facts, endpoint, never) {
        return Some(deferred(facts, endpoint, now));
    }
    // Earlier drops do not explain handshakes that are unfinished now.
    let may_be_for_it = !is_now || accept_queue_full::is_full(endpoint);
    if may_be_for_it && is_for_the_accept_queue(endpoint) {
        return None;
    }
    if !is_now {
        return Some(information(facts, endpoint, Rates { now, peak, least }));
    }
    let netns = endpoint.service.netns;
    let cookies = facts.namespace(netns).number("net.ipv4.tcp_syncookies");
    let dropped = endpoint.handshakes(|h| h.syn_queue_full);
    let full = endpoint
        .listeners
        .iter()
        .any(|l| l.half_open.length >= l.half_open.limit);
    let subject = subject(facts, limits, endpoint);
    // With cookies the queue may be full: requests are answered without it.
    let served = cookies.is_some_and(|c| c > 0) || (!full && dropped == 0);
    let severity = match served {
        true => Severity::Warning,
        false => Severity::Critical,
    };
    let sources = subject.addresses();
    let problem = Problem::Flood {
        per_second: now,
        listener: facts.at(&endpoint.service),
        from: match subject.peer_count {
            0 => Origin::Unknown,
            n if sources.is_empty() => Origin::Spoofed(n),
            _ => Origin::Known(sources.clone()),
        },
    };
    let finding = Finding::new("syn-flood", severity, problem, subject);
    let finding = numbers(facts, endpoint, finding, now);
    Some(remedies(facts, endpoint, finding, sources))
}

fn remedies(
    facts: &Facts,
    endpoint: &Endpoint,
    finding: Finding,
    sources: Vec<HostAddress>,
) -> Finding {
    let netns = endpoint.service.netns;
    let cookies = facts.namespace(netns).number("net.ipv4.tcp_syncookies");
    let finding = finding.remedy_if(facts.remedy(
        netns,
        "net.ipv4.tcp_syncookies",
        match cookies {
            Some(0) => Action::EnableCookies,
            _ => Action::KeepCookies,
        },
    ));
    let finding = queue_remedies(facts, endpoint, finding).remedy_if(facts.remedy(
        netns,
        "net.ipv4.tcp_synack_retries",
        half_open_full::Action::SynackRetries,
    ));
    finding.remedy(match sources.is_empty() {
        false => Action::Block { sources },
        true => Action::LimitSyns,
    })
}

/// The kernel's counter of last ACKs without data that a listener with `TCP_DEFER_ACCEPT` drops.
const DEFERRED: &str = "TcpExtTCPDeferAcceptDrop";

/// Whether most of the unfinished handshakes wait for the clients' first data: the clients have
/// acknowledged the SYN-ACKs.
fn is_deferred(facts: &Facts, endpoint: &Endpoint, never: u64) -> bool {
    let namespace = facts.namespace(endpoint.service.netns);
    let deferred = namespace.counter(DEFERRED).unwrap_or(0);
    deferred > 0 && deferred.saturating_mul(2) >= never
}

fn deferred(facts: &Facts, endpoint: &Endpoint, now: u64) -> Finding {
    let problem = Problem::Deferred {
        half_open: endpoint.sum(|l| l.half_open.length),
        listener: facts.at(&endpoint.service),
    };
    let subject = facts.subject(&endpoint.service, endpoint.whos());
    let finding = Finding::new("syn-flood", Severity::Info, problem, subject);
    let finding = numbers(facts, endpoint, finding, now);
    let namespace = facts.namespace(endpoint.service.netns);
    finding
        .counters(&namespace, &[DEFERRED])
        .remedy(Action::KeepDeferring)
}

/// Number of SYNs since the activation that did not become a connection, except those dropped
/// because the accept queue was full.
fn never_finished(endpoint: &Endpoint) -> u64 {
    let began = endpoint.handshakes(|h| sum([h.syns, h.seeded]));
    let done = endpoint.handshakes(|h| {
        sum([
            h.promoted,
            h.cookies_accepted,
            h.fast_open,
            h.syn_accept_queue_full,
        ])
    });
    began.saturating_sub(done)
}

/// Whether the module's alarm confirms it, if its threshold is low enough. The alarm requires two
/// seconds above the threshold.
fn is_confirmed(facts: &Facts, endpoint: &Endpoint, least: u64) -> bool {
    let alarm = u64::from(facts.settings.activation.unfinished);
    alarm == 0 || alarm > least || endpoint.has_alarm(AlarmKind::UNFINISHED)
}

/// Whether most drops are SYNs and last ACKs that a full accept queue dropped, which is not a
/// flood.
fn is_for_the_accept_queue(endpoint: &Endpoint) -> bool {
    let for_it = endpoint.handshakes(|h| {
        sum([
            h.syn_accept_queue_full,
            h.ack_accept_queue_full,
            h.accept_queue_full,
        ])
    });
    let others = endpoint.handshakes(|h| {
        let unanswered = h.cookies_sent.saturating_sub(h.cookies_accepted);
        sum([h.expired, h.syn_queue_full, unanswered])
    });
    for_it > sum([others, endpoint.sum(|l| l.half_open.length)])
}

/// The listener, and the sources of its half-open requests if a few have most of them.
fn subject(facts: &Facts, limits: &Bound, endpoint: &Endpoint) -> Subject {
    let requests = endpoint.half_open(facts);
    let sources = Tally::of(requests.iter().map(|c| c.who.peer()));
    let mut subject = facts.subject(&endpoint.service, endpoint.whos());
    facts.set_peers(&mut subject, &sources);
    let named: u64 = subject.peers.iter().map(|p| p.count).sum();
    if percent(named, sources.total) < limits.get(&FEW) {
        subject.peers.clear();
    }
    subject
}

/// Unfinished handshakes per second: current, peak and limit.
struct Rates {
    now: u64,
    peak: u64,
    least: u64,
}

/// The finding if no flood is in progress: it has ended, is below the limit, or has lasted one
/// second.
fn information(facts: &Facts, endpoint: &Endpoint, rates: Rates) -> Finding {
    let Rates { now, peak, least } = rates;
    let last = endpoint
        .listeners
        .iter()
        .filter_map(|l| l.unfinished_ns)
        .max();
    let ago = last.map_or(0, |ns| facts.seconds_since(ns));
    let listener = facts.at(&endpoint.service);
    let problem = if now == 0 {
        Problem::Over {
            peak,
            listener,
            ago: Duration::from_secs(ago),
        }
    } else if now < least {
        Problem::Below {
            limit: least,
            per_second: now,
            peak,
            listener,
        }
    } else {
        Problem::OneSecond {
            handshakes: now,
            listener,
        }
    };
    let subject = facts.subject(&endpoint.service, endpoint.whos());
    let finding = Finding::new("syn-flood", Severity::Info, problem, subject);
    numbers(facts, endpoint, finding, now).number("seconds_ago", ago)
}

fn numbers(facts: &Facts, endpoint: &Endpoint, finding: Finding, now: u64) -> Finding {
    let namespace = facts.namespace(endpoint.service.netns);
    finding
        .number("unfinished_per_second", now)
        .number("unfinished_peak", endpoint.sum(|l| l.unfinished_max))
        .number("half_open", endpoint.sum(|l| l.half_open.length))
        .number("half_open_peak", endpoint.sum(|l| l.half_open.max))
        .number("half_open_limit", endpoint.sum(|l| l.half_open.limit))
        .number("syns", endpoint.handshakes(|h| h.syns))
        .number("promoted", endpoint.handshakes(|h| h.promoted))
        .number("expired", endpoint.handshakes(|h| h.expired))
        .number("cookies_sent", endpoint.handshakes(|h| h.cookies_sent))
        .number(
            "cookies_accepted",
            endpoint.handshakes(|h| h.cookies_accepted),
        )
        .number("syn_queue_full", endpoint.handshakes(|h| h.syn_queue_full))
        .number("syn_dropped_other", endpoint.handshakes(dropped_otherwise))
        .counters(
            &namespace,
            &[
                "TcpExtTCPReqQFullDrop",
                "TcpExtTCPReqQFullDoCookies",
                "TcpExtListenDrops",
                "TcpExtListenOverflows",
            ],
        )
}
