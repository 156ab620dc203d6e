//! Findings of `--diagnose`, and conditions that hold for every diagnosis.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use serde_json::Value;

use super::crowd::Crowd;
use super::netns::{Netns, first_namespace};
use super::nstat::Counters;
use super::{guest, tool};

const WORST_FIRST: [&str; 3] = ["critical", "warning", "info"];

/// The findings of one diagnosis, those that are gone, and when the tool had told all of them.
#[derive(Debug)]
pub struct Diagnosis(pub Vec<Value>, Vec<Value>, pub Instant);

/// The output of `nstat` before and after a diagnosis.
pub struct Looks(Counters, Counters);

impl Diagnosis {
    /// Diagnoses a namespace, with these keys in addition: asserts that the findings agree with the
    /// namespace, and that none is about the healthy crowd.
    pub fn of(netns: &Netns, crowd: &mut Crowd, keys: &str) -> Self {
        Self::and_looks(netns, crowd, keys).0
    }

    /// The same; also returns the namespace's counters before and after it.
    pub fn and_looks(netns: &Netns, crowd: &mut Crowd, keys: &str) -> (Self, Looks) {
        let before = Counters::of(&netns.name);
        let diagnosis = Self::with(&format!("netns={} {keys}", netns.name));
        let looks = Looks(before, Counters::of(&netns.name));
        for finding in &diagnosis.0 {
            assert_about(finding, "netns", netns.inode());
            assert_about(finding, "netns_name", netns.name.as_str());
            looks.assert_hold(finding);
        }
        diagnosis.assert_settings(netns);
        diagnosis.assert_spares(crowd);
        (diagnosis, looks)
    }

    /// Diagnoses everything. The exit status of `check=1` must match the findings.
    pub fn with(keys: &str) -> Self {
        let diagnose = format!("--diagnose=json=1 check=1 {keys}");
        let outcome = tool::run(&["tcpstates", &diagnose]);
        let told = Instant::now();
        assert_eq!(outcome.stderr, "", "{keys}");
        let diagnosis = Self::parse(&outcome.stdout, told);
        let status = if diagnosis.alarms().is_empty() { 0 } else { 3 };
        assert_eq!(outcome.status, status, "{keys}: {outcome:?}");
        diagnosis
    }

