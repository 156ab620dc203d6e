//! The queue of half-open requests of a listener is full: SYNs are dropped, or answered with SYN
//! cookies.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity, Subject};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::SocketAddress;
use crate::diagnose::rules::endpoint::{Endpoint, endpoints, fullness};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::tally::Tally;
use crate::fmt::text::words;
use crate::model::alarm::AlarmKind;
use crate::model::listener::Listener;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["half-open-full"],
    looks_at: words!(
        "half-open requests of a listener compared with their limit: now, or the highest \
               since the activation (then it is information)",
        "监听端的半连接数与其上限之比：现在的值，或激活以来的最高值（则只作为提示）"
    ),
    refuted_by: words!(
        "a queue that has room now (then it is information)",
        "队列现在未满（则只作为提示）"
    ),
    alike: words!(
        "a flood, and a backlog that is too small for honest clients: see `syn-flood`",
        "洪水攻击，与 backlog 过小而无法容纳正常客户端：参见 `syn-flood`"
    ),
    remedy: words!(
        "SYN cookies, a longer backlog",
        "启用 SYN cookie，调大 backlog"
    ),
    limits: &[PERCENT],
    find,
};

const PERCENT: Limit = Limit {
    key: "percent",
    default: 95,
    range: (1, 100),
    unit: words!("percent of the limit", "占上限的百分比"),
    why: words!(
        "SYNs are already dropped at the limit, and requests that expire make the number vary",
        "达到上限时 SYN 已被丢弃，而超时的半连接使数量波动"
    ),
};

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The queue is full.
    Full {
        /// Address of the listener.
        listener: SocketAddress,
        /// Number of requests in the queue.
        length: u32,
        /// The length at which the queue is full.
        limit: u32,
        /// Whether new clients get SYN cookies.
        cookies: bool,
    },
    /// The queue was full, but is not full now.
    WasFull {
        /// Address of the listener.
        listener: SocketAddress,
    },
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Enable SYN cookies.
    EnableCookies,
    /// How long a request waits.
    SynackRetries,
    /// The program limits the queue itself.
    AskForMore {
        /// Backlog of listen().
        backlog: u64,
    },
    /// The setting limits the queue.
    RaiseSomaxconn {
        /// Backlog of listen().
        backlog: u64,
    },
    /// Unknown clients are refused above three quarters of the setting.
    RaiseSynBacklog {
        /// Three quarters of the setting.
        unknown: u64,
        /// Backlog of listen().
        backlog: u64,
    },
    /// The setting is a limit in addition to the backlog.
    RaiseBoth,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let endpoints = endpoints(facts);
    let found = endpoints.iter().filter_map(|e| look(facts, limits, e));
    found.collect()
}

fn look(facts: &Facts, limits: &Bound, endpoint: &Endpoint) -> Option<Finding> {
    let fullest = endpoint.most(|l| fullness(l.half_open))?;
    let queue = fullest.half_open;
    let least = limits.get(&PERCENT);
    let now = fullness(queue) >= least || endpoint.has_alarm(AlarmKind::HALF_OPEN);
    let was = endpoint.listeners.iter().any(|l| {
        let (max, limit) = (l.half_open.max, l.half_open.limit);
        limit > 0 && u64::from(max) * 100 >= least * u64::from(limit)
    });
    if !now && !was {
        return None;
    }
    let namespace = facts.namespace(endpoint.service.netns);
    let cookies = namespace.number("net.ipv4.tcp_syncookies") != Some(0);
    let listener = facts.at(&endpoint.service);
    let problem = match now {
        true => Problem::Full {
            listener,
            length: queue.length,
            limit: queue.limit,
            cookies,
        },
        false => Problem::WasFull { listener },
    };
    let severity = match now {
        true if cookies => Severity::Warning,
        true => Severity::Critical,
        false => Severity::Info,
    };
    let finding = Finding::new(
        "half-open-full",
        severity,
        problem,
        subject(facts, endpoint, fullest),
    )
    .number("half_open", queue.length)
    .number("half_open_peak", queue.max)
    .number("half_open_limit", queue.limit)
    .number("accept_queue_limit", fullest.accept_queue.limit)
    .number("listeners", endpoint.listeners.len() as u64)
    .number("syn_queue_full", endpoint.handshakes(|h| h.syn_queue_full))
    .number("cookies_sent", endpoint.handshakes(|h| h.cookies_sent))
    .number("expired", endpoint.handshakes(|h| h.expired))
    .counters(
        &namespace,
        &[
            "TcpExtTCPReqQFullDrop",
            "TcpExtTCPReqQFullDoCookies",
            "TcpExtListenDrops",
        ],
    );
    Some(remedies(facts, endpoint, cookies, finding))
}

/// The fullest of the listeners, and the sources of the half-open requests.
fn subject(facts: &Facts, endpoint: &Endpoint, fullest: &Listener) -> Subject {
    let requests = endpoint.half_open(facts);
    let sources = Tally::of(requests.iter().map(|c| c.who.peer()));
    let mut subject = facts.subject(&endpoint.service, [&fullest.who]);
    facts.set_peers(&mut subject, &sources);
    subject
}

fn remedies(facts: &Facts, endpoint: &Endpoint, cookies: bool, finding: Finding) -> Finding {
    let netns = endpoint.service.netns;
    let setting = |name, action| facts.remedy(netns, name, action);
    let finding = match cookies {
        true => finding,
        false => finding.remedy_if(setting("net.ipv4.tcp_syncookies", Action::EnableCookies)),
    };
    queue_remedies(facts, endpoint, finding).remedy_if(setting(
        "net.ipv4.tcp_synack_retries",
        Action::SynackRetries,
    ))
}

/// Adds remedies for the limits that apply to this queue.
pub fn queue_remedies(facts: &Facts, endpoint: &Endpoint, finding: Finding) -> Finding {
    let netns = endpoint.service.netns;
    let namespace = facts.namespace(netns);
    let Some(listener) = endpoint.most(|l| fullness(l.half_open)) else {
        return finding;
    };
    let backlog = u64::from(listener.accept_queue.limit);
    let somaxconn = namespace.number("net.core.somaxconn");
    let finding = finding.remedy_if(facts.remedy(
        netns,
        "net.core.somaxconn",
        match somaxconn {
            Some(most) if backlog < most => Action::AskForMore { backlog },
            _ => Action::RaiseSomaxconn { backlog },
        },
    ));
    // Without cookies, unknown peers are refused above three quarters of it.
    let max = namespace.number("net.ipv4.tcp_max_syn_backlog");
    let unknown = max.map(|m| m - m / 4);
    let without_cookies = namespace.number("net.ipv4.tcp_syncookies") == Some(0);
    match unknown {
        Some(unknown) if without_cookies => finding.remedy_if(facts.remedy(
            netns,
            "net.ipv4.tcp_max_syn_backlog",
            match unknown < backlog {
                true => Action::RaiseSynBacklog { unknown, backlog },
                false => Action::RaiseBoth,
            },
        )),
        _ => finding,
    }
}
