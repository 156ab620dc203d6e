//! Both ends act at once: simultaneous open (RFC 9293, figure 7) and close (figure 13), which only
//! a hand-made peer can produce reliably.

use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

use libtest_mimic::Trial;

use crate::support::life;
use crate::support::netns::Netns;
use crate::support::raw::{Peer, Wire, peer_addr};
use crate::support::segment::{ACK, FIN, SYN};
use crate::support::{scenario, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("a_simultaneous_open_is_told_as_it_was", open),
        scenario("a_simultaneous_close_is_told_as_it_was", close),
    ]
}

const PORT: u16 = 7000;

/// A socket of the namespace that has sent its SYN to a hand-made peer.
pub fn calling<'w>(netns: &Netns, wire: &'w Wire) -> (TcpStream, Peer<'w>) {
    let to = SocketAddrV4::new(peer_addr(0), PORT);
    let socket = netns.run(|| traffic::unanswered(to.into()));
    let from = socket.local_addr().expect("bound").port();
    let syn = wire
        .find(Duration::from_secs(5), |s| {
            s.flags == SYN && s.from.port() == from
        })
        .expect("a SYN");
    (socket, Peer::called_by(wire, &syn))
}

/// Both ends have sent a SYN, and both answer the other's.
pub fn simultaneous_open<'w>(netns: &Netns, wire: &'w Wire) -> (TcpStream, Peer<'w>) {
    let (socket, mut peer) = calling(netns, wire);
    peer.send(SYN);
    let answer = peer.expect(SYN | ACK);
    assert_eq!(answer.ack, peer.seq, "it acknowledges the peer's SYN");
    peer.send(ACK);
    traffic::wait_for_state(&socket, traffic::ESTABLISHED);
    (socket, peer)
}

/// Both ends send a FIN before they see the other's. This leaves TIME_WAIT.
pub fn simultaneous_close(socket: TcpStream, peer: &mut Peer<'_>) {
    drop(socket);
    let fin = peer.expect(FIN | ACK);
    peer.ack = fin.seq;
    peer.close();
    // It acknowledges the peer's FIN, and waits for the acknowledgement of its own.
    peer.expect(ACK);
    peer.ack = fin.seq.wrapping_add(1);
    peer.send(ACK);
}

fn open() {
    let netns = Netns::new("simultaneous");
    let wire = Wire::new(&netns);
    tool::activate("");
    let (socket, mut peer) = simultaneous_open(&netns, &wire);
    let port = peer.remote.port();
    // A normal end: the peer closes first.
    peer.close();
    peer.expect(ACK);
    drop(socket);
    peer.expect(FIN | ACK);
    peer.send(ACK);
    let report = tool::report("transitions=1");
    let life = life::life(&report.transitions, port, PORT);
    life.assert_is(&[
        ("CLOSE", ""),
        ("SYN_SENT", ""),
        ("SYN_RECV", ""),
        ("ESTABLISHED", ""),
        ("CLOSE_WAIT", "closed_peer"),
        ("LAST_ACK", "closed_peer"),
        ("CLOSE", "closed_peer"),
    ]);
    for record in &life.0 {
        assert_eq!(
            record["role"], "client",
            "it sent a SYN of its own: {record}"
        );
        assert_eq!(record["lport"], port, "{record}");
        assert!(record.get("listener_port").is_none(), "{record}");
    }
    tool::end();
}

fn close() {
    let netns = Netns::new("simultaneous");
    let wire = Wire::new(&netns);
    tool::activate("");
    let (socket, mut peer) = calling(&netns, &wire);
    peer.answer();
    let port = peer.remote.port();
    simultaneous_close(socket, &mut peer);
    let live = tool::report(&format!("peek=1 transitions=0 connections=1 lport={port}"));
    assert_eq!(live.connections.len(), 1, "{:?}", live.connections);
    assert_eq!(live.connections[0]["state"], "TIME_WAIT");
    assert_eq!(live.connections[0]["reason"], "closed_both");
    // A reset ends TIME_WAIT early (RFC 1337 warns of it).
    peer.reset();
    traffic::until("TIME_WAIT has ended", || {
        crate::support::ss::table(Some(&netns.name)).is_empty()
    });
    let report = tool::report("transitions=1");
    let life = life::life(&report.transitions, port, PORT);
    life.assert_is(&[
        ("CLOSE", ""),
        ("SYN_SENT", ""),
        ("ESTABLISHED", ""),
        ("FIN_WAIT1", "closed_local"),
        ("CLOSING", "closed_both"),
        ("TIME_WAIT", "closed_both"),
        ("CLOSE", life.last()["reason"].as_str().unwrap_or_default()),
    ]);
    assert!(
        ["closed_both", "reset_received"].contains(&life.last()["reason"].as_str().unwrap_or("")),
        "{life:?}"
    );
    tool::end();
}
