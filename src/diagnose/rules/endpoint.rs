//! The listening sockets of one address and port as one: with `SO_REUSEPORT`
//! there are several.

use crate::diagnose::facts::Facts;
use crate::diagnose::service::Service;
use crate::diagnose::tally::sum;
use crate::model::alarm::AlarmKind;
use crate::model::conn::Conn;
use crate::model::handshakes::Handshakes;
use crate::model::ident::Ident;
use crate::model::listener::{Listener, Queue};
use crate::model::state::State;

/// The listeners of an address and port.
pub struct Endpoint<'a> {
    /// Address and port.
    pub service: Service,
    /// At least one.
    pub listeners: Vec<&'a Listener>,
}

/// All of them.
pub fn endpoints<'a>(facts: &'a Facts) -> Vec<Endpoint<'a>> {
    let endpoint = |(service, listeners)| Endpoint { service, listeners };
    facts.endpoints().into_iter().map(endpoint).collect()
}

impl<'a> Endpoint<'a> {
    /// Who listens.
    pub fn whos(&self) -> impl Iterator<Item = &'a Ident> + Clone {
        self.listeners.iter().map(|l| &l.who)
    }

    /// A number of all of them together.
    pub fn sum<N: Into<u64>>(&self, of: impl Fn(&Listener) -> N) -> u64 {
        sum(self.listeners.iter().map(|l| of(l).into()))
    }

    /// A counter of handshakes, of all of them together.
    pub fn handshakes(&self, of: impl Fn(&Handshakes) -> u64) -> u64 {
        self.sum(|l| of(&l.handshakes))
    }

    /// The listener that `of` is largest of.
    pub fn most(&self, of: impl Fn(&Listener) -> u64) -> Option<&'a Listener> {
        self.listeners.iter().copied().max_by_key(|l| of(l))
    }

    /// Whether one of them has raised an alarm.
    pub fn has_alarm(&self, kind: AlarmKind) -> bool {
        self.listeners.iter().any(|l| l.raised().any(|k| k == kind))
    }

    /// Its half-open connections, as far as the kernel keeps them.
    pub fn half_open(&self, facts: &'a Facts) -> Vec<&'a Conn> {
        let states = [State::NEW_SYN_RECV, State::SYN_RECV];
        let is_it = |c: &&Conn| states.contains(&c.state) && facts.service(&c.who) == self.service;
        facts.conns.iter().filter(is_it).collect()
    }
}

/// How full a queue is, in percent of its limit; 0 of a queue without one.
pub fn fullness(queue: Queue) -> u64 {
    match queue.limit {
        0 => 0,
        limit => u64::from(queue.length) * 100 / u64::from(limit),
    }
}
