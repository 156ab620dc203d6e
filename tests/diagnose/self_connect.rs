//! `self-connect`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{Conn, TIME_WAIT};

use crate::support::{add, host, is, look, number, only};

fn own(port: u16) -> Conn {
    let end = format!("127.0.0.1:{port}");
    Conn::begun(end.clone(), &end, 9)
}

#[test]
fn a_socket_that_has_the_port_of_its_service() {
    let fake = host();
    add(&fake, [own(40_020)]);
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "self-connect", Severity::Warning);
    assert_eq!(
        finding.summary,
        "900/curl is connected to itself by 127.0.0.1:40020: no service can have that port"
    );
    let end = Some(("127.0.0.1".parse().unwrap(), Some(40_020)));
    assert_eq!((finding.subject.local, finding.subject.remote), (end, end));
    assert_eq!(number(finding, "oldest_s"), 9);
    assert!(finding.advice[1].text.starts_with("take 40020 out of"));
    // Several of a process are one finding.
    add(&fake, [own(40_010), own(40_030)]);
    let findings = look(&fake);
    assert_eq!(number(only(&findings), "sockets"), 3);
    assert!(
        findings[0]
            .summary
            .contains("by 127.0.0.1:40010, and by 2 more sockets:")
    );
}

#[test]
fn two_sockets_are_not_one() {
    let fake = host();
    let ends = |local: &str, remote: &str| Conn::begun(local.into(), remote, 9);
    add(
        &fake,
        [
            ends("127.0.0.1:40020", "127.0.0.1:40021"),
            ends("127.0.0.1:40021", "127.0.0.1:40020"),
            ends("127.0.0.1:40022", "127.0.0.2:40022"),
            own(40_023).state(TIME_WAIT).small(),
        ],
    );
    assert_eq!(look(&fake), []);
}
