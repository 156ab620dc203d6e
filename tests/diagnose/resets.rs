//! `resets`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::fake::Fake;
use testkit::scene::{CLOSE, Conn, ESTABLISHED, SYN_SENT, attacker, reset, step};

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

/// Checks of a server by `sources` balancers, one each every half a second, for half a minute.
fn checks(fake: &Fake, sources: u64, checked: fn(Conn) -> Conn, lasted_ms: u64) {
    for n in 0..60 * sources {
        let remote = format!("10.8.0.{}:{}", 1 + n % sources, 20_000 + n);
        let conn = checked(Conn::served(remote, 1));
        let ago_ms = 30_500 - n / sources * 500;
        fake.rings[0].write(&reset(&conn, ago_ms, lasted_ms, 5));
    }
}

#[test]
fn health_checks_that_connect_and_reset() {
    let of = |sources, checked: fn(Conn) -> Conn, lasted_ms| {
        let fake = host();
        checks(&fake, sources, checked, lasted_ms);
        let findings = look(&fake);
        let finding = only(&findings).clone();
        (finding.severity, number(&finding, "health_checks"), finding)
    };
    let bare = |conn| conn;
    let (severity, checks, finding) = of(2, bare, 3);
    assert_eq!((severity, checks), (Severity::Info, 120));
    assert_eq!(finding.advice.len(), 1);
    assert!(
        finding.advice[0].text.starts_with("nothing: "),
        "{finding:#?}"
    );
    // They carried something, lasted for long, or came from many.
    let asked = |conn| Conn {
        received: 1,
        ..conn
    };
    assert_eq!(of(2, asked, 3).0, Severity::Warning);
    assert_eq!(of(2, bare, 5_001).0, Severity::Warning);
    assert_eq!(of(21, bare, 3).0, Severity::Warning);
}

#[test]
fn health_checks_do_not_hide_other_resets() {
    let fake = host();
    checks(&fake, 2, |conn| conn, 3);
    for n in 0..49 {
        let conn = Conn {
            received: 90,
            ..Conn::served(attacker(n), 1)
        };
        fake.rings[0].write(&reset(&conn, 49_000 - n * 1_000, 3, 5));
    }
    is(only(&look(&fake)), "resets", Severity::Info);
    let last = Conn {
        received: 90,
        ..Conn::served(attacker(49), 1)
    };
    fake.rings[0].write(&reset(&last, 500, 3, 5));
    let findings = look(&fake);
    is(only(&findings), "resets", Severity::Warning);
    let numbers = ["resets", "health_checks", "percent"];
    assert_eq!(numbers.map(|n| number(&findings[0], n)), [170, 120, 100]);
}

/// A peer that resets our calls at once is no health check, but a fault.
#[test]
fn a_destination_that_resets_our_calls_is_no_health_check() {
    let of = |reason| {
        let fake = host();
        for n in 0..60 {
            let call = Conn::begun(format!("10.0.0.1:{}", 40_000 + n), "10.5.0.1:80", 1);
            fake.rings[0].write(&reset(&call, 59_000 - n * 900, 3, reason));
        }
        look(&fake)
    };
    is(only(&of(5)), "resets", Severity::Warning);
    // Sent by ourselves, they are checks of ours.
    is(only(&of(4)), "resets", Severity::Info);
}

#[test]
fn a_host_that_refuses_on_many_ports_is_one_finding() {
    let fake = host();
    let refused = |fake: &Fake, host: u64, n: u64| {
        let remote = format!("10.5.0.{host}:{}", 8_000 + n % 5);
        let call = Conn::begun(format!("10.0.0.1:{}", 40_000 + n), &remote, 1);
        fake.rings[0].write(&step(&call, 59_000 - n * 190, SYN_SENT, CLOSE, 10));
    };
    (0..301).for_each(|n| refused(&fake, 1, n));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "resets", Severity::Warning);
    assert_eq!(
        finding.summary,
        "10.5.0.1:8000 and 4 other ports of that host refuse the calls of 900/curl: 301 resets in \
         the last minute, most in SYN_SENT"
    );
    let ports: Vec<_> = finding.subject.peers.iter().map(|p| p.port).collect();
    assert_eq!(ports, [8_000, 8_001, 8_002, 8_003, 8_004].map(Some));
    let end = Some(("10.5.0.1".parse().unwrap(), None));
    assert_eq!(finding.subject.remote, end);
    // Two hosts are two findings.
    (0..60).for_each(|n| refused(&fake, 2, n));
    assert_eq!(look(&fake).len(), 2);
}

/// A scraper: few of its many targets refuse, the others keep their connections.
#[test]
fn a_few_targets_that_refuse_are_information() {
    let fake = host();
    for n in 0..300 {
        let target = format!("10.5.0.1:{}", 8_000 + n % 20);
        let call = Conn::begun(format!("10.0.0.1:{}", 40_000 + n), &target, 1);
        fake.rings[0].write(&step(&call, 59_000 - n * 190, SYN_SENT, CLOSE, 10));
    }
    is(only(&look(&fake)), "resets", Severity::Warning);
    let kept = |n| Conn {
        sent: 900,
        received: 900,
        ..Conn::begun(
            format!("10.0.0.1:{}", 50_000 + n),
            &format!("10.5.0.1:{}", 9_000 + n),
            50,
        )
    };
    add(&fake, (0..480).map(kept));
    is(only(&look(&fake)), "resets", Severity::Info);
}
