//! The listening sockets of one address and port as one endpoint; `SO_REUSEPORT` allows several.

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
    /// The address and port.
    pub service: Service,
    /// The sockets, at least one.
    pub listeners: Vec<&'a Listener>,
}

/// All endpoints.
pub fn endpoints<'a>(facts: &'a Facts) -> Vec<Endpoint<'a>> {
    let endpoint = |(service, listeners)| Endpoint { service, listeners };
    facts.endpoints().into_iter().map(endpoint).collect()
}

impl<'a> Endpoint<'a> {
    /// Identities of the listeners.
    pub fn whos(&self) -> impl Iterator<Item = &'a Ident> + Clone {
        self.listeners.iter().map(|l| &l.who)
    }

    /// The sum of a number over all listeners.
    pub fn sum<N: Into<u64>>(&self, of: impl Fn(&Listener) -> N) -> u64 {
        sum(self.listeners.iter().map(|l| of(l).into()))
    }

    /// The sum of a handshake counter over all listeners.
    pub fn handshakes(&self, of: impl Fn(&Handshakes) -> u64) -> u64 {
        self.sum(|l| of(&l.handshakes))
    }

    /// The listener with the largest value of `of`.
    pub fn most(&self, of: impl Fn(&Listener) -> u64) -> Option<&'a Listener> {
        self.listeners.iter().copied().max_by_key(|l| of(l))
    }

    /// Whether an alarm is raised for one of the listeners.
    pub fn has_alarm(&self, kind: AlarmKind) -> bool {
        self.listeners.iter().any(|l| l.raised().any(|k| k == kind))
    }

    /// Its half-open connections that the kernel keeps.
    pub fn half_open(&self, facts: &'a Facts) -> Vec<&'a Conn> {
        let states = [State::NEW_SYN_RECV, State::SYN_RECV];
        let is_it = |c: &&Conn| states.contains(&c.state) && facts.service(&c.who) == self.service;
        facts.conns.iter().filter(is_it).collect()
    }
}

/// Length of a queue in percent of its limit; 0 if it has no limit.
pub fn fullness(queue: Queue) -> u64 {
    match queue.limit {
        0 => 0,
        limit => u64::from(queue.length) * 100 / u64::from(limit),
    }
}
