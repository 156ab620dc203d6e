//! A program that does not read: what its peers have sent lies in its receive buffers.

use std::collections::BTreeMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::identity::About;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::held::{self, Holder};
use crate::diagnose::rules::pile::TICKS_MS;
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::tally::sum;
use crate::fmt::text::words;
use crate::model::conn::{Activity, Conn};
use crate::model::ident::Owner;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["stuck-reader"],
    looks_at: words!(
        "ESTABLISHED connections that a process holds, whose receive buffer has data that \
               the process has not read (`Recv-Q`) since it came, by process; if data keeps \
               coming, the process must have read nothing else of what came meanwhile",
        "进程持有的 ESTABLISHED 连接，其接收缓冲区中有数据自到达以来未被该进程读取（`Recv-Q`），按进程统计；若数据仍在到来，则该进程在此期间必须没有读取过任何到达的数据"
    ),
    refuted_by: words!(
        "data that has just come; data that the process reads on its other connections \
                 while more comes; connections on which it has sent something since: it works, and \
                 does not need what came; data that the process cannot pass on, because its peers \
                 do not take what it sends; connections that no process has accepted yet",
        "数据刚刚到达；更多数据到来时进程在其他连接上读取；进程此后在该连接上发送过数据：它在工作，只是不需要到达的数据；进程无法转发的数据，因为其对端不接收；尚未被任何进程接受的连接"
    ),
    alike: words!(
        "a program that is stopped, deadlocked or overloaded, and one that does not read on \
            purpose, because it still works on what it has",
        "被停止、死锁或过载的程序，与因为仍在处理已有数据而有意不读取的程序"
    ),
    remedy: words!(
        "look at the process: its stack, its CPU time, what it waits for; the peers are \
             innocent",
        "检查该进程：调用栈、CPU 时间、在等待什么；对端没有责任"
    ),
    limits: &[COUNT, AGE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 10,
    range: (1, 100_000_000),
    unit: words!(
        "connections of one process with data that it has not read",
        "一个进程有未读数据的连接数"
    ),
    why: words!(
        "a program may let a few peers wait while it works for them",
        "程序在处理时可能让少数对端等待"
    ),
};
const AGE: Limit = Limit {
    key: "age-s",
    default: 5,
    range: (1, 86_400),
    unit: words!(
        "seconds for which the data has been there, at least",
        "数据停留的最少秒数"
    ),
    why: words!(
        "a program that works reads within a second what has come",
        "正常工作的程序会在一秒内读取到达的数据"
    ),
};
/// Data that came more recently says nothing about the program.
const MOMENT_MS: u64 = 200;
/// A process that reads the data of one connection in so many is not stuck.
const READ_ONE_OF: usize = 10;

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The process that does not read.
    pub owner: Option<Owner>,
    /// Number of connections with data that it has not read.
    pub connections: u64,
    /// Bytes that it has not read.
    pub unread: u64,
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Look at the process.
    SeeProcess {
        /// The process.
        pid: Option<u32>,
    },
    /// The peers do what they should.
    SparePeers,
}

/// What a process has done with the data that came.
#[derive(Default)]
struct Reading<'a> {
    /// Connections with data that has been there for long.
    left: Vec<&'a Conn>,
    /// Connections with old data, and data that came lately.
    growing: Vec<&'a Conn>,
    /// Connections with data that has just come.
    fresh: Vec<&'a Conn>,
    /// Number of connections on which data came lately and was read.
    read: usize,
    /// Number of connections whose peers do not take what the process sends.
    blocked: usize,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let age_ms = limits.get(&AGE) * 1_000;
    let unread = unread(&facts.conns).filter(|c| !has_sent_since(c, age_ms));
    let unread: Vec<_> = unread.collect();
    // Processes are only looked for if there are enough connections for a finding.
    if (unread.len() as u64) < limits.get(&COUNT) {
        return Vec::new();
    }
    let mut holders: BTreeMap<Holder, Reading> = BTreeMap::new();
    for conn in unread {
        let reading = holders.entry(Holder::of(facts, &conn.who)).or_default();
        match quiet_ms(conn) {
            quiet if quiet >= age_ms => reading.left.push(conn),
            quiet if quiet >= MOMENT_MS && oldest_ms(facts, conn) >= age_ms => {
                reading.growing.push(conn);
            }
            _ => reading.fresh.push(conn),
        }
    }
    count_others(facts, &mut holders, age_ms);
    let stuck = holders.values().map(Reading::stuck);
    stuck
        .filter(|conns| conns.len() as u64 >= limits.get(&COUNT))
        .filter_map(|conns| finding(facts, &conns))
        .collect()
}

