//! Problems, their sources and remedies as data; sentences are produced elsewhere.
//!
//! [`facts`] are gathered once; each of the [`rules`] evaluates them and returns [`finding`]s,
//! using [`limits`] that a file can override; [`crate::host`] provides data that the module does
//! not have. A diagnosis does not move the position of `--report`.

pub mod facts;
pub mod finding;
pub mod history;
pub mod identity;
pub mod limits;
pub mod message;
mod other_ends;
mod parties;
pub mod recent;
pub mod rules;
pub mod service;
pub mod subflows;
pub mod tally;

use std::time::Duration;

use crate::backend::Backend;
use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, count};
use crate::diagnose::history::{ActivationId, Gone};
use crate::diagnose::limits::Limits;
use crate::diagnose::rules::{Bound, RULES, names};
use crate::error::Result;
use crate::fmt::text::Text;
use crate::host::Host;
use crate::model::filter::Filter;
use crate::model::filter::keys::filter_keys;
use crate::model::key::{self, Keys, joined};
use crate::model::summary::FindingCounts;

/// What to check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The limits of the rules.
    pub limits: Limits,
    /// The connections to check.
    pub filter: Filter,
    /// Names of the findings to check; empty: all.
    pub rules: Vec<&'static str>,
    /// How long to sample packets of slow clients; zero: no sampling.
    pub patience: Duration,
}

impl Scope {
    /// Whether findings of this name are wanted.
    fn wants(&self, name: &str) -> bool {
        self.rules.is_empty() || self.rules.contains(&name)
    }

    /// What it is compared by: the filter, the names that were checked if they are not all, and the
    /// limits that are not the defaults.
    fn text(&self, checked: &[&str]) -> String {
        const FILTER: Keys<Filter> = &[filter_keys()];
        let filter = joined(&key::pairs(FILTER, self.filter.clone()));
        let rules = match checked.len() == names().count() {
            true => String::new(),
            false => format!("rules={}", checked.join("|")),
        };
        let parts = [filter, rules, self.limits.text()];
        let given: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        given.join(" ")
    }
}

/// The result of a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The activation.
    pub activation: ActivationId,
    /// What was checked, as text: only diagnoses with the same scope can be compared.
    pub scope: String,
    /// Monotonic nanoseconds.
    pub now_ns: u64,
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
    /// Findings that an earlier diagnosis had; empty if it was not compared.
    pub gone: Vec<Gone>,
    /// Names of the findings that were checked.
    pub checked: Vec<&'static str>,
    /// Number of live connections that were checked.
    pub connections: u64,
    /// Number of listeners that were checked.
    pub listeners: u64,
    /// Namespaces whose settings could not be read, with the reason.
    pub unreadable: Vec<(u32, Text)>,
}

impl Diagnosis {
    /// Number of findings by severity.
    pub fn counts(&self) -> FindingCounts {
        count(&self.findings)
    }
}

/// Runs all selected rules.
///
/// # Errors
/// Not active, or a call fails.
pub fn look(backend: &dyn Backend, scope: &Scope, host: &mut dyn Host) -> Result<Diagnosis> {
    let facts = Facts::gather(backend, &scope.filter, scope.patience, host)?;
    let wanted = RULES.iter().filter(|rule| {
        scope.limits.enabled(rule) && rule.names.iter().any(|name| scope.wants(name))
    });
    let (mut findings, mut checked) = (Vec::new(), Vec::new());
    for rule in wanted {
        let found = (rule.find)(&facts, &Bound::new(rule, &scope.limits));
        findings.extend(found.into_iter().filter(|f| scope.wants(f.rule)));
        checked.extend(rule.names.iter().filter(|name| scope.wants(name)));
    }
    findings
        .iter_mut()
        .for_each(|f| facts.name_netns(&mut f.subject));
    identity::identify(&mut findings);
    // The sort is stable: findings of the same severity stay in the order of the rules.
    findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
    Ok(Diagnosis {
        activation: ActivationId {
            generation: facts.settings.generation,
            activated_ns: facts.settings.activated_ns,
        },
        scope: scope.text(&checked),
        now_ns: facts.now_ns,
        findings,
        gone: Vec::new(),
        checked,
        connections: facts.conns.len() as u64,
        listeners: facts.listeners.len() as u64,
        unreadable: facts.unreadable(),
    })
}

/// Number of findings for the connections that match a filter, with the limits of this host's file
/// and without sampling packets.
///
/// # Errors
/// Not active, a call fails, or the file of limits is invalid.
pub fn counts(
    backend: &dyn Backend,
    host: &mut dyn Host,
    filter: &Filter,
) -> Result<FindingCounts> {
    let scope = Scope {
        limits: Limits::load(None)?,
        filter: filter.clone(),
        ..Scope::default()
    };
    Ok(look(backend, &scope, host)?.counts())
}
