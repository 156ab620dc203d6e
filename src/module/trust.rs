//! Checks files that root uses: a file that others own or may write to is neither built nor loaded.
//!
//! A path is followed folder by folder: each is opened relative to its parent and checked by its
//! descriptor. A file that is opened in a [`Folder`] is the one that was checked, even if names on
//! the path change.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use crate::fmt::errno;
use crate::fmt::escape::printable;
use crate::fmt::text::{Text, Words, text, words};

/// Maximum number of symbolic links, as in the kernel.
const MAX_LINKS: u32 = 40;
const ROOT: u32 = 0;
/// Write permission of the group and of others.
const SHARED_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

const REGULAR_FILE: Words = words!("regular file", "普通文件");
const FOLDER: Words = words!("folder", "目录");

/// Why something is not trusted.
#[derive(Debug)]
pub enum Fault {
    /// Another user owns it.
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Users who may own it.
        allowed: Text,
    },
    /// Other users may write to it.
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A folder that everyone may write to, such as `/tmp`.
    Sticky {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is a link, a device or something else.
    Kind {
        /// The path.
        path: PathBuf,
        /// The expected kind.
        wanted: Words,
    },
    /// The system cannot open or read it.
    System {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        errno: Errno,
    },
}

impl Fault {
    /// What is wrong with which file, and the remedy.
    pub fn text(&self) -> Text {
        match self {
            Self::Owner { path, uid, allowed } => {
                let path = shown(path);
                text!(
                    "{path} belongs to uid {uid}, and {allowed}: remove it, or install it anew as \
                     root",
                    "{path} 属于 uid {uid}，而{allowed}：请删除它，或以 root 身份重新安装";
                    allowed
                )
            }
            Self::Writable { path, mode } => {
                let path = shown(path);
                text!(
                    "users other than its owner may write {path} (mode {mode:04o}): run `chmod \
                     go-w {path}`",
                    "所有者以外的用户可以写入 {path}（权限 {mode:04o}）：请运行 `chmod go-w {path}`"
                )
            }
            Self::Sticky { path, mode } => {
                let path = shown(path);
                text!(
                    "every user may add files to {path} (mode {mode:04o}; the sticky bit only \
                     keeps them from removing those of others): use a folder that is root's alone",
                    "任何用户都可以在 {path} 中添加文件（权限 {mode:04o}；粘滞位只能防止删除他人的文件）：\
                     请使用只属于 root 的目录"
                )
            }
            Self::Kind { path, wanted } => {
                let path = shown(path);
                text!("{path} is not a {wanted}: remove it", "{path} 不是{wanted}：请删除它"; wanted)
            }
            Self::System { path, errno } => {
                let (path, reason) = (shown(path), errno::of_number(*errno));
                text!("opening {path}: {reason}", "打开 {path} 失败：{reason}"; reason)
            }
        }
    }
}

type Result<T> = std::result::Result<T, Fault>;

fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// Users who may own trusted files.
#[derive(Debug, Clone)]
pub struct Owners(Vec<u32>);

impl Owners {
    /// Only root.
    pub fn root() -> Self {
        Self(vec![ROOT])
    }

    /// Root, and the owner of the running program: root already runs what that user has built.
    pub fn of_program() -> Self {
        let program = fs::metadata("/proc/self/exe").map(|m| m.uid());
        Self(vec![ROOT, program.unwrap_or(ROOT)])
    }

    /// Adds a user.
    pub fn and(mut self, uid: u32) -> Self {
        self.0.push(uid);
        self
    }

    fn check_owner(&self, path: &Path, stat: &FileStat) -> Result<()> {
        if self.0.contains(&stat.st_uid) {
            return Ok(());
        }
        let mut others: Vec<_> = self.0.iter().filter(|uid| **uid != ROOT).collect();
        others.dedup();
        let allowed = match others.as_slice() {
            [] => words!("only root is trusted", "只信任 root").into(),
            [uid, ..] => text!(
                "only root and the owner of diagnose-tools (uid {uid}) are trusted",
                "只信任 root 和 diagnose-tools 的所有者（uid {uid}）"
            ),
        };
        Err(Fault::Owner {
            path: path.to_owned(),
            uid: stat.st_uid,
            allowed,
        })
    }

    /// Checks the owner and mode of a file or folder.
    fn check(&self, path: &Path, stat: &FileStat) -> Result<()> {
        self.check_owner(path, stat)?;
        let (path, mode) = (path.to_owned(), stat.st_mode & 0o7777);
        match mode & SHARED_WRITE {
            0 => Ok(()),
            _ if mode & STICKY != 0 && is(stat, SFlag::S_IFDIR) => {
                Err(Fault::Sticky { path, mode })
            }
            _ => Err(Fault::Writable { path, mode }),
        }
    }

    /// Checks an open file, such as a module: nobody else can have written it, whatever folder it
    /// is in.
    ///
    /// # Errors
    /// It is not a regular file, has another owner, or is writable by others.
    pub fn check_file(&self, path: &Path, file: impl AsFd) -> Result<()> {
        let stat = fstat(file).map_err(|errno| failed(path, errno))?;
        if !is(&stat, SFlag::S_IFREG) {
            return Err(kind(path, REGULAR_FILE));
        }
        self.check(path, &stat)
    }
}

