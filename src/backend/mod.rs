//! Sources of events, connections and totals: the module's device, or another implementation.
//!
//! [`Backend`] reads data, [`Events`] is the stream of recorded events, and [`Recorder`] controls a
//! backend that records.

pub mod capture;
pub mod device;
pub mod events;
pub mod node;
pub mod ring;
pub mod session;
pub mod wait;

use std::any::Any;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;

use crate::error::Result;
use crate::model::activation::{Activation, Settings};
use crate::model::clock::ClockChange;
use crate::model::conn::Conn;
use crate::model::event::{Event, Position, Progress, RingState};
use crate::model::hook::Hook;
use crate::model::listener::Listener;
use crate::model::lives::{InCgroup, Lives};
use crate::model::pair::Pair;
use crate::model::stats::Stats;
use crate::model::transition_count::TransitionCount;

/// A source of data.
///
/// All but [`Backend::settings`] and [`Backend::stats`] fail with
/// [`NotActive`](crate::error::Error::NotActive) when nothing is active.
pub trait Backend {
    /// Settings of the activation; `None`: not active.
    fn settings(&self) -> Result<Option<Settings>>;
    /// Counters; when not active all are zero, except the clocks.
    fn stats(&self) -> Result<Stats>;
    /// Changes of the wall clock, oldest first.
    fn clocks(&self) -> Result<Vec<ClockChange>>;
    /// Transition counts by old and new state: each pair of states once, with the kernel's state
    /// numbers.
    fn transition_counts(&self) -> Result<Vec<TransitionCount>>;
    /// Statistics of connections that have ended.
    fn lives(&self) -> Result<Lives>;
    /// Live connections by cgroup, in descending order.
    fn cgroups(&self) -> Result<Vec<InCgroup>>;
    /// The hooks.
    fn hooks(&self) -> Result<Vec<Hook>>;
    /// The listening sockets.
    fn listeners(&self) -> Result<Vec<Listener>>;
    /// The pairs of addresses.
    fn pairs(&self) -> Result<Vec<Pair>>;
    /// The rings, and up to which position they are consumed.
    fn rings(&self) -> Result<Vec<RingState>>;
    /// Iterates over the live connections in non-empty batches. Only one iterator may be in use: a
    /// new one restarts the snapshot.
    fn live(&self) -> Box<dyn Iterator<Item = Result<Vec<Conn>>> + '_>;
    /// The recorded events, from `start` to now.
    ///
    /// # Errors
    /// [`Stale`](crate::error::Error::Stale): the current activation is not that of `settings`.
    fn events(&self, settings: &Settings, start: Start) -> Result<Box<dyn Events + '_>>;
    /// The recorder; `None`: the backend does not record, so no event can be marked as reported.
    fn recorder(&self) -> Option<&dyn Recorder> {
        None
    }
}

/// The event at which a stream starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The first event that is not marked as reported.
    Consumed,
    /// The next event that is recorded.
    Now,
    /// The oldest available event that was recorded at or after this time (monotonic nanoseconds).
    Since(u64),
    /// These positions.
    At(Vec<Position>),
    /// The oldest available event; the stream ends before these positions.
    Before(Vec<Position>),
}

/// Handles an event and decides whether the next one is wanted.
pub type Take<'a> = dyn FnMut(&Event) -> Result<ControlFlow<()>> + 'a;

/// A stream of events in the order of time.
pub trait Events {
    /// Passes each event to `take` by reference until there are no more events, or `take` stops. A
    /// later call continues after the last event that was passed.
    ///
    /// # Errors
    /// Errors of `take`, where the event counts as read; or the remaining events cannot be read.
    fn try_each(&mut self, take: &mut Take) -> Result<()>;
    /// Progress of each ring: all rings, in a fixed order.
    fn progress(&self) -> Vec<Progress>;
    /// Continues with events that were recorded since; returns false if no more will follow.
    ///
    /// # Errors
    /// A call fails.
    fn extend(&mut self) -> Result<bool>;
}

/// Controls a backend that records.
pub trait Recorder {
    /// Starts recording. Errors: already active, a hook is missing, no memory.
    fn activate(&self, activation: &Activation) -> Result<()>;
    /// Stops recording and frees everything.
    fn deactivate(&self) -> Result<()>;
    /// Marks the events that were read as reported. If a position has moved since, or the
    /// generation is another one, nothing is marked ([`Stale`](crate::error::Error::Stale)).
    fn consume(&self, generation: u64, read: &[Progress]) -> Result<()>;
    /// Sets up to where this process has read, for [`Recorder::poll_fd`].
    fn seen(&self, read: &[Progress]) -> Result<()>;
    /// Descriptor that is readable while there are events after [`Recorder::seen`], and hung up
    /// when not active.
    fn poll_fd(&self) -> BorrowedFd<'_>;
    /// Takes the lock for draining, which one process can hold at a time; `None` if another holds
    /// it.
    fn try_lock(&self) -> Result<Option<DrainLock>>;
}

/// The lock for draining, held until it is dropped.
pub struct DrainLock(#[expect(dead_code, reason = "held for its drop")] Box<dyn Any>);

impl DrainLock {
    /// A lock that is released when `guard` is dropped.
    pub fn new(guard: impl Any) -> Self {
        Self(Box::new(guard))
    }
}

/// The sum of all positions, a measure of how much of the rings was read.
pub fn positions(read: &[Progress]) -> u64 {
    read.iter().fold(0, |sum, ring| sum.wrapping_add(ring.to))
}
