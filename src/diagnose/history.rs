//! The findings of earlier diagnoses, so that a finding is known to be new or still there, and one
//! that is missing is known to be gone.
//!
//! A diagnosis is compared with the last one of the same activation and the same scope: one that
//! looks at fewer connections, or checks fewer rules, says nothing about the findings of others.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::diagnose::Diagnosis;
use crate::diagnose::finding::Finding;
use crate::fmt::escape::printable;
use crate::fmt::text::{Text, text};

const VERSION: u32 = 1;
/// Maximum numbers of findings and of scopes: those of the oldest diagnoses are forgotten first.
const MOST_FINDINGS: usize = 4_096;
const MOST_SCOPES: usize = 64;
/// How long a finding that is gone is remembered: one that comes back has its first time again.
const KEPT_NS: u64 = 3_600_000_000_000;

/// When a finding was seen, in monotonic nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The first time.
    pub first_ns: u64,
    /// The last time: now.
    pub last_ns: u64,
    /// Whether the last diagnosis did not have it.
    pub is_new: bool,
}

/// A finding that the last diagnosis had, and that is not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Its id.
    pub id: String,
    /// Name of the rule.
    pub rule: String,
    /// Name of its last severity.
    pub severity: String,
    /// Monotonic nanoseconds when it was first seen.
    pub first_ns: u64,
    /// Monotonic nanoseconds when it was last seen.
    pub last_ns: u64,
}

/// An activation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationId {
    /// Number of activations since the module was loaded.
    pub generation: u64,
    /// Monotonic nanoseconds of the activation.
    pub activated_ns: u64,
}

/// What is remembered of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    id: String,
    rule: String,
    severity: String,
    first_ns: u64,
    last_ns: u64,
    /// Whether the last diagnosis did not have it.
    gone: bool,
}

impl Known {
    fn of(finding: &Finding, now_ns: u64) -> Self {
        Self {
            id: finding.id.clone(),
            rule: finding.rule.to_owned(),
            severity: finding.severity.name().to_owned(),
            first_ns: finding.seen.map_or(now_ns, |seen| seen.first_ns),
            last_ns: now_ns,
            gone: false,
        }
    }

    fn is_kept(&self, now_ns: u64) -> bool {
        !self.gone || now_ns.saturating_sub(self.last_ns) < KEPT_NS
    }

    fn gone(&self) -> Gone {
        Gone {
            id: self.id.clone(),
            rule: self.rule.clone(),
            severity: self.severity.clone(),
            first_ns: self.first_ns,
            last_ns: self.last_ns,
        }
    }
}

/// The last diagnosis of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    scope: String,
    at_ns: u64,
    findings: Vec<Known>,
}

/// The last diagnosis of each scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    version: u32,
    activation: ActivationId,
    looks: Vec<Look>,
}

impl Default for History {
    fn default() -> Self {
        Self::of(ActivationId::default())
    }
}

impl History {
    fn of(activation: ActivationId) -> Self {
        Self {
            version: VERSION,
            activation,
            looks: Vec::new(),
        }
    }

