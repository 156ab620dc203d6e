//! Collects the lines of the screens: groups and picks from all connections, in one pass.

use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::command::select::Selector;
use crate::command::top::people::People;
use crate::command::top::source::Source;
use crate::error::Result;
use crate::model::conn::Conn;
use crate::model::filter::Show;
use crate::model::handshakes;
use crate::model::holders::{ListenerInodes, add_listeners};
use crate::model::ident::Ident;
use crate::model::listener::Listener;
use crate::model::order::{Sort, Sortable};
use crate::model::top::groups::{Group, Groups};
use crate::model::top::pick::Pick;
use crate::model::top::rates::Rate;
use crate::model::top::screen::{By, Order};

/// Connections that are kept.
pub const KEPT: usize = 1_000;

/// What to collect.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Connections in this order, and whether it is reversed.
    pub connections: Option<(Order, bool)>,
    /// Groups of this kind, in this order, and whether it is reversed.
    pub groups: Option<(By, Order, bool)>,
    /// Listeners in this order, and whether it is reversed.
    pub listeners: Option<(Order, bool)>,
}

/// The lines.
#[derive(Debug, Default)]
pub struct Collected {
    /// The first connections.
    pub conns: Vec<Conn>,
    /// Number of connections that match the filter.
    pub matched: u64,
    /// The moment of the connections in monotonic nanoseconds.
    pub now_ns: u64,
    /// Bytes per second of connections, by the module's id.
    pub speeds: FxHashMap<u64, Rate>,
    /// The groups.
    pub groups: Vec<Group>,
    /// Any of the connections, for looking up names.
    pub example: Option<Ident>,
    /// The listeners, and how often an accept queue was found full.
    pub listeners: Vec<(Listener, Option<u64>)>,
    /// The sockets of the listeners.
    pub inodes: ListenerInodes,
}

/// Bytes of connections at an earlier moment.
#[derive(Debug, Default)]
pub struct Bytes {
    now_ns: u64,
    bytes: FxHashMap<u64, u64>,
}

impl Bytes {
    /// The bytes of these connections, or of all.
    fn of(collected: &Collected, all: Option<FxHashMap<u64, u64>>) -> Self {
        let known = |conn: &Conn| Some((conn.who.conn, conn.meters?.bytes()));
        let kept = || collected.conns.iter().filter_map(known).collect();
        Self {
            now_ns: collected.now_ns,
            bytes: all.unwrap_or_else(kept),
        }
    }

    /// Bytes per second since that moment; `None`: the connection was not known then.
    fn speed(&self, conn: &Conn, now_ns: u64) -> Option<Rate> {
        let before = self.bytes.get(&conn.who.conn)?;
        let now = conn.meters?.bytes();
        Rate::of(
            now.saturating_sub(*before),
            now_ns.saturating_sub(self.now_ns),
        )
    }
}

/// Collects what is wanted. If `tick`, `bytes` is then that of this moment.
///
/// # Errors
/// Not active, or a call fails.
pub fn collect(
    source: &dyn Source,
    people: &mut People,
    show: &Show,
    wanted: &Wanted,
    (bytes, tick): (&mut Bytes, bool),
    estimate_ns: u64,
) -> Result<Collected> {
    let mut collected = Collected::default();
    if wanted.connections.is_some() || wanted.groups.is_some() {
        let mut pass = Pass::new(show, wanted, bytes, estimate_ns);
        collected.now_ns = source.connections(&mut |conn| pass.add(conn, people))?;
        let rates = pass.finish(&mut collected, wanted);
        measure(&mut collected, bytes);
        if tick && wanted.connections.is_some() {
            *bytes = Bytes::of(&collected, rates);
        }
    }
    if let Some((order, reversed)) = wanted.listeners {
        listeners(source, people, show, &mut collected)?;
        sort_listeners(&mut collected.listeners, order);
        if reversed {
            collected.listeners.reverse();
        }
    }
    Ok(collected)
}

/// One pass through all connections.
struct Pass<'a> {
    selector: Selector<'a>,
    order: Option<(Order, bool)>,
    pick: Pick<Conn>,
    groups: Option<Groups>,
    bytes: &'a Bytes,
    /// The bytes of now, if the order needs those of all connections.
    rates: Option<FxHashMap<u64, u64>>,
    now_ns: u64,
    matched: u64,
    example: Option<Ident>,
}

