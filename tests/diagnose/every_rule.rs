//! Conditions for every rule: what each of them checks, numbers of any size, unknown settings,
//! time.

use std::mem::offset_of;
use std::time::Duration;

use diagnose_tools::abi::{RawHandshakes, RawListener, TransitionCount};
use diagnose_tools::cli::parse;
use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::finding::Severity;
use testkit::fake::Fake;
use testkit::host::FakeHost;
use testkit::records::Bytes;
use testkit::scene::{
    CLOSE, Conn, ESTABLISHED, NETNS, Socket, flood, healthy, pair, slow, step, stranger,
};

use crate::support::{add, all, host, is, look, look_with, number, of_rule, only};

#[test]
fn a_healthy_host_has_no_findings() {
    let diagnosis = look_with(&host(), &mut FakeHost::default(), &Scope::default());
    assert_eq!(diagnosis.findings, []);
    assert_eq!((diagnosis.connections, diagnosis.listeners), (200, 1));
    assert_eq!(diagnosis.checked.len(), all());
}

#[test]
fn counters_of_any_size_are_added_up() {
    let mut fake = host();
    let mut listener = Bytes(flood(5_000, 0).bytes());
    let all = [u8::MAX; size_of::<RawHandshakes>()];
    listener.put(offset_of!(RawListener, handshakes), all);
    fake.listeners = vec![listener.0; 2];
    let transition = TransitionCount {
        old_state: 2,
        new_state: 3,
        count: u64::MAX,
        ..TransitionCount::default()
    };
    fake.transition_counts = vec![transition; 2];
    let findings = look(&fake);
    let full = of_rule(&findings, "accept-queue-full");
    assert_eq!(number(full[0], "syns_dropped"), u64::MAX);
    let opens = of_rule(&findings, "simultaneous");
    assert_eq!(number(opens[0], "since_activation"), u64::MAX);
}

#[test]
fn what_the_host_does_not_have_is_never_advised() {
    let mut fake = host();
    fake.listeners = vec![flood(5_500, 1).bytes()];
    let mut host = FakeHost::default();
    host.settings.remove("net.ipv4.tcp_synack_retries");
    let diagnosis = look_with(&fake, &mut host, &Scope::default());
    for finding in &diagnosis.findings {
        assert!(
            finding
                .advice
                .iter()
                .all(|a| !a.text.contains("tcp_synack_retries"))
        );
    }
    // A namespace that cannot be entered: values are unknown, and this is reported.
    let mut host = FakeHost::default();
    host.settings.values_mut().for_each(String::clear);
    host.closed = Some("entering it: Operation not permitted".into());
    let diagnosis = look_with(&fake, &mut host, &Scope::default());
    let advice = diagnosis.findings.iter().flat_map(|f| &f.advice);
    let with_setting: Vec<_> = advice.filter(|a| a.setting.is_some()).collect();
    assert!(!with_setting.is_empty());
    for advice in with_setting {
        assert_eq!(advice.value, None);
        assert!(advice.text.contains("could not be read"), "{}", advice.text);
    }
    let expected = vec![(NETNS, "entering it: Operation not permitted".to_owned())];
    assert_eq!(diagnosis.unreadable, expected);
}

#[test]
fn a_connection_that_is_older_belongs_to_its_listener_by_its_port() {
    let fake = host();
    let old = |number| Conn {
        role: 0,
        ..slow(number)
    };
    add(&fake, (0..60).map(old));
    let findings = look(&fake);
    is(only(&findings), "slow-request", Severity::Warning);
    assert_eq!(
        findings[0].subject.local,
        Some(("10.0.0.1".parse().unwrap(), Some(80)))
    );
}

#[test]
fn rules_and_filters_narrow_what_is_looked_at() {
    let fake = host();
    add(&fake, (0..60).map(slow));
    let scope = |keys| parse::diagnose(keys).unwrap().scope;
    let found = |keys| {
        let scope = Scope {
            patience: Duration::ZERO,
            ..scope(keys)
        };
        let diagnosis = look_with(&fake, &mut FakeHost::default(), &scope);
        (
            diagnosis.findings.len(),
            diagnosis.connections,
            diagnosis.checked.len(),
        )
    };
    assert_eq!(found(""), (1, 260, all()));
    assert_eq!(found("rules=slow-request|resets"), (1, 260, 2));
    assert_eq!(found("rules=slow-body"), (0, 260, 1));
    assert_eq!(found("raddr=10.9.0.0/16"), (1, 60, all()));
    assert_eq!(found("raddr=!10.9.0.0/16"), (0, 200, all()));
    assert_eq!(found("netns=7"), (0, 0, all()));
    // A listener has no remote end, and a pair has no ports.
    let mut fake = host();
    let full = Socket {
        accept: [512, 512],
        half_open: [0, 3, 511],
        ..Socket::default()
    };
    fake.listeners = vec![full.bytes()];
    fake.pairs = vec![pair([10, 9, 0, 1].into(), 5_000, true)];
    let found = |keys| {
        look_with(&fake, &mut FakeHost::default(), &scope(keys))
            .findings
            .len()
    };
    assert_eq!(found(""), 2);
    assert_eq!(found("raddr=10.9.0.0/16"), 2);
    assert_eq!(found("raddr=10.8.0.0/16"), 1);
    assert_eq!(found("port=81"), 1);
}

/// Many connections, and a full ring of the last minute.
#[test]
fn a_busy_host_is_looked_at_within_seconds() {
    let fake = Fake::new(1, 65_536);
    let conns = (0..20_000).map(|n| Conn {
        remote: format!("10.{}.{}.9:{}", n % 200, n / 200, 20_000 + n),
        ..healthy(n)
    });
    add(&fake, conns);
    for n in 0..65_536 {
        let conn = Conn::served(stranger(n), 1);
        fake.rings[0].write(&step(&conn, 59_000 - n / 2, ESTABLISHED, CLOSE, 1));
    }
    let began = std::time::Instant::now();
    assert_eq!(look(&fake), []);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}
