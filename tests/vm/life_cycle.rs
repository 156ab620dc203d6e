//! Loading and unloading while connections are opened and closed leaves nothing behind.

use std::sync::atomic::AtomicBool;
use std::thread;

use libtest_mimic::Trial;

use crate::support::memory::{self, KernelMemory};
use crate::support::{scenario, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![scenario(
        "fifty_lives_under_churn_leave_no_memory_behind",
        fifty_lives,
    )]
}

fn one_life(round: u32) {
    assert_eq!(tool::run(&["install"]).status, 0);
    let hook = if round % 2 == 0 {
        "tracepoint"
    } else {
        "kprobe"
    };
    tool::tcpstates(&[&format!("--activate=hook={hook} ring=4096")]);
    if round % 5 == 0 {
        let report = tool::report("transitions=1 connections=1");
        assert_eq!(
            report.number("/seen"),
            report.recorded_transitions(),
            "seen and recorded differ without a filter"
        );
    }
    // Every third time the unloading has to end the recording itself.
    if round % 3 != 0 {
        tool::tcpstates(&["--deactivate"]);
    }
    tool::unloaded();
}

fn fifty_lives() {
    tool::unloaded();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stopping = traffic::Stop(&stop);
        let churn: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| traffic::churn_gently(&stop)))
            .collect();
        // Memory that the kernel keeps for good after the first loads is not a leak.
        (0..4).for_each(one_life);
        memory::settle();
        let before = KernelMemory::now();
        (0..50).for_each(one_life);
        KernelMemory::assert_back_at(&before);
        drop(stopping);
        let made: u64 = churn.into_iter().map(|c| c.join().expect("churn")).sum();
        assert!(made > 500, "only {made} connections came and went");
    });
    memory::assert_none_left();
}