impl<'a> Pass<'a> {
    fn new(show: &'a Show, wanted: &Wanted, bytes: &'a Bytes, now_ns: u64) -> Self {
        let by_rate = wanted
            .connections
            .is_some_and(|(order, _)| order == Order::Rate);
        Self {
            selector: Selector::at_any_time(show),
            order: wanted.connections,
            pick: Pick::new(KEPT),
            groups: wanted.groups.map(|(by, ..)| Groups::new(by)),
            bytes,
            rates: by_rate.then(|| {
                // There are about as many as last time.
                FxHashMap::with_capacity_and_hasher(bytes.bytes.len(), FxBuildHasher)
            }),
            now_ns,
            matched: 0,
            example: None,
        }
    }

    #[inline]
    fn add(&mut self, conn: &Conn, people: &mut People) {
        if !self.selector.takes_all() && !people.shows(&self.selector, conn, self.now_ns) {
            return;
        }
        self.matched += 1;
        if self.example.is_none() {
            self.example = Some(conn.who);
        }
        if let Some(groups) = &mut self.groups {
            groups.add(conn, people.owner(conn));
        }
        if let (Some(rates), Some(meters)) = (&mut self.rates, conn.meters) {
            rates.insert(conn.who.conn, meters.bytes());
        }
        if let Some((order, reversed)) = self.order {
            let weight = self.weight(conn, order);
            let weight = if reversed { !weight } else { weight };
            self.pick.push(weight, conn.who.conn, conn);
        }
    }

    fn weight(&self, conn: &Conn, order: Order) -> u64 {
        match order {
            Order::Age => conn.weight(Sort::Age),
            Order::Bytes => conn.weight(Sort::Bytes),
            Order::Retrans => conn.weight(Sort::Retrans),
            Order::Rate => {
                let speed = self.bytes.speed(conn, self.now_ns);
                speed.map_or(0, |speed| speed.0.saturating_add(1))
            }
            _ => conn.weight(Sort::Time),
        }
    }

    /// Stores what was collected; returns the bytes of all connections, if they were needed.
    fn finish(self, collected: &mut Collected, wanted: &Wanted) -> Option<FxHashMap<u64, u64>> {
        collected.conns = self.pick.into_sorted();
        collected.matched = self.matched;
        collected.example = self.example;
        if let (Some(groups), Some((_, order, reversed))) = (self.groups, wanted.groups) {
            collected.groups = groups.into_sorted(order);
            if reversed {
                collected.groups.reverse();
            }
        }
        self.rates
    }
}

/// Computes the speeds of the connections that are kept.
fn measure(collected: &mut Collected, bytes: &Bytes) {
    let now_ns = collected.now_ns;
    let speed = |conn: &Conn| Some((conn.who.conn, bytes.speed(conn, now_ns)?));
    collected.speeds = collected.conns.iter().filter_map(speed).collect();
}

fn listeners(
    source: &dyn Source,
    people: &mut People,
    show: &Show,
    collected: &mut Collected,
) -> Result<()> {
    let all = source.listeners()?;
    let selector = Selector::at_any_time(show);
    for listener in &all.listeners {
        let is_shown = show.listener(listener, all.now_ns);
        if !is_shown || !people.shows_recorded(&selector, &listener.who) {
            continue;
        }
        let counters = handshakes::counters(&listener.handshakes, &all.hooks);
        let overflows = crate::render::listeners::overflows(&counters);
        collected.listeners.push((*listener, overflows));
    }
    Ok(())
}

fn sort_listeners(listeners: &mut [(Listener, Option<u64>)], order: Order) {
    let name = |l: &Listener| (l.who.netns, l.who.lport, l.who.laddr, l.who.conn);
    let fill = |queue: &crate::model::listener::Queue| {
        u64::from(queue.length) * 1_000 / u64::from(queue.limit.max(1))
    };
    listeners.sort_by_key(|(l, _)| {
        let weight = match order {
            Order::Queue => fill(&l.accept_queue).max(fill(&l.half_open)),
            Order::Count => l.established.into(),
            _ => 0,
        };
        (std::cmp::Reverse(weight), name(l))
    });
}

/// Adds the sockets of listeners, which are needed for finding their processes.
///
/// # Errors
/// Not active, or a call fails.
pub fn add_inodes(source: &dyn Source, collected: &mut Collected) -> Result<()> {
    let inodes = &mut collected.inodes;
    source.connections(&mut |conn| add_listeners(inodes, std::slice::from_ref(conn)))?;
    Ok(())
}
