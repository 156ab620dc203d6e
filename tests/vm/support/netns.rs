//! Network namespaces, made with `ip` and entered by threads.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, setns};

/// A named network namespace; it goes when this does.
pub struct Netns {
    pub name: String,
}

impl Netns {
    /// A namespace with its loopback up.
    pub fn new(name: &str) -> Self {
        ip(&["netns", "add", name]);
        let netns = Self {
            name: name.to_owned(),
        };
        netns.ip(&["link", "set", "lo", "up"]);
        netns
    }

    /// `ip` in the namespace.
    pub fn ip(&self, args: &[&str]) {
        ip(&[&["-n", &self.name], args].concat());
    }

    /// Inode number, by which the tool names the namespace.
    pub fn inode(&self) -> u64 {
        File::open(self.path())
            .and_then(|f| f.metadata())
            .expect("a namespace")
            .ino()
    }

    /// Sets one of the namespace's own `net.ipv4`.
    pub fn sysctl(&self, name: &str, value: &str) {
        let file = format!("/proc/sys/net/ipv4/{name}");
        self.run(|| fs::write(file, value).expect("the sysctl"));
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Runs `inside` in a thread that has entered the namespace.
    pub fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        let file = File::open(self.path()).expect("a namespace");
        thread::scope(|scope| {
            scope
                .spawn(move || {
                    setns(file, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
                    inside()
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // The next one of this name must fail if this one stays.
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

/// Inode number of the namespace that this thread is in.
pub fn current_inode() -> u64 {
    File::open("/proc/thread-self/ns/net")
        .and_then(|f| f.metadata())
        .expect("a namespace")
        .ino()
}

/// `ip`, which must succeed.
pub fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().expect("ip(8)");
    assert!(
        output.status.success(),
        "ip {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
