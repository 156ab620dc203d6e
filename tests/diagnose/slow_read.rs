//! `slow-read`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{Conn, attacker};

use crate::support::{add, host, is, look, number, only};

#[test]
fn slow_reads() {
    fn slow(number: u64) -> Conn {
        Conn {
            sent: 20_000,
            acked: 2_000,
            received: 120,
            window: 400,
            sndbuf_used: 90_000,
            last_sent: 3_000,
            ..Conn::served(attacker(number), 20)
        }
    }
    let fake = host();
    add(&fake, (0..60).map(slow));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "slow-read", Severity::Warning);
    assert_eq!(number(finding, "bytes_per_second_each"), 100);
    assert_eq!(number(finding, "largest_window"), 400);
    assert_eq!(number(finding, "sndbuf_used"), 60 * 90_000);

    let honest = |n| Conn {
        acked: 20 * 1_024,
        ..slow(n)
    };
    let open = |n| Conn {
        window: 2_920,
        ..slow(n)
    };
    let gone = |n| Conn {
        retransmits: 3,
        ..slow(n)
    };
    let kinds: [fn(u64) -> Conn; 2] = [honest, open];
    for kind in kinds {
        let fake = host();
        add(&fake, (0..100).map(kind));
        assert_eq!(look(&fake), []);
    }
    let fake = host();
    add(&fake, (0..100).map(gone));
    is(only(&look(&fake)), "dead-peers", Severity::Warning);
    // The average was good, but nothing was sent for a long time.
    let stuck = |n| Conn {
        last_sent: 5_000,
        ..honest(n)
    };
    let fake = host();
    add(&fake, (0..60).map(stuck));
    is(only(&look(&fake)), "slow-read", Severity::Warning);
}

/// The client is a process of this host, which has not read what came.
#[test]
fn slow_reads_of_a_process_of_this_host() {
    let fake = host();
    let client = |n| format!("10.0.0.1:{}", 40_000 + n);
    let served = |n| Conn {
        sent: 20_000,
        acked: 2_000,
        received: 120,
        window: 400,
        sndbuf_used: 90_000,
        last_sent: 3_000,
        ..Conn::served(client(n), 20)
    };
    add(&fake, (0..60).map(served));
    let reads_slowly = |n| Conn {
        received: 2_000,
        recv_q: 1_000,
        last_recv: 100,
        ..Conn::begun(client(n), "10.0.0.1:80", 20)
    };
    add(&fake, (0..60).map(reads_slowly));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "slow-read", Severity::Warning);
    assert_eq!(
        finding.advice[0].text,
        "60 of them have their other end on this host, held by 900/curl, which has not read 60000 \
         bytes: look at that process, and block nothing"
    );
}
