//! `--settings`: what is active, with which settings, hooks and losses.

use std::io::Write;

use crate::backend::Backend;
use crate::command::options::SettingsOptions;
use crate::error::{Error, Result, write_error};
use crate::model::summary::unconsumed_of;
use crate::render::{SettingsView, Style, settings_json, settings_text};

/// Prints the settings; that nothing is active is no error.
///
/// # Errors
/// Stdout does not take them, or a call fails.
pub fn settings(
    backend: &impl Backend,
    options: SettingsOptions,
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

fn view(backend: &impl Backend) -> Result<SettingsView> {
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
        // Deactivated just now: told as such.
        Err(Error::NotActive) => view.settings.active = 0,
        other => other?,
    }
    Ok(view)
}

fn fill(backend: &impl Backend, view: &mut SettingsView) -> Result<()> {
    if view.settings.active != 0 {
        view.hooks = backend.hooks()?;
        let rings = backend.rings()?;
        let unconsumed = unconsumed_of(&rings, view.settings.config.ring_records);
        view.overwritten = view.overwritten.saturating_add(unconsumed);
        view.rings = rings.len() as u64;
    }
    Ok(())
}
