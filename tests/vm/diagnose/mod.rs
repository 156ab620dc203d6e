//! `--diagnose` against situations that are really produced, each beside a healthy
//! [`Crowd`](crate::support::crowd::Crowd).

mod attacks;
mod ends;
mod floods;
mod healthy;
mod kernel;
mod memory;
mod piles;
mod ports;
mod queues;
mod refuted;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::support::tool;

/// Scenarios that share a recording and run in parallel.
pub fn beside() -> Vec<Trial> {
    let all = [
        attacks::trials(),
        piles::trials(),
        ports::trials(),
        queues::trials(),
        ends::trials(),
        refuted::trials(),
        healthy::beside(),
    ];
    all.into_iter().flatten().collect()
}

/// Scenarios that need the machine for themselves.
pub fn trials() -> Vec<Trial> {
    let all = [
        memory::trials(),
        healthy::trials(),
        floods::trials(),
        kernel::trials(),
    ];
    all.into_iter().flatten().collect()
}

static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Starts a situation during the shared recording.
fn begin() {
    BEGAN.get_or_init(Instant::now);
    tool::activate_beside();
}

/// Time between two situations that begin later: an emulated machine is slow while many begin.
const APART: Duration = Duration::from_secs(4);
static LATER: AtomicU32 = AtomicU32::new(0);

/// The same, one after the other, after the slow attacks: these must be found in time.
fn begin_later() {
    let before = LATER.fetch_add(1, Ordering::Relaxed);
    let at = attacks::ALL + APART * before;
    thread::sleep(at.saturating_sub(BEGAN.get_or_init(Instant::now).elapsed()));
    tool::activate_beside();
}
