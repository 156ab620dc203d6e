//! Looks up values of the command line on this host.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::fmt::errno;
use crate::fmt::escape::printable;
use crate::fmt::text::{text, words};
use crate::host::devices;
use crate::model::key::{Lookup, Parsed};

/// The namespace of the caller.
const HERE: &str = "/proc/self/ns/net";
/// Directory of named network namespaces.
const NAMED: &str = "/run/netns";

/// Looks up names on this host.
pub struct OfHost;

impl Lookup for OfHost {
    fn device(&self, name: &str, netns: u32) -> Parsed<u32> {
        devices::index(name, netns)
    }

    fn netns_of_devices(&self, netns: u32) -> Parsed<u32> {
        devices::netns_of_filter(netns)
    }

    fn netns(&self, name: &str) -> Parsed<u32> {
        if !name.starts_with('/') && (name.contains('/') || name.starts_with('.')) {
            return Err(words!(
                "it is neither a name nor a path from /",
                "它既不是名称，也不是以 / 开头的路径"
            )
            .into());
        }
        // An absolute path replaces the directory.
        let path = Path::new(NAMED).join(name);
        let inode = netns_at(&path).map_err(|reason| {
            let path = printable(&path.to_string_lossy());
            text!("{path}: {reason}", "路径 {path}：{reason}"; reason)
        })?;
        u32::try_from(inode)
            .map_err(|_| words!("its inode is out of range", "其 inode 号超出范围").into())
    }
}

/// The inode number of the network namespace at a path.
fn netns_at(path: &Path) -> Parsed<u64> {
    let data = path.metadata().map_err(|e| errno::of(&e))?;
    let here = Path::new(HERE).metadata().map_err(|e| errno::of(&e))?;
    // The links under `/proc/PID/ns` show the kind of namespace.
    let kind = path.read_link().unwrap_or_default();
    let of_net = |kind: &str| !kind.contains(":[") || kind.starts_with("net:[");
    if data.dev() != here.dev() || !of_net(&kind.to_string_lossy()) {
        return Err(words!("it is not a network namespace", "它不是网络命名空间").into());
    }
    Ok(data.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_looked_up_by_its_name() {
        for odd in ["../x", ".", "a/b"] {
            let reason = OfHost.netns(odd).unwrap_err();
            assert_eq!(reason.en(), "it is neither a name nor a path from /");
        }
        let reason = OfHost.netns("no-such-netns").unwrap_err();
        let expected = "/run/netns/no-such-netns: ";
        assert!(reason.en().starts_with(expected), "{reason:?}");
    }

    #[test]
    fn a_namespace_is_looked_up_by_its_path() {
        let here = Path::new(HERE).metadata().unwrap().ino();
        let here = u32::try_from(here).unwrap();
        let of_this = format!("/proc/{}/ns/net", std::process::id());
        assert_eq!(OfHost.netns(&of_this), Ok(here));
        assert_eq!(OfHost.netns(HERE), Ok(here));
        let link = std::env::temp_dir().join(format!("netns-{}", std::process::id()));
        std::os::unix::fs::symlink(HERE, &link).unwrap();
        let by_link = OfHost.netns(link.to_str().unwrap());
        std::fs::remove_file(&link).unwrap();
        assert_eq!(by_link, Ok(here));
        for other in ["/proc/self/ns/mnt", "/etc/passwd", "/"] {
            let reason = OfHost.netns(other).unwrap_err();
            let expected = format!("{other}: it is not a network namespace");
            assert_eq!(reason.en(), expected);
        }
        let reason = OfHost.netns("/proc/0/ns/net").unwrap_err();
        assert!(
            reason.en().starts_with("/proc/0/ns/net: No such file"),
            "{reason:?}"
        );
    }
}
