//! The file with the findings of earlier diagnoses. Only root can read or change it, and it is lost
//! at a reboot. A diagnosis that cannot use it works without it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use crate::backend::capture::file::Temporary;
use crate::command::kept;
use crate::diagnose::Diagnosis;
use crate::diagnose::history::History;
use crate::error::{Error, Result};
use crate::fmt::escape::printable;
use crate::fmt::text::{Text, text};
use crate::module::trust::{Fault, Folder};
use crate::stderr;

/// The file.
const NAME: &str = "findings";
/// How long to wait for another diagnosis that writes the file.
const LOCK_WAIT: Duration = Duration::from_secs(5);

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
            let reason = fault.text();
            let text = text!(
                "findings are not compared with earlier ones: {reason}",
                "未与以前的诊断结果比较：{reason}";
                reason
            );
            match fault {
                // Not root, or a read-only file system.
                Fault::System { .. } => stderr::note(&text),
                _ => stderr::warn(&text),
            }
        }
        opened.ok()
    }

    fn in_folder(path: &Path) -> std::result::Result<Self, Fault> {
        let folder = kept::folder(path)?;
        let history = read(&folder).unwrap_or_else(|reason| {
            let file = printable(&folder.path().join(NAME).to_string_lossy());
            stderr::warn(&text!("{file} is ignored: {reason}", "忽略 {file}：{reason}"; reason));
            History::default()
        });
        Ok(Self {
            file: Temporary::create(folder.path()).map_err(|e| kept::fault(path, &e))?,
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
            let reason = error.text();
            stderr::warn(&text!(
                "findings are not remembered: {reason}",
                "未能保存诊断结果：{reason}";
                reason
            ));
        }
    }

    fn write(self, diagnosis: &Diagnosis) -> Result<()> {
        let path = self.folder.path();
        let failed = |error: io::Error| {
            let path = printable(&path.to_string_lossy());
            Error::system(text!("writing in {path}", "写入 {path} "), error)
        };
        // The file itself is replaced, so it cannot be locked.
        let folder = File::open(path).and_then(|folder| kept::lock(folder, LOCK_WAIT));
        let _lock = folder.map_err(failed)?;
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
fn read(folder: &Folder) -> std::result::Result<History, Text> {
    match kept::read(folder, OsStr::new(NAME))? {
        None => Ok(History::default()),
        Some(json) => History::parse(&json),
    }
}
