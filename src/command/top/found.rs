//! The findings: a diagnosis is expensive, so it is made only while its screen is shown, and rarely.

use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::command::top::people::People;
use crate::diagnose::limits::Limits;
use crate::diagnose::{self, Diagnosis, Scope};
use crate::fmt::text::Text;
use crate::model::filter::Filter;
use crate::model::summary::FindingCounts;

/// Least time between two diagnoses.
const PAUSE: Duration = Duration::from_secs(5);
/// Diagnoses take at most this part of the time.
const PART: u32 = 50;

/// The last diagnosis.
#[derive(Default)]
pub struct Found {
    /// The diagnosis, or why there is none.
    pub last: Option<Result<Diagnosis, Text>>,
    filter: Filter,
    made: Option<Instant>,
    took: Duration,
}

impl Found {
    /// Number of findings.
    pub fn counts(&self) -> Option<FindingCounts> {
        let last = self.last.as_ref()?.as_ref().ok()?;
        Some(last.counts())
    }

    /// Diagnoses the connections that match a filter, if that is due; only once if they do not
    /// change.
    pub fn look(
        &mut self,
        backend: &dyn Backend,
        people: &mut People,
        filter: &Filter,
        changes: bool,
    ) {
        let pause = PAUSE.max(self.took * PART);
        let old = self
            .made
            .is_none_or(|made| changes && made.elapsed() >= pause);
        if !old && self.filter == *filter {
            return;
        }
        let start = Instant::now();
        self.last = Some(diagnosis(backend, people, filter).map_err(|error| error.text()));
        self.filter = filter.clone();
        (self.made, self.took) = (Some(Instant::now()), start.elapsed());
    }

    /// Forgets it.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

fn diagnosis(
    backend: &dyn Backend,
    people: &mut People,
    filter: &Filter,
) -> crate::error::Result<Diagnosis> {
    let scope = Scope {
        limits: Limits::load(None)?,
        filter: filter.clone(),
        ..Scope::default()
    };
    diagnose::look(backend, &scope, people.host())
}
