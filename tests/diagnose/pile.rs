//! `fin-wait1`, `fin-wait2` and `last-ack`, which use the same criteria.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{Conn, FIN_WAIT1, FIN_WAIT2, LAST_ACK, healthy, stranger};

use crate::support::{add, host, is, look, number, only};

#[test]
fn piles_of_closing_states() {
    let table = [
        (FIN_WAIT1, "fin-wait1"),
        (FIN_WAIT2, "fin-wait2"),
        (LAST_ACK, "last-ack"),
    ];
    for (state, rule) in table {
        let conn = |n, age| Conn {
            sent: 10,
            received: 10,
            sndbuf_used: 512,
            retransmits: 1,
            flags: 2,
            ..Conn::served(stranger(n), age).state(state)
        };
        let fake = host();
        add(&fake, (0..99).map(|n| conn(n, 10)));
        add(&fake, (99..300).map(|n| conn(n, 9)));
        assert_eq!(look(&fake), [], "{rule}");
        let fake = host();
        add(&fake, (0..100).map(|n| conn(n, 10)));
        let findings = look(&fake);
        let finding = only(&findings);
        is(finding, rule, Severity::Warning);
        assert_eq!(finding.subject.peer_count, 100);
        let numbers = ["connections", "live", "oldest_s", "orphans"];
        assert_eq!(numbers.map(|n| number(finding, n)), [100, 300, 10, 100]);
        // Among a thousand clients, this number of vanished ones is normal.
        add(&fake, (200..1_001).map(healthy));
        assert_eq!(look(&fake), [], "{rule}");
    }
}

#[test]
fn data_that_is_still_acknowledged_is_no_pile() {
    for state in [FIN_WAIT1, LAST_ACK] {
        let of = |sent, retransmits, probes| {
            let conn = |n| Conn {
                sent: 90_000,
                acked: 80_000,
                sndbuf_used: 60_000,
                last_sent: sent,
                retransmits,
                probes,
                ..Conn::served(stranger(n), 30).state(state)
            };
            let fake = host();
            add(&fake, (0..150).map(conn));
            look(&fake).len()
        };
        assert_eq!(of(500, 0, 0), 0, "{state}");
        // Nothing was sent, only again, or only to probe a window.
        assert_eq!([of(10_000, 0, 0), of(500, 1, 0), of(500, 0, 1)], [1; 3]);
    }
}
