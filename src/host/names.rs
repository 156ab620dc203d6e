//! Names for a connection: the path of its cgroup, the container that the path shows, the name of
//! its network namespace.
//!
//! The module provides numbers, the file system names. They are looked up on first use; an object
//! that is not found has no name.

use std::fs::{self, DirEntry};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use rustc_hash::FxHashMap;

use crate::fmt::json;
use crate::host::devices::Devices;
use crate::host::processes::Living;
use crate::model::endpoint::Dev;
use crate::model::ident::Ident;

/// How long names are valid.
const REFRESH: Duration = Duration::from_secs(1);
/// Length of a container id in hexadecimal digits.
const CONTAINER_ID: usize = 64;

/// A cgroup.
#[derive(Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Path from the root of its hierarchy, as in `/proc/PID/cgroup`.
    pub path: String,
    /// The container that the path shows.
    pub container: Option<String>,
    /// Both as JSON, computed once: there are few cgroups, but millions of records.
    pub json: (String, Option<String>),
}

/// Cgroups by id, which is never reused; `None`: it no longer exists.
type Cgroups = FxHashMap<u64, Option<Rc<Cgroup>>>;

impl Cgroup {
    fn new(path: String) -> Self {
        let path = if path.is_empty() { "/".into() } else { path };
        let container = container(&path);
        Self {
            json: (json::text(&path), container.as_deref().map(json::text)),
            path,
            container,
        }
    }
}

/// The names for one connection, as far as they exist.
#[derive(Debug, Default)]
pub struct ConnNames {
    /// The cgroup of the owner or socket.
    pub cgroup: Option<Rc<Cgroup>>,
    /// The name of its network namespace under `/run/netns`.
    pub netns: Option<Rc<str>>,
    /// The device that the socket is bound to.
    pub dev: Option<Dev>,
}

impl ConnNames {
    /// The path of the cgroup.
    pub fn cgroup_path(&self) -> Option<&str> {
        self.cgroup.as_ref().map(|c| c.path.as_str())
    }

    /// The container, derived from the cgroup's path.
    pub fn container(&self) -> Option<&str> {
        self.cgroup.as_ref()?.container.as_deref()
    }
}

/// Cache of names that are read from the file system.
pub struct Names {
    cgroup_root: Option<PathBuf>,
    netns_dir: Option<PathBuf>,
    refresh: Duration,
    cgroups: Cgroups,
    cgroups_read: Option<Duration>,
    namespaces: FxHashMap<u64, Rc<str>>,
    namespaces_read: Option<Duration>,
    devices: Devices,
    living: Living,
}

impl Names {
    /// Names of this host.
    pub fn of_host() -> Self {
        let names = Self::new(cgroup_root(), "/run/netns".into(), REFRESH);
        names
            .with_devices(Devices::of_host())
            .with_living(Living::of_host())
    }

    /// Names under a cgroup2 mount and in a directory of namespaces, which are read at most once in
    /// `refresh`. Devices have no names.
    pub fn new(cgroup_root: Option<PathBuf>, netns_dir: PathBuf, refresh: Duration) -> Self {
        Self {
            cgroup_root,
            netns_dir: Some(netns_dir),
            refresh,
            cgroups: FxHashMap::default(),
            cgroups_read: None,
            namespaces: FxHashMap::default(),
            namespaces_read: None,
            devices: Devices::new(Box::new(|_, _| None)),
            living: Living::default(),
        }
    }

    /// Only these cgroup paths and namespace names. Devices have no names.
    pub fn known(cgroups: &[(u64, String)], namespaces: &[(u32, String)]) -> Self {
        let cgroup = |(id, path): &(u64, String)| (*id, Some(Rc::new(Cgroup::new(path.clone()))));
        let namespace = |(inode, name): &(u32, String)| (u64::from(*inode), name.as_str().into());
        Self {
            netns_dir: None,
            cgroups: cgroups.iter().map(cgroup).collect(),
            namespaces: namespaces.iter().map(namespace).collect(),
            ..Self::new(None, PathBuf::new(), Duration::MAX)
        }
    }

    /// Adds names of devices.
    pub fn with_devices(self, devices: Devices) -> Self {
        Self { devices, ..self }
    }

    /// Adds which processes exist; otherwise none is said to have ended.
    pub fn with_living(self, living: Living) -> Self {
        Self { living, ..self }
    }

    /// Whether the owner of a connection at `ts` (monotonic nanoseconds) has ended.
    #[inline]
    pub fn has_ended(&mut self, who: &Ident, ts: u64) -> bool {
        self.living.has_ended(who.owner, ts)
    }

    /// The names for a connection.
    pub fn of(&mut self, who: &Ident) -> ConnNames {
        ConnNames {
            cgroup: self.cgroup_of(who),
            netns: self.netns(who.netns),
            dev: self.dev(who),
        }
    }

    /// Only the device that the socket is bound to.
    #[inline]
    pub fn dev(&mut self, who: &Ident) -> Option<Dev> {
        self.devices.of(who)
    }

    /// A device of a namespace; `pid` is a process that is likely in it.
    pub fn dev_at(&mut self, netns: u32, index: u32, pid: Option<u32>) -> Dev {
        self.devices.get(netns, index, pid)
    }

