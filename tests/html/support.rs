//! Pages of recordings in memory.

use std::fs;
use std::path::{Path, PathBuf};

use diagnose_tools::backend::{Backend, session};
use diagnose_tools::command::html;
use diagnose_tools::command::options::HtmlOptions;
use diagnose_tools::error::Result;
use diagnose_tools::host::Host;
use diagnose_tools::host::names::Names;
use diagnose_tools::render::Style;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use jiff::tz::TimeZone;
use serde_json::Value;
use testkit::fake::Fake;
use testkit::host::FakeHost;
use testkit::printed::{print_with, sink_of};
use testkit::town::CGROUPS;

pub fn style(backend: &dyn Backend, lang: Lang) -> Style {
    let clock = Clock::with_zone(&backend.stats().unwrap(), TimeZone::UTC);
    clock.learn(&session::clocks(backend).unwrap());
    Style {
        labels: lang.labels(),
        clock,
        width: None,
        color: false,
    }
}

/// The host of [`testkit::town`].
pub fn host() -> FakeHost {
    let cgroups = CGROUPS.map(|(id, path)| (id, path.to_owned()));
    FakeHost {
        names: Names::known(&cgroups, &[]),
        ..FakeHost::default()
    }
}

pub fn page_with(fake: &Fake, host: &mut dyn Host, options: &HtmlOptions, lang: Lang) -> String {
    let page = html::gather(fake, host, options).unwrap();
    let mut out = Vec::new();
    diagnose_tools::render::html::write(&mut out, &style(fake, lang), &page).unwrap();
    String::from_utf8(out).unwrap()
}

pub fn page(fake: &Fake) -> String {
    page_with(fake, &mut host(), &HtmlOptions::default(), Lang::En)
}

/// Writes a page to a file; returns what is printed.
pub fn write(fake: &Fake, host: &mut dyn Host, file: &Path) -> Result<String> {
    let options = HtmlOptions {
        file: file.into(),
        ..HtmlOptions::default()
    };
    let mut out = Vec::new();
    let style = style(fake, Lang::En);
    html::html(fake, host, &options, &style, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

/// The lines of a report as JSON, which marks nothing.
pub fn json(fake: &Fake, keys: &str) -> Vec<Value> {
    let keys = format!("{keys} json=1 peek=1 findings=0");
    let sink = sink_of(style(fake, Lang::En), Names::known(&[], &[]));
    let (mut out, no_cursors) = (Vec::new(), Path::new("/nonexistent"));
    print_with(fake, &mut host(), no_cursors, &keys, sink, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The totals of a report.
pub fn summary(fake: &Fake) -> Value {
    json(fake, "transitions=0 alarms=0").pop().unwrap()
}

/// A directory that is removed at the end of the test.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let name = format!("diagnose-tools-html-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
