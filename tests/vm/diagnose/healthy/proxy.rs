//! A reverse proxy, nginx, that keeps its connections to the server behind it.

use std::net::SocketAddr;
use std::time::Duration;

use super::conversations::lent;
use crate::support::link::{FAR, Link, NEAR};
use crate::support::nginx::Nginx;
use crate::support::process::Process;
use crate::support::ss;
use crate::support::talk::{self, Habits, Manners};

const VISITORS: usize = 150;
/// How often each visitor has a request.
const EVERY: Duration = Duration::from_secs(6);
/// Time that the server takes to answer, so that some requests are in flight at any time.
const WORK: Duration = Duration::from_secs(1);
/// At least this many connections are kept: two thirds of the requests of a second.
const KEPT: usize = 16;

pub struct Proxy {
    visitors: Process,
    nginx: Nginx,
    server: Process,
    behind: SocketAddr,
}

impl Proxy {
    /// The visitors and the server behind the proxy are at the near end, the proxy is at the far
    /// end.
    pub fn start(link: &Link) -> Self {
        let manners = Manners {
            answer: |_| b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n",
            delay: WORK,
            ..Manners::MUTE
        };
        let at = SocketAddr::new(NEAR, 0);
        let (server, behind) = talk::start_server(&link.near, c"behind", at, manners);
        let nginx = Nginx::start_proxy(&link.far, FAR, behind);
        let request = b"GET / HTTP/1.1\r\nHost: proxy\r\n\r\n";
        let habits = Habits {
            first: request,
            again: Some((request, EVERY)),
            ..Habits::MUTE
        };
        let calls = (0..VISITORS)
            .map(|n| (lent(10, n % 30), nginx.addr))
            .collect();
        let mut visitors = talk::start_clients(&link.near, c"visitors", calls, habits);
        visitors.line.hear();
        Self {
            visitors,
            nginx,
            server,
            behind,
        }
    }

    /// Asserts that visitors are connected, and that the proxy keeps connections, according to the
    /// sockets of its namespace.
    pub fn assert_goes_on(&mut self, sockets: &[ss::Row]) {
        self.visitors.assert_runs();
        self.server.assert_runs();
        let port = self.nginx.addr.port();
        let visitors = talk::count(sockets, "ESTABLISHED", |row| row.1.1 == port);
        assert_eq!(visitors, VISITORS);
        let kept = talk::count(sockets, "ESTABLISHED", |row| row.2.1 == self.behind.port());
        assert!(kept >= KEPT, "the proxy keeps {kept} connections");
        assert!(talk::received(&mut self.visitors) > 0);
    }
}
