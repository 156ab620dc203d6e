//! Servers of many protocols, whose clients stay connected.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant};

use super::mail::Mail;
use super::node::Node;
use super::proxy::Proxy;
use super::scraper::Scraper;
use super::twins::Twins;
use super::{assert_needs_attention, print_counts};
use crate::support::link::{FAR, Link, NEAR};
use crate::support::netns::Netns;
use crate::support::talk::{Habits, Manners, Spec, Talk};
use crate::support::{guest, is_long, ss, tool, traffic};

/// Longer than what any rule allows a connection that is normally short, except `close-wait`.
const LASTS: Duration = Duration::from_secs(20);
/// `close-wait` with less patience, as it would be after more than a minute.
const LIMITS: &str = "[close-wait]\nage-s = 15\n";

/// All at once: the servers are in one namespace, and their clients in another, each kind in its
/// own network.
pub fn healthy() {
    let began = Instant::now();
    tool::activate("");
    let link = Link::new("talknear", "talkfar");
    link.lend("10.78.0.0/16");
    link.wait();
    let local = Netns::new("loopback");
    let mut twins = Twins::start();
    let mut scraper = Scraper::start();
    let mut node = Node::start();
    let mut proxy = Proxy::start(&link);
    let mut mail = Mail::start(&link);
    let mut across = talks(&link);
    let mut inside = loopback(&local);
    across.iter_mut().chain(&mut inside).for_each(Talk::wait);
    twins.wait();
    println!("all are connected after {:?}", began.elapsed());
    thread::sleep(LASTS);
    scraper.wait();
    node.wait();
    mail.wait();

    let limits = "/tmp/close-wait-15.toml";
    fs::write(limits, LIMITS).expect("a file");
    let keys = format!("config={limits}");
    assert_needs_attention("many protocols", &keys, &Twins::FINDINGS);
    scraper.assert_goes_on();
    node.assert_goes_on();
    mail.assert_goes_on();
    let sockets = ss::table(Some(&link.far.name));
    proxy.assert_goes_on(&sockets);
    let (hop, others) = across.split_last_mut().expect("there are some");
    others.iter_mut().for_each(|t| t.assert_goes_on(&sockets));
    hop.assert_goes_on(&ss::table(Some(&link.near.name)));
    let sockets = ss::table(Some(&local.name));
    inside.iter_mut().for_each(|t| t.assert_goes_on(&sockets));
    if is_long() {
        print_counts();
    }
    tool::tcpstates(&["--deactivate"]);
}

/// The address of a client in the network of its kind, which has 250.
pub fn lent(network: u8, number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 78, network, 1 + (number % 250) as u8)
}

/// The conversations across the link. The last one goes the other way: it starts at the bastion.
fn talks(link: &Link) -> Vec<Talk> {
    let across = |spec| Talk::start(&link.far, &link.near, FAR, spec);
    let mut talks: Vec<_> = [
        broker(),
        push(),
        bastion(),
        replication(),
        imap(),
        pool(),
        syslog(),
        telemetry(),
        downloads(),
    ]
    .map(across)
    .into();
    let hop = Spec {
        names: [c"sshd-inner", c"ssh-hop"],
        from: |_| address(FAR),
        ..bastion()
    };
    talks.push(Talk::start(&link.near, &link.far, NEAR, hop));
    talks
}

fn address(of: IpAddr) -> Ipv4Addr {
    match of {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(v6) => panic!("{v6} is not an IPv4 address"),
    }
}

const SECOND: Duration = Duration::from_secs(1);

const MQTT_CONNECT: &[u8] = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06sensor";
const MQTT_PUBLISH: &[u8] = b"\x30\x0c\x00\x06a/temp21.5";
const MQTT_PING: &[u8] = b"\xc0\x00";

/// A publication without an acknowledgement (QoS 0) has no answer.
fn mqtt(data: &[u8]) -> &'static [u8] {
    match data[0] {
        0x10 => b"\x20\x02\x00\x00",
        0xc0 => b"\xd0\x00",
        _ => b"",
    }
}

/// A broker with many clients that are almost always idle.
fn broker() -> Spec {
    let count = if is_long() { 50_000 } else { 5_000 };
    let ping = Duration::from_secs(count / 10);
    Spec {
        names: [c"broker", c"sensors"],
        manners: Manners {
            answer: mqtt,
            ..Manners::MUTE
        },
        habits: Habits {
            first: MQTT_CONNECT,
            again: Some((MQTT_PING, ping)),
            ..Habits::MUTE
        },
        from: |n| lent(1, n),
        count: count as usize / guest::share(),
    }
}

/// Server-sent events, and WebSockets that are kept alive.
fn push() -> Spec {
    const PING: &[u8] = b"\x89\x80\x00\x00\x00\x00";
    Spec {
        names: [c"push", c"browsers"],
        manners: Manners {
            answer: |data| match data[0] {
                0x89 => b"\x8a\x00",
                _ => b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
            },
            push: Some((b"data: {\"price\":42}\n\n", 4 * SECOND)),
            ..Manners::MUTE
        },
        habits: Habits {
            first: b"GET /events HTTP/1.1\r\nHost: push\r\nAccept: text/event-stream\r\n\r\n",
            again: Some((PING, 20 * SECOND)),
            ..Habits::MUTE
        },
        from: |n| lent(2, n % 50),
        count: 200,
    }
}

