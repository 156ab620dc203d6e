//! A folder that is removed at the end.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use diagnose_tools::module::trust::{Folder, Owners};
use nix::unistd::geteuid;

/// A folder that no other user can change.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Creates it in `top`, which is `CARGO_TARGET_TMPDIR`. `None` if that is writable by others:
    /// nothing in it is trusted then.
    pub fn new(top: &str, name: &str) -> Option<Self> {
        let top = Path::new(top);
        let owners = Owners::root().and(geteuid().as_raw());
        if let Err(fault) = Folder::open(top, &owners) {
            eprintln!("not tried: {}", fault.text().en());
            return None;
        }
        let path = top.join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Some(Self(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
