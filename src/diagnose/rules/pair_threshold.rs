//! More connections of one pair of addresses than the threshold of the activation.

use std::collections::HashMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity, Subject};
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::words::{count, percent};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::tally::Tally;
use crate::fmt::line;
use crate::model::conn::Conn;
use crate::model::endpoint::Address;
use crate::model::ident::Remote;
use crate::model::meters::Meters;
use crate::model::pair::Pair;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["pair-threshold"],
    looks_at: "connections of one pair of addresses, without those in TIME_WAIT, against the \
               `threshold` of the activation: information when they are used (a pool, a proxy), a \
               warning when they are not or are far too many",
    limits: &[UNUSED, UNUSED_AGE, TIMES],
    find,
};

const UNUSED: Limit = Limit {
    key: "unused",
    default: 50,
    range: (1, 100),
    unit: "percent that have not carried data both ways",
    why: "a pool of which half was never used is too large, or it is no pool",
};
const UNUSED_AGE: Limit = Limit {
    key: "age-s",
    default: 5,
    range: (0, 86_400),
    unit: "seconds of a connection, before which it cannot be called unused",
    why: "it has not had the time yet",
};
const TIMES: Limit = Limit {
    key: "times",
    default: 4,
    range: (1, 1_000_000),
    unit: "times the threshold",
    why: "so many are a leak or an attack, however they are used",
};

/// Namespace, device, family and addresses: by what the module tells pairs apart.
type Key = (u32, u32, u8, [u8; 16], [u8; 16]);

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let threshold = u64::from(facts.settings.config.threshold);
    let is_over = |p: &&Pair| threshold > 0 && (p.alarm || p.connections() >= threshold);
    let pairs: Vec<_> = facts.pairs.iter().filter(is_over).collect();
    let mut conns: HashMap<Key, Vec<&Conn>> = pairs.iter().map(|p| (key(p), vec![])).collect();
    for conn in &facts.conns {
        let who = &conn.who;
        let pair = (who.netns, who.ifindex, who.family, who.laddr, who.raddr);
        if let Some(of_pair) = conns.get_mut(&pair) {
            if ![State::LISTEN, State::TIME_WAIT].contains(&conn.state) {
                of_pair.push(conn);
            }
        }
    }
    let found = pairs
        .iter()
        .map(|p| finding(facts, limits, p, conns.get(&key(p)).map_or(&[], |c| c)));
    found.collect()
}

fn key(pair: &Pair) -> Key {
    (
        pair.netns,
        pair.ifindex,
        pair.family,
        pair.laddr,
        pair.raddr,
    )
}

fn finding(facts: &Facts, limits: &Bound, pair: &Pair, conns: &[&Conn]) -> Finding {
    let threshold = u64::from(facts.settings.config.threshold);
    let all = pair.connections();
    let is_unused = |conn: &&&Conn| {
        let one_way = |m: Meters| m.bytes_sent == 0 || m.bytes_received == 0;
        facts.lifetime_ms(conn) >= limits.get(&UNUSED_AGE) * 1_000
            && conn.meters.is_none_or(one_way)
    };
    let unused = conns.iter().filter(is_unused).count() as u64;
    let bad = percent(unused, all) >= limits.get(&UNUSED) || all >= limits.get(&TIMES) * threshold;
    let severity = if bad {
        Severity::Warning
    } else {
        Severity::Info
    };
    let dev = facts.dev(pair.netns, pair.ifindex);
    let remote = Remote {
        addr: pair.remote().to_canonical(),
        ifindex: pair.ifindex,
    };
    let summary = format!(
        "{} between {} and {}, {}",
        count(all, "connection"),
        line::text(&Address(pair.local().to_canonical(), dev.as_ref())),
        line::text(&Address::remote(remote.addr, dev.as_ref())),
        match unused {
            0 => "all of them in use".to_owned(),
            n => format!("{n} of them have not carried data both ways"),
        },
    );
    let services = Tally::of(conns.iter().map(|c| facts.service(&c.who)));
    let whos = conns.iter().map(|c| &c.who);
    let mut subject = Subject {
        local: Some((pair.local(), None)),
        remote: Some((pair.remote(), None)),
        dev,
        ..facts.owners(pair.netns, whos)
    };
    subject.peers = vec![facts.peer(&subject, remote, None, all)];
    subject.peer_count = 1;
    let finding = Finding::new("pair-threshold", severity, summary, subject)
        .number("connections", all)
        .number("threshold", threshold)
        .number("peak", pair.peak)
        .number("half_open", pair.half_open)
        .number("established", pair.established)
        .number("closing", pair.closing)
        .number("timewait", pair.timewait)
        .number("unused", unused);
    let most = services
        .top()
        .map(|(service, n)| format!("{n} of them belong to {}", facts.at(&service)));
    let advice = match bad {
        true => {
            "look for a program that opens connections and does not close or use them, or for an \
             attack; limit the connections of one source"
        }
        false => {
            "fine if it is a pool or a proxy: then raise `threshold` at the activation; otherwise \
             let the clients use fewer connections"
        }
    };
    finding.advise(match most {
        Some(most) => format!("{most}; {advice}"),
        None => advice.to_owned(),
    })
}
