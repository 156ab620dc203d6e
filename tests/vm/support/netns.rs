//! Network namespaces, made with `ip` and entered by threads.

use std::fs::{self, File};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use super::ss;

/// When a new connection may use the port of one in TIME_WAIT (`net.ipv4.tcp_tw_reuse`), which then
/// ends before its minute has passed.
#[derive(Debug, Clone, Copy)]
pub enum Reuse {
    /// In the namespaces that are made here: otherwise a test that counts sockets in TIME_WAIT, or
    /// finds a connection by its port, could fail by chance.
    Never = 0,
    /// On loopback, after a second: the kernel's default.
    OnLoopback = 2,
}

/// Namespaces that are kept to the end of the process; `None`: they are removed at once.
static KEPT: Mutex<Option<Vec<File>>> = Mutex::new(None);

/// Keeps all namespaces from now on. The kernel gives the number of one that is gone to the next,
/// and a recording that scenarios share has the events of both.
pub fn keep_all() {
    KEPT.lock().expect("no panic").get_or_insert_default();
}

fn keep(file: File) {
    if let Some(kept) = KEPT.lock().expect("no panic").as_mut() {
        kept.push(file);
    }
}

/// A named network namespace; it is removed when this is dropped.
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
        netns.reuse_time_wait(Reuse::Never);
        netns
    }

    /// Runs `ip` in the namespace.
    pub fn ip(&self, args: &[&str]) {
        ip(&[&["-n", &self.name], args].concat());
    }

    /// Sets a sysctl of the namespace, such as `net.ipv4.tcp_fin_timeout`.
    pub fn sysctl(&self, name: &str, value: &str) {
        self.run(|| sysctl(name, value));
    }

    /// Sets when a new connection may use the port of one in TIME_WAIT.
    pub fn reuse_time_wait(&self, reuse: Reuse) {
        self.run(|| reuse_time_wait(reuse));
    }

    /// The output of `sysctl` for these settings in the namespace.
    pub fn sysctls(&self, names: &[&str]) -> Vec<String> {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.name, "sysctl", "-n"])
            .args(names)
            .output()
            .expect("ip(8)");
        assert!(
            output.status.success(),
            "sysctl {names:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).expect("sysctl prints ASCII");
        text.lines().map(str::to_owned).collect()
    }

    /// Inode number, which the tool uses to name the namespace.
    pub fn inode(&self) -> u64 {
        self.open().metadata().expect("a namespace").ino()
    }

    pub fn open(&self) -> File {
        File::open(self.path()).expect("a namespace")
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Runs `inside` in a thread that has entered the namespace.
    pub fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        let file = self.open();
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
        // Remaining sockets would end in the middle of other scenarios.
        ss::give_up(&self.name);
        if let Ok(file) = File::open(self.path()) {
            keep(file);
        }
        // If this one remains, the creation of the next one with this name must fail.
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .stderr(Stdio::null())
            .status();
    }
}

/// Runs `inside` in a thread, in a namespace that has only a loopback and is removed with the
/// thread.
pub fn alone(inside: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("root may make a namespace");
            bring_loopback_up();
            reuse_time_wait(Reuse::Never);
            inside();
            keep(File::open("/proc/thread-self/ns/net").expect("a namespace"));
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Path of the setting, in the namespace of the reader.
fn sysctl_path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

/// Whether the kernel has the setting.
pub fn has_sysctl(name: &str) -> bool {
    Path::new(&sysctl_path(name)).exists()
}

/// Sets a sysctl of the namespace that this thread is in.
pub fn sysctl(name: &str, value: &str) {
    fs::write(sysctl_path(name), value).unwrap_or_else(|e| panic!("{name}={value}: {e}"));
}

/// A setting of the whole kernel, which only its initial namespace shows; restored when this is
/// dropped.
pub struct HostSetting {
    name: &'static str,
    before: String,
}

impl HostSetting {
    pub fn new(name: &'static str, value: &str) -> Self {
        let before = first_namespace(&["sysctl", "-n", name]);
        first_namespace(&["sysctl", "-w", &format!("{name}={value}")]);
        Self { name, before }
    }
}

impl Drop for HostSetting {
    fn drop(&mut self) {
        first_namespace(&[
            "sysctl",
            "-w",
            &format!("{}={}", self.name, self.before.trim()),
        ]);
    }
}

/// Output of a command in the namespace of process 1.
pub fn first_namespace(command: &[&str]) -> String {
    let output = Command::new("nsenter")
        .args(["--target", "1", "--net"])
        .args(command)
        .output()
        .expect("util-linux is installed");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// [`Netns::reuse_time_wait`] in the namespace that this thread is in.
pub fn reuse_time_wait(reuse: Reuse) {
    sysctl("net.ipv4.tcp_tw_reuse", &(reuse as u8).to_string());
}

/// Like `ip link set lo up`, but without a process: for namespaces that are made and removed
/// quickly.
#[allow(unsafe_code, reason = "an ioctl that nix does not know")]
fn bring_loopback_up() {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // SAFETY: integers only, so all zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the kernel reads one ifreq there.
    let ret = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    };
    assert_eq!(ret, 0, "SIOCSIFFLAGS: {}", std::io::Error::last_os_error());
}

/// Inode number of the namespace that this thread is in.
pub fn current_inode() -> u64 {
    File::open("/proc/thread-self/ns/net")
        .and_then(|f| f.metadata())
        .expect("a namespace")
        .ino()
}

/// True if it is neither this thread's namespace nor one with a name.
pub fn is_gone(inode: u64) -> bool {
    let named = fs::read_dir("/run/netns").into_iter().flatten();
    let mut inodes = named.filter_map(|entry| Some(fs::metadata(entry.ok()?.path()).ok()?.ino()));
    inode != current_inode() && inodes.all(|other| other != inode)
}

/// Runs `ip`, which must succeed.
pub fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().expect("ip(8)");
    assert!(
        output.status.success(),
        "ip {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
