//! `fin-wait2`'s advice.

use testkit::scene::{Conn, FIN_WAIT2, stranger};

use crate::support::{add, host, look, number, settings};

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
