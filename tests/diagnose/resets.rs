//! `resets`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::fake::Fake;
use testkit::scene::{CLOSE, Conn, ESTABLISHED, SYN_SENT, attacker, step};

use crate::support::{add, host, is, look, number, only, peers};

#[test]
fn resets() {
    let end = |fake: &Fake, number: u64, ago_ms, reason| {
        let conn = Conn::served(attacker(number), 1);
        fake.rings[0].write(&step(&conn, ago_ms, ESTABLISHED, CLOSE, reason));
    };
    // All at one moment: a program has exited.
    let fake = host();
    (0..400).for_each(|n| end(&fake, n, 30_000, 5));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "resets", Severity::Info);
    let numbers = ["resets", "ends", "percent", "seconds", "seconds_ago"];
    assert_eq!(numbers.map(|n| number(finding, n)), [400, 400, 100, 1, 30]);
    assert_eq!(peers(finding), [("10.9.0.1".into(), 400)]);
    // The resets continue.
    let fake = host();
    (0..60).for_each(|n| end(&fake, n, 59_000 - n * 900, 12));
    let findings = look(&fake);
    is(only(&findings), "resets", Severity::Warning);
    assert!(
        findings[0].summary.starts_with("900/curl") || findings[0].summary.starts_with("142/nginx")
    );
    // The kinds are judged together.
    let fake = host();
    (0..60).for_each(|n| end(&fake, n, 59_000 - n * 900, 12));
    (0..65).for_each(|n| end(&fake, n, 59_000 - n * 900, 5));
    let severities: Vec<_> = look(&fake).iter().map(|f| f.severity).collect();
    assert_eq!(severities, [Severity::Warning; 2]);
    // The resets have stopped.
    let fake = host();
    (0..60).for_each(|n| end(&fake, n, 59_000 - n * 800, 12));
    is(only(&look(&fake)), "resets", Severity::Info);
    // Most clients are served.
    let fake = host();
    (0..60).for_each(|n| end(&fake, n, 59_000 - n * 900, 12));
    (0..61).for_each(|n| end(&fake, n, 500, 1));
    is(only(&look(&fake)), "resets", Severity::Info);
    let fake = host();
    (0..49).for_each(|n| end(&fake, n, 30_000, 5));
    assert_eq!(look(&fake), []);
}

#[test]
fn a_server_that_refuses_and_one_that_was_restarted() {
    let fake = host();
    let refused = |n| Conn::begun(format!("10.0.0.1:{}", 40_000 + n), "10.5.0.1:80", 1);
    for n in 0..60 {
        let call = step(&refused(n), 59_000 - n * 900, SYN_SENT, CLOSE, 10);
        fake.rings[0].write(&call);
    }
    let findings = look(&fake);
    is(only(&findings), "resets", Severity::Warning);
    let summary =
        "10.5.0.1:80 refuses the calls of 900/curl: 60 resets in the last minute, most in SYN_SENT";
    assert_eq!(findings[0].summary, summary);
    let again = Conn {
        sent: 9,
        received: 9,
        ..refused(99)
    };
    add(&fake, [again]);
    is(only(&look(&fake)), "resets", Severity::Info);
}