    /// Only the cgroup.
    pub fn cgroup_of(&mut self, who: &Ident) -> Option<Rc<Cgroup>> {
        who.cgroup.and_then(|id| self.cgroup(id))
    }

    /// The cgroup with this id.
    pub fn cgroup(&mut self, id: u64) -> Option<Rc<Cgroup>> {
        if let Some(known) = self.cgroups.get(&id) {
            return known.clone();
        }
        let root = self.cgroup_root.as_deref()?;
        if !due(&mut self.cgroups_read, self.refresh) {
            return None;
        }
        read_cgroups(root, &mut self.cgroups);
        // It existed before the directories were read, so it is gone and will not reappear.
        self.cgroups.entry(id).or_insert(None).clone()
    }

    fn netns(&mut self, inode: u32) -> Option<Rc<str>> {
        // Names and inode numbers are reused, so they are not kept for long.
        if let Some(dir) = &self.netns_dir {
            if due(&mut self.namespaces_read, self.refresh) {
                self.namespaces = read_namespaces(dir);
            }
        }
        self.namespaces.get(&inode.into()).cloned()
    }
}

/// Whether the last read is older than `refresh`; sets `read` to now if so.
fn due(read: &mut Option<Duration>, refresh: Duration) -> bool {
    let now = uptime();
    let due = read.is_none_or(|at| now.saturating_sub(at) >= refresh);
    if due {
        *read = Some(now);
    }
    due
}

/// The cheapest clock, because it is read for each record.
pub(crate) fn uptime() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).map_or(Duration::ZERO, Duration::from)
}

/// The mount point of cgroup2.
pub(crate) fn cgroup_root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    cgroup2_mount(&mounts)
}

/// The id of the cgroup in the text of `/proc/PID/cgroup`.
pub(crate) fn cgroup_id(root: &Path, cgroups: &str) -> Option<u64> {
    let path = cgroups.lines().find_map(|l| l.strip_prefix("0::/"))?;
    root.join(path).metadata().ok().map(|data| data.ino())
}

/// The mount point of cgroup2 in the text of `/proc/self/mountinfo`.
fn cgroup2_mount(mounts: &str) -> Option<PathBuf> {
    let root_of_cgroup2 = |line: &str| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (root == "/" && kind.starts_with("cgroup2 ")).then(|| PathBuf::from(point))
    };
    mounts.lines().find_map(root_of_cgroup2)
}

/// Adds the directories under `root` by inode number, which is the cgroup id.
fn read_cgroups(root: &Path, cgroups: &mut Cgroups) {
    let mut left = vec![(root.to_owned(), String::new())];
    while let Some((dir, path)) = left.pop() {
        // It may have been removed since.
        let Ok(data) = dir.metadata() else {
            continue;
        };
        for entry in entries(&dir).filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
            let name = entry.file_name();
            left.push((entry.path(), format!("{path}/{}", name.to_string_lossy())));
        }
        cgroups.insert(data.ino(), Some(Rc::new(Cgroup::new(path))));
    }
}

fn read_namespaces(dir: &Path) -> FxHashMap<u64, Rc<str>> {
    // Not the metadata of the entry itself: a name may be a link to /proc/PID/ns/net.
    let named = |entry: DirEntry| {
        let data = entry.path().metadata().ok()?;
        Some((data.ino(), entry.file_name().to_string_lossy().into()))
    };
    entries(dir).filter_map(named).collect()
}

/// The readable entries of a directory.
fn entries(dir: &Path) -> impl Iterator<Item = DirEntry> {
    fs::read_dir(dir).into_iter().flatten().flatten()
}

/// The innermost container in a cgroup's path: its id, or its name if it has no id (LXC, systemd's
/// machines).
fn container(cgroup: &str) -> Option<String> {
    cgroup.rsplit('/').find_map(container_of_part)
}

fn container_of_part(part: &str) -> Option<String> {
    let unit = part.strip_suffix(".scope").unwrap_or(part);
    let (before, last) = unit.rsplit_once(['-', ':']).unwrap_or(("", unit));
    // A container's monitor runs outside of the container.
    if is_container_id(last) && !before.ends_with("conmon") {
        return Some(last.to_owned());
    }
    let machine = || part.strip_prefix("machine-")?.strip_suffix(".scope");
    let nspawn = || {
        part.strip_prefix("systemd-nspawn@")?
            .strip_suffix(".service")
    };
    let name = part.strip_prefix("lxc.payload.");
    name.or_else(machine).or_else(nspawn).map(unescaped)
}

fn is_container_id(text: &str) -> bool {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    text.len() == CONTAINER_ID && text.bytes().all(hex)
}

