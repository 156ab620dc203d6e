//! `--settings`: what is active, with which settings, hooks and losses.

use std::io::Write;

use crate::backend::Recorder;
use crate::command::options::SettingsOptions;
use crate::error::{Error, Result, write_error};
use crate::model::summary::unconsumed_of;
use crate::render::{Look, SettingsView, settings_json, settings_text};

/// Prints the settings; that nothing is active is no error.
///
/// # Errors
/// Stdout does not take them, or a call fails.
pub fn settings(
    recorder: &impl Recorder,
    options: SettingsOptions,
    look: &Look,
    out: &mut dyn Write,
) -> Result<()> {
    let view = view(recorder)?;
    match options.json {
        true => settings_json(out, &look.clock, &view),
        false => settings_text(out, look, &view),
    }
    .and_then(|()| out.flush())
    .map_err(write_error)
}

fn view(recorder: &impl Recorder) -> Result<SettingsView> {
    let settings = recorder.settings()?;
    let stats = recorder.stats()?;
    let mut view = SettingsView {
        overwritten: stats.overwritten,
        settings,
        stats,
        hooks: vec![],
        rings: 0,
    };
    match fill(recorder, &mut view) {
        // Deactivated just now: told as such.
        Err(Error::NotActive) => view.settings.active = 0,
        other => other?,
    }
    Ok(view)
}

fn fill(recorder: &impl Recorder, view: &mut SettingsView) -> Result<()> {
    if view.settings.active != 0 {
        view.hooks = recorder.hooks()?;
        let rings = recorder.rings()?;
        let unconsumed = unconsumed_of(&rings, view.settings.config.ring_records);
        view.overwritten = view.overwritten.saturating_add(unconsumed);
        view.rings = rings.len() as u64;
    }
    Ok(())
}
