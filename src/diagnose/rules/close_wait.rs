//! The peers have closed their connections, but the program has not.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::identity::About;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::{Bound, Rule, held, pile};
use crate::diagnose::tally::{Tally, sum};
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::ident::Owner;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["close-wait"],
    looks_at: words!(
        "connections in CLOSE_WAIT, by the process that has them open; those of processes \
               with fewer, by the name of the processes; those that no process has accepted, by \
               listener",
        "处于 CLOSE_WAIT 的连接，按打开它们的进程统计；数量较少的进程按进程名合计；尚未被任何进程接受的连接按监听端统计"
    ),
    refuted_by: words!(
        "a connection that has been in CLOSE_WAIT for a short time only; a process that has \
                 given the connections to another one; data that the program still sends (a \
                 download after a half-close), or that the peer does not take",
        "连接处于 CLOSE_WAIT 的时间还短；进程已把连接交给其他进程；程序仍在发送数据（半关闭之后的下载），或对端不接收数据"
    ),
    alike: words!(
        "a program that works for longer than a minute on its answer before it sends it",
        "发送应答之前要处理一分钟以上的程序"
    ),
    remedy: words!(
        "make the program close; no setting helps",
        "让程序调用 close()；没有设置可以解决"
    ),
    limits: &[COUNT, CRITICAL, AGE, QUIET],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 100,
    range: (1, 100_000_000),
    unit: words!(
        "connections of one process, or of all processes of one name",
        "一个进程的连接数，或同名进程的连接总数"
    ),
    why: words!(
        "a tenth of the 1,024 descriptors that a process may have by default",
        "进程默认可用的 1,024 个文件描述符的十分之一"
    ),
};
const CRITICAL: Limit = Limit {
    key: "critical",
    default: 1_000,
    range: (1, 100_000_000),
    unit: words!(
        "connections of one process, or of all processes of one name",
        "一个进程的连接数，或同名进程的连接总数"
    ),
    why: words!(
        "the 1,024 descriptors that a process may have by default are about used up",
        "进程默认可用的 1,024 个文件描述符即将用尽"
    ),
};
const AGE: Limit = Limit {
    key: "age-s",
    default: 60,
    range: (0, 86_400),
    unit: words!(
        "seconds in CLOSE_WAIT, at least",
        "处于 CLOSE_WAIT 的最少秒数"
    ),
    why: words!(
        "a program that is only slow finishes its answer within a minute",
        "仅仅是慢的程序会在一分钟内完成应答"
    ),
};
const QUIET: Limit = Limit {
    key: "quiet-s",
    default: 60,
    range: (1, 86_400),
    unit: words!(
        "seconds since data was last sent, at least, if any was sent in CLOSE_WAIT",
        "若在 CLOSE_WAIT 中发送过数据，距上次发送的最少秒数"
    ),
    why: words!(
        "a program that still streams sends at least a heartbeat in a minute",
        "仍在传输的程序每分钟至少发送一次心跳"
    ),
};

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The program does not close connections.
    NotClosed {
        /// The process that has them open.
        owner: Option<Owner>,
        /// Number of connections.
        connections: u64,
    },
    /// Several programs of one name do not close connections.
    NotClosedByMany {
        /// One of the processes.
        owner: Owner,
        /// Number of processes.
        processes: u64,
        /// Number of connections.
        connections: u64,
    },
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Fix the program.
    FindLeak,
    /// The program does not read either: it hangs.
    SeeProgram,
    /// No setting solves the problem; settings only hide it.
    NoSetting,
}

/// Whether the program still works on the connection: it has sent something since the peer closed,
/// within the limit, or the peer still has to take what it has sent.
fn is_in_use(facts: &Facts, limits: &Bound, conn: &Conn) -> bool {
    let sent_ms = conn.activity.and_then(|a| a.last_sent_ms);
    let quiet_ms = limits.get(&QUIET) * 1_000;
    pile::is_since(facts, conn, sent_ms, quiet_ms) || conn.meters.is_some_and(|m| m.sndbuf_used > 0)
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let (least, age_ms) = (limits.get(&COUNT), limits.get(&AGE) * 1_000);
    let is_left = |c: &&Conn| {
        let is_old = c.state == State::CLOSE_WAIT && facts.age_ms(c) >= age_ms;
        is_old && !is_in_use(facts, limits, c)
    };
    let left: Vec<_> = facts.conns.iter().filter(is_left).collect();
    let is_enough = |conns: &Vec<&Conn>| conns.len() as u64 >= least;
    // Processes are only looked for if there are enough connections for a finding.
    if !is_enough(&left) {
        return Vec::new();
    }
    let mut few = held::by_holder(facts, left);
    let mut many = few.clone();
    many.retain(|_, conns| is_enough(conns));
    few.retain(|_, conns| !is_enough(conns));
    // Such as one process for each connection.
    let mut joined = held::by_name(facts, &few);
    joined.retain(is_enough);
    let found = many
        .values()
        .filter_map(|conns| finding(facts, limits, conns, not_closed));
    let joined = joined
        .iter()
        .filter_map(|conns| finding(facts, limits, conns, not_closed_by_many));
    found.chain(joined).collect()
}

/// The problem of one process.
fn not_closed(_: &Facts, owner: Option<Owner>, conns: &[&Conn]) -> Problem {
    Problem::NotClosed {
        owner,
        connections: conns.len() as u64,
    }
}

/// The problem of several processes of one name.
fn not_closed_by_many(facts: &Facts, owner: Option<Owner>, conns: &[&Conn]) -> Problem {
    let Some(owner) = owner else {
        return not_closed(facts, owner, conns);
    };
    let owners = conns.iter().filter_map(|c| facts.holder(&c.who));
    Problem::NotClosedByMany {
        owner,
        processes: Tally::of(owners.map(|o| o.pid)).kinds(),
        connections: conns.len() as u64,
    }
}

fn finding(
    facts: &Facts,
    limits: &Bound,
    conns: &[&Conn],
    problem: fn(&Facts, Option<Owner>, &[&Conn]) -> Problem,
) -> Option<Finding> {
    let size = conns.len() as u64;
    let subject = held::subject(facts, conns)?;
    let severity = match size >= limits.get(&CRITICAL) {
        true => Severity::Critical,
        false => Severity::Warning,
    };
    let problem = problem(facts, subject.owner, conns);
    let ages = conns.iter().map(|c| facts.age_ms(c));
    let count = |is_so: fn(&Conn) -> bool| conns.iter().filter(|c| is_so(c)).count() as u64;
    let unread = count(|c| c.unread() > 0);
    let end_unread = count(|c| c.unread() == 0 && c.is_end_unread());
    let is_one = matches!(problem, Problem::NotClosed { .. });
    let descriptors = subject.owner.filter(|_| is_one);
    let descriptors = descriptors.and_then(|o| facts.descriptors(o.pid));
    let finding = Finding::new("close-wait", severity, problem, subject)
        .number("connections", size)
        .number("oldest_s", ages.max().unwrap_or(0) / 1_000)
        .number("unread", unread)
        .number("end_unread", end_unread)
        .number("recv_q", sum(conns.iter().map(|c| c.unread())))
        .number_if("descriptors", descriptors.map(|d| d.open))
        .number_if("descriptors_limit", descriptors.and_then(|d| d.limit))
        .remedy(match unread * 2 > size {
            true => Action::SeeProgram,
            false => Action::FindLeak,
        })
        .remedy(Action::NoSetting);
    let is_held = conns.iter().any(|c| facts.holder(&c.who).is_some());
    Some(match is_held {
        true => finding.about(About::Process),
        false => finding,
    })
}
