//! Parses the `KEY=VALUE` texts of the options into validated settings, using the tables of keys.

use std::path::Path;
use std::time::Duration;

use crate::cli::keys::{self, HtmlKeys};
use crate::cli::keyval::Pairs;
use crate::command::options::{
    DiagnoseOptions, DumpOptions, HtmlOptions, ReportOptions, SettingsOptions, TopOptions,
};
use crate::diagnose::limits::Limits;
use crate::error::{Error, Result};
use crate::fmt::text::words;
use crate::host::captured::InCapture;
use crate::host::lookup::OfHost;
use crate::model::activation::Activation;
use crate::model::filter::Show;
use crate::model::key::{Keys, Lookup, joined, pairs};

/// Reads the value of an option, using its keys.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn read<O: Default>(
    option: &'static str,
    text: &str,
    keys: Keys<O>,
    host: &dyn Lookup,
) -> Result<O> {
    let mut options = O::default();
    Pairs::parse(option, text, keys)?.set(&mut options, host)?;
    Ok(options)
}

/// Reads the value of an option that may read a capture; names are then looked up in that capture.
fn read_any<O: Default>(option: &'static str, text: &str, keys: Keys<O>) -> Result<O> {
    let mut options = O::default();
    let pairs = Pairs::parse(option, text, keys)?;
    match pairs.given(keys::FROM) {
        Some(path) => pairs.set(&mut options, &InCapture::new(Path::new(path)))?,
        None => pairs.set(&mut options, &OfHost)?,
    }
    Ok(options)
}

/// Reads the value of `--activate`.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn activate(text: &str) -> Result<Activation> {
    read("--activate", text, keys::ACTIVATE, &OfHost)
}

/// Reads the value of `--report`.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn report(text: &str) -> Result<ReportOptions> {
    read_any("--report", text, keys::REPORT)
}

/// Reads the value of `--follow`.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn follow(text: &str) -> Result<ReportOptions> {
    let options = read("--follow", text, keys::FOLLOW, &OfHost)?;
    Ok(ReportOptions {
        transitions: options.transitions.or(Some(!options.lives)),
        connections: options.connections.or(Some(false)),
        ..options
    })
}

/// Reads the value of `--settings`.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn settings(text: &str) -> Result<SettingsOptions> {
    read_any("--settings", text, keys::SETTINGS)
}

/// Reads the value of `--top`.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn top(text: &str) -> Result<TopOptions> {
    let options = read_any("--top", text, keys::TOP)?;
    let given = Pairs::parse("--top", text, keys::TOP)?.given("interval-ms");
    let mut filter = pairs(keys::SHOW, options.show.clone());
    filter.retain(|pair| pair.key != "min-ms" || options.show.min_ns > 0);
    Ok(TopOptions {
        interval_given: given.is_some(),
        filter: joined(&filter),
        ..options
    })
}

/// Reads a filter that is typed in the live view; names are looked up in the capture, if there is
/// one.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn show(text: &str, from: Option<&Path>) -> Result<Show> {
    match from {
        Some(path) => read("filter", text, keys::SHOW, &InCapture::new(path)),
        None => read("filter", text, keys::SHOW, &OfHost),
    }
}

/// Reads the value of `--dump`.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn dump(text: &str) -> Result<DumpOptions> {
    match read("--dump", text, keys::DUMP, &OfHost)?.file {
        Some(file) => Ok(DumpOptions { file }),
        None => Err(Error::Usage(
            words!(
                "--dump: 'file' is missing; allowed: --dump='file=PATH'",
                "--dump：缺少 'file'；正确写法：`--dump='file=PATH'`"
            )
            .into(),
        )),
    }
}

/// Reads the value of `--html`, and the file of limits.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn html(text: &str) -> Result<HtmlOptions> {
    let HtmlKeys { mut options, file } = read_any("--html", text, keys::HTML)?;
    let Some(file) = file else {
        return Err(Error::Usage(
            words!(
                "--html: 'file' is missing; allowed: --html='file=PATH'",
                "--html：缺少 'file'；正确写法：`--html='file=PATH'`"
            )
            .into(),
        ));
    };
    options.file = file;
    options.scope.limits = Limits::load(None)?;
    Ok(options)
}

