//! `--report`: prints the events since the last report, the current connections and listeners, and
//! the totals.
//!
//! Events are marked as reported only after the whole report is written, so a report that fails or
//! is killed loses none: the next report prints them again.

use std::io::Write;
use std::ops::ControlFlow;

use crate::backend::Backend;
use crate::backend::session::{Session, active_settings};
use crate::command::options::{Parts, ReportOptions, parts};
use crate::command::print::Printer;
use crate::diagnose;
use crate::error::Result;
use crate::host::Host;
use crate::model::event::Event;
use crate::model::order::{Selection, Sort};
use crate::model::summary::{FindingCounts, Summary};
use crate::render::Sink;

/// Prints a report.
///
/// # Errors
/// Not active, another report is running, writing to stdout fails, a call fails.
pub fn report(
    backend: &dyn Backend,
    host: &mut dyn Host,
    options: &ReportOptions,
    sink: &mut dyn Sink,
    out: &mut dyn Write,
) -> Result<()> {
    let verbose = active_settings(backend)?.activation.verbose;
    let parts = parts(options, verbose);
    let mut session = open(backend, options, parts)?;
    let mut printer = Printer::new(options, parts, sink, out)?;
    printer.learn(&session.clocks()?);
    print_events(&mut session, options, &mut printer)?;
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
    session.commit()
}

/// A report without transitions marks no events: asking for alarms alone must not discard the
/// transitions.
fn open<'a>(
    backend: &'a dyn Backend,
    options: &ReportOptions,
    parts: Parts,
) -> Result<Session<'a>> {
    match (parts.transitions, parts.alarms) {
        (false, false) => Session::now(backend),
        (true, _) if !options.peek => Session::drain(backend),
        _ => Session::peek(backend),
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
            crate::stderr::warn(&format!("no diagnosis: {error}"));
            None
        }
    }
}

/// Prints the events: immediately if they are in the order of time without a limit, otherwise after
/// collecting them in memory.
fn print_events(
    session: &mut Session,
    options: &ReportOptions,
    printer: &mut Printer,
) -> Result<()> {
    if options.sort == Sort::Time && options.limit.is_none() {
        return session.events(&mut |event| {
            if printer.wants(event) {
                printer.event(event)?;
            }
            Ok(ControlFlow::Continue(()))
        });
    }
    let mut transitions = Selection::new(options.sort, options.limit);
    let mut alarms = Selection::new(Sort::Time, options.limit);
    session.events(&mut |event| {
        match *event {
            _ if !printer.wants(event) => {}
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
    lines.iter().try_for_each(|event| printer.event(event))
}
