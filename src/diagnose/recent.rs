//! The transitions of the last minute: the newest records of the rings, counted by service,
//! process, states and reason. Reading them moves no position.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::ControlFlow;

use crate::backend::{Backend, Start, session};
use crate::diagnose::service::Service;
use crate::diagnose::tally::Tally;
use crate::error::Result;
use crate::model::event::Event;
use crate::model::ident::{Ident, Remote};
use crate::model::reason::Reason;
use crate::model::span::Span;
use crate::model::state::State;
use crate::model::transition::Transition;

/// Length of the window.
pub const WINDOW_S: u64 = 60;
const SECOND: u64 = 1_000_000_000;
/// Longest time in the old state of a connection that ended at once.
const AT_ONCE_NS: u64 = 5 * SECOND;
/// The shortest HTTP response: its status line. Fewer bytes greet or acknowledge, and answer
/// nothing.
pub const ANSWER: u64 = 25;
/// Maximum number of kinds of transitions, and of peers for each: enough for a minute of a busy
/// host, and a scan from many addresses cannot fill the memory.
const MOST_STEPS: usize = 65_536;
const MOST_PEERS: usize = 4_096;
/// Maximum number of local ports for each kind of failed calls of connect().
const MOST_PORTS: usize = 256;
/// Maximum number of errors for each kind.
const MOST_ERRORS: usize = 8;
/// Time in the old state from which on a transition counts as [`Steps::long`]: longer than a round
/// trip on Earth. A client that calls two addresses at once gives up the slower one earlier.
pub const LONG_NS: u64 = SECOND / 2;

/// The key by which transitions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKey {
    /// The listener or destination.
    pub service: Service,
    /// Old state.
    pub old: State,
    /// New state.
    pub new: State,
    /// Number of the reason.
    pub reason: u16,
    /// The process.
    pub pid: Option<u32>,
}

impl StepKey {
    /// The reason.
    pub fn reason(&self) -> Reason {
        Reason(self.reason)
    }

    /// Whether a connection ends with this transition: it is gone, or only its TIME_WAIT remains.
    /// Listeners and half-open requests are not connections.
    pub fn is_end(&self) -> bool {
        let connected = ![State::TIME_WAIT, State::LISTEN, State::NEW_SYN_RECV].contains(&self.old);
        connected && (self.new == State::CLOSE || self.new == State::TIME_WAIT)
    }
}

/// Transitions of one kind.
#[derive(Debug, Clone)]
pub struct Steps {
    /// Number of transitions.
    pub count: u64,
    /// Time of the last one, in monotonic nanoseconds.
    pub last_ns: u64,
    /// One bit for each second of the window with at least one transition.
    seconds: u64,
    /// Number of those that ended at once and had not carried a byte.
    pub bare: u64,
    /// Number of those on which this end had sent an [`ANSWER`].
    pub answered: u64,
    /// Number of those of a socket that is connected to itself.
    pub to_itself: u64,
    /// The first one that was seen.
    pub example: Ident,
    /// The remote addresses.
    pub peers: Tally<Remote>,
    /// Number of transitions after at least [`LONG_NS`] in the old state.
    pub long: u64,
    /// The socket's errors.
    pub errors: Tally<u16>,
}

impl Steps {
    /// Number of seconds of the window with at least one transition.
    pub fn seconds(&self) -> u64 {
        self.seconds.count_ones().into()
    }

    /// Adds the counts of another kind.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.last_ns = self.last_ns.max(other.last_ns);
        self.seconds |= other.seconds;
        self.bare += other.bare;
        self.answered += other.answered;
        self.to_itself += other.to_itself;
        for (peer, count) in other.peers.at_least(1) {
            self.peers.add(peer, count);
        }
        self.long += other.long;
        for (error, count) in other.errors.at_least(1) {
            self.errors.add(error, count);
        }
    }
}

/// What calls of connect() that found no local port have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoPortKey {
    /// The destination.
    pub service: Service,
    /// The local address.
    pub local: IpAddr,
    /// Whether the program has bound the port, too.
    pub bound: bool,
    /// The process.
    pub pid: Option<u32>,
}

/// Calls of connect() that found no local port.
#[derive(Debug, Clone)]
pub struct NoPort {
    /// Number of calls.
    pub count: u64,
    /// Time of the last one, in monotonic nanoseconds.
    pub last_ns: u64,
    /// The first one that was seen.
    pub example: Ident,
    /// The ports that the program has bound.
    pub ports: BTreeSet<u16>,
}

