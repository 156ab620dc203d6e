//! External programs: servers, clients, attackers.

use std::fs;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::netns::Netns;

/// A program that runs in a namespace. It is killed when this is dropped.
pub struct Program(Option<Child>);

impl Program {
    pub fn start(netns: &Netns, args: &[&str]) -> Self {
        let mut command = Command::new(args[0]);
        command.args(&args[1..]);
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // A child is in the namespace of the thread that starts it.
        let child = netns.run(|| command.spawn());
        Self(Some(child.unwrap_or_else(|e| panic!("{}: {e}", args[0]))))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("not ended yet")
    }

    pub fn pid(&mut self) -> u64 {
        u64::from(self.child().id())
    }

    /// A child process of the program. The program is stopped first, for good: it can neither start
    /// another child, nor wait for this one, after which the kernel could give its id to another
    /// process.
    pub fn stopped_child(&mut self) -> Option<Pid> {
        let parent = Pid::from_raw(self.child().id() as i32);
        kill(parent, Signal::SIGSTOP).ok()?;
        // By now it is stopped, or has ended and has no children any more.
        waitid(
            Id::Pid(parent),
            WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT,
        )
        .ok()?;
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
        let first = children.split_whitespace().next()?;
        Some(Pid::from_raw(first.parse().expect("a number")))
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child().try_wait().expect("a child")
    }

    /// Asserts that it has not ended; its output is printed if it has.
    pub fn assert_runs(&mut self) {
        if let Some(status) = self.ended() {
            let output = self.end();
            panic!("a program ended with {status}: {}", printed(&output));
        }
    }

    /// Asks it to end, and waits for that.
    pub fn quit(&mut self) {
        let pid = Pid::from_raw(self.child().id() as i32);
        kill(pid, Signal::SIGQUIT).expect("a child");
        let status = self.child().wait().expect("a child");
        assert!(status.success(), "it ended with {status}");
    }

    fn end(&mut self) -> Output {
        // It may have ended already.
        let _ = self.child().kill();
        let child = self.0.take().expect("not ended yet");
        child.wait_with_output().expect("a child")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.0.is_some() {
            self.end();
        }
    }
}

fn printed(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}
