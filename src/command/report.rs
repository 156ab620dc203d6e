//! `--report`: what was recorded since the last one, what is live and who listens now, the totals.
//!
//! Events are marked as reported only after all of them were written out, so
//! a report that fails, or is killed, loses none: the next one gives them again.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::abi::{Consumed, RingState, Settings};
use crate::backend::Recorder;
use crate::backend::events::Merge;
use crate::backend::session::{active_settings, map, summarize};
use crate::command::options::{Parts, ReportOptions, parts};
use crate::diagnose;
use crate::error::{Error, Result, write_error};
use crate::model::conn::Conn;
use crate::model::event::{Event, Progress};
use crate::model::filter::Show;
use crate::model::listener::Listener;
use crate::model::order::{Selection, Sort};
use crate::model::summary::{FindingCounts, Summary, ThisReport};
use crate::model::{handshakes, lives};
use crate::render::Output;
use crate::render::time::Clock;

/// How long a draining report waits for another one, and after how long it says so.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_NOTE: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// Prints a report.
///
/// # Errors
/// Not active, another report is running, stdout does not take it, a call fails.
pub fn report(
    recorder: &impl Recorder,
    options: &ReportOptions,
    output: &mut dyn Output,
    out: &mut dyn Write,
) -> Result<()> {
    let settings = active_settings(recorder)?;
    let parts = parts(options, settings.config.verbose);
    let mut this = ThisReport::default();
    let mut unconsumed = None;
    if parts.transitions || parts.alarms {
        let lost = drain(recorder, options, parts, output, out, &mut this)?;
        unconsumed = Some(lost);
    }
    learn_clocks(recorder, output.clock())?;
    print_now(recorder, options, parts, output, out, &mut this)?;
    let findings = findings(recorder, options);
    if options.summary {
        let summary = Summary {
            findings,
            cgroups: lives::cgroups(&recorder.cgroups()?),
            ..summarize(recorder, &settings, unconsumed, this)?
        };
        output.summary(out, &summary).map_err(write_error)?;
    }
    if let Some(findings) = findings {
        output.findings(out, findings).map_err(write_error)?;
    }
    out.flush().map_err(write_error)
}

/// What a diagnosis of the same connections finds; `None` when none is wanted. The report is
/// out already, or may go on: a diagnosis that fails is no reason to fail.
fn findings(recorder: &impl Recorder, options: &ReportOptions) -> Option<FindingCounts> {
    if !options.findings {
        return None;
    }
    match diagnose::counts(recorder, &options.show.filter) {
        Ok(counts) => Some(counts),
        Err(error) => {
            crate::stderr::warn(&format!("no diagnosis: {error}"));
            None
        }
    }
}

/// From now on times are told as the wall clock was then.
///
/// # Errors
/// A call fails.
pub fn learn_clocks(recorder: &impl Recorder, clock: &Clock) -> Result<()> {
    match recorder.clocks() {
        // What is known is all that will ever be.
        Err(Error::NotActive) => Ok(()),
        other => other.map(|changes| clock.learn(&changes)),
    }
}

/// Prints the events, then marks them as reported unless this is a peek. Without the
/// transitions it is one: who asks for alarms alone must not lose the rest.
/// Returns how many were overwritten and are not consumed.
fn drain(
    recorder: &impl Recorder,
    options: &ReportOptions,
    parts: Parts,
    output: &mut dyn Output,
    out: &mut dyn Write,
    this: &mut ThisReport,
) -> Result<u64> {
    // Held to the end of the function: positions move under the lock only.
    let peek = options.peek || !parts.transitions;
    let _lock = if peek { None } else { Some(lock(recorder)?) };
    // Read under the lock: another report may have ended just before.
    let settings = active_settings(recorder)?;
    let rings = recorder.rings()?;
    let mut merge = merge_rings(recorder, &settings, &rings)?;
    learn_clocks(recorder, output.clock())?;
    print_events(&mut merge, options, parts, output, out, this)?;
    let progress = merge.progress();
    this.add(&progress);
    out.flush().map_err(write_error)?;
    if peek {
        return Ok(this.overwritten);
    }
    recorder.consume(settings.generation, &consumed(&rings, &progress))?;
    Ok(0)
}

/// Maps the rings that have something new, each from its consumed position to its head.
fn merge_rings(
    recorder: &impl Recorder,
    settings: &Settings,
    rings: &[RingState],
) -> Result<Merge> {
    let news = rings.iter().filter(|r| r.head != r.consumed);
    let sources = news.map(|ring| {
        let mut reader = map(recorder, settings, ring.cpu)?;
        reader.seek(ring.consumed);
        Ok((reader, ring.head))
    });
    Ok(Merge::new(sources.collect::<Result<Vec<_>>>()?))
}

