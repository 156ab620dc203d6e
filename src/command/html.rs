//! `--html`: writes one page about the activation, or about a capture. It does not move the report
//! position.

use std::cmp::Reverse;
use std::fs::File;
use std::hash::Hash;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;

use rustc_hash::FxHashMap;

use crate::backend::capture::file::{self, name_of};
use crate::backend::session::Session;
use crate::backend::{Backend, Start};
use crate::command::activate::print;
use crate::command::options::HtmlOptions;
use crate::command::settings;
use crate::diagnose;
use crate::diagnose::tally::sum;
use crate::error::{Error, Result};
use crate::fmt::size::size;
use crate::fmt::text::text;
use crate::host::Host;
use crate::host::held::held;
use crate::model::event::Event;
use crate::model::filter::keys::filter_keys;
use crate::model::filter::{Filter, Show};
use crate::model::handshakes;
use crate::model::holders::{self, Attachment, Held, Hold, Holders, ListenerInodes};
use crate::model::ident::{Ident, Owner, Remote};
use crate::model::key::{self, Keys, joined};
use crate::model::listener::Listener;
use crate::model::state::State;
use crate::model::summary::ThisReport;
use crate::model::timeline::{Counts, Draft, Timeline, index};
use crate::render::Style;
use crate::render::html::{self, Crowd, Listed, Page, Row, Who};

/// Most rows of a table of processes, containers or addresses, and most listeners.
const MOST_ROWS: usize = 20;
const MOST_LISTENERS: usize = 50;

/// Writes a page to a file, and prints what it is about in one line.
///
/// # Errors
/// Not active, the file cannot be written, a call fails.
pub fn html(
    backend: &dyn Backend,
    host: &mut dyn Host,
    options: &HtmlOptions,
    style: &Style,
    out: &mut dyn Write,
) -> Result<()> {
    let name = name_of(&options.file);
    let (page, length) = file::replace(&options.file, |file| {
        let page = gather(backend, host, options)?;
        let failed =
            |error: io::Error| Error::system(text!("writing {name}", "写入 {name} "), error);
        write(file, style, &page).map_err(failed)?;
        let length = file.metadata().map(|data| data.len());
        Ok((page, length.unwrap_or_default()))
    })?;
    let listeners = page.listeners.len() as u64 + page.more_listeners;
    let (events, connections, size) = (page.events, sum(page.live), size(length));
    let text = text!(
        "written: {events} events, {connections} connections, {listeners} listeners, {size}: {name}",
        "已写入：{events} 个事件，{connections} 个连接，{listeners} 个监听端，{size}：{name}"
    );
    print(out, style.labels.lang, &text)
}

fn write(file: &File, style: &Style, page: &Page) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, file);
    html::write(&mut out, style, page)?;
    out.flush()
}

/// Collects the data of a page.
///
/// # Errors
/// Not active, or a call fails.
pub fn gather(backend: &dyn Backend, host: &mut dyn Host, options: &HtmlOptions) -> Result<Page> {
    let session = Session::now(backend)?;
    let filter = &options.scope.filter;
    let show = Show {
        filter: filter.clone(),
        ..Show::default()
    };
    let live = Live::read(&session, host, &show)?;
    let (timeline, events) = timeline(backend, &session, &show, &live)?;
    let (listeners, more_listeners) = listeners(&session, host, &show, &live.inodes)?;
    let diagnosis = diagnose::look(backend, &options.scope, host)?;
    if !session.is_current() {
        return Err(Error::Stale);
    }
    Ok(Page {
        source: options.from.as_deref().map(base_name),
        filter: text_of(filter),
        events,
        settings: settings::view(backend)?,
        summary: session.totals(ThisReport::default())?,
        live: live.counts,
        timeline,
        crowds: live.crowds(host),
        listeners,
        more_listeners,
        diagnosis,
    })
}

/// The name of a file without its folder, which is of no use to others.
fn base_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn text_of(filter: &Filter) -> String {
    const FILTER: Keys<Filter> = &[filter_keys()];
    joined(&key::pairs(FILTER, filter.clone()))
}

/// The live connections, counted while they are read.
#[derive(Default)]
struct Live {
    /// By displayed state.
    counts: Counts,
    /// Monotonic nanoseconds when all were read.
    now_ns: u64,
    inodes: ListenerInodes,
    processes: Groups<Party>,
    cgroups: Groups<Option<u64>>,
    remotes: Groups<Remote>,
}

/// What is shown of the processes of a connection: all connections of the same are one row.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Party {
    owner: Option<(u32, [u8; 16])>,
    /// Whoever opened it, if it has no owner.
    opener: Option<(u32, [u8; 16])>,
    hold: u8,
}

impl Party {
    fn of(held: &Held) -> Self {
        let id = |owner: Owner| (owner.pid, owner.comm);
        let owner = held.who.owner;
        Self {
            owner: owner.map(id),
            opener: held.holders.opened_by.filter(|_| owner.is_none()).map(id),
            hold: match held.holders.hold {
                Hold::Open => 0,
                Hold::Past => 1,
                Hold::Orphan => 2,
            },
        }
    }