fn failed(path: &Path, errno: Errno) -> Fault {
    Fault::System {
        path: path.to_owned(),
        errno,
    }
}

fn kind(path: &Path, wanted: Words) -> Fault {
    Fault::Kind {
        path: path.to_owned(),
        wanted,
    }
}

fn is(stat: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == kind
}

/// An open folder that is trusted, like all its parents.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    owners: Owners,
}

impl Folder {
    /// Opens a folder. Symbolic links are followed, and the folders on their path are checked too.
    ///
    /// # Errors
    /// It does not exist, or another user could have changed its contents.
    pub fn open(path: &Path, owners: &Owners) -> Result<Self> {
        let absolute = std::path::absolute(path).map_err(|e| {
            let errno = e.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw);
            failed(path, errno)
        })?;
        let mut folder = Self::top(owners)?;
        let mut names = names_of(&absolute);
        let mut links = 0;
        while let Some(name) = names.pop() {
            match folder.step(&name)? {
                Step::Folder(next) => folder = next,
                Step::Link(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(failed(path, Errno::ELOOP));
                    }
                    if target.is_absolute() {
                        folder = Self::top(owners)?;
                    }
                    names.extend(names_of(&target));
                }
            }
        }
        Ok(folder)
    }

    fn top(owners: &Owners) -> Result<Self> {
        let path = Path::new("/");
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::open(path, flags, Mode::empty()).map_err(|e| failed(path, e))?;
        Self::checked(fd, path.to_owned(), owners)
    }

    fn checked(fd: OwnedFd, path: PathBuf, owners: &Owners) -> Result<Self> {
        let stat = fstat(&fd).map_err(|e| failed(&path, e))?;
        if !is(&stat, SFlag::S_IFDIR) {
            return Err(kind(&path, FOLDER));
        }
        owners.check(&path, &stat)?;
        let owners = owners.clone();
        Ok(Self { fd, path, owners })
    }

    /// Its path without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn join(&self, name: &OsStr) -> PathBuf {
        match name == ".." {
            true => self.path.parent().unwrap_or(&self.path).to_owned(),
            false => self.path.join(name),
        }
    }

    fn step(&self, name: &OsStr) -> Result<Step> {
        let path = self.join(name);
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::empty()).map_err(|e| failed(&path, e))?;
        let stat = fstat(&fd).map_err(|e| failed(&path, e))?;
        if !is(&stat, SFlag::S_IFLNK) {
            return Ok(Step::Folder(Self::checked(fd, path, &self.owners)?));
        }
        // No other user may replace a link in this folder.
        self.owners.check_owner(&path, &stat)?;
        let target = readlinkat(&self.fd, name).map_err(|e| failed(&path, e))?;
        Ok(Step::Link(target.into()))
    }

    /// Opens a subfolder, which must not be a link.
    ///
    /// # Errors
    /// Errors of [`Folder::open`].
    pub fn folder(&self, name: &OsStr) -> Result<Self> {
        match self.step(name)? {
            Step::Folder(folder) => Ok(folder),
            Step::Link(_) => Err(kind(&self.join(name), FOLDER)),
        }
    }

    /// Opens a file in it for reading.
    ///
    /// # Errors
    /// It does not exist, is not a regular file, has another owner, or is writable by others.
    pub fn file(&self, name: &OsStr) -> Result<File> {
        let path = self.join(name);
        // `O_NONBLOCK`: opening a pipe must not wait for its other end.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::ELOOP) => return Err(kind(&path, REGULAR_FILE)),
            other => other.map_err(|e| failed(&path, e))?,
        };
        self.owners.check_file(&path, &file)?;
        Ok(file.into())
    }

    /// The names in it, and whether each is a folder; sorted.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn entries(&self) -> Result<Vec<(OsString, bool)>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let error = |e| failed(&self.path, e);
        let mut dir = Dir::openat(&self.fd, ".", flags, Mode::empty()).map_err(error)?;
        let mut found = vec![];
        for entry in dir.iter() {
            let entry = entry.map_err(error)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                let stat = fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW);
                let stat = stat.map_err(|e| failed(&self.join(name), e))?;
                found.push((name.to_owned(), is(&stat, SFlag::S_IFDIR)));
            }
        }
        found.sort();
        Ok(found)
    }
}

enum Step {
    Folder(Folder),
    Link(PathBuf),
}

