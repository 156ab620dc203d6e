//! `connect()` fails because no local port is left.

use std::collections::BTreeMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::recent::Steps;
use crate::diagnose::rules::local_ports::{self, destinations};
use crate::diagnose::rules::words::{count, who};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::Service;
use crate::model::reason::Reason;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["port-exhaustion"],
    looks_at: "connect()s of the last minute that found no local port; and the share of the local \
               ports that connections to one destination use, not counting what TIME_WAIT keeps",
    limits: &[COUNT, local_ports::SHARE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 1,
    range: (1, 100_000_000),
    unit: "connect()s of the last minute that failed for it",
    why: "each is a request that failed",
};

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
    let summary = format!(
        "{} found no local port for {} ({} in the last minute)",
        who(&subject),
        facts.at(service),
        count(steps.count, "failed connect()"),
    );
    let finding = Finding::new("port-exhaustion", Severity::Critical, summary, subject)
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
    let finding = finding.advise(
        "keep connections and use them again (keep-alive, a pool), and see why so many are begun",
    );
    local_ports::settings(facts, service.netns, finding)
}

fn running_out(facts: &Facts, used: &local_ports::Used) -> Finding {
    let summary = format!(
        "{} of the {} local ports for {} are used",
        used.ports,
        used.range.count,
        facts.at(&used.service),
    );
    let whos = used.conns.iter().map(|c| &c.who);
    let finding = facts.finding(
        "port-exhaustion",
        Severity::Warning,
        summary,
        &used.service,
        whos,
    );
    let mut finding = used.numbers(finding).advise(
        "connections are kept open, and few wait in TIME_WAIT: look for a leak, or let fewer \
         connections carry more requests",
    );
    finding.subject.local = Some((used.local, None));
    local_ports::advice(facts, used, finding)
}
