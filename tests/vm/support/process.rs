//! Real processes that own sockets: each receives a message when to take its next step, and reports
//! what it has done.

#![allow(unsafe_code, reason = "fork(2)")]

use std::ffi::CStr;
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::netns::Netns;

/// A connection to another process.
pub struct Line(BufReader<UnixStream>);

impl Line {
    fn pair() -> (Self, Self) {
        let (one, other) = UnixStream::pair().expect("a pair of sockets");
        (Self(BufReader::new(one)), Self(BufReader::new(other)))
    }

    /// Sends some numbers to the other process (none: a step is done).
    pub fn tell(&mut self, numbers: &[u64]) {
        let text = serde_json::to_string(numbers).expect("numbers");
        let stream = self.0.get_mut();
        writeln!(stream, "{text}").expect("the other process listens");
    }

    /// Waits for numbers from the other process.
    pub fn hear(&mut self) -> Vec<u64> {
        let mut text = String::new();
        self.0.read_line(&mut text).expect("the line");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("the other process ended: {e}"))
    }

    /// Passes a descriptor to the other process (SCM_RIGHTS).
    pub fn pass(&mut self, fd: RawFd) {
        let fds = [fd];
        let rights = [ControlMessage::ScmRights(&fds)];
        let socket = self.0.get_ref().as_raw_fd();
        let byte = [IoSlice::new(b"!")];
        sendmsg::<UnixAddr>(socket, &byte, &rights, MsgFlags::empty(), None).expect("sendmsg");
    }

    /// Receives the descriptor that the other process passes.
    pub fn take(&mut self) -> OwnedFd {
        assert!(self.0.buffer().is_empty(), "something else was told before");
        let socket = self.0.get_ref().as_raw_fd();
        let mut byte = [0; 1];
        let mut into = [IoSliceMut::new(&mut byte)];
        let mut space = nix::cmsg_space!(RawFd);
        let message = recvmsg::<UnixAddr>(socket, &mut into, Some(&mut space), MsgFlags::empty())
            .expect("recvmsg");
        let rights = message.cmsgs().expect("control messages").next();
        let Some(ControlMessageOwned::ScmRights(fds)) = rights else {
            panic!("no descriptor came");
        };
        // SAFETY: the kernel has just made this descriptor for this process.
        unsafe { OwnedFd::from_raw_fd(fds[0]) }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

/// A child process of this one. It is killed when this is dropped.
pub struct Process {
    pid: Pid,
    pub line: Line,
    over: bool,
}

impl Process {
    /// Starts a process that runs `work` in the namespace, and then exits.
    pub fn start(netns: &Netns, work: impl FnOnce(Line)) -> Self {
        let netns = netns.open();
        Self::fork(move |line| {
            setns(netns, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
            close_all_but(line.0.get_ref().as_raw_fd());
            work(line);
        })
    }

    /// The same, with this process name.
    pub fn named(netns: &Netns, name: &CStr, work: impl FnOnce(Line)) -> Self {
        Self::start(netns, |line| {
            prctl::set_name(name).expect("PR_SET_NAME");
            work(line);
        })
    }

    /// Starts a process that also inherits all descriptors of this one.
    pub fn fork(work: impl FnOnce(Line)) -> Self {
        let (ours, theirs) = Line::pair();
        // SAFETY: the child only uses what it has made itself, and the allocator, which glibc keeps
        // usable in it.
        match unsafe { fork() }.expect("fork") {
            ForkResult::Parent { child } => Self {
                pid: child,
                line: ours,
                over: false,
            },
            ForkResult::Child => {
                drop(ours);
                let done = catch_unwind(AssertUnwindSafe(|| work(theirs)));
                // SAFETY: skips the parent's exit handlers.
                unsafe { libc::_exit(i32::from(done.is_err())) }
            }
        }
    }

    pub fn pid(&self) -> u64 {
        self.pid.as_raw() as u64
    }

    /// Asserts that it has not ended.
    pub fn assert_runs(&mut self) {
        let status = waitpid(self.pid, Some(WaitPidFlag::WNOHANG)).expect("a child");
        self.over = status != WaitStatus::StillAlive;
        assert!(!self.over, "a process ended: {status:?}");
    }

    /// Waits until it ends by itself; it must end successfully.
    pub fn finish(mut self) {
        let mut rest = Vec::new();
        self.line
            .0
            .read_to_end(&mut rest)
            .expect("the end of the line");
        self.over = true;
        let status = waitpid(self.pid, None).expect("a child");
        assert_eq!(status, WaitStatus::Exited(self.pid, 0));
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if !self.over {
            self.over = true;
            kill(self.pid, Signal::SIGKILL).expect("a child");
            waitpid(self.pid, None).expect("a child");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A child has descriptors of all sockets that its parent had open: they would stay open after the
/// parent has closed them.
fn close_all_but(keep: RawFd) {
    let first = libc::STDERR_FILENO as u32 + 1;
    let keep = keep as u32;
    for (from, to) in [(first, keep.wrapping_sub(1)), (keep + 1, u32::MAX)] {
        if from <= to {
            // SAFETY: none of the parent's open descriptors is used any more.
            let ret = unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) };
            assert_eq!(ret, 0, "close_range");
        }
    }
}
