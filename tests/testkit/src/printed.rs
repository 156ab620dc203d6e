//! What a report prints.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use diagnose_tools::cli::parse;
use diagnose_tools::command::report::report;
use diagnose_tools::error::Result;
use diagnose_tools::host::Host;
use diagnose_tools::host::names::Names;
use diagnose_tools::render::{Format, Sink, Style, sink};

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
    let no_cursors = Path::new("/nonexistent");
    print_with(
        fake,
        &mut Unobserved::default(),
        no_cursors,
        keys,
        sink_of(style, names),
        out,
    )
}

/// Creates the sink for the format that the keys choose.
pub type MakeSink<'a> = Box<dyn FnOnce(Format) -> Box<dyn Sink> + 'a>;

/// A sink of this style, with these names.
pub fn sink_of<'a>(style: Style, names: Names) -> MakeSink<'a> {
    Box::new(|format| sink(format, style, names))
}

/// The same on this host, with cursors in this folder.
///
/// # Errors
/// Those of [`print_to`], and of the cursor.
pub fn print_with(
    fake: &Fake,
    host: &mut dyn Host,
    folder: &Path,
    keys: &str,
    make_sink: MakeSink,
    out: &mut dyn Write,
) -> Result<()> {
    let options = parse::report(keys)?;
    let mut sink = make_sink(options.format);
    report(fake, host, &options, folder, &mut *sink, out)
}

/// The text of a report that must succeed.
pub fn printed(fake: &Fake, keys: &str, style: Style, names: Names) -> String {
    let mut out = Vec::new();
    print_to(fake, keys, style, names, &mut out).expect("a report");
    String::from_utf8(out).expect("UTF-8")
}
