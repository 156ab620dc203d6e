//! Cost of recording in a SYN flood: instructions per SYN, for each way in which a listener answers
//! it.

use std::net::{SocketAddr, SocketAddrV4};

use crate::common::{median, timed};
use crate::record::Costs;
use crate::support::netns::Netns;
use crate::support::raw::{HOST, Peer, Wire, peer_addr};
use crate::support::segment::SYN;
use crate::support::{tool, traffic};

const SYNS: u16 = 2000;
const ROUNDS: usize = 9;

/// How a listener answers a SYN, the backlog for that, and whether SYN cookies are allowed.
struct Answer {
    name: &'static str,
    backlog: i32,
    cookies: &'static str,
}

const ANSWERS: [Answer; 3] = [
    Answer {
        name: "half_open",
        backlog: 4096,
        cookies: "0",
    },
    Answer {
        name: "cookie",
        backlog: 4,
        cookies: "1",
    },
    Answer {
        name: "dropped",
        backlog: 4,
        cookies: "0",
    },
];

/// Guest nanoseconds, which are instructions, for one SYN; each comes from another address.
fn per_syn(answer: &Answer) -> f64 {
    let netns = Netns::new("flooded");
    for (name, value) in [
        ("net.ipv4.tcp_syncookies", answer.cookies),
        ("net.ipv4.tcp_max_syn_backlog", "16384"),
        ("net.core.somaxconn", "4096"),
    ] {
        netns.sysctl(name, value);
    }
    let wire = Wire::new(&netns);
    let listener = netns.run(|| traffic::listen_with_backlog(HOST, answer.backlog));
    let SocketAddr::V4(to) = listener.local_addr().expect("bound") else {
        panic!("HOST is an IPv4 address");
    };
    let syn = |n: u16| {
        let from = SocketAddrV4::new(peer_addr(n), 10000 + n);
        Peer::new(&wire, from, to).segment(SYN)
    };
    // These fill a short queue.
    (SYNS..SYNS + 10).for_each(|n| wire.send(&syn(n)));
    let syns: Vec<_> = (0..SYNS).map(syn).collect();
    timed(|| syns.iter().for_each(|syn| wire.send(syn))) / f64::from(SYNS)
}

pub fn cost() {
    let cases: [fn(); 2] = [tool::fresh, || tool::activate("")];
    let mut measured = [const { [const { Vec::new() }; 2] }; ANSWERS.len()];
    for _ in 0..ROUNDS {
        for (case, prepare) in cases.iter().enumerate() {
            prepare();
            for (answer, values) in ANSWERS.iter().zip(&mut measured) {
                values[case].push(per_syn(answer));
            }
        }
    }
    tool::fresh();
    let mut costs = Costs::new("instructions/SYN");
    for (answer, values) in ANSWERS.iter().zip(measured) {
        let [idle, recorded] = values.map(|values| {
            println!("{}, instructions per SYN: {values:.0?}", answer.name);
            median(values)
        });
        costs.add(answer.name, recorded - idle);
    }
    costs.compare();
}
