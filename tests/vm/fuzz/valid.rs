//! Valid requests, in orders that make sense.

use std::hint::black_box;
use std::ops::ControlFlow;

use diagnose_tools::backend::device::Device;
use diagnose_tools::backend::{Backend, Recorder, Start, session};
use diagnose_tools::error::{Error, Result};
use diagnose_tools::model::activation::{Activation, TransitionHook};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::support::device::Mapping;
use crate::support::random::Random;

const HOOKS: [TransitionHook; 3] = [
    TransitionHook::Auto,
    TransitionHook::Tracepoint,
    TransitionHook::Kprobe,
];
/// Mappings that are kept after the end of the recording that made them.
const HELD: usize = 4;

pub struct Valid {
    device: Device,
    held: Vec<Mapping>,
    operations: u64,
}

impl Valid {
    pub fn new() -> Self {
        Self {
            device: Device::open().expect("the device"),
            held: Vec::new(),
            operations: 0,
        }
    }

    /// Runs a random operation, which other processes may disturb; returns the number of
    /// operations.
    pub fn something(&mut self, random: &mut Random) -> u64 {
        self.operations = 0;
        let done = match random.below(64) {
            0 => self.deactivate(random),
            1..=4 => self.activate(random),
            5..=9 => self.open_again(),
            10..=19 => self.report(random),
            20..=29 => self.follow(),
            30..=39 => self.snapshot(random),
            40..=44 => self.tables(),
            45..=49 => self.totals(),
            50..=54 => self.transfer(),
            55..=59 => self.hold(random),
            _ => self.look(random),
        };
        match done {
            Ok(()) | Err(Error::AlreadyActive | Error::Stale | Error::NoMemory(_)) => {}
            Err(Error::NotActive) if random.one_in(4) => _ = self.activate(random),
            Err(Error::NotActive) => {}
            Err(error) => panic!("{error:?}"),
        }
        self.operations
    }

    fn ask<T>(&mut self, ask: impl FnOnce(&Device) -> Result<T>) -> Result<T> {
        self.operations += 1;
        ask(&self.device)
    }

    fn activate(&mut self, random: &mut Random) -> Result<()> {
        let activation = Activation {
            hook: *random.of_these(&HOOKS),
            ring: Some(64 << random.below(6)),
            max_conns: Some(1 + random.below(5000) as u32),
            min_ns: random.below(2) * random.below(1_000_000),
            threshold: random.below(5) as u32,
            unfinished: random.below(5) as u32,
            max_pairs: 1 + random.below(1000) as u32,
            max_listeners: 1 + random.below(50) as u32,
            ..Activation::default()
        };
        self.ask(|device| device.activate(&activation))
    }

    /// The kernel takes long to release its functions.
    fn deactivate(&mut self, random: &mut Random) -> Result<()> {
        match random.one_in(24) {
            true => self.ask(Device::deactivate),
            false => Ok(()),
        }
    }

    fn open_again(&mut self) -> Result<()> {
        self.operations += 1;
        self.device = Device::open()?;
        Ok(())
    }

    /// Reads all new events, and usually consumes them.
    fn report(&mut self, random: &mut Random) -> Result<()> {
        let settings = self.ask(|device| session::active_settings(device))?;
        let read = self.ask(|device| {
            let mut events = device.events(&settings, Start::Consumed)?;
            events.try_each(&mut |event| {
                black_box(event.ts());
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(events.progress())
        })?;
        self.operations += read.len() as u64;
        if random.one_in(4) {
            return Ok(());
        }
        self.ask(|device| device.consume(settings.generation, &read))
    }

    /// Once it has seen all events, there is nothing to wait for, except events that came in the
    /// meantime.
    fn follow(&mut self) -> Result<()> {
        self.poll();
        let settings = self.ask(|device| session::active_settings(device))?;
        let heads = self.ask(|device| Ok(device.events(&settings, Start::Now)?.progress()))?;
        self.ask(|device| device.seen(&heads))?;
        self.poll();
        Ok(())
    }

    fn poll(&mut self) {
        self.operations += 1;
        let mut fds = [PollFd::new(self.device.poll_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).expect("poll");
        let got = fds[0].revents().expect("known events");
        let known = PollFlags::POLLIN | PollFlags::POLLHUP;
        assert!(known.contains(got), "{got:?}");
    }

    /// Reads from the start to the end, or only a part.
    fn snapshot(&mut self, random: &mut Random) -> Result<()> {
        for batch in self.device.live() {
            self.operations += 1;
            batch?;
            if random.one_in(20) {
                break;
            }
        }
        Ok(())
    }

    fn tables(&mut self) -> Result<()> {
        self.ask(Device::transition_counts)?;
        self.ask(Device::hooks)?;
        self.ask(Device::listeners)?;
        self.ask(Device::pairs)?;
        Ok(())
    }

    /// These calls also work without a recording.
    fn totals(&mut self) -> Result<()> {
        self.ask(Device::version)?;
        let settings = self.ask(Device::settings)?;
        let stats = self.ask(Device::stats)?;
        assert!(settings.is_none_or(|settings| settings.generation > 0) && stats.now_ns > 0);
        Ok(())
    }

    /// The device transfers no data through read() and write(), only through calls and mappings.
    fn transfer(&mut self) -> Result<()> {
        self.operations += 3;
        let device = self.device.poll_fd();
        assert!(nix::unistd::read(device, &mut [0; 8]).is_err());
        assert!(nix::unistd::write(device, &[0; 8]).is_err());
        assert!(nix::sys::uio::pread(device, &mut [0; 8], 0).is_err());
        Ok(())
    }

    /// Adds a mapping.
    fn hold(&mut self, random: &mut Random) -> Result<()> {
        let settings = self.ask(|device| session::active_settings(device))?;
        let rings = self.ask(Device::rings)?;
        let cpu = u64::from(random.of_these(&rings).cpu);
        let offset = cpu * settings.ring_bytes;
        let flags = *random.of_these(&[libc::MAP_SHARED, libc::MAP_PRIVATE]);
        self.operations += 1;
        let mapping = Mapping::new(
            &self.device.poll_fd(),
            settings.ring_bytes as usize,
            libc::PROT_READ,
            flags,
            offset as i64,
        );
        // The rings may have been replaced in the meantime.
        self.held.extend(mapping.ok());
        if self.held.len() > HELD {
            let at = random.below(HELD as u64) as usize;
            self.held.swap_remove(at);
        }
        Ok(())
    }

    /// Reads any word of a mapping that is held, also after the end of its recording.
    fn look(&mut self, random: &mut Random) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        self.operations += 1;
        let mapping = random.of_these(&self.held);
        for _ in 0..16 {
            black_box(mapping.word(random.next() as usize));
        }
        // Sometimes its first page is unmapped alone, or before the others.
        if random.one_in(4) {
            self.operations += 1;
            let at = random.below(self.held.len() as u64) as usize;
            self.held[at].shorten();
        }
        Ok(())
    }
}
