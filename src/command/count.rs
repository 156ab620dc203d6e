//! `by=`: counts what a report would print.

use std::rc::Rc;

use crate::host::Host;
use crate::host::held::held;
use crate::model::conn::Conn;
use crate::model::count::{Counts, Field, Key, MOST_FIELDS, Part};
use crate::model::endpoint::{Dev, is_link_local};
use crate::model::holders::Attachment;
use crate::model::ident::{Ident, Owner};
use crate::model::life::Life;
use crate::model::reason::Reason;
use crate::model::state::State;
use crate::model::transition::Transition;

/// Counts by these fields.
pub struct Counter {
    fields: Vec<Field>,
    /// Whether a field needs the processes that have a live socket open.
    by_owner: bool,
    /// The counts so far.
    pub counts: Counts,
}

/// A connection as it is counted.
struct Counted<'a> {
    who: &'a Ident,
    state: State,
    reason: Reason,
}

impl Counter {
    /// Counts by at most [`MOST_FIELDS`] fields.
    pub fn new(fields: &[Field]) -> Self {
        let of_owner = [
            Field::Process,
            Field::Comm,
            Field::Pid,
            Field::Uid,
            Field::Container,
            Field::Cgroup,
        ];
        Self {
            by_owner: fields.iter().any(|field| of_owner.contains(field)),
            fields: fields.to_vec(),
            counts: Counts::default(),
        }
    }

    /// The fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Counts a live connection at `now_ns` (monotonic) for the first process that has it open.
    pub fn connection(&mut self, conn: &Conn, now_ns: u64, host: &mut dyn Host) {
        let who = match self.by_owner {
            true => held(host, &conn.who, Attachment::of(conn)).who,
            false => conn.who,
        };
        let counted = Counted {
            who: &who,
            state: conn.state,
            reason: conn.reason,
        };
        let key = self.key(&counted, host);
        self.counts.row(key).connection(conn, now_ns);
    }

    /// Counts a transition in its new state.
    pub fn transition(&mut self, event: &Transition, host: &mut dyn Host) {
        let counted = Counted {
            who: &event.who,
            state: event.new,
            reason: event.reason,
        };
        let key = self.key(&counted, host);
        self.counts.row(key).transitions += 1;
    }

    /// Counts the end of a connection.
    pub fn life(&mut self, life: &Life, host: &mut dyn Host) {
        let counted = Counted {
            who: &life.who,
            state: State::CLOSE,
            reason: life.reason,
        };
        let key = self.key(&counted, host);
        self.counts.row(key).end(life);
    }

    fn key(&self, counted: &Counted, host: &mut dyn Host) -> Key {
        let mut key = [const { Part::None }; MOST_FIELDS];
        for (part, field) in key.iter_mut().zip(&self.fields) {
            *part = value(*field, counted, host).unwrap_or(Part::None);
        }
        key
    }
}

/// The value of a field, if it is known.
fn value(field: Field, counted: &Counted, host: &mut dyn Host) -> Option<Part> {
    let who = counted.who;
    let number = |number: u16| (number != 0).then(|| Part::Number(number.into()));
    match field {
        Field::State => Some(Part::State(counted.state.known_as())),
        Field::Process => who.owner.map(Part::Process),
        Field::Comm => who.owner.map(|Owner { comm, .. }| Part::Comm(comm)),
        Field::Pid => who.owner.map(|owner| Part::Number(owner.pid)),
        Field::Uid => who.uid.map(Part::Number),
        Field::Container => {
            let names = host.names(who);
            names.container().map(|name| Part::Container(name.into()))
        }
        Field::Cgroup => {
            let path = host.names(who).cgroup_path().map(Rc::from);
            who.cgroup.map(|id| Part::Cgroup(id, path))
        }
        Field::Netns => Some(Part::Netns(who.netns, host.names(who).netns)),
        Field::Laddr => Some(Part::Address(who.local(), dev(who, host))),
        Field::Lport => number(who.lport),
        Field::Raddr => {
            let dev = dev(who, host).filter(|_| is_link_local(who.remote()));
            Some(Part::Address(who.remote(), dev))
        }
        Field::Rport => number(who.rport),
        Field::Listener => {
            let (address, port) = who.listener()?;
            let dev = dev(who, host).filter(|_| is_link_local(address));
            Some(Part::End(address, dev, port))
        }
        Field::Role => who.role.map(Part::Role),
        Field::Reason => (counted.reason != Reason::NONE).then_some(Part::Reason(counted.reason)),
        Field::Family => Some(Part::Number(who.family.into())),
    }
}

fn dev(who: &Ident, host: &mut dyn Host) -> Option<Dev> {
    match who.ifindex {
        0 => None,
        _ => host.names(who).dev,
    }
}
