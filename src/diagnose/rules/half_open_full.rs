//! A listener's queue of half-open requests is full: SYNs are dropped, or
//! answered by cookies.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::endpoint::{Endpoint, endpoints, fullness};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::tally::Tally;
use crate::model::alarm::AlarmKind;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["half-open-full"],
    looks_at: "half-open requests of a listener against their limit, now and the highest since the \
               activation (then it is information)",
    limits: &[PERCENT],
    find,
};

const PERCENT: Limit = Limit {
    key: "percent",
    default: 95,
    range: (1, 100),
    unit: "percent of the limit",
    why: "at the limit SYNs are dropped already, and requests that time out make it sway",
};

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
    let netns = endpoint.service.netns;
    let namespace = facts.namespace(netns);
    let cookies = namespace.number("net.ipv4.tcp_syncookies");
    let dropped = endpoint.handshakes(|h| h.syn_queue_full);
    let severity = match (now, cookies) {
        (false, _) => Severity::Info,
        (true, Some(0)) => Severity::Critical,
        (true, _) => Severity::Warning,
    };
    let then = match cookies {
        Some(0) => "new clients are dropped",
        _ => "new clients are answered by SYN cookies",
    };
    let summary = match now {
        true => format!(
            "the half-open queue of {} is full ({} of {}): {then}",
            facts.at(&endpoint.service),
            queue.length,
            queue.limit,
        ),
        false => format!(
            "the half-open queue of {} was full, and is not now",
            facts.at(&endpoint.service)
        ),
    };
    let requests = endpoint.half_open(facts);
    let sources = Tally::of(requests.iter().map(|c| c.who.peer()));
    let mut subject = facts.subject(&endpoint.service, endpoint.whos());
    facts.set_peers(&mut subject, &sources);
    let finding = Finding::new("half-open-full", severity, summary, subject)
        .number("half_open", queue.length)
        .number("half_open_peak", fullest.half_open.max)
        .number("half_open_limit", queue.limit)
        .number("accept_queue_limit", fullest.accept_queue.limit)
        .number("listeners", endpoint.listeners.len() as u64)
        .number("syn_queue_full", dropped)
        .number("cookies_sent", endpoint.handshakes(|h| h.cookies_sent))
        .number("expired", endpoint.handshakes(|h| h.expired))
        .number_if(
            "TcpExtTCPReqQFullDrop",
            namespace.counter("TcpExtTCPReqQFullDrop"),
        )
        .number_if(
            "TcpExtTCPReqQFullDoCookies",
            namespace.counter("TcpExtTCPReqQFullDoCookies"),
        )
        .number_if("TcpExtListenDrops", namespace.counter("TcpExtListenDrops"));
    let finding = match cookies {
        Some(0) => finding.advise_setting(facts.advice(
            netns,
            "net.ipv4.tcp_syncookies",
            "set it to 1: then SYNs that find the queue full are answered by cookies",
        )),
        _ => finding,
    };
    Some(
        queue_advice(facts, endpoint, finding).advise_setting(facts.advice(
            netns,
            "net.ipv4.tcp_synack_retries",
            "2 ends a request that nobody answers after 7 seconds, 5 after 63",
        )),
    )
}

/// Which of the limits applies here, and how to raise it.
pub fn queue_advice(facts: &Facts, endpoint: &Endpoint, finding: Finding) -> Finding {
    let netns = endpoint.service.netns;
    let namespace = facts.namespace(netns);
    let Some(listener) = endpoint.most(|l| fullness(l.half_open)) else {
        return finding;
    };
    let backlog = u64::from(listener.accept_queue.limit);
    let somaxconn = namespace.number("net.core.somaxconn");
    let finding = finding.advise_setting(facts.advice(
        netns,
        "net.core.somaxconn",
        match somaxconn {
            Some(most) if backlog < most => format!(
                "the queue is as long as the backlog of listen(), {backlog}: let the program ask \
                 for more, up to this"
            ),
            _ => format!(
                "it bounds the backlog of listen(), which is {backlog} here: raise it, and the \
                 backlog that the program asks for; both are taken at listen(), so restart the program"
            ),
        },
    ));
    // Without cookies peers that are not known are refused above three quarters of it.
    let max = namespace.number("net.ipv4.tcp_max_syn_backlog");
    let unknown = max.map(|m| m - m / 4);
    let without_cookies = namespace.number("net.ipv4.tcp_syncookies") == Some(0);
    match unknown {
        Some(unknown) if without_cookies => finding.advise_setting(facts.advice(
            netns,
            "net.ipv4.tcp_max_syn_backlog",
            match unknown < backlog {
                true => format!(
                    "without cookies, clients that are not known are refused above three quarters \
                     of it, {unknown}: raise it above {backlog}"
                ),
                false => {
                    "raise it together with the backlog: without cookies it is a limit, too".into()
                }
            },
        )),
        _ => finding,
    }
}