    /// Parses what [`History::to_json`] has written.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn parse(json: &[u8]) -> Result<Self, Text> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let damaged = |error: serde_json::Error| {
            let what = printable(&error.to_string());
            text!("it is damaged: {what}", "文件已损坏：{what}")
        };
        let Versioned { version } = serde_json::from_slice(json).map_err(damaged)?;
        match version {
            VERSION => serde_json::from_slice(json).map_err(damaged),
            _ => Err(text!(
                "it has version {version}, not {VERSION}",
                "其版本为 {version}，而不是 {VERSION}"
            )),
        }
    }

    /// As JSON.
    ///
    /// # Errors
    /// None is known.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// The last diagnosis of the same scope in the same activation.
    fn last(&self, diagnosis: &Diagnosis) -> Option<&Look> {
        let same = self.activation == diagnosis.activation;
        let mut looks = self.looks.iter().filter(|_| same);
        looks.find(|look| look.scope == diagnosis.scope)
    }

    /// Sets when each finding of a diagnosis was seen, and which findings are gone.
    pub fn compare(&self, diagnosis: &mut Diagnosis) {
        let now_ns = diagnosis.now_ns;
        let last = self.last(diagnosis).into_iter();
        let known = last.flat_map(|look| &look.findings);
        let kept = known.filter(|known| known.is_kept(now_ns));
        let mut known: HashMap<_, _> = kept.map(|known| (known.id.as_str(), known)).collect();
        for finding in &mut diagnosis.findings {
            let before = known.remove(finding.id.as_str());
            finding.seen = Some(Seen {
                first_ns: before.map_or(now_ns, |known| known.first_ns.min(now_ns)),
                last_ns: now_ns,
                is_new: before.is_none_or(|known| known.gone),
            });
        }
        let missing = known.into_values().filter(|known| !known.gone);
        diagnosis.gone = missing.map(Known::gone).collect();
        diagnosis.gone.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// Remembers a diagnosis that was compared. Returns false if a later one is already here.
    pub fn remember(&mut self, diagnosis: &Diagnosis) -> bool {
        let now_ns = diagnosis.now_ns;
        if self.activation != diagnosis.activation {
            let at = self.activation.activated_ns;
            // An activation in the future was before the last boot.
            if at > diagnosis.activation.activated_ns && at <= now_ns {
                return false;
            }
            *self = Self::of(diagnosis.activation);
        }
        let last = self.last(diagnosis);
        if last.is_some_and(|look| look.at_ns > now_ns) {
            return false;
        }
        let look = Look {
            scope: diagnosis.scope.clone(),
            at_ns: now_ns,
            findings: known_after(diagnosis, last),
        };
        self.looks.retain(|other| other.scope != look.scope);
        self.looks.insert(0, look);
        self.forget();
        true
    }

    /// Forgets the oldest diagnoses beyond the limits.
    fn forget(&mut self) {
        self.looks.sort_by_key(|look| std::cmp::Reverse(look.at_ns));
        self.looks.truncate(MOST_SCOPES);
        let mut count = 0;
        self.looks.retain(|look| {
            count += look.findings.len();
            count <= MOST_FINDINGS
        });
    }
}

