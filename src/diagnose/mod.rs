//! What is wrong, who does it, and what to do about it, as data: no sentence is made here.
//!
//! [`facts`] are gathered once; each of the [`rules`] looks at them and has
//! [`finding`]s, within [`limits`] that a file can change; [`crate::host`] answers what
//! the module does not know. Nothing here moves the position of `--report`.

pub mod facts;
pub mod finding;
pub mod limits;
pub mod message;
pub mod recent;
pub mod rules;
pub mod service;
pub mod tally;

use std::time::Duration;

use crate::backend::Backend;
use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, count};
use crate::diagnose::limits::Limits;
use crate::diagnose::rules::{Bound, RULES};
use crate::error::Result;
use crate::host::Host;
use crate::model::filter::Filter;
use crate::model::summary::FindingCounts;

/// What is looked for, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// From when on something is too much.
    pub limits: Limits,
    /// Which connections.
    pub filter: Filter,
    /// Names of findings; empty: all.
    pub rules: Vec<&'static str>,
    /// How long to wait for packets that tell what slow clients send; zero: not at all.
    pub patience: Duration,
}

impl Scope {
    /// Whether findings of this name are wanted.
    fn wants(&self, name: &str) -> bool {
        self.rules.is_empty() || self.rules.contains(&name)
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Monotonic nanoseconds.
    pub now_ns: u64,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// Names of findings that were looked for.
    pub checked: Vec<&'static str>,
    /// Live connections that were looked at.
    pub connections: u64,
    /// Listeners that were looked at.
    pub listeners: u64,
    /// Namespaces whose settings could not be read, and why.
    pub unreadable: Vec<(u32, String)>,
}

impl Diagnosis {
    /// How many findings of each severity.
    pub fn counts(&self) -> FindingCounts {
        count(&self.findings)
    }
}

/// Looks for everything that is wanted.
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
    // Of one severity they stay in the order of the rules.
    findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
    Ok(Diagnosis {
        now_ns: facts.now_ns,
        findings,
        checked,
        connections: facts.conns.len() as u64,
        listeners: facts.listeners.len() as u64,
        unreadable: facts.unreadable(),
    })
}

/// How many findings there are of some connections, by the limits of this host's file and without
/// looking at packets.
///
/// # Errors
/// Not active, a call fails, the file of limits is wrong.
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
