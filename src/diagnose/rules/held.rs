//! Connections by the process that holds them; those that no process has accepted, by listener.

use std::collections::BTreeMap;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Subject;
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::Tally;
use crate::model::conn::Conn;
use crate::model::ident::Ident;

/// A process in a namespace, or a listener whose program did not accept the connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// Network namespace and process.
    Process(u32, u32),
    /// The listener or destination.
    Service(Service),
}

impl Holder {
    /// The holder of a live connection.
    pub fn of(facts: &Facts, who: &Ident) -> Self {
        match facts.holder(who) {
            Some(owner) => Self::Process(who.netns, owner.pid),
            None => Self::Service(facts.service(who)),
        }
    }
}

/// Connections by holder.
pub type Held<'a> = BTreeMap<Holder, Vec<&'a Conn>>;

/// Connections by holder.
pub fn by_holder<'a>(facts: &Facts, conns: impl IntoIterator<Item = &'a Conn>) -> Held<'a> {
    let mut held = Held::new();
    for conn in conns {
        let holder = Holder::of(facts, &conn.who);
        held.entry(holder).or_default().push(conn);
    }
    held
}

/// Connections of processes by the name of the processes, in each namespace.
pub fn by_name<'a>(facts: &Facts, held: &Held<'a>) -> Vec<Vec<&'a Conn>> {
    let mut named: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (holder, conns) in held {
        let owner = conns.first().and_then(|conn| facts.holder(&conn.who));
        if let (Holder::Process(netns, _), Some(owner)) = (holder, owner) {
            named.entry((*netns, owner.comm)).or_default().extend(conns);
        }
    }
    named.into_values().collect()
}

/// The process with its peers, and the listener or destination if all connections share one.
pub fn subject(facts: &Facts, conns: &[&Conn]) -> Option<Subject> {
    let whos = conns.iter().map(|c| &c.who);
    let first = facts.service(&conns.first()?.who);
    let of_one = whos.clone().all(|who| facts.service(who) == first);
    let mut subject = match of_one {
        true => facts.subject(&first, whos.clone()),
        false => facts.owners(first.netns, whos.clone()),
    };
    if !of_one || first.side == Side::Client {
        let remotes = whos.map(Ident::peer);
        facts.set_peers(&mut subject, &Tally::of(remotes));
    }
    Some(subject)
}
