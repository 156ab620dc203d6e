//! Both ends sent a SYN or a FIN at the same time: rare and harmless.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity, Subject};
use crate::diagnose::identity::About;
use crate::diagnose::message::SocketAddress;
use crate::diagnose::recent::{Steps, WINDOW_S};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::service::Service;
use crate::diagnose::tally::sum;
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["simultaneous"],
    looks_at: words!(
        "SYNs that crossed (SYN_SENT to SYN_RECV) and FINs that crossed (FIN_WAIT1 to CLOSING) \
               since the activation: information",
        "激活以来相互交叉的 SYN（SYN_SENT 到 SYN_RECV）和相互交叉的 FIN（FIN_WAIT1 到 CLOSING）：提示"
    ),
    refuted_by: words!(
        "both ends are one socket (`self-connect`), as far as it is live or of the last \
                 minute",
        "两端是同一个套接字（`self-connect`），只要它仍存在或属于最近一分钟"
    ),
    alike: words!(
        "a socket that was connected to itself earlier",
        "以前曾连接到自己的套接字"
    ),
    remedy: words!("nothing: it is harmless", "无需处理：没有危害"),
    limits: &[],
    find,
};

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The segments that crossed.
    pub crossed: Crossed,
    /// Number of connections.
    pub connections: u64,
    /// The listener or destination of the most recent ones, if known.
    pub last: Option<SocketAddress>,
}

/// The segments that both ends sent at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossed {
    /// SYNs.
    Syns,
    /// FINs.
    Fins,
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// No action is required.
    Nothing,
}

const OPEN: (State, State) = (State::SYN_SENT, State::SYN_RECV);
const CLOSE: (State, State) = (State::FIN_WAIT1, State::CLOSING);

fn find(facts: &Facts, _: &Bound) -> Vec<Finding> {
    let opens = look(facts, OPEN, Crossed::Syns);
    let closes = look(facts, CLOSE, Crossed::Fins);
    opens.into_iter().chain(closes).collect()
}

/// Sockets that were connected to themselves before the last minute and still are: their SYNs met
/// themselves.
fn earlier_to_itself(facts: &Facts, crossed: Crossed) -> u64 {
    let is_one = |c: &&Conn| {
        let is_earlier = facts.lifetime_ms(c) > WINDOW_S * 1_000;
        c.who.is_self_connected() && c.state != State::TIME_WAIT && is_earlier && !c.who.seeded
    };
    match crossed {
        Crossed::Syns => facts.conns.iter().filter(is_one).count() as u64,
        Crossed::Fins => 0,
    }
}

fn look(facts: &Facts, (old, new): (State, State), crossed: Crossed) -> Option<Finding> {
    let of = facts
        .transition_counts
        .iter()
        .filter(|e| e.old == old && e.new == new);
    let total = sum(of.map(|e| e.count));
    let steps = facts.recent.steps.iter();
    let mut recent: Vec<(&Service, &Steps)> = steps
        .filter(|(key, _)| key.old == old && key.new == new)
        .map(|(key, steps)| (&key.service, steps))
        .collect();
    let to_itself: u64 = recent.iter().map(|(_, steps)| steps.to_itself).sum();
    let total = total.saturating_sub(to_itself + earlier_to_itself(facts, crossed));
    recent.retain(|(_, steps)| steps.count > steps.to_itself);
    recent.sort_by_key(|(service, steps)| (std::cmp::Reverse(steps.count), **service));
    let last_minute = recent
        .iter()
        .map(|(_, steps)| steps.count - steps.to_itself);
    let last_minute: u64 = last_minute.sum();
    // The totals cover the whole host; with a filter, only the last minute can be counted.
    let all = if facts.narrowed { last_minute } else { total };
    if all == 0 {
        return None;
    }
    let (subject, last) = match recent.first() {
        Some((service, steps)) => (
            facts.subject(service, [&steps.example]),
            Some(facts.at(service)),
        ),
        None => (Subject::default(), None),
    };
    let problem = Problem {
        crossed,
        connections: all,
        last,
    };
    let finding = Finding::new("simultaneous", Severity::Info, problem, subject)
        .about(About::Host)
        .variant(match crossed {
            Crossed::Syns => "syns",
            Crossed::Fins => "fins",
        })
        .number("last_minute", last_minute);
    let finding = match facts.narrowed {
        true => finding,
        false => finding.number("since_activation", total),
    };
    Some(finding.remedy(Action::Nothing))
}
