//! `time-wait` of a server.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{Conn, TIME_WAIT, stranger};

use crate::support::{add, host, is, look, number, only};

#[test]
fn time_wait_of_a_server_is_information() {
    let waiting = |n| Conn::served(stranger(n), 20).state(TIME_WAIT).small();
    let fake = host();
    add(&fake, (0..999).map(waiting));
    assert_eq!(look(&fake), []);
    add(&fake, (999..5_000).map(waiting));
    let findings = look(&fake);
    is(only(&findings), "time-wait", Severity::Info);
    assert_eq!(number(&findings[0], "timewait"), 5_000);
}
