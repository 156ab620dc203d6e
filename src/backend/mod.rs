//! Where events, connections and totals come from: the module's device, or what gives the same.
//!
//! [`Backend`] is what can be read, [`Events`] the stream of what was recorded, and [`Recorder`]
//! what can be told to a backend that records.

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
use crate::model::event::{Event, Progress, RingState};
use crate::model::hook::Hook;
use crate::model::listener::Listener;
use crate::model::lives::{InCgroup, Lives};
use crate::model::pair::Pair;
use crate::model::stats::Stats;
use crate::model::transition_count::TransitionCount;

/// What can be read.
///
/// All but [`Backend::settings`] and [`Backend::stats`] fail with
/// [`NotActive`](crate::error::Error::NotActive) when nothing is active.
pub trait Backend {
    /// What is active; `None`: nothing.
    fn settings(&self) -> Result<Option<Settings>>;
    /// Counters; all zero but the clocks when nothing is active.
    fn stats(&self) -> Result<Stats>;
    /// When the wall clock was set, and to what, oldest first.
    fn clocks(&self) -> Result<Vec<ClockChange>>;
    /// The transitions by old and new state: each pair once, as the kernel numbers the states.
    fn transition_counts(&self) -> Result<Vec<TransitionCount>>;
    /// The connections that have ended.
    fn lives(&self) -> Result<Lives>;
    /// Live connections by cgroup, those with most first.
    fn cgroups(&self) -> Result<Vec<InCgroup>>;
    /// The hooks.
    fn hooks(&self) -> Result<Vec<Hook>>;
    /// The listening sockets.
    fn listeners(&self) -> Result<Vec<Listener>>;
    /// The pairs of addresses.
    fn pairs(&self) -> Result<Vec<Pair>>;
    /// The rings, and how far they are consumed.
    fn rings(&self) -> Result<Vec<RingState>>;
    /// The live connections, in batches that are not empty. One iterator at a time: a new one
    /// starts anew.
    fn live(&self) -> Box<dyn Iterator<Item = Result<Vec<Conn>>> + '_>;
    /// What was recorded, from `start` to now.
    ///
    /// # Errors
    /// [`Stale`](crate::error::Error::Stale): something else is active than `settings` says.
    fn events(&self, settings: &Settings, start: Start) -> Result<Box<dyn Events + '_>>;
    /// What it can be told; `None`: it does not record, and there is nothing to mark.
    fn recorder(&self) -> Option<&dyn Recorder> {
        None
    }
}

/// The event that a stream starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The first one that no report has marked as reported.
    Consumed,
    /// The next one that is recorded.
    Now,
    /// The oldest one that is still there and was recorded at this time (monotonic nanoseconds)
    /// or later.
    Since(u64),
}

/// What is done with an event, and whether the next one is wanted.
pub type Take<'a> = dyn FnMut(&Event) -> Result<ControlFlow<()>> + 'a;

/// Events in the order of time.
pub trait Events {
    /// Lends each event to `take` until there is none, or none wanted. A later call goes on
    /// behind the last event that was taken.
    ///
    /// # Errors
    /// What `take` fails with, when the event counts as taken; or the rest cannot be read.
    fn try_each(&mut self, take: &mut Take) -> Result<()>;
    /// How far each ring is read; all rings are there, in an order that stays.
    fn progress(&self) -> Vec<Progress>;
    /// Goes on to what was recorded meanwhile; false: nothing will come after that.
    ///
    /// # Errors
    /// A call fails.
    fn extend(&mut self) -> Result<bool>;
}

/// What a backend that records can be told.
pub trait Recorder {
    /// Starts recording. Errors: already active, a hook is missing, no memory.
    fn activate(&self, activation: &Activation) -> Result<()>;
    /// Stops recording and frees everything.
    fn deactivate(&self) -> Result<()>;
    /// Marks what was read as reported: all of it or, when a position has moved meanwhile or the
    /// generation is another one, nothing ([`Stale`](crate::error::Error::Stale)).
    fn consume(&self, generation: u64, read: &[Progress]) -> Result<()>;
    /// Tells how far this process has seen, for [`Recorder::poll_fd`].
    fn seen(&self, read: &[Progress]) -> Result<()>;
    /// Readable while there is more than was [`Recorder::seen`], hung up when not active.
    fn poll_fd(&self) -> BorrowedFd<'_>;
    /// The right to drain, which one process has at a time; `None` when another has it.
    fn try_lock(&self) -> Result<Option<DrainLock>>;
}

/// The right to drain, until it is dropped.
pub struct DrainLock(#[expect(dead_code, reason = "held for its drop")] Box<dyn Any>);

impl DrainLock {
    /// The right that ends when `guard` is dropped.
    pub fn new(guard: impl Any) -> Self {
        Self(Box::new(guard))
    }
}

/// The sum of all positions, which stands for how far the rings are read.
pub fn positions(read: &[Progress]) -> u64 {
    read.iter().fold(0, |sum, ring| sum.wrapping_add(ring.to))
}
