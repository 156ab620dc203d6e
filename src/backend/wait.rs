//! Waits for events, a closed stdout and signals.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::{Error, Result};
use crate::fmt::text::words;

/// Bytes that a writable pipe accepts without blocking (`PIPE_BUF`).
const CHUNK: usize = 4096;

/// Why the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// There is more to read.
    More,
    /// The recording was deactivated.
    HungUp,
    /// SIGINT or SIGTERM.
    Signal,
    /// The reader of stdout closed it.
    Closed,
    /// None of these within the time.
    Idle,
}

/// Blocks SIGINT and SIGTERM during its lifetime: instead of killing the process they end
/// [`Watch::wait`] and interrupt a blocking write.
pub struct Watch {
    signals: SignalFd,
    taken: SigSet,
}

impl Watch {
    /// Starts to receive the signals.
    ///
    /// # Errors
    /// The kernel cannot create the descriptor.
    pub fn new() -> Result<Self> {
        let mut taken = SigSet::empty();
        taken.add(Signal::SIGINT);
        taken.add(Signal::SIGTERM);
        let failed = |errno: Errno| Error::system(words!("waiting for signals", "等待信号"), errno);
        taken.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&taken, flags).map_err(failed)?;
        Ok(Self { signals, taken })
    }

    /// Waits until `device` is readable, `out` is closed, a signal arrives or `time` has passed.
    ///
    /// # Errors
    /// `poll(2)` fails.
    pub fn wait(&self, device: BorrowedFd, out: BorrowedFd, time: PollTimeout) -> Result<Wake> {
        let mut fds = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(out, PollFlags::empty()),
            PollFd::new(device, PollFlags::POLLIN),
        ];
        match poll(&mut fds, time) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::system(words!("poll", "调用 `poll`"), errno)),
        }
        let [signal, out, device] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        let gone = PollFlags::POLLERR | PollFlags::POLLNVAL;
        Ok(if !signal.is_empty() {
            Wake::Signal
        } else if out.intersects(gone) {
            Wake::Closed
        } else if device.intersects(gone | PollFlags::POLLHUP) {
            Wake::HungUp
        } else if device.is_empty() {
            Wake::Idle
        } else {
            Wake::More
        })
    }

    /// A writer to `file` that a signal interrupts while the reader does not read.
    pub fn guard<'a>(&'a self, file: &'a File) -> Guarded<'a> {
        Guarded { file, watch: self }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Signals that were received must not kill the process now.
        while let Ok(Some(_)) = self.signals.read_signal() {}
        let _ = self.taken.thread_unblock();
    }
}

/// After a signal, how long to wait for a reader that reads nothing.
const GRACE_MS: u16 = 2_000;

/// A writer that fails like a closed pipe after a signal, once the reader has read nothing for a
/// while. A slow reader gets all data.
pub struct Guarded<'a> {
    file: &'a File,
    watch: &'a Watch,
}

impl Write for Guarded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut fds = [
            PollFd::new(self.file.as_fd(), PollFlags::POLLOUT),
            PollFd::new(self.watch.signals.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut fds, PollTimeout::NONE)?;
        if is_silent(&fds[0]) && poll(&mut fds[..1], PollTimeout::from(GRACE_MS))? == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.file.write(&bytes[..bytes.len().min(CHUNK)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_silent(fd: &PollFd) -> bool {
    fd.revents().is_some_and(|events| events.is_empty())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use nix::sys::signal::raise;

    fn pipe() -> (File, File) {
        let (read, write) = nix::unistd::pipe().unwrap();
        (read.into(), write.into())
    }

    #[test]
    fn a_signal_breaks_a_write_that_blocks_and_a_wait() {
        let (_reader, writer) = pipe();
        let (silent, _keep) = pipe();
        let watch = Watch::new().unwrap();
        let mut out = watch.guard(&writer);
        raise(Signal::SIGTERM).unwrap();
        let failed = loop {
            if let Err(error) = out.write_all(&[0; CHUNK]) {
                break error;
            }
        };
        assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(
            watch
                .wait(silent.as_fd(), writer.as_fd(), PollTimeout::NONE)
                .unwrap(),
            Wake::Signal
        );
    }

    #[test]
    fn a_slow_reader_gets_all_that_is_written_after_a_signal() {
        const LEN: usize = 200_000;
        let (mut reader, writer) = pipe();
        let watch = Watch::new().unwrap();
        raise(Signal::SIGTERM).unwrap();
        let taken = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            reader.read_to_end(&mut Vec::new()).unwrap()
        });
        watch.guard(&writer).write_all(&[0; LEN]).unwrap();
        drop(writer);
        assert_eq!(taken.join().unwrap(), LEN);
    }

    #[test]
    fn a_closed_reader_and_a_ready_device_are_told_apart() {
        let watch = Watch::new().unwrap();
        let (device, mut feed) = pipe();
        let (reader, out) = pipe();
        let wait = || {
            watch
                .wait(device.as_fd(), out.as_fd(), PollTimeout::ZERO)
                .unwrap()
        };
        assert_eq!(wait(), Wake::Idle);
        feed.write_all(b"x").unwrap();
        assert_eq!(wait(), Wake::More);
        drop(feed);
        assert_eq!(wait(), Wake::HungUp);
        drop(reader);
        assert_eq!(wait(), Wake::Closed);
    }
}