/// What to tell the module: all rings, those without news too, so that it
/// compares every position.
fn consumed(rings: &[RingState], progress: &[Progress]) -> Vec<Consumed> {
    let one = |ring: &RingState| {
        let read = progress.iter().find(|p| p.cpu == ring.cpu);
        Consumed {
            cpu: ring.cpu,
            reserved: 0,
            from: ring.consumed,
            to: read.map_or(ring.consumed, |p| p.to),
            overwritten: read.map_or(0, |p| p.overwritten),
        }
    };
    rings.iter().map(one).collect()
}

/// Prints what the keys let through, as it comes when the order is that of
/// time and there is no limit; otherwise from memory. Counts them.
fn print_events(
    merge: &mut Merge,
    options: &ReportOptions,
    parts: Parts,
    output: &mut dyn Output,
    out: &mut dyn Write,
    this: &mut ThisReport,
) -> Result<()> {
    if options.sort == Sort::Time && options.limit.is_none() {
        // Most reports leave nothing out, and need not look at each rule for each event.
        let all = options.show == Show::default();
        let wanted =
            |event: &Event| is_in(parts, event) && (all || lets_through(&options.show, event));
        return merge.try_each(|event| match wanted(event) {
            true => print_event(event, output, out, this),
            false => Ok(()),
        });
    }
    let shown = merge.filter(|event| shows(options, parts, event));
    let mut transitions = Selection::new(options.sort, options.limit);
    let mut alarms = Selection::new(Sort::Time, options.limit);
    shown.for_each(|event| match event {
        Event::Transition(event) => transitions.push(event),
        Event::Alarm(event) => alarms.push(event),
    });
    let alarms = alarms.into_sorted().map(Event::Alarm);
    let transitions = transitions.into_sorted().map(Event::Transition);
    let mut lines: Vec<_> = alarms.chain(transitions).collect();
    if options.sort == Sort::Time {
        lines.sort_by_key(Event::ts);
    }
    lines
        .iter()
        .try_for_each(|event| print_event(event, output, out, this))
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
    output: &mut dyn Output,
    out: &mut dyn Write,
    this: &mut ThisReport,
) -> Result<()> {
    match event {
        Event::Transition(event) => {
            this.shown += 1;
            output.transition(out, event)
        }
        Event::Alarm(event) => {
            this.alarms_shown += 1;
            output.alarm(out, event)
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
    recorder: &impl Recorder,
    options: &ReportOptions,
    parts: Parts,
    output: &mut dyn Output,
    out: &mut dyn Write,
    this: &mut ThisReport,
) -> Result<()> {
    if parts.connections {
        this.connections = print_live(recorder, options, output, out)?;
    }
    if parts.listeners {
        this.listeners = print_listeners(recorder, options, output, out)?;
    }
    Ok(())
}

/// Prints the listeners that the keys let through; returns how many.
fn print_listeners(
    recorder: &impl Recorder,
    options: &ReportOptions,
    output: &mut dyn Output,
    out: &mut dyn Write,
) -> Result<u64> {
    let mut selection = Selection::new(options.sort, options.limit);
    let (listeners, hooks) = (recorder.listeners()?, recorder.hooks()?);
    // Read after the table: none listens since later than that.
    let now_ns = recorder.stats()?.now_ns;
    let shown = |listener: &Listener| options.show.listener(listener, now_ns);
    listeners
        .into_iter()
        .filter(shown)
        .for_each(|listener| selection.push(listener));
    print_all(selection.into_sorted(), |listener| {
        let counters = handshakes::counters(&listener.handshakes, &hooks);
        output.listener(out, &listener, &counters, now_ns)
    })
}

/// Prints the live connections that the keys let through; returns how many.
fn print_live(
    recorder: &impl Recorder,
    options: &ReportOptions,
    output: &mut dyn Output,
    out: &mut dyn Write,
) -> Result<u64> {
    let mut selection = Selection::new(options.sort, options.limit);
    let mut live = recorder.snapshot(true)?;
    // Read after the snapshot: no state was entered later than that.
    let mut now_ns = recorder.stats()?.now_ns;
    while !live.is_empty() {
        let shown = |conn: &Conn| options.show.connection(conn, now_ns);
        live.into_iter()
            .filter(shown)
            .for_each(|conn| selection.push(conn));
        live = recorder.snapshot(false)?;
        now_ns = recorder.stats()?.now_ns;
    }
    print_all(selection.into_sorted(), |conn| {
        output.connection(out, &conn, now_ns)
    })
}

/// Waits for the right to drain.
fn lock<R: Recorder>(recorder: &R) -> Result<R::Lock> {
    let start = Instant::now();
    let mut noted = false;
    loop {
        if let Some(lock) = recorder.try_lock()? {
            return Ok(lock);
        }
        if start.elapsed() >= LOCK_WAIT {
            return Err(Error::ReportRunning);
        }
        if !noted && start.elapsed() >= LOCK_NOTE {
            noted = true;
            crate::stderr::note("another --report is running, waiting for it");
        }
        sleep(LOCK_RETRY);
    }
}
