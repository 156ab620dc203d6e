//! `--diagnose`: problems, their sources and remedies.

use std::io::Write;

use crate::backend::Backend;
use crate::command::memory::Memory;
use crate::command::options::DiagnoseOptions;
use crate::diagnose;
use crate::diagnose::finding::Severity;
use crate::error::{Error, Result, write_error};
use crate::host::Host;
use crate::render::{Style, findings};

/// Prints the findings.
///
/// # Errors
/// Not active, writing to stdout fails, a call fails; with `check`, [`Error::Found`].
pub fn diagnose(
    backend: &dyn Backend,
    options: &DiagnoseOptions,
    host: &mut dyn Host,
    style: &Style,
    out: &mut dyn Write,
) -> Result<()> {
    let mut diagnosis = diagnose::look(backend, &options.scope, host)?;
    let memory = options.memory.as_deref().and_then(Memory::open);
    if let Some(memory) = &memory {
        memory.compare(&mut diagnosis);
    }
    match options.json {
        true => findings::json(out, &style.clock, &diagnosis),
        false => findings::text(out, style, &diagnosis),
    }
    .and_then(|()| out.flush())
    .map_err(write_error)?;
    // Only what is printed is not new any more.
    if let Some(memory) = memory {
        memory.commit(&diagnosis);
    }
    let worst = diagnosis.findings.first().map(|f| f.severity);
    match options.check && worst >= Some(Severity::Warning) {
        true => Err(Error::Found(diagnosis.counts().bad())),
        false => Ok(()),
    }
}
