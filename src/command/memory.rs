//! The file with the findings of earlier diagnoses. Only root can read or change it, and it is lost
//! at a reboot. A diagnosis that cannot use it works without it.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use crate::backend::capture::file::Temporary;
use crate::diagnose::Diagnosis;
use crate::diagnose::history::History;
use crate::error::{Error, Result};
use crate::fmt::escape::printable;
use crate::module::trust::{Fault, Folder, Owners};
use crate::stderr;

/// The folder of the file.
pub const FOLDER: &str = "/run/diagnose-tools";
/// The file.
const NAME: &str = "findings";
/// A longer file was not written by this program.
const MOST_BYTES: u64 = 16 << 20;
/// How long to wait for another diagnosis that writes the file, and between two tries.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// The findings of earlier diagnoses, and the file that will replace theirs.
pub struct Memory {
    folder: Folder,
    file: Temporary,
    history: History,
}

impl Memory {
    /// Reads the file in a folder, which is created if it does not exist. `None`, with a note, if
    /// the file cannot be replaced, or if another user could have changed it.
    pub fn open(path: &Path) -> Option<Self> {
        let opened = Self::in_folder(path);
        if let Err(fault) = &opened {
            let text = format!("findings are not compared with earlier ones: {fault}");
            match fault {
                // Not root, or a read-only file system.
                Fault::System { .. } => stderr::note(&text),
                _ => stderr::warn(&text),
            }
        }
        opened.ok()
    }

    fn in_folder(path: &Path) -> std::result::Result<Self, Fault> {
        let failed = |error: io::Error| Fault::System {
            path: path.to_owned(),
            errno: error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
        };
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let owners = Owners::root().and(geteuid().as_raw());
        let folder = Folder::open(path, &owners)?;
        let history = read(&folder).unwrap_or_else(|reason| {
            let file = printable(&folder.path().join(NAME).to_string_lossy());
            stderr::warn(&format!("{file} is ignored: {reason}"));
            History::default()
        });
        Ok(Self {
            file: Temporary::create(folder.path()).map_err(failed)?,
            folder,
            history,
        })
    }

    /// Compares a diagnosis with earlier ones.
    pub fn compare(&self, diagnosis: &mut Diagnosis) {
        self.history.compare(diagnosis);
    }

    /// Remembers the diagnosis, with a warning if that fails. To be called after the output is
    /// completely written.
    pub fn commit(self, diagnosis: &Diagnosis) {
        if let Err(error) = self.write(diagnosis) {
            stderr::warn(&format!("findings are not remembered: {error}"));
        }
    }

    fn write(self, diagnosis: &Diagnosis) -> Result<()> {
        let path = self.folder.path();
        let failed = |error: io::Error| {
            let path = printable(&path.to_string_lossy());
            Error::system(format!("writing in {path}"), error)
        };
        let _lock = lock(path).map_err(failed)?;
        // Another diagnosis may have replaced it. A damaged one was reported when it was read.
        let mut history = read(&self.folder).unwrap_or_default();
        if history.remember(diagnosis) {
            let json = history.to_json().map_err(io::Error::from);
            let write = |json: Vec<u8>| self.file.file().write_all(&json);
            json.and_then(write).map_err(failed)?;
            self.file.persist(path, &path.join(NAME)).map_err(failed)?;
        }
        Ok(())
    }
}

/// Reads the file. The error says why it cannot be used.
fn read(folder: &Folder) -> std::result::Result<History, String> {
    let file = match folder.file(OsStr::new(NAME)) {
        Err(Fault::System {
            errno: Errno::ENOENT,
            ..
        }) => return Ok(History::default()),
        other => other.map_err(|fault| fault.to_string())?,
    };
    let mut json = Vec::new();
    let read = file.take(MOST_BYTES + 1).read_to_end(&mut json);
    read.map_err(|error| error.to_string())?;
    match json.len() as u64 > MOST_BYTES {
        true => Err("it is too long".into()),
        false => History::parse(&json).map_err(|reason| printable(&reason)),
    }
}

/// Waits for the lock of the folder; the file itself is replaced, so it cannot be locked.
fn lock(path: &Path) -> io::Result<Flock<File>> {
    let start = Instant::now();
    let mut folder = File::open(path)?;
    loop {
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((_, errno)) if start.elapsed() >= LOCK_WAIT => return Err(errno.into()),
            Err((unlocked, _)) => folder = unlocked,
        }
        sleep(LOCK_RETRY);
    }
}
