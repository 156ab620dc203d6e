//! `simultaneous`.

use diagnose_tools::abi::TransitionCount;
use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{Conn, SYN_RECV, SYN_SENT, step};

use crate::support::{add, host, look, number};

#[test]
fn simultaneous_ends_are_information() {
    let mut fake = host();
    let transition = |old_state, new_state, count| TransitionCount {
        old_state,
        new_state,
        count,
        ..TransitionCount::default()
    };
    fake.transition_counts = vec![
        transition(2, 3, 3),
        transition(4, 11, 4),
        transition(1, 4, 90),
    ];
    let findings = look(&fake);
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.rule, f.severity, number(f, "since_activation")))
        .collect();
    let expected = [
        ("simultaneous", Severity::Info, 3),
        ("simultaneous", Severity::Info, 4),
    ];
    assert_eq!(found, expected);
}

/// A socket that met itself has not opened a connection with anybody.
#[test]
fn a_socket_that_is_connected_to_itself_is_not_simultaneous() {
    let own = |age| Conn::begun("127.0.0.1:40020".into(), "127.0.0.1:40020", age);
    let of = |count, recent: &[Conn], live: Option<Conn>| {
        let mut fake = host();
        fake.transition_counts = vec![TransitionCount {
            old_state: 2,
            new_state: 3,
            count,
            ..TransitionCount::default()
        }];
        for conn in recent {
            let met = step(conn, 5_000, SYN_SENT, SYN_RECV, 0);
            fake.rings[0].write(&met);
        }
        add(&fake, live);
        let findings = look(&fake);
        let found: Vec<_> = findings
            .iter()
            .filter(|f| f.rule == "simultaneous")
            .collect();
        found
            .iter()
            .map(|f| number(f, "since_activation"))
            .collect::<Vec<_>>()
    };
    let other = Conn::begun("10.0.0.1:40021".into(), "10.0.0.5:40021", 9);
    const NONE: [u64; 0] = [];
    assert_eq!(of(1, &[own(5)], Some(own(5))), NONE);
    assert_eq!(of(2, &[own(5), other], Some(own(5))), [1]);
    // ... and one that did so earlier and is still there.
    assert_eq!(of(1, &[], Some(own(90))), NONE);
    assert_eq!(of(1, &[], None), [1]);
}
