//! What happened in the last minute: the newest records of the rings, counted
//! by who, which step and why. Reading them moves nothing.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::backend::{Backend, Start, session};
use crate::diagnose::service::Service;
use crate::diagnose::tally::Tally;
use crate::error::Result;
use crate::model::event::Event;
use crate::model::ident::{Ident, Remote};
use crate::model::reason::Reason;
use crate::model::state::State;
use crate::model::transition::Transition;

/// How far back is looked.
pub const WINDOW_S: u64 = 60;
const SECOND: u64 = 1_000_000_000;
/// Most kinds of steps that are kept, and most peers of each: a minute of a busy host fits,
/// and a scan of the world does not fill the memory.
const MOST_STEPS: usize = 65_536;
const MOST_PEERS: usize = 4_096;

/// Steps that are counted as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StepKey {
    /// Which listener they came to, or where they went.
    pub service: Service,
    /// State before.
    pub old: State,
    /// State after.
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

    /// Whether a connection has come to its end with this step: it is gone, or only its
    /// TIME_WAIT is left. A listener and a half-open request are no connections.
    pub fn is_end(&self) -> bool {
        let connected = ![State::TIME_WAIT, State::LISTEN, State::NEW_SYN_RECV].contains(&self.old);
        connected && (self.new == State::CLOSE || self.new == State::TIME_WAIT)
    }
}

/// Steps of one kind.
#[derive(Debug, Clone)]
pub struct Steps {
    /// How many.
    pub count: u64,
    /// When the last one was, in monotonic nanoseconds.
    pub last_ns: u64,
    /// One bit for each second of the window in which there was any.
    seconds: u64,
    /// The one that was seen first.
    pub example: Ident,
    /// The other ends.
    pub peers: Tally<Remote>,
}

impl Steps {
    /// In how many seconds of the window there was any.
    pub fn seconds(&self) -> u64 {
        self.seconds.count_ones().into()
    }

    /// Counts those of another kind as well.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.last_ns = self.last_ns.max(other.last_ns);
        self.seconds |= other.seconds;
        for (peer, count) in other.peers.at_least(1) {
            self.peers.add(peer, count);
        }
    }
}

/// The steps of the last minute.
#[derive(Debug, Default)]
pub struct Recent {
    /// By kind.
    pub steps: HashMap<StepKey, Steps>,
    /// Steps of kinds that found no room.
    pub forgotten: u64,
}

impl Recent {
    /// Reads the newest events.
    ///
    /// # Errors
    /// Not active, or they cannot be read.
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
                // A ring that makes no sense may have older ones behind.
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

    fn add(&mut self, step: &Transition, service: Service, since: u64) {
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
            example: step.who,
            peers: Tally::with_room(MOST_PEERS),
        });
        let second = (step.ts - since) / SECOND;
        steps.count += 1;
        steps.last_ns = steps.last_ns.max(step.ts);
        steps.seconds |= 1 << second.min(63);
        steps.peers.add(step.who.peer(), 1);
    }
}
