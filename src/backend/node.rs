//! The device node under `/dev`. devtmpfs creates it; without devtmpfs, we do. A node that remains
//! from an earlier load may now belong to another device.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::stat::{Mode, SFlag, major, makedev, mknod};

use crate::abi;
use crate::error::{Error, Result};
use crate::fmt::text::text;

/// How long to wait for devtmpfs.
const WAIT: Duration = Duration::from_secs(2);
/// The major number of misc devices.
const MISC_MAJOR: u64 = 10;
/// File in which the kernel lists misc devices.
const MISC: &str = "/proc/misc";

/// Waits for the node, and creates it if it does not appear. Replaces a node of another device if
/// root created it.
///
/// # Errors
/// The kernel does not list the device, or the node cannot be created.
pub fn ensure(path: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        let listed = fs::read_to_string(MISC).unwrap_or_default();
        let minor = misc_minor(&listed, abi::DEVICE_NAME);
        let waiting = start.elapsed() < WAIT;
        match (fs::metadata(path), minor) {
            (Ok(node), Some(minor)) if is_misc(&node, minor) => return Ok(()),
            (Ok(_), Some(minor)) => return replace(path, minor),
            // `/proc/misc` cannot be read, so there is no number to compare with.
            (Ok(_), None) if listed.is_empty() => return Ok(()),
            (Err(_), Some(minor)) if !waiting => return make(path, minor),
            (_, None) if !waiting => {
                let name = abi::DEVICE_NAME;
                return Err(Error::Other(text!(
                    "the module is loaded, but {MISC} has no {name}: see the kernel's log (dmesg)",
                    "内核模块已加载，但 {MISC} 中没有 {name}：请查看内核日志（`dmesg`）"
                )));
            }
            _ => sleep(Duration::from_millis(20)),
        }
    }
}

/// Checks a node before it is opened: a stale node may belong to another device, and opening that
/// may have side effects.
///
/// # Errors
/// It is the node of another misc device.
pub fn check(path: &Path) -> Result<()> {
    let (Ok(node), Ok(listed)) = (fs::metadata(path), fs::read_to_string(MISC)) else {
        // Opening it reports the error; without /proc there is no number to compare with.
        return Ok(());
    };
    check_with(path, &node, &listed)
}

fn check_with(path: &Path, node: &Metadata, listed: &str) -> Result<()> {
    if !node.file_type().is_char_device() || major(node.rdev()) != MISC_MAJOR {
        return Ok(());
    }
    match misc_minor(listed, abi::DEVICE_NAME) {
        None => Err(Error::NotLoaded),
        Some(minor) if is_misc(node, minor) => Ok(()),
        Some(_) => Err(Error::NotTheDevice(path.display().to_string())),
    }
}

fn is_misc(node: &Metadata, minor: u64) -> bool {
    node.file_type().is_char_device() && node.rdev() == makedev(MISC_MAJOR, minor)
}

fn replace(path: &Path, minor: u64) -> Result<()> {
    let node = fs::symlink_metadata(path);
    let ours = node.is_ok_and(|n| n.file_type().is_char_device() && n.uid() == 0);
    if !ours {
        let path = path.display();
        return Err(Error::Other(text!(
            "{path} is not the module's device, and no old node of root's: remove it, and run \
             `diagnose-tools install` again",
            "{path} 不是内核模块的设备，也不是 root 的旧设备节点：请删除它，并再次运行 \
             `diagnose-tools install`"
        )));
    }
    let failed = |error: std::io::Error| {
        let path = path.display();
        Error::system(text!("removing {path}", "删除 {path} "), error)
    };
    fs::remove_file(path).map_err(failed)?;
    make(path, minor)
}

fn make(path: &Path, minor: u64) -> Result<()> {
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    mknod(path, SFlag::S_IFCHR, mode, makedev(MISC_MAJOR, minor)).map_err(|e| {
        let path = path.display();
        Error::system(text!("making {path}", "创建 {path} "), e)
    })
}

/// The minor number of a misc device in the text of `/proc/misc`.
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

    #[test]
    fn what_is_no_misc_device_is_left_to_opening() {
        for path in ["/dev/null", "/dev", "/proc/misc"] {
            let (path, listed) = (Path::new(path), "58 diagnose-tcpstates\n");
            let node = fs::metadata(path).unwrap();
            assert!(check_with(path, &node, listed).is_ok());
            assert!(!is_misc(&node, 58));
        }
    }

    #[test]
    fn only_an_old_node_of_roots_is_replaced() {
        let file = std::env::temp_dir().join(format!("diagnose-tools-node-{}", std::process::id()));
        fs::write(&file, "data").unwrap();
        let text = replace(&file, 58).unwrap_err().text();
        assert!(text.en().contains("remove it"), "{text:?}");
        assert_eq!(fs::read(&file).unwrap(), b"data");
        fs::remove_file(file).unwrap();
    }
}
