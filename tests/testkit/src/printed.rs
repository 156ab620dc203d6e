//! What a report prints.

use std::io::Write;
use std::time::Duration;

use diagnose_tools::cli::parse;
use diagnose_tools::command::report::report;
use diagnose_tools::error::Result;
use diagnose_tools::host::names::Names;
use diagnose_tools::render::{Style, sink};

use crate::fake::Fake;
use crate::host::Unobserved;

/// A host without cgroups and without names of namespaces.
pub fn nowhere() -> Names {
    Names::new(None, "/nonexistent".into(), Duration::ZERO)
}

/// Writes a report with the keys of `--report`.
///
/// # Errors
/// Errors of the keys, of the backend and of `out`.
pub fn print_to(
    fake: &Fake,
    keys: &str,
    style: Style,
    names: Names,
    out: &mut dyn Write,
) -> Result<()> {
    let options = parse::report(keys)?;
    let mut sink = sink(options.format, style, names);
    report(fake, &mut Unobserved::default(), &options, &mut *sink, out)
}

/// The text of a report that must succeed.
pub fn printed(fake: &Fake, keys: &str, style: Style, names: Names) -> String {
    let mut out = Vec::new();
    print_to(fake, keys, style, names, &mut out).expect("a report");
    String::from_utf8(out).expect("UTF-8")
}
