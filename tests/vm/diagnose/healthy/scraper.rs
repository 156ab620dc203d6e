//! A monitor that scrapes many targets, of which some are down.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::conversations::lent;
use crate::support::link::Link;
use crate::support::nstat::Counters;
use crate::support::process::{Line, Process};
use crate::support::ss;
use crate::support::talk::{self, Manners};

const TARGETS: usize = 500;
const REFUSED: usize = 20;
/// Times that each target is scraped before the diagnosis.
const ROUNDS: u64 = 4;
const PAUSE: Duration = Duration::from_secs(5);
const PORT: u16 = 9100;
/// Nothing listens there.
const CLOSED: u16 = 9101;
const PAGE: &[u8] = &[b'#'; 4096];

/// The monitor is at the far end, the targets are at the near end.
pub struct Scraper {
    scraper: Process,
    targets: Process,
    link: Link,
}

impl Scraper {
    pub fn start() -> Self {
        let link = Link::new("targets", "monitor");
        link.lend("10.78.0.0/16");
        link.wait();
        let manners = Manners {
            answer: |_| PAGE,
            ..Manners::MUTE
        };
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
        let (targets, _) = talk::start_server(&link.near, c"exporter", any, manners);
        Self {
            scraper: Process::named(&link.far, c"prometheus", scrape),
            targets,
            link,
        }
    }

    pub fn wait(&mut self) {
        self.scraper.line.hear();
    }

    pub fn assert_goes_on(&mut self) {
        self.scraper.assert_runs();
        self.targets.assert_runs();
        let monitor = &self.link.far.name;
        let up = |row: &ss::Row| row.2.1 == PORT;
        let up = talk::count(&ss::table(Some(monitor)), "ESTABLISHED", up);
        assert_eq!(up, TARGETS - REFUSED);
        let refused = Counters::of(monitor).get("TcpAttemptFails");
        assert!(refused >= ROUNDS * REFUSED as u64, "{refused} were refused");
    }
}

fn target(number: usize, port: u16) -> SocketAddr {
    SocketAddr::from((lent((number / 250) as u8, number), port))
}

fn scrape(mut line: Line) {
    let (down, up) = (0..REFUSED, REFUSED..TARGETS);
    let connect = |n| TcpStream::connect(target(n, PORT)).expect("connect");
    let mut up: Vec<_> = up.map(connect).collect();
    for round in 1.. {
        for stream in &mut up {
            let request = b"GET /metrics HTTP/1.1\r\nHost: target\r\n\r\n";
            stream.write_all(request).expect("write");
        }
        for stream in &mut up {
            stream.read_exact(&mut [0; PAGE.len()]).expect("a page");
        }
        for n in down.clone() {
            let error = TcpStream::connect(target(n, CLOSED)).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        }
        if round == ROUNDS {
            line.tell(&[]);
        }
        thread::sleep(PAUSE);
    }
}
