//! `simultaneous`.

use diagnose_tools::abi::Edge;
use diagnose_tools::diagnose::finding::Severity;

use crate::support::{host, look, number};

#[test]
fn simultaneous_ends_are_information() {
    let mut fake = host();
    let edge = |old_state, new_state, count| Edge {
        old_state,
        new_state,
        count,
        ..Edge::default()
    };
    fake.edges = vec![edge(2, 3, 3), edge(4, 11, 4), edge(1, 4, 90)];
    let findings = look(&fake);
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.rule, f.severity, number(f, "since_activation")))
        .collect();
    let expected = [
        ("simultaneous", Severity::Info, 3),
        ("simultaneous", Severity::Info, 4),
    ];
    assert_eq!(found, expected);
}