    fn who(self) -> Who {
        let owner = |(pid, comm)| Owner { pid, comm };
        let holders = Holders {
            hold: match self.hold {
                0 => Hold::Open,
                1 => Hold::Past,
                _ => Hold::Orphan,
            },
            opened_by: self.opener.map(owner),
            ..Holders::default()
        };
        Who::Process(self.owner.map(owner), holders)
    }
}

impl Live {
    fn read(session: &Session, host: &mut dyn Host, show: &Show) -> Result<Self> {
        let mut live = Self::default();
        for batch in session.live() {
            let batch = batch?;
            live.now_ns = batch.now_ns;
            holders::add_listeners(&mut live.inodes, &batch.conns);
            for conn in &batch.conns {
                if show.connection(conn, batch.now_ns) {
                    let held = held(host, &conn.who, Attachment::of(conn));
                    live.add(conn.state, &held);
                }
            }
        }
        if live.now_ns == 0 {
            // There is no connection.
            live.now_ns = session.listeners()?.now_ns;
        }
        Ok(live)
    }

    fn add(&mut self, state: State, held: &Held) {
        let Some(state) = index(state) else {
            return;
        };
        self.counts[state] += 1;
        if state == usize::from(State::LISTEN.0) {
            return;
        }
        let who = &held.who;
        self.processes.add(Party::of(held), state, who);
        self.cgroups.add(who.cgroup, state, who);
        self.remotes.add(who.peer(), state, who);
    }

    fn crowds(&self, host: &mut dyn Host) -> [Crowd; 3] {
        let process = |party: &Party, _: &Ident| party.who();
        let processes = self.processes.crowd(process);
        let cgroups = self.cgroups.crowd(|id, who| {
            let names = host.names(who);
            let name = names.container().or(names.cgroup_path());
            match name {
                Some(name) => Who::Container(name.to_owned()),
                None => Who::Cgroup(*id),
            }
        });
        let remotes = self.remotes.crowd(|remote, who| {
            let dev = match remote.ifindex {
                0 => None,
                _ => host.names(who).dev,
            };
            Who::Remote(remote.addr, dev)
        });
        [processes, cgroups, remotes]
    }
}

/// Counts by state of everything with the same key, and one connection as an example.
struct Groups<K>(FxHashMap<K, (Counts, Ident)>);

impl<K> Default for Groups<K> {
    fn default() -> Self {
        Self(FxHashMap::default())
    }
}

impl<K: Hash + Eq + Copy> Groups<K> {
    fn add(&mut self, key: K, state: usize, who: &Ident) {
        let new = || (Counts::default(), *who);
        let (counts, _) = self.0.entry(key).or_insert_with(new);
        counts[state] += 1;
    }

    /// The largest groups with their names, and the sum of the others.
    fn crowd(&self, mut name: impl FnMut(&K, &Ident) -> Who) -> Crowd {
        let mut all: Vec<_> = self.0.iter().collect();
        // Equal ones in the order of their connections, because the order of a map is none.
        all.sort_by_key(|(_, (counts, who))| {
            (Reverse(sum(counts.iter().copied())), who.raddr, who.conn)
        });
        let (shown, others) = all.split_at(all.len().min(MOST_ROWS));
        let row = |(key, (counts, who)): &(&K, &(Counts, Ident))| Row {
            who: name(key, who),
            states: *counts,
        };
        let mut of_others = Counts::default();
        for (_, (counts, _)) in others {
            for (sum, count) in of_others.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        Crowd {
            rows: shown.iter().map(row).collect(),
            others: others.len() as u64,
            of_others,
        }
    }
}

/// Connections over time, and the number of events that were read.
fn timeline(
    backend: &dyn Backend,
    session: &Session,
    show: &Show,
    live: &Live,
) -> Result<(Timeline, u64)> {
    let mut draft = Draft::new(live.now_ns);
    let mut count = 0;
    let mut events = backend.events(session.settings(), Start::Since(0))?;
    events.try_each(&mut |event| {
        count += 1;
        if let Event::Transition(event) = event {
            let step = &event.record;
            // An untracked connection is not among the live ones either.
            if step.who.conn != 0 && show.transition(step) {
                draft.add(step.ts, step.old, step.new);
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((draft.finish(&live.counts), count))
}

/// The listeners with the longest queues, and how many others there are.
fn listeners(
    session: &Session,
    host: &mut dyn Host,
    show: &Show,
    inodes: &ListenerInodes,
) -> Result<(Vec<Listed>, u64)> {
    let all = session.listeners()?;
    let mut shown = all.listeners;
    shown.retain(|listener| show.listener(listener, all.now_ns));
    let size = |l: &Listener| (l.accept_queue.length, l.accept_queue.max, l.established);
    shown.sort_by_key(|listener| Reverse(size(listener)));
    let more = shown.len().saturating_sub(MOST_LISTENERS) as u64;
    shown.truncate(MOST_LISTENERS);
    let listed = shown.into_iter().map(|listener| {
        let socket = holders::of_listener(inodes, &listener.who);
        let held = held(host, &listener.who, socket);
        Listed {
            dev: host.names(&listener.who).dev,
            handshakes: handshakes::counters(&listener.handshakes, &all.hooks),
            listener: Listener {
                who: held.who,
                ..listener
            },
            holders: held.holders,
        }
    });
    Ok((listed.collect(), more))
}