    fn parse(text: &str, told: Instant) -> Self {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let mut lines: Vec<Value> = text.lines().map(parse).collect();
        let end = lines.pop().expect("a diagnosis has a last line");
        assert_eq!(end["type"], "diagnosis", "the last line: {text}");
        let is_gone = |line: &Value| line["type"] == "finding_gone";
        let (gone, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(is_gone);
        assert!(lines.iter().all(|f| f["type"] == "finding"), "{text}");
        for severity in WORST_FIRST {
            let told = lines.iter().filter(|f| f["severity"] == severity);
            assert_eq!(end["findings"][severity], told.count(), "{text}");
        }
        assert!(lines.is_sorted_by_key(rank), "worst first: {text}");
        let ids: BTreeSet<_> = lines.iter().filter_map(|f| f["id"].as_str()).collect();
        assert_eq!(ids.len(), lines.len(), "each has its own id: {text}");
        Self(lines, gone, told)
    }

    /// Findings that were there at the last diagnosis.
    pub fn gone(&self) -> &[Value] {
        &self.1
    }

    /// The findings above the level of information.
    pub fn alarms(&self) -> Vec<&Value> {
        self.0.iter().filter(|f| is_alarming(f)).collect()
    }

    pub fn of_rule(&self, rule: &str) -> Vec<&Value> {
        self.0.iter().filter(|f| f["rule"] == rule).collect()
    }

    /// The rule's finding: asserts that it is the only one.
    pub fn one(&self, rule: &str) -> &Value {
        let findings = self.of_rule(rule);
        assert_eq!(findings.len(), 1, "{rule}: {self:#?}");
        findings[0]
    }

    /// The rule's finding that has this key and value in its subject.
    pub fn about(&self, rule: &str, key: &str, value: impl Into<Value>) -> &Value {
        let value = value.into();
        let findings = self.of_rule(rule);
        let mut about = findings.iter().filter(|f| f["subject"][key] == value);
        let found = about.next();
        assert!(about.next().is_none(), "two with {key} {value}: {self:#?}");
        found.unwrap_or_else(|| panic!("no {rule} with {key} {value}: {self:#?}"))
    }

    /// Asserts that only these rules have findings above the level of information.
    pub fn assert_alarms_only(&self, rules: &[&str]) {
        for alarm in self.alarms() {
            let is_expected = rules.iter().any(|rule| alarm["rule"] == *rule);
            assert!(is_expected, "{alarm:#}");
        }
    }

    fn assert_spares(&self, crowd: &mut Crowd) {
        crowd.assert_well();
        let pids = crowd.pids();
        let is_named = |key: &str, value: &Value| match value {
            Value::String(text) => Crowd::is_in(text),
            Value::Number(n) => key == "pid" && n.as_u64().is_some_and(|pid| pids.contains(&pid)),
            _ => false,
        };
        for finding in &self.0 {
            assert!(!any("", finding, &is_named), "{finding:#}");
        }
    }

    /// Asserts that each recommended setting exists, and has the value that the finding shows.
    fn assert_settings(&self, netns: &Netns) {
        let advice = self.0.iter().filter_map(|f| f["advice"].as_array());
        let told: Vec<_> = advice
            .flatten()
            .filter_map(|a| Some((a["setting"].as_str()?, a["value"].as_str())))
            .collect();
        for (name, told) in told {
            // A tab separates the numbers of a range.
            let truth = sysctl(netns, name).replace('\t', " ");
            assert_eq!(told, Some(truth.as_str()), "{name}");
        }
    }
}

/// Settings that only the first namespace has.
const HOST_WIDE: [&str; 3] = [
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_mem",
    "net.netfilter.nf_conntrack_max",
];

/// A setting that is in effect in a namespace.
fn sysctl(netns: &Netns, name: &str) -> String {
    let text = match HOST_WIDE.contains(&name) {
        true => first_namespace(&["sysctl", "-n", name]),
        false => netns.sysctls(&[name]).concat(),
    };
    text.trim_end().to_owned()
}

fn rank(finding: &Value) -> usize {
    let found = WORST_FIRST.iter().position(|s| finding["severity"] == *s);
    found.unwrap_or_else(|| panic!("no severity: {finding}"))
}

fn is_alarming(finding: &Value) -> bool {
    finding["severity"] != "info"
}

/// A key with the limit of a rule for kernels that check each access, where everything takes
/// longer; other kernels use the default limits.
pub fn limit_if_slow(rule: &str, limit: &str) -> String {
    if guest::sanitizer().is_none() {
        return String::new();
    }
    let file = format!("/tmp/{rule}.toml");
    fs::write(&file, format!("[{rule}]\n{limit}\n")).expect("a file");
    format!("config={file}")
}

/// Asserts that the finding has this severity.
pub fn assert_is(finding: &Value, severity: &str) {
    assert_eq!(finding["severity"], severity, "{finding:#}");
}

/// Asserts that the finding's subject has this key and value.
pub fn assert_about(finding: &Value, key: &str, value: impl Into<Value>) {
    assert_eq!(finding["subject"][key], value.into(), "{key}: {finding:#}");
}

/// Asserts that the finding is about this process.
pub fn assert_by(finding: &Value, comm: &str, pid: u64) {
    assert_about(finding, "comm", comm);
    assert_about(finding, "pid", pid);
}

/// Asserts that these are the addresses of the other ends, each with this number of connections.
pub fn assert_peers(finding: &Value, expected: &[(String, u64)]) {
    let peers = finding["subject"]["peers"].as_array();
    let name = |p: &Value| p["addr"].as_str().expect("an address").to_owned();
    let count = |p: &Value| p["count"].as_u64().expect("a number");
    let peers = peers.into_iter().flatten().map(|p| (name(p), count(p)));
    let mut told: Vec<_> = peers.collect();
    told.sort();
    assert_eq!(told, expected, "{finding:#}");
}

/// One of the finding's numbers.
pub fn number(finding: &Value, name: &str) -> u64 {
    let number = finding["numbers"][name].as_u64();
    number.unwrap_or_else(|| panic!("no number {name}: {finding:#}"))
}

pub fn assert_numbers(finding: &Value, expected: &[(&str, u64)]) {
    for (name, value) in expected {
        assert_eq!(number(finding, name), *value, "{name}: {finding:#}");
    }
}

impl Looks {
    /// Asserts that numbers with `nstat`'s names agree with `nstat`.
    fn assert_hold(&self, finding: &Value) {
        let numbers = finding["numbers"].as_object().expect("numbers");
        for name in numbers.keys().filter(|name| name.starts_with("Tcp")) {
            self.assert_between(finding, name, name);
        }
    }

    /// Asserts that a number of the finding lies between a counter's values before and after it.
    pub fn assert_between(&self, finding: &Value, name: &str, counter: &str) {
        let (before, after) = (self.0.get(counter), self.1.get(counter));
        let told = number(finding, name);
        assert!(
            (before..=after).contains(&told),
            "{name} is {told}, but {counter} {before} to {after}: {finding:#}"
        );
    }

    /// Asserts that the counter has not changed.
    pub fn assert_still(&self, counter: &str) {
        assert_eq!(self.0.get(counter), self.1.get(counter), "{counter}");
    }
}

/// Whether the condition holds for any value in here, given with the nearest key.
fn any(key: &str, value: &Value, holds: &impl Fn(&str, &Value) -> bool) -> bool {
    match value {
        Value::Array(all) => all.iter().any(|v| any(key, v, holds)),
        Value::Object(all) => all.iter().any(|(k, v)| any(k, v, holds)),
        leaf => holds(key, leaf),
    }
}