/// The transitions of the last minute.
#[derive(Debug, Default)]
pub struct Recent {
    /// Counts by kind.
    pub steps: HashMap<StepKey, Steps>,
    /// Calls of connect() that found no local port.
    pub no_port: BTreeMap<NoPortKey, NoPort>,
    /// Transitions that are not counted by kind because the table is full.
    pub forgotten: u64,
}

impl Recent {
    /// Reads the newest events.
    ///
    /// # Errors
    /// Not active, or the events cannot be read.
    pub fn read(
        backend: &dyn Backend,
        now_ns: u64,
        mut wanted: impl FnMut(&Ident) -> Option<Service>,
    ) -> Result<Self> {
        let settings = session::active_settings(backend)?;
        let since = now_ns.saturating_sub(WINDOW_S * SECOND);
        let mut recent = Self::default();
        let mut events = backend.events(&settings, Start::Since(since))?;
        events.try_each(&mut |event| {
            let step = match event {
                // An inconsistent ring may contain older events after newer ones.
                Event::Transition(event) if event.record.ts >= since => &event.record,
                _ => return Ok(ControlFlow::Continue(())),
            };
            if let Some(service) = wanted(&step.who) {
                recent.add(step, service, since);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(recent)
    }

    /// The counts in a fixed order.
    pub fn in_order(&self) -> Vec<(&StepKey, &Steps)> {
        let mut all: Vec<_> = self.steps.iter().collect();
        all.sort_unstable_by_key(|(key, _)| **key);
        all
    }

    fn add_no_port(&mut self, step: &Transition, service: Service) {
        let key = NoPortKey {
            service: service.canonical(),
            local: step.who.local().to_canonical(),
            bound: step.who.lport != 0,
            pid: step.who.owner.map(|o| o.pid),
        };
        if self.no_port.len() >= MOST_STEPS && !self.no_port.contains_key(&key) {
            return;
        }
        let failed = self.no_port.entry(key).or_insert_with(|| NoPort {
            count: 0,
            last_ns: 0,
            example: step.who,
            ports: BTreeSet::new(),
        });
        failed.count += 1;
        failed.last_ns = failed.last_ns.max(step.ts);
        if key.bound && failed.ports.len() < MOST_PORTS {
            failed.ports.insert(step.who.lport);
        }
    }

    fn add(&mut self, step: &Transition, service: Service, since: u64) {
        if step.reason == Reason::NO_PORT && step.new == State::CLOSE {
            self.add_no_port(step, service);
        }
        let key = StepKey {
            service,
            old: step.old,
            new: step.new,
            reason: step.reason.0,
            pid: step.who.owner.map(|o| o.pid),
        };
        if self.steps.len() >= MOST_STEPS && !self.steps.contains_key(&key) {
            self.forgotten += 1;
            return;
        }
        let steps = self.steps.entry(key).or_insert_with(|| Steps {
            count: 0,
            last_ns: 0,
            seconds: 0,
            bare: 0,
            answered: 0,
            to_itself: 0,
            example: step.who,
            peers: Tally::with_room(MOST_PEERS),
            long: 0,
            errors: Tally::with_room(MOST_ERRORS),
        });
        let second = (step.ts - since) / SECOND;
        steps.count += 1;
        steps.last_ns = steps.last_ns.max(step.ts);
        steps.seconds |= 1 << second.min(WINDOW_S - 1);
        steps.bare += u64::from(is_bare(step));
        let sent = step.meters.map_or(0, |m| m.bytes_sent);
        steps.answered += u64::from(sent >= ANSWER);
        steps.to_itself += u64::from(step.who.is_self_connected());
        steps.peers.add(step.who.peer(), 1);
        steps.long += u64::from(step.in_old.ns().is_some_and(|ns| ns >= LONG_NS));
        if step.error != 0 {
            steps.errors.add(step.error, 1);
        }
    }
}

/// Whether the connection ended at once and had not carried a byte.
fn is_bare(step: &Transition) -> bool {
    let at_once = matches!(step.in_old, Span::Exact(ns) if ns <= AT_ONCE_NS);
    at_once && step.meters.is_some_and(|m| m.bytes() == 0)
}
