//! Invalid requests: random bytes, and arguments that are nearly right.

#![allow(unsafe_code, reason = "raw system calls")]

use std::fs::File;
use std::mem::offset_of;

use diagnose_tools::abi;

use crate::support::device::{self, Mapping};
use crate::support::random::Random;

/// Maximum number of elements of a table in a request.
const CAPACITY: usize = 4096;
/// A table that starts in one half ends in the other.
const HALF: usize = CAPACITY * largest_element();

const fn largest_element() -> usize {
    let sizes = [
        size_of::<abi::TransitionCount>(),
        size_of::<abi::RingState>(),
        size_of::<abi::Hook>(),
        size_of::<abi::RawConn>(),
        size_of::<abi::RawListener>(),
        size_of::<abi::RawPair>(),
    ];
    let (mut largest, mut i) = (0, 0);
    while i < sizes.len() {
        if sizes[i] > largest {
            largest = sizes[i];
        }
        i += 1;
    }
    largest
}

/// The numbers of all calls, and the sizes of their arguments.
fn requests() -> Vec<u64> {
    [
        abi::call::GET_VERSION,
        abi::call::ACTIVATE,
        abi::call::DEACTIVATE,
        abi::call::GET_SETTINGS,
        abi::call::GET_STATS,
        abi::call::GET_TRANSITION_COUNTS,
        abi::call::GET_RINGS,
        abi::call::GET_HOOKS,
        abi::call::SNAPSHOT,
        abi::call::CONSUME,
        abi::call::SEEN,
        abi::call::GET_LISTENERS,
        abi::call::GET_PAIRS,
        abi::call::GET_LIVES,
        abi::call::GET_CGROUPS,
        abi::call::GET_CLOCKS,
    ]
    .map(u64::from)
    .to_vec()
}

/// Memory that the kernel may be asked to write to.
struct Arena(Vec<u64>);

impl Arena {
    fn start(&self) -> u64 {
        self.0.as_ptr().addr() as u64
    }

    /// An address inside of it, or one where nothing may be written.
    fn address(&self, random: &mut Random) -> u64 {
        match random.below(8) {
            0 => 0,
            1 => 0xffff_8880_0000_0000 + random.below(1 << 30),
            2 => 0x0000_8000_0000_0000 + random.below(1 << 40),
            _ => self.start() + random.below(HALF as u64),
        }
    }

    /// Puts a random argument at the arena's start: random bytes, or nearly right.
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
            self.0[1] = random.below(CAPACITY as u64) | random.below(2) << 32;
            if random.one_in(4) {
                self.nearly_a_config(random);
            }
        }
    }

    /// The numbers of a configuration that is nearly right: sometimes an activation works.
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

/// Calls and mappings that are random, or nearly right.
pub struct Broken {
    device: File,
    requests: Vec<u64>,
    arena: Arena,
}

impl Broken {
    pub fn new() -> Self {
        Self {
            device: device::open(),
            requests: requests(),
            arena: Arena(vec![0; 2 * HALF / 8]),
        }
    }

    /// Layers above the driver answer some numbers before the device gets them. And if the
    /// recording was ended all the time, the rest would remain untested; the kernel takes seconds
    /// to release functions that busy CPUs may be in.
    fn is_wanted(&self, request: u64, random: &mut Random) -> bool {
        if request == u64::from(abi::call::DEACTIVATE) {
            return random.one_in(400);
        }
        request & 0xff00 == self.requests[0] & 0xff00 || request >> 16 != 0
    }

    fn request(&self, random: &mut Random) -> u64 {
        loop {
            let request = match random.below(10) {
                0 => random.next(),
                1 => self.requests[0] & !0xff | random.below(256),
                _ => *random.of_these(&self.requests),
            };
            if self.is_wanted(request, random) {
                return request;
            }
        }
    }

    pub fn call(&mut self, random: &mut Random) {
        let request = self.request(random);
        self.arena.fill(random);
        let arg = if random.one_in(6) {
            self.arena.address(random)
        } else {
            self.arena.start()
        };
        // SAFETY: the kernel is asked to write within the arena, or to an address where it must
        // refuse to write; a table's elements end in the arena's other half.
        let result = unsafe { device::ioctl(&self.device, request, arg as usize) };
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

    pub fn mapping(&self, random: &mut Random) {
        let len = (random.below(64) as usize + 1) * 4096;
        let prot = random.below(8) as i32;
        let flags = *random.of_these(&[libc::MAP_SHARED, libc::MAP_PRIVATE]);
        let offset = match random.below(3) {
            0 => 0,
            1 => random.below(64) * 4096,
            _ => random.next() & 0x7fff_ffff_ffff_f000,
        };
        if let Ok(mapping) = Mapping::new(&self.device, len, prot, flags, offset as i64) {
            assert!(mapping.protect(libc::PROT_READ | libc::PROT_WRITE).is_err());
        }
    }
}
