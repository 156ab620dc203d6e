//! Files that exist completely or not at all.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::libc::O_TMPFILE;
use nix::unistd::linkat;
use tempfile::{Builder, NamedTempFile};

use crate::error::{Error, Result};
use crate::fmt::errno;
use crate::fmt::escape::printable;
use crate::fmt::text::{text, words};

/// Name of a file in errors.
pub fn name_of(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Writes a file that only its owner may read. It replaces an existing file only after all data is
/// on disk. Until then it has no name, so a killed process leaves nothing behind. On a file system
/// without unnamed files it has a temporary name in the same directory.
///
/// # Errors
/// The name belongs to something that is not a regular file, the directory is not writable, or
/// `write` fails.
pub fn replace<T>(path: &Path, write: impl FnOnce(&File) -> Result<T>) -> Result<T> {
    let failed = |error: io::Error| {
        let name = name_of(path);
        Error::system(text!("writing {name}", "写入 {name} "), error)
    };
    let directory = directory_of(path).map_err(failed)?;
    let file = Temporary::create(directory).map_err(failed)?;
    let written = write(file.file())?;
    file.file().sync_all().map_err(failed)?;
    file.persist(directory, path).map_err(failed)?;
    Ok(written)
}

/// The directory in which a regular file exists or may be created.
fn directory_of(path: &Path) -> io::Result<&Path> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => return Err(not_regular()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(parent) => Ok(parent),
        None => Err(not_regular()),
    }
}

/// A file of mode 0600 that is removed on drop.
pub enum Temporary {
    /// It has no name.
    Unnamed(File),
    /// The file system has no unnamed files.
    Named(NamedTempFile),
}

impl Temporary {
    /// Creates it in a directory.
    ///
    /// # Errors
    /// The directory is not writable.
    pub fn create(directory: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let unnamed = options.write(true).mode(0o600).custom_flags(O_TMPFILE);
        match unnamed.open(directory) {
            Ok(file) => Ok(Self::Unnamed(file)),
            // The file system has no unnamed files. Other errors occur with a named file too.
            Err(_) => names().tempfile_in(directory).map(Self::Named),
        }
    }

    /// The open file.
    pub fn file(&self) -> &File {
        match self {
            Self::Unnamed(file) => file,
            Self::Named(file) => file.as_file(),
        }
    }

    /// Gives it a name in this directory, and replaces the file that has the name.
    ///
    /// # Errors
    /// The directory is not writable, or the name belongs to a directory.
    pub fn persist(self, directory: &Path, path: &Path) -> io::Result<()> {
        match self {
            Self::Named(file) => file.persist(path).map(drop).map_err(|e| e.error),
            // `linkat` does not replace a name, so it gets a temporary name and is then renamed.
            Self::Unnamed(file) => {
                let link = |name: &Path| link(&file, name);
                let linked = names().make_in(directory, link)?;
                linked.persist(path).map(drop).map_err(|e| e.error)
            }
        }
    }
}

fn names() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".diagnose-tools-").suffix(".tmp");
    builder
}

fn link(file: &File, name: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    let follow = AtFlags::AT_SYMLINK_FOLLOW;
    Ok(linkat(AT_FDCWD, open.as_str(), AT_FDCWD, name, follow)?)
}

/// Opens a regular file only: opening a pipe or a device may block or have side effects.
///
/// # Errors
/// It is not a regular file, or cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    match fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(not_regular()),
    }
}

fn not_regular() -> io::Error {
    errno::other(words!("it is not a regular file", "它不是普通文件"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let names = fs::read_dir(directory).unwrap().map(name);
        let mut names: Vec<_> = names.map(|n| n.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let put = |text: &'static str| {
            move |mut file: &File| file.write_all(text.as_bytes()).map_err(Error::Write)
        };
        replace(&path, put("one")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        replace(&path, put("two")).unwrap();
        let failed = replace(&path, |mut file| {
            file.write_all(b"three").map_err(Error::Write)?;
            // Nothing remains if the process is killed here.
            assert_eq!(names(directory.path()), ["file"]);
            Err::<(), _>(Error::Stale)
        });
        assert!(matches!(failed, Err(Error::Stale)));
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(directory.path()), ["file"]);
    }

    #[test]
    fn a_file_with_a_name_is_replaced_and_removed_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "one").unwrap();
        let create = || Temporary::Named(super::names().tempfile_in(directory.path()).unwrap());
        drop(create());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let file = create();
        file.file().write_all(b"two").unwrap();
        file.persist(directory.path(), &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(directory.path()), ["file"]);
    }

    #[test]
    fn what_is_no_regular_file_stays() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        symlink("/dev/null", &link).unwrap();
        for path in [
            &link,
            directory.path(),
            Path::new("/"),
            Path::new("/dev/null"),
        ] {
            let error = replace(path, |_| Ok(()))
                .unwrap_err()
                .text()
                .en()
                .to_owned();
            let expected = format!("writing {}: it is not a regular file", path.display());
            assert_eq!(error, expected);
            assert!(open(path).is_err());
        }
        let nowhere = directory.path().join("none/file");
        assert!(replace(&nowhere, |_| Ok(())).is_err() && open(&nowhere).is_err());
        assert_eq!(names(directory.path()), ["link"]);
    }
}
