//! An MPTCP server: each connection has two subflows, of which one carries all data.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use super::super::begin;
use super::assert_nothing;
use crate::support::mptcp::{Links, SERVER};
use crate::support::process::{Line, Process};
use crate::support::sockets::{Kind, accept, hear, say};
use crate::support::{ss, talk, traffic};

const CONNECTIONS: usize = 80;
/// Longer than what any rule allows a connection without data.
const LASTS: Duration = Duration::from_secs(12);
const PAUSE: Duration = Duration::from_millis(50);

pub fn healthy() {
    begin();
    let links = Links::new("mphost", "mpphones");
    let mut server = Process::named(&links.server, c"mp-server", serve);
    server.line.hear();
    let mut clients = Process::named(&links.client, c"mp-phones", call);
    traffic::within(Duration::from_secs(60), "all are joined", || {
        links.joined() == CONNECTIONS as u64
    });
    thread::sleep(LASTS);
    for netns in [&links.client, &links.server] {
        assert_nothing("MPTCP", &format!("netns={}", netns.name));
    }
    let sockets = ss::table(Some(&links.server.name));
    let subflows = |row: &ss::Row| row.1.1 == SERVER.port();
    let subflows = talk::count(&sockets, "ESTABLISHED", subflows);
    assert_eq!(subflows, 2 * CONNECTIONS);
    clients.line.hear();
    clients.assert_runs();
    server.assert_runs();
}

/// Answers each connection in turn.
fn serve(mut line: Line) {
    let listener = Kind::Mptcp.listen(SERVER);
    line.tell(&[]);
    let accepted: Vec<OwnedFd> = (0..CONNECTIONS).map(|_| accept(&listener)).collect();
    loop {
        for connection in &accepted {
            hear(connection);
            say(connection);
        }
    }
}

/// Asks on each connection in turn; reports after the first round.
fn call(mut line: Line) {
    let held: Vec<OwnedFd> = (0..CONNECTIONS)
        .map(|_| Kind::Mptcp.connect(SERVER))
        .collect();
    for round in 0.. {
        for connection in &held {
            say(connection);
            hear(connection);
            thread::sleep(PAUSE);
        }
        if round == 0 {
            line.tell(&[]);
        }
    }
}
