//! The node under `/dev`: devtmpfs makes it; where there is none, we do.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::abi;
use crate::error::{Error, Result};

/// How long devtmpfs may take.
const WAIT: Duration = Duration::from_secs(2);
/// The major number of misc devices.
const MISC_MAJOR: u64 = 10;

/// Waits for the node, then makes it.
///
/// # Errors
/// The kernel does not list the device, or the node cannot be made.
pub fn ensure(path: &Path) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < WAIT {
        if path.exists() {
            return Ok(());
        }
        sleep(Duration::from_millis(20));
    }
    let listed = fs::read_to_string("/proc/misc").unwrap_or_default();
    let Some(minor) = misc_minor(&listed, abi::DEVICE_NAME) else {
        return Err(Error::Other(format!(
            "the module is loaded, but /proc/misc has no {}: see the kernel's log (dmesg)",
            abi::DEVICE_NAME
        )));
    };
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    mknod(path, SFlag::S_IFCHR, mode, makedev(MISC_MAJOR, minor))
        .map_err(|e| Error::system(format!("making {}", path.display()), e))
}

/// The minor number of a misc device, from the text of `/proc/misc`.
fn misc_minor(listed: &str, name: &str) -> Option<u64> {
    let line = |l: &str| {
        let (minor, other) = l.trim().split_once(' ')?;
        (other == name).then(|| minor.parse().ok()).flatten()
    };
    listed.lines().find_map(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_number_is_found() {
        let listed = "124 udmabuf\n 58 diagnose-tcpstates\n  1 psaux\n";
        assert_eq!(misc_minor(listed, "diagnose-tcpstates"), Some(58));
        assert_eq!(misc_minor(listed, "tcpstates"), None);
        assert_eq!(misc_minor("", "x"), None);
    }
}
