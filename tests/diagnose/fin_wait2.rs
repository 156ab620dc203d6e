//! `fin-wait2`'s advice.

use testkit::scene::{CLOSE_WAIT, Conn, FIN_WAIT2, stranger};

use crate::support::{add, host, look, number, only, settings};

#[test]
fn fin_wait2_says_what_its_time_out_is_for() {
    let conn = |n, flags| Conn {
        sent: 10,
        received: 10,
        flags,
        ..Conn::served(stranger(n), 30).state(FIN_WAIT2)
    };
    let of = |flags| {
        let fake = host();
        add(&fake, (0..150).map(|n| conn(n, flags)));
        look(&fake)
    };
    let held = of(0);
    assert_eq!(
        (number(&held[0], "held_by_process"), settings(&held[0])),
        (150, vec![])
    );
    let orphans = of(2);
    assert_eq!(settings(&orphans[0]), [("net.ipv4.tcp_fin_timeout", "60")]);
}

#[test]
fn a_peer_that_still_sends_has_not_forgotten_to_close() {
    let of = |received| {
        let conn = |n| Conn {
            sent: 10,
            received: 10_000,
            last_recv: received,
            ..Conn::served(stranger(n), 120).state(FIN_WAIT2)
        };
        let fake = host();
        add(&fake, (0..150).map(conn));
        look(&fake).len()
    };
    assert_eq!([1_000, 59_000].map(of), [0, 0]);
    // It came a minute ago, or before the state was entered.
    assert_eq!([60_000, 120_000].map(of), [1, 1]);
}

/// What came before the state was entered did not come in it, even if reading all data takes long.
#[test]
fn a_slow_reading_is_no_sign_of_life() {
    let of = |received| {
        let conn = |n| Conn {
            last_recv: received,
            ..Conn::served(stranger(n), 30).state(FIN_WAIT2)
        };
        let fake = host();
        add(&fake, (0..150).map(conn));
        look(&fake).len()
    };
    assert_eq!([30_000, 28_000, 20_000].map(of), [1, 1, 0]);
}

#[test]
fn the_other_ends_on_this_host_are_named() {
    let fake = host();
    let local = |n| format!("10.0.0.1:{}", 40_000 + n);
    let waits = |n| Conn::begun(local(n), "10.0.0.9:80", 30).state(FIN_WAIT2);
    let holds = |n| Conn {
        local: "10.0.0.9:80".into(),
        pid: 78,
        comm: "leaky",
        ..Conn::served(local(n), 30).state(CLOSE_WAIT)
    };
    add(&fake, (0..150).map(waits));
    add(&fake, (0..150).map(holds));
    let findings = look(&fake);
    let expected = "150 of them have their other end on this host, held by 78/leaky: look at that \
                    process, and block nothing";
    assert_eq!(only(&findings).advice[0].text, expected);
}
