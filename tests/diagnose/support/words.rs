//! Findings with their sentences, in English.

use diagnose_tools::diagnose;
use diagnose_tools::diagnose::finding::{self, Severity, Subject};
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::i18n::findings::{problem, remedy};

pub struct Diagnosis {
    pub findings: Vec<Finding>,
    pub checked: Vec<&'static str>,
    pub connections: u64,
    pub listeners: u64,
    pub unreadable: Vec<(u32, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static str,
    pub severity: Severity,
    pub summary: String,
    pub subject: Subject,
    pub numbers: Vec<(&'static str, u64)>,
    pub advice: Vec<Advice>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    pub text: String,
    pub setting: Option<&'static str>,
    pub value: Option<String>,
}

impl Diagnosis {
    pub fn new(found: diagnose::Diagnosis) -> Self {
        Self {
            findings: found.findings.into_iter().map(Finding::new).collect(),
            checked: found.checked,
            connections: found.connections,
            listeners: found.listeners,
            unreadable: found.unreadable,
        }
    }
}

impl Finding {
    fn new(found: finding::Finding) -> Self {
        Self {
            rule: found.rule,
            severity: found.severity,
            summary: problem(Lang::En, &found.problem),
            subject: found.subject,
            numbers: found.numbers,
            advice: found.remedies.into_iter().map(Advice::new).collect(),
        }
    }
}

impl Advice {
    fn new(of: finding::Remedy) -> Self {
        let text = remedy(Lang::En, &of);
        let setting = of.setting.as_ref().map(|s| s.name);
        Self {
            text,
            setting,
            value: of.setting.and_then(|s| s.value),
        }
    }
}
