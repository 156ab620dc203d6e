//! Connections that end, or start, in an unusual way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::Value;

use super::begin;
use crate::simultaneous::{calling, simultaneous_close, simultaneous_open};
use crate::support::crowd::Crowd;
use crate::support::diagnosis::{
    Diagnosis, assert_about, assert_by, assert_is, assert_numbers, assert_peers, limit_if_slow,
};
use crate::support::link::{FAR, Link, NEAR};
use crate::support::netns::Netns;
use crate::support::process::{Line, Process};
use crate::support::raw::{Wire, peer_addr};
use crate::support::{scenario, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("diagnosis_of_resets", resets),
        scenario("diagnosis_of_ends_that_act_at_once", simultaneous),
    ]
}

/// Different numbers, so that no counter can be mistaken for another one.
const REFUSED: u64 = 60;
const UNREAD: u64 = 70;
const ABORTED: u64 = 80;
/// Pause between two events of a kind: what does not last for seconds is only information.
const PAUSE: Duration = Duration::from_millis(120);

/// A server that does not read the data of its first clients; later ones reset their connections.
fn careless(mut line: Line) {
    let listener = traffic::listen_at(SocketAddr::new(FAR, 0), 128);
    line.tell(&[listener.local_addr().expect("bound").port().into()]);
    let accept = || listener.accept().expect("accept").0;
    for _ in 0..UNREAD {
        let server = accept();
        traffic::until("the data are there", || {
            server.peek(&mut [0; 1]).is_ok_and(|n| n == 1)
        });
    }
    for _ in 0..ABORTED {
        let mut server = accept();
        server.write_all(b"!").expect("write");
        server.read(&mut [0; 1]).expect_err("a reset");
    }
    line.tell(&[]);
    line.hear();
}

fn rude(mut line: Line, to: SocketAddr, nobody: SocketAddr) {
    for _ in 0..UNREAD {
        let mut client = TcpStream::connect(to).expect("connect");
        client.write_all(b"never read").expect("write");
        client.read(&mut [0; 1]).expect_err("a reset");
        thread::sleep(PAUSE);
    }
    for _ in 0..ABORTED {
        let mut client = TcpStream::connect(to).expect("connect");
        // After a reset that arrives before accept(), there may be nothing to accept.
        client.read_exact(&mut [0; 1]).expect("read");
        traffic::close_by_reset(client);
        thread::sleep(PAUSE);
    }
    for _ in 0..REFUSED {
        TcpStream::connect(nobody).expect_err("refused");
        thread::sleep(PAUSE);
    }
    line.tell(&[]);
    line.hear();
}

/// The finding with this number of resets.
fn of_count(diagnosis: &Diagnosis, resets: u64) -> &Value {
    let all = diagnosis.of_rule("resets").into_iter();
    let mut found = all.filter(|f| f["numbers"]["resets"] == resets);
    let found = found.next();
    found.unwrap_or_else(|| panic!("none of {resets}: {diagnosis:#?}"))
}

fn resets() {
    begin();
    let link = Link::new("resetnear", "resetfar");
    let mut crowd = Crowd::across(&link);
    let mut server = Process::named(&link.far, c"careless", careless);
    let port = u16::try_from(server.line.hear()[0]).expect("a port");
    let (to, nobody) = (SocketAddr::new(FAR, port), SocketAddr::new(FAR, 1));
    let mut client = Process::named(&link.near, c"rude", move |line| rude(line, to, nobody));
    server.line.hear();
    client.line.hear();

    let keys = limit_if_slow("resets", "recent-s = 60");
    let diagnosis = Diagnosis::of(&link.near, &mut crowd, &keys);
    diagnosis.assert_alarms_only(&["resets"]);
    assert_eq!(diagnosis.of_rule("resets").len(), 3, "{diagnosis:#?}");
    for (resets, rport) in [(UNREAD, port), (ABORTED, port), (REFUSED, nobody.port())] {
        let found = of_count(&diagnosis, resets);
        assert_about(found, "raddr", FAR.to_string());
        assert_about(found, "rport", rport);
        assert_by(found, "rude", client.pid());
        let of_all = [
            ("TcpAttemptFails", REFUSED),
            ("TcpExtTCPAbortOnData", ABORTED),
        ];
        assert_numbers(found, &of_all);
    }
    // The resets have just happened.
    assert_is(of_count(&diagnosis, REFUSED), "warning");

    let diagnosis = Diagnosis::of(&link.far, &mut crowd, "");
    diagnosis.assert_alarms_only(&["resets"]);
    assert_eq!(diagnosis.of_rule("resets").len(), 2, "{diagnosis:#?}");
    for resets in [UNREAD, ABORTED] {
        let found = of_count(&diagnosis, resets);
        assert_about(found, "laddr", FAR.to_string());
        assert_about(found, "lport", port);
        assert_by(found, "careless", server.pid());
        assert_peers(found, &[(NEAR.to_string(), resets)]);
        let of_all = [
            ("ends", UNREAD + ABORTED),
            ("TcpExtTCPAbortOnClose", UNREAD),
        ];
        assert_numbers(found, &of_all);
    }
}

const OPENED: u64 = 3;
const CLOSED: u64 = 4;

/// Rare and harmless: reported as information only.
fn simultaneous() {
    let netns = Netns::new("atonce");
    let wire = Wire::new(&netns);
    begin();
    let mut crowd = Crowd::within(&netns);
    let open: Vec<_> = (0..OPENED)
        .map(|_| simultaneous_open(&netns, &wire))
        .collect();
    for _ in 0..CLOSED {
        let (socket, mut peer) = calling(&netns, &wire);
        peer.answer();
        simultaneous_close(socket, &mut peer);
    }
    let diagnosis = Diagnosis::of(&netns, &mut crowd, "");
    diagnosis.assert_alarms_only(&[]);
    let found = diagnosis.of_rule("simultaneous");
    let mut counts: Vec<_> = found.iter().map(|f| &f["numbers"]["last_minute"]).collect();
    counts.sort_by_key(|n| n.as_u64());
    assert_eq!(counts, [OPENED, CLOSED], "{diagnosis:#?}");
    for found in found {
        assert_about(found, "raddr", peer_addr(0).to_string());
        assert_about(found, "pid", std::process::id());
    }
    drop(open);
}
