//! `--report`: what was recorded since the last one, what is live and who listens now, the totals.
//!
//! Events are marked as reported only after all of them were written out, so
//! a report that fails, or is killed, loses none: the next one gives them again.

use std::io::Write;
use std::ops::ControlFlow;

use crate::backend::session::{active_settings, clocks, lock, summarize};
use crate::backend::{Backend, Events, Start};
use crate::command::options::{Parts, ReportOptions, parts};
use crate::diagnose;
use crate::error::{Result, write_error};
use crate::model::conn::Conn;
use crate::model::event::Event;
use crate::model::filter::Show;
use crate::model::handshakes;
use crate::model::listener::Listener;
use crate::model::order::{Selection, Sort};
use crate::model::summary::{FindingCounts, Summary, ThisReport};
use crate::render::Sink;

/// Prints a report.
///
/// # Errors
/// Not active, another report is running, stdout does not take it, a call fails.
pub fn report(
    backend: &dyn Backend,
    options: &ReportOptions,
    sink: &mut dyn Sink,
    out: &mut dyn Write,
) -> Result<()> {
    let settings = active_settings(backend)?;
    let parts = parts(options, settings.activation.verbose);
    let mut this = ThisReport::default();
    let mut unconsumed = None;
    if parts.transitions || parts.alarms {
        let lost = drain(backend, options, parts, sink, out, &mut this)?;
        unconsumed = Some(lost);
    }
    sink.clock().learn(&clocks(backend)?);
    print_now(backend, options, parts, sink, out, &mut this)?;
    let findings = findings(backend, options);
    if options.summary {
        let summary = Summary {
            findings,
            cgroups: backend.cgroups()?,
            ..summarize(backend, &settings, unconsumed, this)?
        };
        sink.summary(out, &summary).map_err(write_error)?;
    }
    if let Some(findings) = findings {
        sink.findings(out, findings).map_err(write_error)?;
    }
    out.flush().map_err(write_error)
}

/// What a diagnosis of the same connections finds; `None` when none is wanted. The report is
/// out already, or may go on: a diagnosis that fails is no reason to fail.
fn findings(backend: &dyn Backend, options: &ReportOptions) -> Option<FindingCounts> {
    if !options.findings {
        return None;
    }
    match diagnose::counts(backend, &options.show.filter) {
        Ok(counts) => Some(counts),
        Err(error) => {
            crate::stderr::warn(&format!("no diagnosis: {error}"));
            None
        }
    }
}

/// Prints the events, then marks them as reported unless this is a peek. Without the
/// transitions it is one: who asks for alarms alone must not lose the rest.
/// Returns how many were overwritten and are not consumed.
fn drain(
    backend: &dyn Backend,
    options: &ReportOptions,
    parts: Parts,
    sink: &mut dyn Sink,
    out: &mut dyn Write,
    this: &mut ThisReport,
) -> Result<u64> {
    let recorder = backend.recorder();
    let recorder = recorder.filter(|_| !options.peek && parts.transitions);
    // Held to the end of the function: positions move under the lock only.
    let _lock = recorder.map(lock).transpose()?;
    // Read under the lock: another report may have ended just before.
    let settings = active_settings(backend)?;
    let mut events = backend.events(&settings, Start::Consumed)?;
    sink.clock().learn(&clocks(backend)?);
    print_events(&mut *events, options, parts, sink, out, this)?;
    let progress = events.progress();
    this.add(&progress);
    out.flush().map_err(write_error)?;
    match recorder {
        Some(recorder) => recorder.consume(settings.generation, &progress).map(|()| 0),
        None => Ok(this.overwritten),
    }
}

