//! Files that are kept from one call to the next in a folder that only root can change. They are lost
//! at a reboot.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use crate::fmt::errno;
use crate::fmt::text::{Text, words};
use crate::module::trust::{Fault, Folder, Owners};

/// The folder.
pub const FOLDER: &str = "/run/diagnose-tools";
/// A longer file was not written by this program.
const MOST_BYTES: u64 = 16 << 20;
/// Time between two tries to lock a file.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// An error of the system, for a path.
pub fn fault(path: &Path, error: &io::Error) -> Fault {
    Fault::System {
        path: path.to_owned(),
        errno: error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
    }
}

/// Opens a folder, which is created if it does not exist.
///
/// # Errors
/// It cannot be created, or another user can change it.
pub fn folder(path: &Path) -> Result<Folder, Fault> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(fault(path, &error));
        }
        _ => {}
    }
    Folder::open(path, &Owners::root().and(geteuid().as_raw()))
}

/// Reads a file; `None`: there is none. The error says why it cannot be used.
///
/// # Errors
/// It cannot be read, another user can change it, or it is too long.
pub fn read(folder: &Folder, name: &OsStr) -> Result<Option<Vec<u8>>, Text> {
    let file = match folder.file(name) {
        Err(Fault::System {
            errno: Errno::ENOENT,
            ..
        }) => return Ok(None),
        other => other.map_err(|fault| fault.text())?,
    };
    let mut bytes = Vec::new();
    let read = file.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| errno::of(&error))?;
    match bytes.len() as u64 > MOST_BYTES {
        true => Err(words!("it is too long", "文件过长").into()),
        false => Ok(Some(bytes)),
    }
}

/// Waits for the lock of a file or folder.
///
/// # Errors
/// Another process has it for longer than `patience`.
pub fn lock(mut file: File, patience: Duration) -> io::Result<Flock<File>> {
    let start = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((_, errno)) if start.elapsed() >= patience => return Err(errno.into()),
            Err((unlocked, _)) => file = unlocked,
        }
        sleep(LOCK_RETRY);
    }
}
