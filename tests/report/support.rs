//! A report, as text and as values.

use std::io::Write;

use diagnose_tools::backend::Backend;
use diagnose_tools::error::Result;
use diagnose_tools::render::Style;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use jiff::tz::TimeZone;
use serde_json::Value;
use testkit::fake::Fake;
use testkit::printed::{nowhere, print_to, printed};

pub fn style(fake: &Fake, lang: Lang, width: Option<usize>) -> Style {
    let clock = Clock::with_zone(&fake.stats().unwrap(), TimeZone::UTC);
    Style {
        labels: lang.labels(),
        clock,
        width,
        color: false,
    }
}

pub fn run_to(fake: &Fake, keys: &str, out: &mut dyn Write) -> Result<()> {
    print_to(fake, keys, style(fake, Lang::En, None), nowhere(), out)
}

pub fn text(fake: &Fake, keys: &str) -> String {
    printed(fake, keys, style(fake, Lang::En, None), nowhere())
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
