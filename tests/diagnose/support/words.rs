//! Findings with their sentences, in English, and in each language on request.

use diagnose_tools::diagnose;
use diagnose_tools::diagnose::finding::{self, Remedy, Severity, Subject};
use diagnose_tools::diagnose::rules::Problem;
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
    pub id: String,
    pub rule: &'static str,
    pub severity: Severity,
    pub summary: String,
    pub subject: Subject,
    pub numbers: Vec<(&'static str, u64)>,
    pub advice: Vec<Advice>,
    problem: Problem,
    remedies: Vec<Remedy>,
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
            unreadable: found
                .unreadable
                .into_iter()
                .map(|(netns, reason)| (netns, reason.en().to_owned()))
                .collect(),
        }
    }
}

impl Finding {
    fn new(found: finding::Finding) -> Self {
        Self {
            id: found.id,
            rule: found.rule,
            severity: found.severity,
            summary: problem(Lang::En, &found.problem),
            subject: found.subject,
            numbers: found.numbers,
            advice: found.remedies.iter().map(Advice::new).collect(),
            problem: found.problem,
            remedies: found.remedies,
        }
    }

    /// The problem and the remedies.
    pub fn sentences(&self, lang: Lang) -> Vec<String> {
        let remedies = self.remedies.iter().map(|of| remedy(lang, of));
        [problem(lang, &self.problem)]
            .into_iter()
            .chain(remedies)
            .collect()
    }
}

impl Advice {
    fn new(of: &Remedy) -> Self {
        let setting = of.setting.as_ref();
        Self {
            text: remedy(Lang::En, of),
            setting: setting.map(|s| s.name),
            value: setting.and_then(|s| s.value.clone()),
        }
    }
}