/// The name of a machine; systemd escapes `-` as `\x2d`.
fn unescaped(name: &str) -> String {
    name.replace("\\x2d", "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn containers_are_seen_in_paths() {
        let other = ID.replace('0', "f");
        let with_id = [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/docker/{ID}"),
            format!("/docker/{other}/docker/{ID}/init"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
            format!("/kubepods.slice/crio-{ID}.scope/container"),
            format!("/kubepods/burstable/pod1-2/{ID}"),
            format!("/system.slice/kubepods-besteffort-pod1.slice:cri-containerd:{ID}"),
            format!("/user.slice/user-0.slice/libpod-{ID}.scope"),
            format!("/machine.slice/machine-a.scope/docker/{ID}"),
        ];
        for path in with_id {
            assert_eq!(container(&path).as_deref(), Some(ID), "{path}");
        }
        let with_name = [
            ("/lxc.payload.web-1/system.slice/nginx.service", "web-1"),
            ("/machine.slice/machine-db.scope", "db"),
            (
                "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt",
                "qemu-1-vm",
            ),
            ("/machine.slice/systemd-nspawn@deb.service/payload", "deb"),
        ];
        for (path, name) in with_name {
            assert_eq!(container(path).as_deref(), Some(name), "{path}");
        }
        let without = [
            "/".to_owned(),
            String::new(),
            "/user.slice/user-1000.slice/session-1.scope".into(),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            format!("/docker/{}", &ID[1..]),
            format!("/docker/{}", ID.to_uppercase()),
            format!("/libpod_pod_{ID}.slice"),
            "/lxc.monitor.web-1".into(),
        ];
        for path in without {
            assert_eq!(container(&path), None, "{path}");
        }
    }

    #[test]
    fn the_cgroup2_mount_is_found() {
        let hybrid = "\
            31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            40 31 0:38 /inner /mnt/part rw - cgroup2 cgroup2 rw\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";
        let found = cgroup2_mount(hybrid);
        assert_eq!(found.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(cgroup2_mount("31 23 0:28 / /x rw - tmpfs cgroup2 rw"), None);
        assert_eq!(cgroup2_mount("\n - cgroup2 \n1 2 3 -"), None);
    }

    /// A directory that is removed after the test.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let dir = format!("diagnose-tools-names-{}-{name}", std::process::id());
            let tree = Self(std::env::temp_dir().join(dir));
            fs::create_dir_all(&tree.0).unwrap();
            tree
        }

        /// Creates a directory and returns its inode number.
        fn make(&self, path: &str) -> u64 {
            let path = self.0.join(path);
            fs::create_dir_all(&path).unwrap();
            path.metadata().unwrap().ino()
        }

        fn names(&self, refresh: Duration) -> Names {
            Names::new(Some(self.0.clone()), self.0.clone(), refresh)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn cgroups_have_paths_that_outlive_them() {
        let tree = Tree::new("paths");
        let inner = tree.make("a.slice/b.service");
        let root = tree.0.metadata().unwrap().ino();
        let mut names = tree.names(Duration::ZERO);
        let mut path = |id| names.cgroup(id).map(|c| c.path.clone());
        assert_eq!(path(inner).as_deref(), Some("/a.slice/b.service"));
        assert_eq!(path(root).as_deref(), Some("/"));
        fs::remove_dir(tree.0.join("a.slice/b.service")).unwrap();
        assert_eq!(path(u64::MAX), None);
        assert_eq!(path(inner).as_deref(), Some("/a.slice/b.service"));
    }

    #[test]
    fn new_cgroups_are_looked_for_again_but_not_all_the_time() {
        let tree = Tree::new("again");
        let first = tree.make("a");
        for (refresh, found) in [(Duration::ZERO, true), (Duration::MAX, false)] {
            let mut names = tree.names(refresh);
            assert!(names.cgroup(first).is_some());
            let late = tree.make(&format!("late-{found}"));
            assert_eq!(names.cgroup(late).is_some(), found);
        }
    }

    #[test]
    fn what_is_gone_is_looked_for_once() {
        let tree = Tree::new("gone");
        let mut names = tree.names(Duration::ZERO);
        assert_eq!(names.cgroup(u64::MAX), None);
        let read = names.cgroups_read;
        assert!(read.is_some());
        assert_eq!(names.cgroup(u64::MAX), None);
        assert_eq!(names.cgroups_read, read);
    }

    #[test]
    fn namespaces_have_the_names_of_now() {
        let tree = Tree::new("netns");
        let own = Path::new("/proc/self/ns/net");
        let inode = u32::try_from(own.metadata().unwrap().ino()).unwrap();
        std::os::unix::fs::symlink(own, tree.0.join("blue")).unwrap();
        let mut names = tree.names(Duration::ZERO);
        assert_eq!(names.netns(inode).as_deref(), Some("blue"));
        fs::rename(tree.0.join("blue"), tree.0.join("red")).unwrap();
        assert_eq!(names.netns(inode).as_deref(), Some("red"));
        assert_eq!(names.netns(0), None);
    }

    #[test]
    fn nothing_to_read_is_no_failure() {
        let nowhere = PathBuf::from("/nonexistent");
        let mut names = Names::new(Some(nowhere.clone()), nowhere.clone(), Duration::ZERO);
        assert_eq!((names.cgroup(1), names.netns(1)), (None, None));
        assert_eq!(Names::new(None, nowhere, REFRESH).cgroup(1), None);
        let _ = Names::of_host().cgroup(1);
    }
}