/// Users of one office, who type.
fn bastion() -> Spec {
    Spec {
        names: [c"sshd", c"ssh"],
        manners: Manners {
            greeting: b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
            answer: |data| match data.len() {
                0..100 => &[0x5e; 36],
                _ => &[0x14; 1100],
            },
            ..Manners::MUTE
        },
        habits: Habits {
            first: &[0x14; 1500],
            waits: true,
            again: Some((&[0x5e; 36], 8 * SECOND)),
            ..Habits::MUTE
        },
        from: |_| lent(3, 0),
        count: 80,
    }
}

/// Replicas receive a stream, and send how far they are, which has no answer.
fn replication() -> Spec {
    Spec {
        names: [c"primary", c"replica"],
        manners: Manners {
            push: Some((&[0x77; 4096], SECOND / 2)),
            ..Manners::MUTE
        },
        habits: Habits {
            first: b"Q\x00\x00\x00\x27START_REPLICATION 0/3000000 TIMELINE",
            again: Some((&[0x64; 34], 2 * SECOND)),
            ..Habits::MUTE
        },
        from: |n| lent(4, n % 3),
        count: 12,
    }
}

/// Mail programs that wait for new mail.
fn imap() -> Spec {
    Spec {
        names: [c"imapd", c"mailers"],
        manners: Manners {
            greeting: b"* OK [CAPABILITY IMAP4rev1 IDLE] ready.\r\n",
            answer: |_| b"+ idling\r\n",
            ..Manners::MUTE
        },
        habits: Habits {
            first: b"a1 LOGIN user secret\r\na2 IDLE\r\n",
            waits: true,
            again: Some((b"DONE\r\na3 IDLE\r\n", 120 * SECOND)),
            ..Habits::MUTE
        },
        from: |n| lent(5, n % 3),
        count: 300,
    }
}

/// A pool that an application has filled when it started, and has not used yet.
fn pool() -> Spec {
    Spec {
        names: [c"redis", c"app"],
        manners: Manners::MUTE,
        habits: Habits::MUTE,
        from: |_| lent(6, 0),
        count: 60,
    }
}

/// Senders of log lines: one relay has many connections, and others have a few.
fn syslog() -> Spec {
    const LINE: &[u8] = b"<34>Oct 11 22:14:15 host app[12]: hello\n";
    Spec {
        names: [c"rsyslogd", c"loggers"],
        manners: Manners::MUTE,
        habits: Habits {
            first: LINE,
            again: Some((LINE, 6 * SECOND)),
            ..Habits::MUTE
        },
        from: |n| lent(7, n.saturating_sub(60) / 20),
        count: 240,
    }
}

/// Two gateways that publish what their sensors measure.
fn telemetry() -> Spec {
    Spec {
        names: [c"mosquitto", c"gateways"],
        manners: Manners {
            answer: mqtt,
            ..Manners::MUTE
        },
        habits: Habits {
            first: MQTT_CONNECT,
            again: Some((MQTT_PUBLISH, 6 * SECOND)),
            ..Habits::MUTE
        },
        from: |n| lent(8, n % 2),
        count: 120,
    }
}

/// Clients that have asked for a stream, and have nothing more to say.
pub fn downloads() -> Spec {
    Spec {
        names: [c"streamer", c"listeners"],
        manners: Manners {
            push: Some((&[b'y'; 2000], SECOND)),
            keeps_half_closed: true,
            ..Manners::MUTE
        },
        habits: Habits {
            first: b"GET /live HTTP/1.1\r\nHost: radio\r\n\r\n",
            half_closes: true,
            ..Habits::MUTE
        },
        from: |n| lent(9, n % 11),
        count: 110,
    }
}

/// Connections of one host with itself, all with the same pair of addresses.
const LOOPBACK: usize = 2000;

fn loopback(netns: &Netns) -> Vec<Talk> {
    let names = [
        [c"memcached", c"php-fpm"],
        [c"postgres", c"pgbouncer"],
        [c"envoy", c"service"],
        [c"redis-local", c"workers"],
    ];
    let count = LOOPBACK / names.len() / guest::share();
    let start = |names| {
        let spec = Spec {
            names,
            manners: Manners {
                answer: |_| b"+PONG\r\n",
                ..Manners::MUTE
            },
            habits: Habits {
                first: b"*1\r\n$4\r\nPING\r\n",
                again: Some((b"*1\r\n$4\r\nPING\r\n", 60 * SECOND)),
                ..Habits::MUTE
            },
            from: |_| Ipv4Addr::LOCALHOST,
            count,
        };
        Talk::start(netns, netns, traffic::V4, spec)
    };
    names.map(start).into()
}
