//! Sick twins of healthy servers: what happens on the wire looks almost the same, and each differs
//! in the one fact that makes it sick.

use std::net::SocketAddr;
use std::time::Duration;

use super::conversations::{downloads, lent};
use super::node::{self, Checks};
use crate::support::link::{FAR, Link};
use crate::support::process::Process;
use crate::support::talk::{self, Habits, Manners, Spec, Talk};

/// All twins, on a link of their own.
pub struct Twins {
    stuck: Talk,
    slow: Talk,
    good: Process,
    rude: Process,
    _reset: Process,
    _link: Link,
}

/// Number of clients of the attacked server that ask and are answered.
const GOOD: usize = 20;

impl Twins {
    /// What must be found: the rule, and the process.
    pub const FINDINGS: [(&'static str, &'static str); 5] = [
        ("close-wait", "stuck"),
        ("fin-wait2", "stuck-clients"),
        ("slow-headers", "attacked"),
        ("resets", "reset"),
        ("resets", "resetting"),
    ];

    pub fn start() -> Self {
        let link = Link::new("sicknear", "sickfar");
        link.lend("10.78.0.0/16");
        link.wait();
        let across = |spec| Talk::start(&link.far, &link.near, FAR, spec);
        let slow = across(attack());
        let good = (0..GOOD).map(|n| (lent(2, n), slow.to)).collect();
        let manners = Manners {
            answer: |_| b"OK\n",
            ..Manners::MUTE
        };
        let at = SocketAddr::new(FAR, 0);
        let (reset, to) = talk::start_server(&link.far, c"reset", at, manners);
        let rude = Checks {
            to: vec![to],
            request: b"STATUS\n",
        };
        Self {
            stuck: across(stuck()),
            good: talk::start_clients(&link.near, c"good", good, whole_requests()),
            slow,
            rude: node::start_checks(&link.near, c"resetting", rude),
            _reset: reset,
            _link: link,
        }
    }

    pub fn wait(&mut self) {
        self.stuck.wait();
        self.slow.wait();
        self.good.line.hear();
        self.rude.line.hear();
    }
}

/// Downloads of which nothing comes.
fn stuck() -> Spec {
    let spec = downloads();
    Spec {
        names: [c"stuck", c"stuck-clients"],
        manners: Manners {
            push: None,
            ..spec.manners
        },
        ..spec
    }
}

/// Clients whose headers do not end, as often and as long as lines of a log.
fn attack() -> Spec {
    Spec {
        names: [c"attacked", c"slowloris"],
        manners: Manners {
            answer: |data| match data.ends_with(b"\r\n\r\n") {
                true => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                false => b"",
            },
            ..Manners::MUTE
        },
        habits: Habits {
            first: b"GET / HTTP/1.1\r\nHost: attacked\r\n",
            again: Some((
                b"X-Header-With-A-Long-Name: some-value\r\n",
                Duration::from_secs(6),
            )),
            ..Habits::MUTE
        },
        from: |_| lent(1, 0),
        count: 80,
    }
}

fn whole_requests() -> Habits {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: attacked\r\n\r\n";
    Habits {
        first: REQUEST,
        again: Some((REQUEST, Duration::from_secs(6))),
        ..Habits::MUTE
    }
}
