//! `--report`: what was recorded since the last one, what is live now, the totals.
//!
//! Events are marked as reported only after all of them were written out, so
//! a report that fails, or is killed, loses none: the next one gives them again.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::abi::{Consumed, RingState, Settings};
use crate::error::{Error, Result, write_error};
use crate::merge::{Merge, Progress};
use crate::options::{ReportOptions, Sort, parts};
use crate::output::Output;
use crate::record::Conn;
use crate::recorder::Recorder;
use crate::ring::RingReader;
use crate::select::Selection;
use crate::summary::{Summary, ThisReport, unconsumed_overwritten};

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
    let (transitions, connections) = parts(options, settings.config.verbose);
    let mut this = ThisReport::default();
    let mut unconsumed = None;
    if transitions {
        let lost = drain(recorder, options, output, out, &mut this)?;
        unconsumed = Some(lost);
    }
    if connections {
        this.connections = print_live(recorder, options, output, out)?;
    }
    if options.summary {
        let summary = summarize(recorder, &settings, unconsumed, this)?;
        output.summary(out, &summary).map_err(write_error)?;
    }
    out.flush().map_err(write_error)
}

/// The settings of the activation.
///
/// # Errors
/// Not active.
pub fn active_settings(recorder: &impl Recorder) -> Result<Settings> {
    match recorder.settings()? {
        settings if settings.active == 0 => Err(Error::NotActive),
        settings => Ok(settings),
    }
}

/// Makes the totals. `unconsumed` overwritten events are counted anew when not given.
///
/// # Errors
/// Not active, or a call fails.
pub fn summarize(
    recorder: &impl Recorder,
    settings: &Settings,
    unconsumed: Option<u64>,
    this: ThisReport,
) -> Result<Summary> {
    let unconsumed = match unconsumed {
        Some(count) => count,
        None => unconsumed_overwritten(recorder, settings.config.ring_records)?,
    };
    let (edges, hooks) = (recorder.edges()?, recorder.hooks()?);
    let stats = recorder.stats()?;
    Ok(Summary::new(&stats, &edges, &hooks, unconsumed, this))
}

/// Prints the transitions, then marks them as reported unless this is a peek.
/// Returns how many were overwritten and are not consumed.
fn drain(
    recorder: &impl Recorder,
    options: &ReportOptions,
    output: &mut dyn Output,
    out: &mut dyn Write,
    this: &mut ThisReport,
) -> Result<u64> {
    // Held to the end of the function: positions move under the lock only.
    let _lock = if options.peek {
        None
    } else {
        Some(lock(recorder)?)
    };
    // Read under the lock: another report may have ended just before.
    let settings = active_settings(recorder)?;
    let rings = recorder.rings()?;
    let mut merge = merge_rings(recorder, &settings, &rings)?;
    this.shown = print_transitions(&mut merge, options, output, out)?;
    let progress = merge.progress();
    this.add(&progress);
    out.flush().map_err(write_error)?;
    if options.peek {
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

/// Maps a ring of the activation that `settings` describes.
///
/// # Errors
/// The recording was restarted meanwhile, or the mapping fails.
pub fn map(recorder: &impl Recorder, settings: &Settings, cpu: u32) -> Result<RingReader> {
    let reader = recorder.map_ring(settings, cpu)?;
    if reader.generation() != settings.generation {
        return Err(Error::Stale);
    }
    if reader.cpu() != cpu {
        return Err(Error::Ring {
            cpu,
            reason: "it is the ring of another CPU",
        });
    }
    Ok(reader)
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
/// time and there is no limit; otherwise from memory. Returns how many.
fn print_transitions(
    merge: &mut Merge,
    options: &ReportOptions,
    output: &mut dyn Output,
    out: &mut dyn Write,
) -> Result<u64> {
    let shown = merge.filter(|event| options.show.transition(&event.record));
    if options.sort == Sort::Time && options.limit.is_none() {
        return print_all(shown, |event| output.transition(out, &event));
    }
    let mut selection = Selection::new(options.sort, options.limit);
    shown.for_each(|event| selection.push(event));
    print_all(selection.into_sorted(), |event| {
        output.transition(out, &event)
    })
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

/// Prints the live connections that the keys let through; returns how many.
///
/// # Errors
/// Not active, or stdout does not take them.
pub fn print_live(
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
            crate::say::note("another --report is running, waiting for it");
        }
        sleep(LOCK_RETRY);
    }
}