/// Connections that a process holds and has not read. While the peer does not take the answers, the
/// process may let its next requests wait.
fn unread(conns: &[Conn]) -> impl Iterator<Item = &Conn> {
    let is_one = |c: &&Conn| {
        c.state == State::ESTABLISHED && c.unread() > 0 && c.is_held() && !has_unsent(c)
    };
    conns.iter().filter(is_one)
}

/// Whether the process has sent something since the data came, or within `age_ms`: then it is not
/// stuck. The stamps have the resolution of the kernel's ticks.
fn has_sent_since(conn: &Conn, age_ms: u64) -> bool {
    let sent_ms = conn.activity.and_then(|a| a.last_sent_ms);
    let since_ms = quiet_ms(conn).max(age_ms);
    sent_ms.is_some_and(|ms| ms.saturating_add(TICKS_MS) < since_ms)
}

fn has_unsent(conn: &Conn) -> bool {
    conn.meters.is_some_and(|m| m.sndbuf_used > 0)
}

/// Counts the connections of these processes on which data came lately and was read, and those that
/// wait for their peers to take data.
fn count_others(facts: &Facts, holders: &mut BTreeMap<Holder, Reading>, age_ms: u64) {
    for conn in &facts.conns {
        let received = conn.meters.is_some_and(|m| m.bytes_received > 0);
        let lately = (MOMENT_MS..age_ms).contains(&quiet_ms(conn));
        let is_read = conn.state == State::ESTABLISHED && received && lately && conn.unread() == 0;
        let is_blocked = has_unsent(conn) && waits(conn, age_ms);
        if !is_read && !is_blocked {
            continue;
        }
        if let Some(reading) = holders.get_mut(&Holder::of(facts, &conn.who)) {
            reading.read += usize::from(is_read);
            reading.blocked += usize::from(is_blocked);
        }
    }
}

/// Whether the window of the peer is closed, or nothing could be sent for long.
fn waits(conn: &Conn, age_ms: u64) -> bool {
    let waits = |a: Activity| a.probes > 0 || a.last_sent_ms.is_some_and(|ms| ms >= age_ms);
    conn.activity.is_some_and(waits)
}

/// Milliseconds since data last came; 0 if unknown.
fn quiet_ms(conn: &Conn) -> u64 {
    conn.activity.and_then(|a| a.last_recv_ms).unwrap_or(0)
}

/// Estimated milliseconds since the oldest unread data came, from the average rate.
fn oldest_ms(facts: &Facts, conn: &Conn) -> u64 {
    let received = conn.meters.map_or(0, |m| m.bytes_received).max(1);
    let unread = conn.unread().min(received);
    facts.lifetime_ms(conn).saturating_mul(unread) / received
}

impl<'a> Reading<'a> {
    /// The connections that show that the process does not read.
    fn stuck(&self) -> Vec<&'a Conn> {
        let mut stuck = self.left.clone();
        if self.read * READ_ONE_OF <= self.growing.len() {
            stuck.extend(&self.growing);
        }
        if !stuck.is_empty() {
            stuck.extend(&self.fresh);
        }
        // What comes cannot be passed on.
        if self.blocked * 2 >= stuck.len() {
            stuck.clear();
        }
        stuck
    }
}

fn finding(facts: &Facts, conns: &[&Conn]) -> Option<Finding> {
    let subject = held::subject(facts, conns)?;
    let queues = || conns.iter().map(|c| c.unread());
    let meters = || conns.iter().filter_map(|c| c.meters);
    let problem = Problem {
        owner: subject.owner,
        connections: conns.len() as u64,
        unread: sum(queues()),
    };
    let pid = subject.owner.map(|o| o.pid);
    let closed = meters().filter(|m| m.rcv_wnd == 0).count() as u64;
    let oldest = conns.iter().map(|c| quiet_ms(c)).max().unwrap_or(0);
    let is_held = conns.iter().any(|c| facts.holder(&c.who).is_some());
    let finding = Finding::new("stuck-reader", Severity::Warning, problem, subject)
        .about(match is_held {
            true => About::Process,
            false => About::Addresses,
        })
        .number("connections", conns.len() as u64)
        .number("recv_q", sum(queues()))
        .number("recv_q_largest", queues().max().unwrap_or(0))
        .number("oldest_s", oldest / 1_000)
        .number("window_closed", closed)
        .remedy(Action::SeeProcess { pid })
        .remedy(Action::SparePeers);
    Some(finding)
}
