//! `cursor=`: a position of its own for each periodic reader. It is moved after the output is
//! completely written, so an event may be printed twice, but is never lost.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::backend::capture::file::Temporary;
use crate::command::kept;
use crate::error::{Error, Result};
use crate::fmt::errno;
use crate::fmt::escape::printable;
use crate::fmt::text::{Text, Words, text, words};
use crate::model::activation::Settings;
use crate::model::event::{Position, Progress};
use crate::module::trust::Folder;
use crate::stderr;

/// The folder of the cursors, in [`kept::FOLDER`].
const FOLDER: &str = "cursors";
/// Version of the files.
const VERSION: u32 = 1;
const DAMAGED: Words = words!("it is damaged", "文件已损坏");
/// How long to wait for another reader with the same cursor.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// A file with a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    version: u32,
    generation: u64,
    activated_ns: u64,
    /// CPU of a ring, and position of its next record.
    positions: Vec<(u32, u64)>,
}

/// A cursor that no other process can use until it is dropped.
pub struct Cursor {
    folder: Folder,
    name: String,
    _lock: Flock<File>,
    settings: Settings,
    /// Where to start; empty: at the oldest record.
    pub positions: Vec<Position>,
}

impl Cursor {
    /// Reads the cursor of this name in `folder`, for the activation of these settings.
    ///
    /// # Errors
    /// It is damaged, another reader uses it, or it cannot be read.
    pub fn open(
        backend: &dyn Backend,
        settings: &Settings,
        folder: &Path,
        name: &str,
    ) -> Result<Self> {
        let cannot = |problem: Text| {
            Error::Other(text!("cursor {name}: {problem}", "游标 {name}：{problem}"; problem))
        };
        let parent = kept::folder(folder).map_err(|fault| cannot(fault.text()))?;
        let path = parent.path().join(FOLDER);
        let folder = kept::folder(&path).map_err(|fault| cannot(fault.text()))?;
        let lock = lock(&folder, name).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                let text = words!(
                    "another report uses it: wait for it",
                    "另一个报告正在使用它：请等待"
                );
                cannot(text.into())
            }
            _ => cannot(errno::of(&error)),
        })?;
        let mut cursor = Self {
            folder,
            name: name.to_owned(),
            _lock: lock,
            settings: settings.clone(),
            positions: Vec::new(),
        };
        cursor.read(backend)?;
        Ok(cursor)
    }

    fn read(&mut self, backend: &dyn Backend) -> Result<()> {
        let bytes = kept::read(&self.folder, OsStr::new(&self.name));
        let Some(bytes) = bytes.map_err(|reason| self.unusable(reason))? else {
            return Ok(());
        };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|_| self.unusable(DAMAGED))?;
        if stored.version != VERSION {
            return Err(self.unusable(words!(
                "another version of this program wrote it",
                "它由本程序的其他版本写出"
            )));
        }
        let is_same = (stored.generation, stored.activated_ns)
            == (self.settings.generation, self.settings.activated_ns);
        if !is_same {
            let name = &self.name;
            stderr::warn(&text!(
                "cursor {name}: the recording was restarted since: it begins anew",
                "游标 {name}：此后记录被重新启动：从头开始"
            ));
            return Ok(());
        }
        let position = |(cpu, next)| Position { cpu, next };
        self.positions = stored.positions.into_iter().map(position).collect();
        let rings = backend.rings()?;
        let is_beyond = |position: &Position| {
            let ring = rings.iter().find(|ring| ring.cpu == position.cpu);
            ring.is_none_or(|ring| position.next > ring.head)
        };
        match self.positions.iter().any(is_beyond) {
            true => Err(self.unusable(DAMAGED)),
            false => Ok(()),
        }
    }

    /// An error that says how to start again.
    fn unusable(&self, reason: impl Into<Text>) -> Error {
        let (name, reason) = (&self.name, reason.into());
        let file = self.folder.path().join(name);
        let file = printable(&file.to_string_lossy());
        Error::Other(text!(
            "cursor {name}: {reason}: remove {file}",
            "游标 {name}：{reason}：请删除 {file}";
            reason
        ))
    }

    /// Moves the cursor behind the events that were read.
    ///
    /// # Errors
    /// The file cannot be written: the next report prints the same events again.
    pub fn commit(self, read: &[Progress]) -> Result<()> {
        let stored = Stored {
            version: VERSION,
            generation: self.settings.generation,
            activated_ns: self.settings.activated_ns,
            positions: read.iter().map(|ring| (ring.cpu, ring.to)).collect(),
        };
        self.write(&stored).map_err(|error| {
            let name = &self.name;
            let what = text!(
                "cursor {name} was not moved, the next report prints the same events again",
                "游标 {name} 没有移动，下次报告会再次输出相同的事件：写入"
            );
            Error::system(what, error)
        })
    }

    fn write(&self, stored: &Stored) -> io::Result<()> {
        let path = self.folder.path();
        let file = Temporary::create(path)?;
        file.file().write_all(&serde_json::to_vec(stored)?)?;
        file.persist(path, &path.join(&self.name))
    }
}

/// Locks a cursor. Its file is replaced, so another one is locked.
fn lock(folder: &Folder, name: &str) -> io::Result<Flock<File>> {
    let path = folder.path().join(format!("{name}.lock"));
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    kept::lock(file, LOCK_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let stored = Stored {
            version: VERSION,
            generation: 7,
            activated_ns: u64::MAX,
            positions: vec![(0, 5), (3, u64::MAX)],
        };
        let json = serde_json::to_vec(&stored).unwrap();
        assert_eq!(serde_json::from_slice::<Stored>(&json).unwrap(), stored);
    }
}
