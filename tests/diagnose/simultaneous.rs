//! `simultaneous`.

use diagnose_tools::abi::TransitionCount;
use diagnose_tools::diagnose::finding::Severity;

use crate::support::{host, look, number};

#[test]
fn simultaneous_ends_are_information() {
    let mut fake = host();
    let transition = |old_state, new_state, count| TransitionCount {
        old_state,
        new_state,
        count,
        ..TransitionCount::default()
    };
    fake.transition_counts = vec![
        transition(2, 3, 3),
        transition(4, 11, 4),
        transition(1, 4, 90),
    ];
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