/// The findings of a diagnosis, then those of the last one that are missing.
fn known_after(diagnosis: &Diagnosis, last: Option<&Look>) -> Vec<Known> {
    let now_ns = diagnosis.now_ns;
    let here: HashSet<_> = diagnosis.findings.iter().map(|f| f.id.as_str()).collect();
    let before = last.into_iter().flat_map(|look| &look.findings);
    let missing = before.filter(|known| !here.contains(known.id.as_str()) && known.is_kept(now_ns));
    let missing = missing.map(|known| Known {
        gone: true,
        ..known.clone()
    });
    let findings = diagnosis.findings.iter();
    let found = findings.map(|finding| Known::of(finding, now_ns));
    found.chain(missing).take(MOST_FINDINGS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::finding::{Severity, Subject};
    use crate::diagnose::rules::close_wait;

    const MINUTE: u64 = 60_000_000_000;
    const START: u64 = 1_000 * MINUTE;

    /// A diagnosis of an activation, so many minutes after its start, with findings of these ids.
    fn diagnosis(generation: u64, scope: &str, minutes: u64, ids: &[&str]) -> Diagnosis {
        let finding = |id: &&str| {
            let problem = close_wait::Problem::NotClosed {
                owner: None,
                connections: 1,
            };
            let subject = Subject::default();
            let finding = Finding::new("close-wait", Severity::Warning, problem, subject);
            Finding {
                id: (*id).to_owned(),
                ..finding
            }
        };
        Diagnosis {
            activation: ActivationId {
                generation,
                activated_ns: START + generation,
            },
            scope: scope.to_owned(),
            now_ns: START + minutes * MINUTE,
            findings: ids.iter().map(finding).collect(),
            gone: Vec::new(),
            checked: Vec::new(),
            connections: 0,
            listeners: 0,
            unreadable: Vec::new(),
        }
    }

    /// Of each finding, whether it is new and since which minute it is there; and what is gone, with
    /// its first and last minute.
    type Told = (Vec<(bool, u64)>, Vec<(String, u64, u64)>);

    fn look(history: &mut History, mut diagnosis: Diagnosis) -> Told {
        history.compare(&mut diagnosis);
        assert!(history.remember(&diagnosis));
        *history = History::parse(&history.to_json().unwrap()).unwrap();
        let minute = |ns: u64| (ns - START) / MINUTE;
        let seen = diagnosis.findings.iter().map(|f| f.seen.unwrap());
        let gone = diagnosis.gone.iter();
        (
            seen.map(|s| (s.is_new, minute(s.first_ns))).collect(),
            gone.map(|g| (g.id.clone(), minute(g.first_ns), minute(g.last_ns)))
                .collect(),
        )
    }

    fn gone(id: &str, first: u64, last: u64) -> Vec<(String, u64, u64)> {
        vec![(id.to_owned(), first, last)]
    }

    #[test]
    fn findings_are_new_then_still_there_then_gone_once() {
        let mut history = History::default();
        let mut at = |minutes, ids: &[&str]| look(&mut history, diagnosis(1, "", minutes, ids));
        assert_eq!(at(1, &["a"]), (vec![(true, 1)], vec![]));
        assert_eq!(at(3, &["b", "a"]), (vec![(true, 3), (false, 1)], vec![]));
        assert_eq!(at(4, &["b"]), (vec![(false, 3)], gone("a", 1, 3)));
        assert_eq!(at(5, &["b"]), (vec![(false, 3)], vec![]));
        // Back within the hour, and after it.
        assert_eq!(at(62, &["b", "a"]), (vec![(false, 3), (true, 1)], vec![]));
        assert_eq!(at(63, &["b"]), (vec![(false, 3)], gone("a", 1, 62)));
        assert_eq!(
            at(122, &["b", "a"]),
            (vec![(false, 3), (true, 122)], vec![])
        );
    }

    #[test]
    fn a_long_time_without_a_look_is_no_end() {
        let mut history = History::default();
        let mut at = |minutes, ids: &[&str]| look(&mut history, diagnosis(1, "", minutes, ids));
        at(1, &["a", "b"]);
        assert_eq!(at(900, &["a"]), (vec![(false, 1)], gone("b", 1, 1)));
    }

    #[test]
    fn scopes_say_nothing_about_each_other() {
        let mut history = History::default();
        let mut at =
            |scope, minutes, ids: &[&str]| look(&mut history, diagnosis(1, scope, minutes, ids));
        at("", 1, &["a", "b"]);
        assert_eq!(at("port=80", 2, &["a"]), (vec![(true, 2)], vec![]));
        assert_eq!(at("port=80", 3, &[]), (vec![], gone("a", 2, 2)));
        assert_eq!(
            at("", 4, &["a", "b"]),
            (vec![(false, 1), (false, 1)], vec![])
        );
    }

    #[test]
    fn an_activation_starts_anew_and_a_late_diagnosis_changes_nothing() {
        let mut history = History::default();
        look(&mut history, diagnosis(1, "", 1, &["a", "b"]));
        let anew = look(&mut history, diagnosis(2, "", 2, &["a"]));
        assert_eq!(anew, (vec![(true, 2)], vec![]));
        let known = history.clone();
        for late in [diagnosis(1, "", 3, &[]), diagnosis(2, "", 1, &[])] {
            assert!(!history.remember(&late));
            assert_eq!(history, known);
        }
        // An activation that is later than now was before the last boot.
        let mut early = diagnosis(1, "", 0, &["a"]);
        (early.activation.activated_ns, early.now_ns) = (5, 9);
        assert!(history.remember(&early));
        assert_eq!(history.activation, early.activation);
    }

    #[test]
    fn the_oldest_diagnoses_are_forgotten_beyond_the_limits() {
        let ids: Vec<_> = (0..MOST_FINDINGS + 5).map(|n| n.to_string()).collect();
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        let mut history = History::default();
        for scope in 0..MOST_SCOPES as u64 + 3 {
            look(
                &mut history,
                diagnosis(1, &scope.to_string(), scope, &ids[..9]),
            );
        }
        assert_eq!(history.looks.len(), MOST_SCOPES);
        assert!(
            history
                .looks
                .iter()
                .all(|look| look.at_ns >= START + 3 * MINUTE)
        );
        look(&mut history, diagnosis(1, "all", 99, &ids));
        let left: Vec<_> = history.looks.iter().map(|l| l.findings.len()).collect();
        assert_eq!(left, [MOST_FINDINGS]);
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (json, expected) in [
            (&b""[..], "it is damaged: "),
            (b"\xff\0", "it is damaged: "),
            (b"{\"version\":1}", "it is damaged: missing field"),
            (b"{\"version\":2,\"other\":[]}", "it has version 2, not 1"),
        ] {
            let reason = History::parse(json).unwrap_err();
            assert!(reason.en().starts_with(expected), "{reason:?}");
        }
    }
}
