//! All existing states, and no impossible transition.

use libtest_mimic::Trial;

use crate::handshakes::patient;
use crate::simultaneous::{calling, simultaneous_close, simultaneous_open};
use crate::support::netns::Netns;
use crate::support::raw::{HOST, Peer, Wire, peer_addr};
use crate::support::{scenario, ss, tool, traffic, transition_counts};

pub fn trials() -> Vec<Trial> {
    vec![scenario("all_twelve_states_and_no_other_step", all)]
}

/// Both ends at once, which needs a hand-made peer.
fn simultaneous(netns: &Netns, wire: &Wire) {
    let (socket, mut peer) = simultaneous_open(netns, wire);
    simultaneous_close(socket, &mut peer);
    peer.reset();
    let (socket, mut peer) = calling(netns, wire);
    peer.answer();
    simultaneous_close(socket, &mut peer);
    peer.reset();
}

/// A request that never becomes a socket.
fn request(netns: &Netns, wire: &Wire) {
    let listener = netns.run(|| traffic::listen_with_backlog(HOST, 16));
    let std::net::SocketAddr::V4(to) = listener.local_addr().expect("bound") else {
        panic!("HOST is an IPv4 address");
    };
    let from = std::net::SocketAddrV4::new(peer_addr(0), 5000);
    Peer::new(wire, from, to).half_open();
    ss::abort(&netns.name, &["state", "syn-recv"]);
}

fn all() {
    let netns = patient("states", 3);
    let wire = Wire::new(&netns);
    tool::activate("");
    traffic::mixed(traffic::V4, 40);
    traffic::mixed(traffic::V6, 40);
    simultaneous(&netns, &wire);
    request(&netns, &wire);
    let seen = transition_counts::of(&tool::report("peek=1").summary);
    transition_counts::assert_all_states(&seen);
    // One transition of a request, the other one of a socket.
    for old in ["NEW", "SYN_SENT"] {
        assert!(
            seen.contains_key(&(old.to_owned(), "SYN_RECV".to_owned())),
            "{seen:?}"
        );
    }
    tool::end();
    println!("transitions of all scenarios so far:");
    for ((old, new), count) in transition_counts::seen() {
        println!("{count:8} {old} to {new}");
    }
}