/// The names of a path, the last one first.
fn names_of(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    names.rev().collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A folder in the build's folder, because everyone may write to `/tmp`.
    struct Scratch(PathBuf);

    impl Scratch {
        /// `None` if the tree itself is writable by others, due to the umask of its owner.
        /// Scenarios in virtual machines test the same as root.
        fn new(name: &str) -> Option<Self> {
            let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
            if let Err(fault) = Folder::open(tree, &owners()) {
                eprintln!("not tried: {}", fault.text().en());
                return None;
            }
            let path = tree.join("target/tmp/trust").join(name);
            let _ = fs::remove_dir_all(&path);
            for folder in ["target", "target/tmp", "target/tmp/trust"].map(|f| tree.join(f)) {
                if !folder.is_dir() {
                    fs::create_dir(&folder).unwrap();
                    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
                }
            }
            fs::create_dir_all(path.join("a/b")).unwrap();
            fs::write(path.join("a/b/file"), "text").unwrap();
            let scratch = Self(path);
            for name in ["", "a", "a/b", "a/b/file"] {
                scratch.chmod(name, 0o755);
            }
            Some(scratch)
        }

        fn chmod(&self, name: &str, mode: u32) {
            fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// The user who runs the tests.
    fn owners() -> Owners {
        Owners::of_program().and(nix::unistd::geteuid().as_raw())
    }

    fn open(scratch: &Scratch, name: &str) -> Result<Folder> {
        Folder::open(&scratch.0.join(name), &owners())
    }

    #[test]
    fn a_folder_of_ours_is_opened() {
        let Some(scratch) = Scratch::new("ours") else {
            return;
        };
        let folder = open(&scratch, "a/b").unwrap();
        assert!(folder.file(OsStr::new("file")).is_ok());
        assert_eq!(folder.entries().unwrap(), [("file".into(), false)]);
        let above = open(&scratch, "a/b/..").unwrap();
        assert_eq!(above.entries().unwrap(), [("b".into(), true)]);
        assert!(above.path().ends_with("a"));
        assert!(above.folder(OsStr::new("b")).is_ok());
        let missing = open(&scratch, "a/c").unwrap_err().text().en().to_owned();
        assert!(
            missing.contains("a/c") && missing.contains("ENOENT"),
            "{missing}"
        );
    }

    #[test]
    fn what_others_may_write_is_not_trusted() {
        for (mode, advice) in [
            (0o777, "chmod go-w"),
            (0o775, "chmod go-w"),
            (0o757, "chmod go-w"),
            (0o1777, "sticky"),
        ] {
            let Some(scratch) = Scratch::new(&format!("mode-{mode:o}")) else {
                return;
            };
            scratch.chmod("a", mode);
            let text = open(&scratch, "a/b").unwrap_err().text().en().to_owned();
            assert!(text.contains(advice), "{text}");
            assert!(text.contains(&format!("mode {mode:04o}")), "{text}");
        }
        let Some(scratch) = Scratch::new("file") else {
            return;
        };
        scratch.chmod("a/b/file", 0o664);
        let folder = open(&scratch, "a/b").unwrap();
        let text = folder
            .file(OsStr::new("file"))
            .unwrap_err()
            .text()
            .en()
            .to_owned();
        assert!(text.contains("chmod go-w"), "{text}");
    }

    #[test]
    fn the_folders_of_links_are_looked_at_too() {
        let Some(scratch) = Scratch::new("links") else {
            return;
        };
        fs::create_dir_all(scratch.0.join("c/d")).unwrap();
        symlink("../c/./d", scratch.0.join("a/relative")).unwrap();
        symlink(scratch.0.join("c/d"), scratch.0.join("a/absolute")).unwrap();
        symlink("round", scratch.0.join("a/round")).unwrap();
        for name in ["a/relative", "a/absolute"] {
            assert!(open(&scratch, name).unwrap().path().ends_with("c/d"));
        }
        assert!(
            open(&scratch, "a")
                .unwrap()
                .folder(OsStr::new("relative"))
                .is_err()
        );
        let text = open(&scratch, "a/round")
            .unwrap_err()
            .text()
            .en()
            .to_owned();
        assert!(text.contains("ELOOP"), "{text}");
        // A folder on the path, and the folder that contains the link.
        for shared in ["c", "a"] {
            scratch.chmod(shared, 0o777);
            for name in ["a/relative", "a/absolute"] {
                assert!(open(&scratch, name).is_err(), "{name} with {shared}");
            }
            scratch.chmod(shared, 0o755);
        }
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let Some(scratch) = Scratch::new("kinds") else {
            return;
        };
        symlink("file", scratch.0.join("a/b/link")).unwrap();
        nix::unistd::mkfifo(&scratch.0.join("a/b/pipe"), Mode::S_IRUSR).unwrap();
        let folder = open(&scratch, "a/b").unwrap();
        for name in ["link", "pipe"] {
            let text = folder
                .file(OsStr::new(name))
                .unwrap_err()
                .text()
                .en()
                .to_owned();
            assert!(text.contains("is not a regular file"), "{text}");
        }
        assert!(open(&scratch, "a/b/file").is_err());
    }

    #[test]
    fn others_own_nothing_that_is_trusted() {
        let file = File::open("/proc/self/exe").unwrap();
        let nobody = Owners(vec![12_345_678]);
        let text = nobody
            .check_file(Path::new("/x"), &file)
            .unwrap_err()
            .text()
            .en()
            .to_owned();
        assert!(text.contains("/x belongs to uid"), "{text}");
        assert!(
            Owners::of_program()
                .check_owner(Path::new("/x"), &fstat(&file).unwrap())
                .is_ok()
        );
    }
}
