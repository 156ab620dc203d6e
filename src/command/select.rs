//! Which events and live sockets the keys of a report select.

use crate::host::Host;
use crate::host::held::held;
use crate::model::conn::Conn;
use crate::model::event::Event;
use crate::model::filter::window::Within;
use crate::model::filter::{InCgroup, Show};
use crate::model::holders::Attachment;
use crate::model::ident::{Ident, Owner};
use crate::model::life::Life;
use crate::model::listener::Listener;
use crate::render::time::Clock;

/// The selection of one report.
pub struct Selector<'a> {
    show: &'a Show,
    within: Within,
    /// Whether everything is selected: then events need not be looked at.
    all: bool,
}

impl<'a> Selector<'a> {
    /// Selects what `show` says; events and lives only in this range of time.
    pub fn new(show: &'a Show, within: Within) -> Self {
        Self {
            all: *show == Show::default() && within == Within::default(),
            show,
            within,
        }
    }

    /// Selects what `show` says, at any time.
    pub fn at_any_time(show: &'a Show) -> Self {
        Self::new(show, Within::default())
    }

    /// Whether everything is selected.
    pub fn takes_all(&self) -> bool {
        self.all
    }

    /// Whether an event is selected.
    pub fn event(&self, event: &Event, clock: &Clock, host: &mut dyn Host) -> bool {
        self.all || self.looks_at(event, clock, host)
    }

    fn looks_at(&self, event: &Event, clock: &Clock, host: &mut dyn Host) -> bool {
        let shown = match event {
            Event::Transition(event) => self.show.transition(&event.record),
            Event::Alarm(event) => self.show.alarm(&event.record),
        };
        shown && self.is_within(event.ts(), clock) && self.recorded(event.who(), host)
    }

    /// Whether a connection that has ended is selected.
    pub fn life(&self, life: &Life, clock: &Clock, host: &mut dyn Host) -> bool {
        self.all
            || self.show.life(life)
                && self.is_within(life.end_ns, clock)
                && self.recorded(&life.who, host)
    }

    /// Whether a live connection is selected at `now_ns` (monotonic).
    pub fn connection(&self, conn: &Conn, now_ns: u64, host: &mut dyn Host) -> bool {
        let socket = || Attachment::of(conn);
        self.show.connection(conn, now_ns) && self.live(&conn.who, socket, host)
    }

    /// The same, by the owner that was recorded, whoever has the socket open now.
    pub fn connection_as_recorded(&self, conn: &Conn, now_ns: u64, host: &mut dyn Host) -> bool {
        self.show.connection(conn, now_ns) && self.recorded(&conn.who, host)
    }

    /// Whether a listener is selected at `now_ns` (monotonic), whoever its owner is.
    pub fn listener(&self, listener: &Listener, now_ns: u64) -> bool {
        self.show.listener(listener, now_ns)
    }

    /// Whether a live socket belongs to one of the owners that are selected.
    pub fn live(
        &self,
        who: &Ident,
        socket: impl FnOnce() -> Attachment,
        host: &mut dyn Host,
    ) -> bool {
        if !self.show.by_owner() {
            return true;
        }
        let held = held(host, who, socket());
        self.has(&held.who, &held.shown(), host)
    }

    fn is_within(&self, ns: u64, clock: &Clock) -> bool {
        self.within.has(ns, |ns| clock.real_ns(ns))
    }

    /// Whether the owner that was recorded is one of those that are selected.
    pub fn recorded(&self, who: &Ident, host: &mut dyn Host) -> bool {
        !self.show.by_owner() || self.has(who, who.owner.as_slice(), host)
    }

    fn has(&self, who: &Ident, owners: &[Owner], host: &mut dyn Host) -> bool {
        if !self.show.owners(owners, who.uid) {
            return false;
        }
        if !self.show.by_cgroup() {
            return true;
        }
        let names = host.names(who);
        self.show.cgroup(InCgroup {
            id: who.cgroup,
            path: names.cgroup_path(),
            container: names.container(),
        })
    }
}
