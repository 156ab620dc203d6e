//! Names of cgroups, containers and network namespaces.

use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnose_tools::abi::{RawConn, RawRecord};
use diagnose_tools::fmt::width::width;
use diagnose_tools::host::names::Names;
use diagnose_tools::render::i18n::Lang;
use serde_json::Value;
use testkit::fake::{Fake, NOW};
use testkit::printed::printed;
use testkit::records::{Bytes, conn, full_record};

use crate::support::style;

/// A directory with cgroups and names of network namespaces, which is removed at the end of the
/// test.
struct Host(PathBuf);

impl Host {
    fn new(name: &str) -> Self {
        let dir = format!("diagnose-tools-host-{}-{name}", std::process::id());
        let host = Self(std::env::temp_dir().join(dir));
        fs::create_dir_all(host.0.join("netns")).unwrap();
        host
    }

    /// Makes a cgroup and returns its id.
    fn cgroup(&self, path: &str) -> u64 {
        let dir = self.0.join("cgroup").join(path);
        fs::create_dir_all(&dir).unwrap();
        dir.metadata().unwrap().ino()
    }

    /// Gives the network namespace of this process a name, and returns its number.
    fn name_netns(&self, name: &str) -> u32 {
        let own = Path::new("/proc/self/ns/net");
        std::os::unix::fs::symlink(own, self.0.join("netns").join(name)).unwrap();
        own.metadata().unwrap().ino().try_into().unwrap()
    }

    fn names(&self) -> Names {
        Names::new(
            Some(self.0.join("cgroup")),
            self.0.join("netns"),
            Duration::ZERO,
        )
    }

    fn report(&self, fake: &Fake, keys: &str, width: Option<usize>) -> String {
        printed(fake, keys, style(fake, Lang::En, width), self.names())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn cgroups_containers_and_namespaces_have_names() {
    let host = Host::new("names");
    let path = format!("system.slice/docker-{CONTAINER}.scope");
    let (id, netns) = (host.cgroup(&path), host.name_netns("blue"));
    let mut fake = Fake::new(1, 64);
    fake.verbose = 2;
    let mut event = Bytes(full_record(NOW));
    event.place(offset_of!(RawRecord, who), id, netns);
    fake.rings[0].write(&event.0);
    let mut live = Bytes(conn("10.0.0.1:1", 1, NOW, 7));
    live.place(offset_of!(RawConn, who), id, netns);
    *fake.conns.borrow_mut() = vec![live.0];
    let text = host.report(&fake, "json=1 peek=1", None);
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    for line in &lines[..2] {
        assert_eq!(line["cgroup"], format!("/{path}"));
        assert_eq!(line["cgroup_id"], id);
        assert_eq!(line["container"], CONTAINER);
        assert_eq!(
            (&line["netns"], &line["netns_name"]),
            (&netns.into(), &"blue".into())
        );
    }
    let table = host.report(&fake, "peek=1 transitions=0 summary=0", None);
    assert!(table.contains(" 0123456789ab -\n"), "{table}");
    let narrow = host.report(&fake, "peek=1 format=detail summary=0", Some(80));
    for value in [" 0123456789abcdef", "~", "89abcdef.scope\n"] {
        assert!(narrow.contains(value), "{value}: {narrow}");
    }
    assert!(narrow.lines().all(|l| width(l) <= 80), "{narrow}");
    let detail = host.report(&fake, "peek=1 format=detail summary=0", None);
    for value in [
        format!("/{path}\n"),
        format!("{CONTAINER}\n"),
        format!("{netns} (blue)\n"),
    ] {
        assert_eq!(detail.matches(&value).count(), 2, "{value}: {detail}");
    }
}
