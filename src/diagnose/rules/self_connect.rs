//! A socket that is connected to itself: `connect()` to a local port on which nobody listened chose
//! that same port as its own.

use std::collections::BTreeMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity, Subject};
use crate::diagnose::identity::About;
use crate::diagnose::message::SocketAddress;
use crate::diagnose::rules::{Bound, Rule};
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::ident::Owner;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["self-connect"],
    looks_at: words!(
        "sockets whose local address and port are also their remote ones, by process: the \
               SYN met its own socket, so the service cannot have its port",
        "本地地址和端口与远端相同的套接字，按进程统计：SYN 遇到了自己的套接字，因此服务无法使用其端口"
    ),
    refuted_by: words!(
        "an address or a port that differ; a socket in TIME_WAIT or closed",
        "地址或端口不同；套接字处于 TIME_WAIT 或已关闭"
    ),
    alike: words!("nothing", "无"),
    remedy: words!(
        "reserve the port of the service, let the program that connects close such a socket",
        "保留服务的端口，让发起连接的程序关闭这样的套接字"
    ),
    limits: &[],
    find,
};

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The process that is connected to itself.
    pub owner: Option<Owner>,
    /// Address and port of both ends: of the first socket, if there are several.
    pub at: SocketAddress,
    /// Number of further sockets.
    pub more: u64,
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Keep the service's port out of the ports that connect() chooses from.
    ReservePort {
        /// The port.
        port: u16,
    },
    /// Make the program close the socket.
    CloseIt,
}

fn find(facts: &Facts, _: &Bound) -> Vec<Finding> {
    let closed = [State::LISTEN, State::CLOSE, State::TIME_WAIT];
    let is_one = |c: &&Conn| c.who.is_self_connected() && !closed.contains(&c.state);
    let mut by_process: BTreeMap<_, Vec<&Conn>> = BTreeMap::new();
    for conn in facts.conns.iter().filter(is_one) {
        let process = (conn.who.netns, facts.holder(&conn.who).map(|o| o.pid));
        by_process.entry(process).or_default().push(conn);
    }
    let found = by_process
        .values()
        .filter_map(|conns| finding(facts, conns));
    found.collect()
}

fn finding(facts: &Facts, conns: &[&Conn]) -> Option<Finding> {
    let who = &conns.iter().min_by_key(|c| c.who.lport)?.who;
    let end = Some((who.local(), Some(who.lport)));
    let subject = Subject {
        local: end,
        remote: end,
        dev: facts.dev(who.netns, who.ifindex),
        ..facts.owners(who.netns, conns.iter().map(|c| &c.who))
    };
    let problem = Problem {
        owner: subject.owner,
        at: SocketAddress {
            addr: who.local(),
            dev: subject.dev.clone(),
            port: who.lport,
        },
        more: conns.len() as u64 - 1,
    };
    let oldest = conns.iter().map(|c| facts.lifetime_ms(c)).max();
    let reserve = Action::ReservePort { port: who.lport };
    let finding = Finding::new("self-connect", Severity::Warning, problem, subject)
        .about(About::Process)
        .number("sockets", conns.len() as u64)
        .number("oldest_s", oldest.unwrap_or(0) / 1_000)
        .remedy(Action::CloseIt)
        .remedy(reserve);
    Some(finding)
}
