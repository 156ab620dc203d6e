//! `--settings`: prints the settings, hooks and losses of the activation.

use std::io::Write;

use crate::backend::Backend;
use crate::command::options::SettingsOptions;
use crate::error::{Error, Result, write_error};
use crate::model::summary::unconsumed_of;
use crate::render::{SettingsView, Style, settings_json, settings_text};

/// Prints the settings; that nothing is active is not an error.
///
/// # Errors
/// Writing to stdout fails, or a call fails.
pub fn settings(
    backend: &dyn Backend,
    options: &SettingsOptions,
    style: &Style,
    out: &mut dyn Write,
) -> Result<()> {
    let view = view(backend)?;
    match options.json {
        true => settings_json(out, &style.clock, &view),
        false => settings_text(out, style, &view),
    }
    .and_then(|()| out.flush())
    .map_err(write_error)
}

/// Data that `--settings` prints.
///
/// # Errors
/// A call fails.
pub fn view(backend: &dyn Backend) -> Result<SettingsView> {
    let settings = backend.settings()?;
    let stats = backend.stats()?;
    let mut view = SettingsView {
        overwritten: stats.overwritten,
        settings,
        stats,
        hooks: vec![],
        rings: 0,
    };
    match fill(backend, &mut view) {
        // It was deactivated just now.
        Err(Error::NotActive) => view.settings = None,
        other => other?,
    }
    Ok(view)
}

fn fill(backend: &dyn Backend, view: &mut SettingsView) -> Result<()> {
    if let Some(settings) = &view.settings {
        view.hooks = backend.hooks()?;
        let rings = backend.rings()?;
        let unconsumed = unconsumed_of(&rings, settings.ring_records);
        view.overwritten = view.overwritten.saturating_add(unconsumed);
        view.rings = rings.len() as u64;
    }
    Ok(())
}
