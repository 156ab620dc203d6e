//! Random calls and mappings, as root: clean errors, and nothing else.

#![allow(unsafe_code, reason = "raw system calls")]

use std::fs::File;
use std::mem::offset_of;
use std::sync::atomic::AtomicBool;
use std::thread;

use diagnose_tools::abi;
use libtest_mimic::Trial;

use crate::support::device::{self, Mapping};
use crate::support::{scenario, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![scenario(
        "random_calls_and_mappings_do_no_harm",
        random_calls,
    )]
}

const CALLS_PER_THREAD: u32 = 60_000;
const ARENA: usize = 1 << 20;

/// A small generator of its own: the same calls in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The numbers of all calls, and the sizes of their arguments.
fn requests() -> Vec<u64> {
    [
        abi::call::GET_VERSION,
        abi::call::ACTIVATE,
        abi::call::DEACTIVATE,
        abi::call::GET_SETTINGS,
        abi::call::GET_STATS,
        abi::call::GET_EDGES,
        abi::call::GET_RINGS,
        abi::call::GET_HOOKS,
        abi::call::SNAPSHOT,
        abi::call::CONSUME,
        abi::call::SEEN,
        abi::call::GET_LISTENERS,
        abi::call::GET_GROUPS,
        abi::call::GET_LISTENERS,
        abi::call::GET_GROUPS,
    ]
    .map(u64::from)
    .to_vec()
}

/// Memory that the kernel may be told to write to.
struct Arena(Vec<u64>);

impl Arena {
    fn start(&self) -> u64 {
        self.0.as_ptr().addr() as u64
    }

    /// An address inside, or one where nothing may be written.
    fn address(&self, random: &mut Random) -> u64 {
        match random.below(8) {
            0 => 0,
            1 => 0xffff_8880_0000_0000 + random.below(1 << 30),
            2 => 0x0000_8000_0000_0000 + random.below(1 << 40),
            _ => self.start() + random.below(ARENA as u64 / 2),
        }
    }

    /// Puts a random argument at the arena's start: noise, or nearly right.
    fn fill(&mut self, random: &mut Random) {
        let noise = random.one_in(2);
        for i in 0..160 {
            self.0[i] = if noise {
                random.next()
            } else {
                random.below(3) * random.below(2)
            };
        }
        if !noise {
            self.0[0] = self.address(random);
            self.0[1] = random.below(4096) | random.below(2) << 32;
            if random.one_in(4) {
                self.nearly_a_config(random);
            }
        }
    }

    /// The numbers of a configuration: sometimes an activation works.
    fn nearly_a_config(&mut self, random: &mut Random) {
        self.0[..150].fill(0);
        self.0[0] = random.below(3) | random.below(4) << 32;
        let ring = 1 << random.below(14);
        self.0[1] = ring | random.below(5000) << 32;
        self.0[2] = random.below(2);
        self.0[132] = random.below(5) | random.below(5) << 32;
        self.0[133] = random.below(5000) | random.below(50) << 32;
        let alarms = offset_of!(abi::Config, threshold) / 8;
        self.0[alarms] = random.below(9) | random.below(9) << 32;
        self.0[alarms + 1] = random.below(5000) | random.below(100) << 32;
        if random.one_in(3) {
            self.0[random.below(146) as usize] ^= random.next();
        }
    }
}

fn random_call(device: &File, requests: &[u64], arena: &mut Arena, random: &mut Random) {
    let request = match random.below(10) {
        0 => random.next(),
        1 => requests[0] & !0xff | random.below(256),
        _ => requests[random.below(requests.len() as u64) as usize],
    };
    // Other drivers' layers answer some numbers before the device sees them.
    if request & 0xff00 != requests[0] & 0xff00 && request >> 16 == 0 {
        return;
    }
    // To end the recording all the time would leave the rest untested; and the
    // kernel takes seconds to let go of functions that busy CPUs may be in.
    if request == u64::from(abi::call::DEACTIVATE) && !random.one_in(400) {
        return;
    }
    arena.fill(random);
    let arg = if random.one_in(6) {
        arena.address(random)
    } else {
        arena.start()
    };
    // SAFETY: whatever the kernel is told to write lies in the arena, or
    // where it must refuse to write; a table's elements end in its other half.
    let result = unsafe { device::ioctl(device, request, arg as usize) };
    if let Err(error) = result {
        let known = [
            libc::EINVAL,
            libc::EFAULT,
            libc::ENOTTY,
            libc::ENOLINK,
            libc::EALREADY,
            libc::ENOSPC,
            libc::ESTALE,
            libc::ENOMEM,
            libc::EINTR,
        ];
        let errno = error.raw_os_error().expect("an errno");
        assert!(known.contains(&errno), "request {request:#x}: {error}");
    }
}

fn random_mapping(device: &File, random: &mut Random) {
    let len = (random.below(64) as usize + 1) * 4096;
    let prot = random.below(8) as i32;
    let flags = if random.one_in(2) {
        libc::MAP_SHARED
    } else {
        libc::MAP_PRIVATE
    };
    let offset = match random.below(3) {
        0 => 0,
        1 => random.below(64) * 4096,
        _ => random.next() & 0x7fff_ffff_ffff_f000,
    };
    if let Ok(mapping) = Mapping::new(device, len, prot, flags, offset as i64) {
        assert!(mapping.protect(libc::PROT_READ | libc::PROT_WRITE).is_err());
    }
}

fn hammer(seed: u64) -> u32 {
    let device = device::open();
    let requests = requests();
    let mut arena = Arena(vec![0; ARENA / 8]);
    let mut random = Random(seed);
    for i in 0..CALLS_PER_THREAD {
        if i % 8 == 0 {
            random_mapping(&device, &mut random);
        } else {
            random_call(&device, &requests, &mut arena, &mut random);
        }
    }
    CALLS_PER_THREAD
}

fn random_calls() {
    tool::activate("ring=64");
    let stop = AtomicBool::new(false);
    let total: u32 = thread::scope(|scope| {
        let _stop = traffic::Stop(&stop);
        scope.spawn(|| traffic::churn_gently(&stop));
        let hammers: Vec<_> = [0x9e37_79b9, 0x2545_f491]
            .map(|s| scope.spawn(move || hammer(s)))
            .into();
        hammers
            .into_iter()
            .map(|h| h.join().expect("no panic"))
            .sum()
    });
    assert!(total >= 100_000);
    // The device is as good as new.
    tool::activate("");
    traffic::client_first(&traffic::listen(traffic::V4));
    let report = tool::report("transitions=1");
    assert_eq!(report.transitions.len(), 12);
    assert_eq!(report.number("/lost/overwritten"), 0);
    tool::tcpstates(&["--deactivate"]);
}