/// Reads the value of `--diagnose`, and the file of limits.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn diagnose(text: &str) -> Result<DiagnoseOptions> {
    let mut read = read_any("--diagnose", text, keys::DIAGNOSE)?;
    if read.options.from.is_some() {
        read.options.scope.patience = Duration::ZERO;
    }
    read.options.scope.limits = Limits::load(read.config.as_deref())?;
    Ok(read.options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::options::parts;
    use crate::error::Error;
    use crate::model::activation::{self, TransitionHook};
    use crate::model::filter::Filter;
    use crate::model::key::joined;
    use crate::render::Format;

    fn reason(error: Error) -> String {
        error.text().en().to_owned()
    }

    #[test]
    fn an_empty_activation_has_the_defaults() {
        let config = activate("").unwrap();
        assert_eq!((config.ring, config.ring_bytes), (None, None));
        assert_eq!((config.max_conns, config.min_ns), (None, 0));
        assert_eq!((config.verbose, config.hook), (0, TransitionHook::Auto));
        assert_eq!((config.threshold, config.unfinished), (500, 200));
        assert_eq!((config.max_pairs, config.max_listeners), (32_768, 4_096));
        assert_eq!(config.filter, Filter::default());
    }

    #[test]
    fn an_activation_is_rendered_as_it_was_given() {
        let text = "verbose=2 addr=10.0.0.0/8|!10.1.0.0/16 laddr=::1 rport=80-89|!85 family=6 \
                    netns=77 min-ms=5 ring=1024 max-conns=9 hook=kprobe threshold=0 unfinished=7 \
                    max-pairs=1 max-listeners=65536";
        let config = activate(text).unwrap();
        assert_eq!(config.min_ns, 5_000_000);
        assert_eq!(joined(&activation::pairs(&config)), text);
    }

    #[test]
    fn a_ring_that_is_no_power_of_two_gets_both_neighbours() {
        let text = reason(activate("ring=1000").unwrap_err());
        assert!(
            text.contains("the nearest are 512 and 1024; allowed: a power of two"),
            "{text}"
        );
        assert!(activate("ring=4194304").is_ok());
        assert!(activate("ring=4194303").is_err() && activate("ring=32").is_err());
    }

    #[test]
    fn rings_have_a_length_or_a_budget() {
        let config = activate("ring-memory=64").unwrap();
        assert_eq!((config.ring, config.ring_bytes), (None, Some(64 << 20)));
        let text = reason(activate("ring=64 ring-memory=1").unwrap_err());
        assert!(
            text.contains("'ring-memory': ring= says how long the rings are"),
            "{text}"
        );
        assert!(activate("ring-memory=0").is_err());
        assert!(activate("ring-memory=1048577").is_err());
    }

    #[test]
    fn rules_fit_or_are_refused() {
        let many = |n: usize| vec!["1.1.1.1"; n].join("|");
        assert!(activate(&format!("addr={}", many(32))).is_ok());
        let text = reason(activate(&format!("addr={},laddr={}", many(20), many(13))).unwrap_err());
        assert!(
            text.contains("33 rules with those of the other sides, at most 32 fit"),
            "{text}"
        );
    }

    #[test]
    fn json_and_format_must_agree() {
        let format = |text| report(text).map(|o| o.format).map_err(reason);
        assert_eq!(format(""), Ok(Format::Table));
        assert_eq!(format("json=1"), Ok(Format::Json));
        assert_eq!(format("json=0"), Ok(Format::Table));
        assert_eq!(format("format=json json=1"), Ok(Format::Json));
        assert_eq!(format("format=detail json=0"), Ok(Format::Detail));
        let clash = "--report: bad value '1' of 'json': format= says otherwise; allowed: 0 or 1";
        assert_eq!(format("format=table json=1"), Err(clash.into()));
        assert!(format("format=json json=0").is_err());
    }

    #[test]
    fn verbose_decides_what_the_keys_leave_open() {
        let shown = |options, verbose| {
            let parts = parts(&options, verbose);
            assert_eq!((parts.alarms, parts.listeners), (true, parts.connections));
            (parts.transitions, parts.connections)
        };
        let with = |text, verbose| shown(report(text).unwrap(), verbose);
        assert_eq!(
            [with("", 0), with("", 1), with("", 2)],
            [(true, false), (false, true), (true, true)]
        );
        assert_eq!(with("transitions=0 connections=1", 0), (false, true));
        let following = |text, verbose| shown(follow(text).unwrap(), verbose);
        assert_eq!(following("", 1), (true, false));
        assert_eq!(following("connections=1", 0), (true, true));
        let told = parts(&report("alarms=0 listeners=1").unwrap(), 0);
        assert_eq!((told.alarms, told.listeners), (false, true));
        assert!(!parts(&report("listeners=0").unwrap(), 2).listeners);
    }

    #[test]
    fn follow_refuses_what_it_cannot_do() {
        assert!(reason(follow("peek=1").unwrap_err()).contains("unknown key 'peek'"));
        assert!(follow("sort=bytes").is_err() && follow("sort=time").is_ok());
    }
}
