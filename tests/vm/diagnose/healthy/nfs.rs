//! An NFS server and its client: sockets of the kernel, which no process has open.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::super::begin;
use super::assert_nothing;
use crate::support::link::{FAR, Link, NEAR};
use crate::support::process::{Line, Process};
use crate::support::{ss, talk};

const PORT: u16 = 2049;
/// Connections of the mount, which share its requests.
const CONNECTIONS: usize = 16;
/// The shortest time that the kernel allows.
const GRACE_S: &str = "10";
const PAUSE: Duration = Duration::from_millis(50);
/// Rounds before the diagnosis: some for each connection.
const ROUNDS: u64 = 40;

const EXPORT: &str = "/tmp/exported";
const MOUNT: &str = "/tmp/mounted";
const NFSD: &str = "/proc/fs/nfsd";
/// The last second that all kernels can read here.
const NEVER: u64 = i32::MAX as u64;
/// The root of all exports, for clients with any port (NFSEXP_INSECURE_PORT, NFSEXP_NOSUBTREECHECK,
/// NFSEXP_FSID).
const FLAGS: u32 = 0x2 | 0x400 | 0x2000;

/// Whether the kernel has both ends.
pub fn is_there() -> bool {
    let loads = |module| {
        let loaded = Command::new("modprobe").arg(module).output();
        loaded.is_ok_and(|output| output.status.success())
    };
    loads("nfsd") && loads("nfsv4")
}

pub fn healthy() {
    assert!(is_there(), "the kernel has no NFS");
    begin();
    let link = Link::new("nfsclient", "nfsserver");
    link.wait();
    let mut server = Process::named(&link.far, c"exporting", export);
    server.line.hear();
    let mut client = Process::named(&link.near, c"mounting", use_files);
    client.line.hear();
    for netns in [&link.near, &link.far] {
        assert_nothing("NFS", &format!("netns={}", netns.name));
    }
    client.assert_runs();
    let is_connection = |row: &ss::Row| row.1.1 == PORT;
    let sockets = ss::table(Some(&link.far.name));
    let connections = talk::count(&sockets, "ESTABLISHED", is_connection);
    assert_eq!(connections, CONNECTIONS, "{sockets:?}");
    // The mount ends with the last process that sees it.
    client.kill();
    server.line.tell(&[]);
    server.finish();
}

/// Makes mounts that only this process sees.
fn mount_privately(source: &str, to: &str, kind: &str, data: &str) {
    fs::create_dir_all(to).expect("a folder");
    mount(Some(source), to, Some(kind), MsFlags::empty(), Some(data))
        .unwrap_or_else(|e| panic!("{kind} at {to}: {e}"));
}

fn hide_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).expect("root may make a namespace");
    let ours = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, ours, None::<&str>).expect("mounts of our own");
}

/// Exports a folder until it hears something. What `exportfs` and `mountd` would tell the kernel
/// is written directly.
fn export(mut line: Line) {
    hide_mounts();
    mount_privately("export", EXPORT, "tmpfs", "");
    mount_privately("nfsd", NFSD, "nfsd", "");
    let control = |name: &str, value: &str| write(&Path::new(NFSD).join(name), value);
    let cache = |name: &str, entry: &str| {
        let folder = Path::new("/proc/net/rpc").join(name);
        write(&folder.join("channel"), entry);
    };
    cache("auth.unix.ip", &format!("nfsd {NEAR} {NEVER} clients"));
    cache(
        "nfsd.export",
        &format!("clients {EXPORT} {NEVER} {FLAGS} 65534 65534 0"),
    );
    cache(
        "nfsd.fh",
        &format!("clients 1 \\x00000000 {NEVER} {EXPORT}"),
    );
    // Only version 4 needs no portmapper.
    control("versions", "-2 -3 +4");
    // After a restart, files can be opened when the clients have had time to claim their old locks.
    control("nfsv4gracetime", GRACE_S);
    control("threads", "4");
    line.tell(&[]);
    line.hear();
    control("threads", "0");
}

fn write(path: &Path, text: &str) {
    fs::write(path, format!("{text}\n"))
        .unwrap_or_else(|e| panic!("{text:?} to {}: {e}", path.display()));
}

/// Writes files and reads them, again and again; reports after some rounds.
fn use_files(mut line: Line) {
    hide_mounts();
    let options = format!("vers=4.2,addr={FAR},clientaddr={NEAR},nconnect={CONNECTIONS}");
    mount_privately(&format!("{FAR}:/"), MOUNT, "nfs4", &options);
    for round in 1.. {
        let file = Path::new(MOUNT).join((round % 10).to_string());
        let data = vec![round as u8; 65_536];
        fs::write(&file, &data).expect("write");
        let names = fs::read_dir(MOUNT).expect("a folder").count();
        assert!(names > 0);
        assert_eq!(fs::read(&file).expect("read"), data);
        if round == ROUNDS {
            line.tell(&[]);
        }
        thread::sleep(PAUSE);
    }
}
