//! A report, as text and as values.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use diagnose_tools::backend::Backend;
use diagnose_tools::cli::parse;
use diagnose_tools::command::report::report;
use diagnose_tools::error::Result;
use diagnose_tools::host::ThisHost;
use diagnose_tools::host::names::Names;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use diagnose_tools::render::{Style, sink};
use jiff::tz::TimeZone;
use serde_json::Value;
use testkit::fake::Fake;

pub fn style(fake: &Fake, lang: Lang, width: Option<usize>) -> Style {
    let clock = Clock::with_zone(&fake.stats().unwrap(), TimeZone::UTC);
    Style {
        labels: lang.labels(),
        clock,
        width,
        color: false,
    }
}

/// A host without cgroups and without names of namespaces.
pub fn nowhere() -> Names {
    Names::new(None, PathBuf::from("/nonexistent"), Duration::ZERO)
}

pub fn run_to(fake: &Fake, keys: &str, out: &mut dyn Write) -> Result<()> {
    let options = parse::report(keys)?;
    let mut sink = sink(options.format, style(fake, Lang::En, None), nowhere());
    report(fake, &mut ThisHost::default(), &options, &mut *sink, out)
}

pub fn text(fake: &Fake, keys: &str) -> String {
    let mut out = Vec::new();
    run_to(fake, keys, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

pub fn json(fake: &Fake, keys: &str) -> Vec<Value> {
    let text = text(fake, &format!("{keys} json=1"));
    text.lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

pub fn of_type<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|l| l["type"] == kind).collect()
}

/// The totals must balance in every summary.
pub fn check_totals(summary: &Value) {
    let n = |name: &str| summary[name].as_u64().unwrap();
    let overwritten = summary["lost"]["overwritten"].as_u64().unwrap();
    assert_eq!(
        n("recorded"),
        n("reported") + overwritten + n("pending"),
        "{summary}"
    );
    assert_eq!(
        n("seen") + n("alarms"),
        n("recorded") + n("filtered") + n("too_short"),
        "{summary}"
    );
}
