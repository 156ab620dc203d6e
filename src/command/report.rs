//! `--report`: prints the events since the last report, the current connections and listeners, and
//! the totals.
//!
//! Events are marked as reported only after the whole report is written, so a report that fails or
//! is killed loses none: the next report prints them again.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use crate::backend::Backend;
use crate::backend::session::{Session, active_settings};
use crate::command::cursor::Cursor;
use crate::command::options::{Parts, ReportOptions, parts};
use crate::command::print::Printer;
use crate::diagnose;
use crate::error::{Error, Result};
use crate::fmt::text::text;
use crate::host::Host;
use crate::model::event::Event;
use crate::model::filter::window::{Now, Within};
use crate::model::order::{Selection, Sort};
use crate::model::summary::{FindingCounts, Summary};
use crate::render::Sink;
use crate::render::time::Clock;

/// Prints a report. `folder` is where cursors are kept.
///
/// # Errors
/// Not active, another report is running, writing to stdout fails, a call fails.
pub fn report(
    backend: &dyn Backend,
    host: &mut dyn Host,
    options: &ReportOptions,
    folder: &Path,
    sink: &mut dyn Sink,
    out: &mut dyn Write,
) -> Result<()> {
    let settings = active_settings(backend)?;
    let parts = parts(options, settings.activation.verbose);
    let within = within(backend, options, sink.clock())?;
    let cursor = options.cursor.as_ref().filter(|_| reads(parts));
    let cursor = cursor
        .map(|name| Cursor::open(backend, &settings, folder, name))
        .transpose()?;
    let mut session = open(backend, options, parts, cursor.as_ref())?;
    let mut printer = Printer::new(options, parts, within, sink, out)?;
    printer.learn(&session.clocks()?);
    print_events(&mut session, options, host, &mut printer)?;
    printer.this.add(&session.progress());
    printer.learn(&session.clocks()?);
    printer.now(&session, host)?;
    let findings = findings(backend, host, options);
    if options.summary {
        printer.summary(&Summary {
            findings,
            cgroups: session.cgroups()?,
            ..session.totals(printer.this)?
        })?;
    }
    if let Some(findings) = findings {
        printer.findings(findings)?;
    }
    printer.finish()?;
    let read = session.progress();
    session.commit()?;
    match cursor.filter(|_| !options.peek) {
        Some(cursor) => cursor.commit(&read),
        None => Ok(()),
    }
}

/// The range of time that the keys select.
fn within(backend: &dyn Backend, options: &ReportOptions, clock: &Clock) -> Result<Within> {
    let stats = backend.stats()?;
    let now = Now {
        mono_ns: stats.now_ns,
        real_ns: stats.now_real_ns.into(),
        zone: clock.zone().clone(),
    };
    let within = options.window.at(&now);
    within.map_err(|problem| {
        Error::Usage(text!("--report: {problem}", "--report 的时间范围：{problem}"; problem))
    })
}

/// Whether events are read.
fn reads(parts: Parts) -> bool {
    parts.transitions || parts.alarms || parts.lives || parts.counted_events
}

/// A report without transitions and lives marks no events: asking for alarms or counts must not
/// discard the transitions.
fn open<'a>(
    backend: &'a dyn Backend,
    options: &ReportOptions,
    parts: Parts,
    cursor: Option<&Cursor>,
) -> Result<Session<'a>> {
    let marks = (parts.transitions || parts.lives) && !options.peek;
    match cursor {
        _ if !reads(parts) => Session::now(backend),
        Some(cursor) => Session::at(backend, cursor.positions.clone()),
        None if options.reported => Session::all(backend),
        None if marks => Session::drain(backend),
        None => Session::peek(backend),
    }
}

/// Number of findings of a diagnosis of the same connections; `None` if not wanted. If the
/// diagnosis fails, the report continues with a warning.
fn findings(
    backend: &dyn Backend,
    host: &mut dyn Host,
    options: &ReportOptions,
) -> Option<FindingCounts> {
    if !options.findings {
        return None;
    }
    match diagnose::counts(backend, host, &options.show.filter) {
        Ok(counts) => Some(counts),
        Err(error) => {
            let reason = error.text();
            crate::stderr::warn(&text!("no diagnosis: {reason}", "无法诊断：{reason}"; reason));
            None
        }
    }
}

/// Prints the events: immediately if they are in the order of time without a limit, otherwise after
/// collecting them in memory. Lives are printed after transitions.
fn print_events(
    session: &mut Session,
    options: &ReportOptions,
    host: &mut dyn Host,
    printer: &mut Printer,
) -> Result<()> {
    if printer.wants_lives() {
        session.earlier(&mut |event| {
            printer.earlier(event);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let streams = options.sort == Sort::Time && options.limit.is_none();
    if !streams || printer.prints_transitions() {
        printer.collect_lives();
    }
    if streams {
        session.events(&mut |event| {
            if printer.take(event, host)? {
                printer.event(event)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        return printer.lives();
    }
    let mut transitions = Selection::new(options.sort, options.limit);
    let mut alarms = Selection::new(Sort::Time, options.limit);
    session.events(&mut |event| {
        match *event {
            _ if !printer.take(event, host)? => {}
            Event::Transition(event) => transitions.push(event),
            Event::Alarm(event) => alarms.push(event),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let alarms = alarms.into_sorted().map(Event::Alarm);
    let transitions = transitions.into_sorted().map(Event::Transition);
    let mut lines: Vec<_> = alarms.chain(transitions).collect();
    if options.sort == Sort::Time {
        lines.sort_by_key(Event::ts);
    }
    lines.iter().try_for_each(|event| printer.event(event))?;
    printer.lives()
}
