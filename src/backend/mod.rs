//! What the reports need of the module, as a trait, so that they are tested
//! without a kernel.

pub mod device;
pub mod events;
pub mod node;
pub mod ring;
pub mod session;
pub mod wait;

use std::os::fd::BorrowedFd;

use crate::abi::{
    Cgroup, ClockChange, Config, Consumed, Hook, Lives, RingState, Settings, Stats, TransitionCount,
};
use crate::backend::ring::RingReader;
use crate::error::Result;
use crate::model::conn::Conn;
use crate::model::listener::Listener;
use crate::model::pair::Pair;

/// The recording half: the module's device, or a fake of it.
///
/// Each method is one call of `include/tcpstates.h`; its errors are those
/// of the call, and [`crate::error::Error::NotActive`] where it needs an activation.
pub trait Backend {
    /// Holds the right to drain; dropping it gives it back.
    type Lock;

    /// Starts recording. Errors: already active, a hook is missing, no memory.
    fn activate(&self, config: &Config) -> Result<()>;
    /// Stops recording and frees everything.
    fn deactivate(&self) -> Result<()>;
    /// All zero when not active.
    fn settings(&self) -> Result<Settings>;
    /// All zero but the clocks when not active.
    fn stats(&self) -> Result<Stats>;
    /// When the wall clock was set, and to what, oldest first.
    fn clocks(&self) -> Result<Vec<ClockChange>>;
    /// The kinds of transitions that happened.
    fn transition_counts(&self) -> Result<Vec<TransitionCount>>;
    /// The connections that have ended.
    fn lives(&self) -> Result<Lives>;
    /// Live connections by cgroup.
    fn cgroups(&self) -> Result<Vec<Cgroup>>;
    /// The rings and how far they are consumed.
    fn rings(&self) -> Result<Vec<RingState>>;
    /// The hooks of the activation.
    fn hooks(&self) -> Result<Vec<Hook>>;
    /// The listening sockets.
    fn listeners(&self) -> Result<Vec<Listener>>;
    /// The pairs of addresses.
    fn pairs(&self) -> Result<Vec<Pair>>;
    /// The next live connections; none when all were given since the last `restart`.
    fn snapshot(&self, restart: bool) -> Result<Vec<Conn>>;
    /// Marks positions as reported. [`crate::error::Error::Stale`] when they moved meanwhile.
    fn consume(&self, generation: u64, positions: &[Consumed]) -> Result<()>;
    /// Tells up to where this reader has seen: the sum of its positions.
    fn seen(&self, sum: u64) -> Result<()>;
    /// A ring of the activation that `settings` describes, from position 0.
    fn map_ring(&self, settings: &Settings, cpu: u32) -> Result<RingReader>;
    /// Readable while there is more than was [`Backend::seen`], hung up when not active.
    fn poll_fd(&self) -> BorrowedFd<'_>;
    /// The right to drain, which one process has at a time; `None` when another has it.
    fn try_lock(&self) -> Result<Option<Self::Lock>>;
}
