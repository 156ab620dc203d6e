//! What values of the command line refer to on this host.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::fmt::escape::printable;
use crate::host::devices;
use crate::model::key::{Lookup, Parsed};

/// Names of network namespaces.
const NAMED: &str = "/run/netns";

/// Looks at this host.
pub struct OfHost;

impl Lookup for OfHost {
    fn device(&self, name: &str, netns: u32) -> Parsed<u32> {
        devices::index(name, netns)
    }

    fn netns_of_devices(&self, netns: u32) -> Parsed<u32> {
        devices::netns_of_filter(netns)
    }

    fn netns(&self, name: &str) -> Parsed<u32> {
        if name.contains('/') || name.starts_with('.') {
            return Err("it is not a name".into());
        }
        let inode = Path::new(NAMED).join(name).metadata();
        let inode = inode
            .map_err(|e| format!("{NAMED}/{}: {e}", printable(name)))?
            .ino();
        u32::try_from(inode).map_err(|_| "its inode is out of range".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_looked_up_by_its_name() {
        assert_eq!(OfHost.netns("../x"), Err("it is not a name".into()));
        assert_eq!(OfHost.netns("."), Err("it is not a name".into()));
        let reason = OfHost.netns("no-such-netns").unwrap_err();
        assert!(reason.starts_with("/run/netns/no-such-netns: "), "{reason}");
    }
}
