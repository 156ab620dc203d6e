//! `port-exhaustion`, detected by failed calls.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{CLOSE, Conn, SYN_SENT, step};

use crate::support::{host, is, look, number, only};

#[test]
fn calls_that_find_no_local_port() {
    let fake = host();
    let call = Conn::begun("10.0.0.1:0".into(), "10.5.0.1:5432", 0);
    fake.rings[0].write(&step(&call, 61_000, CLOSE, CLOSE, 17));
    assert_eq!(look(&fake), []);
    fake.rings[0].write(&step(&call, 3_000, SYN_SENT, CLOSE, 17));
    fake.rings[0].write(&step(&call, 2_000, SYN_SENT, CLOSE, 17));
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "port-exhaustion", Severity::Critical);
    assert_eq!(
        (number(finding, "failed"), number(finding, "seconds_ago")),
        (2, 2)
    );
    assert!(
        finding
            .summary
            .starts_with("900/curl found no local port for 10.5.0.1:5432")
    );
}
