//! A crawler with a thousand calls of connect() in flight.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::assert_nothing;
use super::conversations::lent;
use crate::support::diagnosis::{Diagnosis, assert_is, number};
use crate::support::link::{Link, NEAR};
use crate::support::process::{Line, Process};
use crate::support::talk::{self, Manners};
use crate::support::{guest, tool, traffic};

/// Sites that answer, and sites that never do.
const SITES: usize = 960;
const DEAD: usize = 40;
const PORT: u16 = 443;
/// Round trip of the calls: less than the time after which the rules say that nobody answers.
const FAR_AWAY: &str = "2800ms";
/// The crawler calls again after this time.
const UNANSWERED: Duration = Duration::from_secs(5);
/// A diagnosis must end before the first answer.
const ATTEMPTS: usize = 5;

/// Messages to the crawler.
const CALL: u64 = 1;
const COUNT: u64 = 2;
const READ: u64 = 3;
const GIVE_UP: u64 = 4;

fn sites() -> usize {
    SITES / guest::share()
}

/// The crawler is at the far end, all sites are at the near end.
pub fn healthy() {
    tool::activate("");
    let link = Link::new("sites", "crawling");
    link.lend("10.78.0.0/16");
    link.far
        .ip(&["route", "add", "10.79.0.0/16", "via", &NEAR.to_string()]);
    link.wait();
    let manners = Manners {
        answer: |_| b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n",
        ..Manners::MUTE
    };
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let (mut server, _) = talk::start_server(&link.near, c"sites", any, manners);
    link.delay(FAR_AWAY);
    let mut crawler = Process::named(&link.far, c"crawler", crawl);
    let young = (0..ATTEMPTS).any(|_| look_while_calling(&mut crawler));
    assert!(young, "each diagnosis took longer than {FAR_AWAY}");
    assert_nothing("after the crawl", "");
    server.assert_runs();

    // The twin: no site answers any more.
    link.vanish("10.78.0.0/16");
    ask(&mut crawler, CALL);
    thread::sleep(guest::slowed(UNANSWERED));
    let diagnosis = Diagnosis::with(&format!("netns={}", link.far.name));
    let found = diagnosis.about("scanner", "comm", "crawler");
    assert_is(found, "warning");
    assert!(number(found, "destinations") >= sites() as u64, "{found:#}");
    ask(&mut crawler, GIVE_UP);
    tool::tcpstates(&["--deactivate"]);
}

/// A diagnosis while all calls are in flight, and of all that come back; false if some had been
/// answered before it ended.
fn look_while_calling(crawler: &mut Process) -> bool {
    ask(crawler, CALL);
    let diagnosis = Diagnosis::with("sample=0");
    let answered = ask(crawler, COUNT);
    println!("{answered} were answered before the diagnosis ended");
    if answered == 0 {
        diagnosis.assert_alarms_only(&[]);
    }
    assert_eq!(ask(crawler, READ), sites() as u64);
    answered == 0
}

fn ask(crawler: &mut Process, message: u64) -> u64 {
    crawler.line.tell(&[message]);
    crawler.line.hear()[0]
}

fn crawl(mut line: Line) {
    let mut calls = Vec::new();
    loop {
        let answer = match line.hear()[0] {
            CALL => {
                calls = call();
                calls.len()
            }
            COUNT => answered(&calls),
            READ => read_all(&mut calls),
            GIVE_UP => {
                calls.clear();
                0
            }
            other => panic!("what is {other}?"),
        };
        line.tell(&[answer as u64]);
    }
}

/// Calls all sites at once.
fn call() -> Vec<TcpStream> {
    let alive = (0..sites()).map(|n| lent((n / 250) as u8, n));
    let dead = (0..DEAD).map(|n| Ipv4Addr::new(10, 79, 0, 1 + n as u8));
    let all = alive.chain(dead);
    all.map(|site| traffic::unanswered((site, PORT).into()))
        .collect()
}

/// Number of calls that have been answered.
fn answered(calls: &[TcpStream]) -> usize {
    let mut fds: Vec<_> = calls
        .iter()
        .map(|call| PollFd::new(call.as_fd(), PollFlags::POLLOUT))
        .collect();
    poll(&mut fds, PollTimeout::ZERO).expect("poll") as usize
}

/// Reads a page of each site that answers, and gives the others up.
fn read_all(calls: &mut Vec<TcpStream>) -> usize {
    traffic::until("the sites answer", || answered(calls) >= sites());
    let mut alive: Vec<_> = calls.drain(..).take(sites()).collect();
    for call in &mut alive {
        call.set_nonblocking(false).expect("O_NONBLOCK");
        call.write_all(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n")
            .expect("write");
    }
    let has_page = |call: &mut TcpStream| call.read(&mut [0; 512]).expect("read") > 0;
    alive.iter_mut().map(has_page).filter(|has| *has).count()
}
