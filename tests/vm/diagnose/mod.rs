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

/// Starts a situation during the shared recording.
fn begin() {
    tool::activate_beside();
}
