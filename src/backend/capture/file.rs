//! Files that are there as a whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use crate::error::{Error, Result};
use crate::fmt::escape::printable;

/// What errors call a file.
pub fn name_of(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Writes a file that only its owner may read and that replaces an older one when all of it is on
/// the disk; until then it has another name in the same directory, and that goes when it fails.
///
/// # Errors
/// There is something else of this name, the directory takes no file, or what `write` fails with.
pub fn replace<T>(path: &Path, write: impl FnOnce(&File) -> Result<T>) -> Result<T> {
    let failed = |error: io::Error| Error::system(format!("writing {}", name_of(path)), error);
    let file = temporary(path).map_err(failed)?;
    let written = write(file.as_file())?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist(path) {
        Ok(_) => Ok(written),
        Err(error) => Err(failed(error.error)),
    }
}

/// A file of mode 0600 beside `path`, that is removed when it is dropped.
fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => return Err(not_regular()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(not_regular()),
    };
    let mut builder = Builder::new();
    let builder = builder.prefix(".diagnose-tools-").suffix(".tmp");
    builder.tempfile_in(directory)
}

/// Opens a regular file: to open a pipe or a device may wait, or do anything.
///
/// # Errors
/// It is something else, or cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    match fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(not_regular()),
    }
}

fn not_regular() -> io::Error {
    io::Error::other("it is not a regular file")
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
            Err::<(), _>(Error::Stale)
        });
        assert!(matches!(failed, Err(Error::Stale)));
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
            let error = replace(path, |_| Ok(())).unwrap_err().to_string();
            let expected = format!("writing {}: it is not a regular file", path.display());
            assert_eq!(error, expected);
            assert!(open(path).is_err());
        }
        let nowhere = directory.path().join("none/file");
        assert!(replace(&nowhere, |_| Ok(())).is_err() && open(&nowhere).is_err());
        assert_eq!(names(directory.path()), ["link"]);
    }
}