/// Prints what the keys let through, as it comes when the order is that of
/// time and there is no limit; otherwise from memory. Counts them.
fn print_events(
    events: &mut dyn Events,
    options: &ReportOptions,
    parts: Parts,
    sink: &mut dyn Sink,
    out: &mut dyn Write,
    this: &mut ThisReport,
) -> Result<()> {
    if options.sort == Sort::Time && options.limit.is_none() {
        // Most reports leave nothing out, and need not look at each rule for each event.
        let all = options.show == Show::default();
        let wanted =
            |event: &Event| is_in(parts, event) && (all || lets_through(&options.show, event));
        return events.try_each(&mut |event| {
            if wanted(event) {
                print_event(event, sink, out, this)?;
            }
            Ok(ControlFlow::Continue(()))
        });
    }
    let mut transitions = Selection::new(options.sort, options.limit);
    let mut alarms = Selection::new(Sort::Time, options.limit);
    events.try_each(&mut |event| {
        match *event {
            _ if !shows(options, parts, event) => {}
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
    lines
        .iter()
        .try_for_each(|event| print_event(event, sink, out, this))
}

/// Whether an event is printed.
pub fn shows(options: &ReportOptions, parts: Parts, event: &Event) -> bool {
    is_in(parts, event) && lets_through(&options.show, event)
}

fn is_in(parts: Parts, event: &Event) -> bool {
    match event {
        Event::Transition(_) => parts.transitions,
        Event::Alarm(_) => parts.alarms,
    }
}

fn lets_through(show: &Show, event: &Event) -> bool {
    match event {
        Event::Transition(event) => show.transition(&event.record),
        Event::Alarm(event) => show.alarm(&event.record),
    }
}

/// Prints an event, and counts it.
///
/// # Errors
/// Stdout does not take it.
pub fn print_event(
    event: &Event,
    sink: &mut dyn Sink,
    out: &mut dyn Write,
    this: &mut ThisReport,
) -> Result<()> {
    match event {
        Event::Transition(event) => {
            this.shown += 1;
            sink.transition(out, event)
        }
        Event::Alarm(event) => {
            this.alarms_shown += 1;
            sink.alarm(out, event)
        }
    }
    .map_err(write_error)
}

fn print_all<T>(
    lines: impl Iterator<Item = T>,
    mut print: impl FnMut(T) -> std::io::Result<()>,
) -> Result<u64> {
    let mut count = 0;
    for line in lines {
        print(line).map_err(write_error)?;
        count += 1;
    }
    Ok(count)
}

/// Prints what is there now: live connections and listeners, if they are wanted.
///
/// # Errors
/// Not active, or stdout does not take them.
pub fn print_now(
    backend: &dyn Backend,
    options: &ReportOptions,
    parts: Parts,
    sink: &mut dyn Sink,
    out: &mut dyn Write,
    this: &mut ThisReport,
) -> Result<()> {
    if parts.connections {
        this.connections = print_live(backend, options, sink, out)?;
    }
    if parts.listeners {
        this.listeners = print_listeners(backend, options, sink, out)?;
    }
    Ok(())
}

/// Prints the listeners that the keys let through; returns how many.
fn print_listeners(
    backend: &dyn Backend,
    options: &ReportOptions,
    sink: &mut dyn Sink,
    out: &mut dyn Write,
) -> Result<u64> {
    let mut selection = Selection::new(options.sort, options.limit);
    let (listeners, hooks) = (backend.listeners()?, backend.hooks()?);
    // Read after the table: none listens since later than that.
    let now_ns = backend.stats()?.now_ns;
    let shown = |listener: &Listener| options.show.listener(listener, now_ns);
    listeners
        .into_iter()
        .filter(shown)
        .for_each(|listener| selection.push(listener));
    print_all(selection.into_sorted(), |listener| {
        let counters = handshakes::counters(&listener.handshakes, &hooks);
        sink.listener(out, &listener, &counters, now_ns)
    })
}

/// Prints the live connections that the keys let through; returns how many.
fn print_live(
    backend: &dyn Backend,
    options: &ReportOptions,
    sink: &mut dyn Sink,
    out: &mut dyn Write,
) -> Result<u64> {
    let mut selection = Selection::new(options.sort, options.limit);
    let mut now_ns = 0;
    for batch in backend.live() {
        let batch = batch?;
        // Read after the batch: no state was entered later than that.
        now_ns = backend.stats()?.now_ns;
        let shown = |conn: &Conn| options.show.connection(conn, now_ns);
        batch
            .into_iter()
            .filter(shown)
            .for_each(|conn| selection.push(conn));
    }
    print_all(selection.into_sorted(), |conn| {
        sink.connection(out, &conn, now_ns)
    })
}
