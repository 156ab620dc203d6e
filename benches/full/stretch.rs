//! How long a CPU is kept from what is urgent: a thread of real-time priority
//! wants to run every 100 us, and looks how late it gets to. Whoever holds a
//! lock with preemption, or interrupts, off keeps it waiting.

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

/// The longest that the urgent thread was kept waiting during some work.
pub fn longest(work: impl FnOnce()) -> Duration {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = &over;
        let urgent = scope.spawn(move || {
            become_urgent();
            let mut longest = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                let before = Instant::now();
                thread::sleep(EVERY);
                longest = longest.max(before.elapsed().saturating_sub(EVERY));
            }
            longest
        });
        // It is at its work.
        thread::sleep(Duration::from_millis(50));
        let stop = Stop(over);
        work();
        drop(stop);
        urgent.join().expect("the urgent thread")
    })
}
