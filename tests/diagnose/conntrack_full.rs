//! `conntrack-full`.

use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::finding::Severity;
use testkit::host::FakeHost;

use crate::support::words::Finding;
use crate::support::{host, is, look_with, number, only, settings};

fn found(entries: u64, max: &str) -> Vec<Finding> {
    let mut machine = FakeHost::default()
        .set("net.netfilter.nf_conntrack_max", max)
        .count("nf_conntrack_count", entries)
        .count("nf_conntrack_drop", 70);
    look_with(&host(), &mut machine, &Scope::default()).findings
}

#[test]
fn a_table_of_tracked_connections_that_has_no_room() {
    assert_eq!(found(949, "1000"), []);
    assert_eq!(found(5_000, "0"), []);
    is(
        only(&found(950, "1000")),
        "conntrack-full",
        Severity::Warning,
    );
    let findings = found(1_000, "1000");
    let finding = only(&findings);
    is(finding, "conntrack-full", Severity::Critical);
    assert_eq!(
        finding.summary,
        "the table of tracked connections is full (1000 of 1000): new connections are dropped"
    );
    let numbers = [
        "nf_conntrack_count",
        "nf_conntrack_max",
        "percent",
        "nf_conntrack_drop",
    ];
    assert_eq!(numbers.map(|n| number(finding, n)), [1_000, 1_000, 100, 70]);
    assert_eq!(
        settings(finding),
        [("net.netfilter.nf_conntrack_max", "1000")]
    );
    assert_eq!(finding.subject.owner, None);
}
