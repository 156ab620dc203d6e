//! How long a CPU is not available for urgent work: a thread of real-time priority wants to run
//! every 100 us, and measures its delay. Code that holds a lock with preemption, or interrupts, off
//! delays it.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::traffic::Stop;

const EVERY: Duration = Duration::from_micros(100);

#[allow(unsafe_code, reason = "nix has no sched_setscheduler")]
fn become_urgent() {
    let param = libc::sched_param { sched_priority: 50 };
    // SAFETY: the kernel reads one sched_param there.
    let ret = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param) };
    assert_eq!(ret, 0, "SCHED_FIFO: {}", std::io::Error::last_os_error());
}

/// How long the urgent thread was delayed.
#[derive(Default)]
pub struct Waits {
    pub longest: Duration,
    /// Number of delays longer than [`LONG`].
    pub long: u32,
}

/// No lock may be held for longer.
const LONG: Duration = Duration::from_millis(1);

/// The delays that `work` causes.
pub fn of(work: impl FnOnce()) -> Waits {
    let (over, begun) = (AtomicBool::new(false), Barrier::new(2));
    thread::scope(|scope| {
        let (over, begun) = (&over, &begun);
        let urgent = scope.spawn(move || {
            become_urgent();
            begun.wait();
            let mut waits = Waits::default();
            while !over.load(Ordering::Relaxed) {
                let before = Instant::now();
                thread::sleep(EVERY);
                let late = before.elapsed().saturating_sub(EVERY);
                waits.longest = waits.longest.max(late);
                waits.long += u32::from(late > LONG);
            }
            waits
        });
        begun.wait();
        let stop = Stop(over);
        work();
        drop(stop);
        urgent.join().expect("the urgent thread")
    })
}
