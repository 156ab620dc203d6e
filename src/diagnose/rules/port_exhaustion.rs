//! `connect()` fails because no local port is left.

use std::collections::BTreeMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::message::SocketAddress;
use crate::diagnose::recent::Steps;
use crate::diagnose::rules::local_ports::{self, destinations};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::Service;
use crate::model::ident::Owner;
use crate::model::reason::Reason;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["port-exhaustion"],
    looks_at: "calls of connect() in the last minute that found no local port; and the share of \
               the local ports that connections to one destination use, TIME_WAIT excluded",
    refuted_by: "ports that only TIME_WAIT uses (see `time-wait`)",
    alike: "ports that sockets without a connection hold",
    remedy: "reuse connections, find the leak, widen the range",
    limits: &[COUNT, local_ports::SHARE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 1,
    range: (1, 100_000_000),
    unit: "calls of connect() in the last minute that failed because no port was free",
    why: "each is a request that failed",
};

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// No local port was available.
    NoPort {
        /// The process that called connect().
        owner: Option<Owner>,
        /// The destination.
        destination: SocketAddress,
        /// Number of failed connect() calls in the last minute.
        failed: u64,
    },
    /// The local ports will soon run out.
    RunningOut {
        /// Number of used ports.
        used: u64,
        /// Number of ports in the range.
        ports: u64,
        /// The destination.
        destination: SocketAddress,
    },
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Reuse connections.
    ReuseConnections,
    /// Find out why the connections are kept.
    FindLeak,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let mut failed: BTreeMap<Service, Steps> = BTreeMap::new();
    for (key, steps) in &facts.recent.steps {
        if key.reason() == Reason::NO_PORT {
            failed
                .entry(key.service)
                .and_modify(|all| all.merge(steps))
                .or_insert_with(|| steps.clone());
        }
    }
    failed.retain(|_, steps| steps.count >= limits.get(&COUNT));
    let exhausted = failed
        .iter()
        .map(|(service, steps)| exhausted(facts, service, steps));
    let mut found: Vec<_> = exhausted.collect();
    for used in destinations(facts) {
        let held = used.timewait * 2 < used.ports;
        let share = used.share() >= limits.get(&local_ports::SHARE);
        if held && share && !failed.contains_key(&used.service) {
            found.push(running_out(facts, &used));
        }
    }
    found
}

fn exhausted(facts: &Facts, service: &Service, steps: &Steps) -> Finding {
    let subject = facts.subject(service, [&steps.example]);
    let problem = Problem::NoPort {
        owner: subject.owner,
        destination: facts.at(service),
        failed: steps.count,
    };
    let finding = Finding::new("port-exhaustion", Severity::Critical, problem, subject)
        .number("failed", steps.count)
        .number("seconds_ago", facts.seconds_since(steps.last_ns));
    let used = destinations(facts)
        .into_iter()
        .filter(|u| u.service == *service)
        .max_by_key(|u| u.ports);
    let finding = match used {
        Some(used) => used.numbers(finding),
        None => finding,
    };
    let finding = finding.remedy(Action::ReuseConnections);
    local_ports::settings(facts, service.netns, finding)
}

fn running_out(facts: &Facts, used: &local_ports::Used) -> Finding {
    let problem = Problem::RunningOut {
        used: used.ports,
        ports: used.range.count,
        destination: facts.at(&used.service),
    };
    let whos = used.conns.iter().map(|c| &c.who);
    let finding = facts.finding(
        "port-exhaustion",
        Severity::Warning,
        problem,
        &used.service,
        whos,
    );
    let mut finding = used.numbers(finding).remedy(Action::FindLeak);
    finding.subject.local = Some((used.local, None));
    local_ports::settings(facts, used.service.netns, finding)
}
