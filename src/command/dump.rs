//! `--dump`: writes all data of the activation, and the names that the host has for it, to one
//! file. It does not move the report position.

use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;

use crate::backend::capture::file::{self, name_of};
use crate::backend::capture::write::Writer;
use crate::backend::capture::{self, Ring};
use crate::backend::{Backend, Start, session};
use crate::command::activate::print;
use crate::command::options::DumpOptions;
use crate::error::{Error, Result};
use crate::fmt::lang::Lang;
use crate::fmt::size::size;
use crate::fmt::text::text;
use crate::host::Host;
use crate::host::captured::Referred;
use crate::model::activation::Settings;
use crate::model::event::{Event, Progress, RingState};
use crate::model::lives::Which;

/// Contents of a capture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of events.
    pub events: u64,
    /// Number of live connections.
    pub connections: u64,
    /// Number of listeners.
    pub listeners: u64,
}

/// Writes a capture to a file, and prints its contents in one line.
///
/// # Errors
/// Not active, the file cannot be written, a call fails.
pub fn dump(
    backend: &dyn Backend,
    host: &mut dyn Host,
    options: &DumpOptions,
    lang: Lang,
    out: &mut dyn Write,
) -> Result<()> {
    let name = name_of(&options.file);
    let counts = file::replace(&options.file, |file| {
        let counts = write(backend, host, &name, file)?;
        let length = file.metadata().map(|data| data.len());
        Ok((counts, length.unwrap_or_default()))
    });
    let (counts, length) = counts?;
    let Counts {
        events,
        connections,
        listeners,
    } = counts;
    let size = size(length);
    let text = text!(
        "captured: {events} events, {connections} connections, {listeners} listeners, {size}: {name}",
        "已捕获：{events} 个事件，{connections} 个连接，{listeners} 个监听端，{size}：{name}"
    );
    print(out, lang, &text)
}

/// Writes a capture; errors use `name`.
///
/// # Errors
/// Not active, writing to `out` fails, a call fails, or the activation has changed meanwhile.
pub fn write(
    backend: &dyn Backend,
    host: &mut dyn Host,
    name: &str,
    out: impl Write,
) -> Result<Counts> {
    let settings = session::active_settings(backend)?;
    let mut writer = Writer::new(out, name)?;
    let mut referred = Referred::default();
    writer.put(capture::SETTINGS, &settings)?;
    writer.put_all(capture::HOOKS, &backend.hooks()?)?;
    let (events, rings) = write_events(backend, &settings, &mut writer, &mut referred)?;
    let connections = write_live(backend, &mut writer, &mut referred)?;
    let listeners = backend.listeners()?;
    for listener in &listeners {
        referred.add_live(&listener.who);
        writer.put(capture::LISTENERS, listener)?;
    }
    writer.put_all(capture::PAIRS, &backend.pairs()?)?;
    writer.put_all(capture::TRANSITION_COUNTS, &backend.transition_counts()?)?;
    writer.put(capture::LIVES, &backend.lives()?)?;
    for counted in backend.cgroups()? {
        if let Which::Id(id) = counted.cgroup {
            referred.add_cgroup(id);
        }
        writer.put(capture::CGROUPS, &counted)?;
    }
    writer.put_all(capture::CLOCKS, &backend.clocks()?)?;
    writer.put_all(capture::RINGS, &rings)?;
    // The time of the capture, written last: all other data is older.
    writer.put(capture::STATS, &backend.stats()?)?;
    if session::active_settings(backend)?.generation != settings.generation {
        return Err(Error::Stale);
    }
    referred.write(host, &mut writer)?;
    writer.finish()?;
    Ok(Counts {
        events,
        connections,
        listeners: listeners.len() as u64,
    })
}

/// Writes all available events. Returns their number and the state of the rings.
fn write_events<W: Write>(
    backend: &dyn Backend,
    settings: &Settings,
    writer: &mut Writer<W>,
    referred: &mut Referred,
) -> Result<(u64, Vec<Ring>)> {
    let states = backend.rings()?;
    // For each CPU: the position of the first unreported event, and the number of unreported
    // events.
    let mut news: HashMap<u32, (u64, u64)> = HashMap::new();
    news.extend(states.iter().map(|ring| (ring.cpu, (ring.consumed, 0))));
    let mut count = 0;
    let mut events = backend.events(settings, Start::Since(0))?;
    let mut take = |event: &Event| {
        let (cpu, seq) = event.position();
        let (consumed, unreported) = news.entry(cpu).or_default();
        *unreported += u64::from(seq >= *consumed);
        count += 1;
        referred.add(event.who());
        writer.put(capture::EVENTS, event)?;
        Ok(ControlFlow::Continue(()))
    };
    events.try_each(&mut take)?;
    // Writing takes time: what was recorded meanwhile is part of the moment of the capture.
    events.extend()?;
    events.try_each(&mut take)?;
    let ring = |progress: &Progress| {
        let state = states.iter().find(|state| state.cpu == progress.cpu);
        // The ring was created after the states were read.
        let mut state = state.copied().unwrap_or(RingState {
            cpu: progress.cpu,
            ..RingState::default()
        });
        state.head = state.head.max(progress.to);
        let (_, read) = news.get(&progress.cpu).copied().unwrap_or_default();
        let gone = progress.to.saturating_sub(state.consumed);
        Ring {
            state,
            read_to: progress.to,
            lost: gone.saturating_sub(read.saturating_add(progress.unknown)),
            unknown: progress.unknown,
        }
    };
    let rings = events.progress().iter().map(ring).collect();
    Ok((count, rings))
}

/// Writes the live connections and returns their number.
fn write_live<W: Write>(
    backend: &dyn Backend,
    writer: &mut Writer<W>,
    referred: &mut Referred,
) -> Result<u64> {
    let mut count = 0;
    for batch in backend.live() {
        for conn in &batch? {
            referred.add_conn(conn);
            writer.put(capture::CONNECTIONS, conn)?;
            count += 1;
        }
    }
    Ok(count)
}
