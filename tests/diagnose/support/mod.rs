//! A host to diagnose, and comparisons for its findings.

pub mod grammar;
pub mod words;

use diagnose_tools::backend::capture::backend::Capture;
use diagnose_tools::command::dump;
use diagnose_tools::diagnose::finding::Severity;
use diagnose_tools::diagnose::{self, Scope};
use diagnose_tools::host::captured::CapturedHost;
use testkit::fake::Fake;
use testkit::host::FakeHost;
use testkit::scene::{Conn, Socket, healthy};

use crate::support::words::{Diagnosis, Finding};

/// A host on which nginx listens and serves 200 healthy connections.
pub fn host() -> Fake {
    let mut fake = Fake::new(1, 4096);
    fake.listeners = vec![
        Socket {
            half_open: [0, 3, 511],
            ..Socket::default()
        }
        .bytes(),
    ];
    add(&fake, (0..200).map(healthy));
    fake
}

/// Number of situations that a diagnosis checks.
pub fn all() -> usize {
    diagnose::rules::names().count()
}

pub fn add(fake: &Fake, conns: impl IntoIterator<Item = Conn>) {
    let bytes = conns.into_iter().map(|c| c.bytes());
    fake.conns.borrow_mut().extend(bytes);
}

pub fn look_with(fake: &Fake, host: &mut FakeHost, scope: &Scope) -> Diagnosis {
    let diagnosis = diagnose::look(fake, scope, host).unwrap();
    if scope.patience.is_zero() {
        assert_eq!(look_at_capture(fake, host, scope), diagnosis);
    }
    let diagnosis = Diagnosis::new(diagnosis);
    for finding in &diagnosis.findings {
        assert!(
            !finding.summary.contains('\n') && finding.advice.iter().all(|a| !a.text.is_empty())
        );
        // The healthy connections are never named.
        let named = finding.subject.peers.iter().map(|p| p.addr.to_string());
        assert!(
            !named.into_iter().any(|a| a.starts_with("10.77.")),
            "{finding:#?}"
        );
    }
    diagnosis
}

/// The same diagnosis of a capture, which also replaces the host.
fn look_at_capture(fake: &Fake, host: &mut FakeHost, scope: &Scope) -> diagnose::Diagnosis {
    let mut bytes = Vec::new();
    dump::write(fake, host, "memory", &mut bytes).unwrap();
    let capture = Capture::new(bytes, "memory".into()).unwrap();
    let mut host = CapturedHost::new(&capture).unwrap();
    diagnose::look(&capture, scope, &mut host).unwrap()
}

pub fn look(fake: &Fake) -> Vec<Finding> {
    look_with(fake, &mut FakeHost::default(), &Scope::default()).findings
}

/// The only finding.
pub fn only(findings: &[Finding]) -> &Finding {
    assert_eq!(findings.len(), 1, "{findings:#?}");
    &findings[0]
}

pub fn of_rule<'a>(findings: &'a [Finding], rule: &str) -> Vec<&'a Finding> {
    findings.iter().filter(|f| f.rule == rule).collect()
}

pub fn number(finding: &Finding, name: &str) -> u64 {
    let found = finding.numbers.iter().find(|(n, _)| *n == name);
    found.unwrap_or_else(|| panic!("no {name}: {finding:#?}")).1
}

pub fn peers(finding: &Finding) -> Vec<(String, u64)> {
    let peers = finding.subject.peers.iter();
    peers.map(|p| (p.addr.to_string(), p.count)).collect()
}

/// The settings in the finding's advice, with their values.
pub fn settings(finding: &Finding) -> Vec<(&str, &str)> {
    let advice = finding.advice.iter();
    let named = advice.filter_map(|a| Some((a.setting?, a.value.as_deref()?)));
    named.collect()
}

pub fn is(finding: &Finding, rule: &str, severity: Severity) {
    assert_eq!(
        (finding.rule, finding.severity),
        (rule, severity),
        "{finding:#?}"
    );
}
