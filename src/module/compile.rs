//! Builds the module from source, for kernels without a prebuilt module.
//!
//! Root builds only sources that nobody else could have written ([`crate::module::trust`]), each
//! time in a new folder. An earlier build is used only if its stamp still matches
//! ([`crate::module::stamp`]).

use std::env;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{Mode, umask};
use nix::sys::utsname::uname;

use crate::abi;
use crate::error::{Error, Result};
use crate::fmt::errno;
use crate::fmt::text::{Text, text, words};
use crate::module::programs;
use crate::module::stamp::{self, Sources};
use crate::module::trust::{Fault, Folder, Owners};
use crate::stderr;

/// Folder of the modules that were built here, with a folder for each kernel release.
const STATE: &str = "/var/lib/diagnose-tools";
/// The folders of the sources.
const SOURCES: [&str; 2] = ["kmod", "include"];
const STAMP: &str = "stamp";
const LOG: &str = "build.log";

/// The release of the running kernel, as `uname -r` prints it.
///
/// # Errors
/// The system call fails.
pub fn kernel_release() -> Result<String> {
    let name = uname().map_err(|e| Error::system(words!("uname", "调用 `uname`"), e))?;
    Ok(name.release().to_string_lossy().into_owned())
}

/// Builds the module for `release`, or returns an earlier build of the same sources, with the same
/// headers and compiler.
///
/// # Errors
/// There are no sources, headers or `make`, another user may write to one of them, or the build
/// fails.
pub fn module(release: &str) -> Result<PathBuf> {
    let Some(sources) = sources() else {
        return Err(missing(
            release,
            words!(
                "neither are its sources beside diagnose-tools",
                "diagnose-tools 旁边也没有它的源码"
            ),
        ));
    };
    let headers = Path::new("/lib/modules").join(release).join("build");
    if !headers.join("Makefile").exists() {
        let advice = text!(
            "install the headers first (apt-get install linux-headers-{release})",
            "请先安装内核头文件（`apt-get install linux-headers-{release}`）"
        );
        return Err(missing(release, advice));
    }
    let not_built = |fault| {
        let what = text!(
            "building the module for kernel {release}",
            "为内核 {release} 编译模块"
        );
        untrusted(&what, &fault)
    };
    let sources = read_sources(&sources, &Owners::of_program()).map_err(not_built)?;
    check_headers(&headers).map_err(not_built)?;

    umask(Mode::from_bits_truncate(0o022));
    let state = state_folder(release)?;
    let _lock = lock(&state)?;
    let build = state.path().join("build");
    let built = build.join("kmod").join(module_name());
    if is_built(&state, &sources, &headers) {
        return Ok(built);
    }
    let failed = |e| {
        let build = build.display();
        system(
            text!("copying the sources to {build}", "复制源码到 {build} "),
            e,
        )
    };
    start_anew(&build, &sources).map_err(failed)?;
    make(release, &headers, &build)?;
    let content = fs::read(&built).map_err(|e| {
        let log = build.join(LOG);
        let (built, log) = (built.display(), log.display());
        let what = text!(
            "make made no {built} (see {log})",
            "`make` 没有生成 {built}（参见 {log}），读取它"
        );
        Error::system(what, e)
    })?;
    let stamp = stamp::of_build(&sources, &headers, &build, &content);
    let path = build.join(STAMP);
    write_new(&path, stamp.as_bytes()).map_err(|e| system(writing(&path), e))?;
    Ok(built)
}

fn module_name() -> String {
    format!("{}.ko", abi::MODULE_NAME)
}

fn missing(release: &str, advice: impl Into<Text>) -> Error {
    let advice = advice.into();
    Error::Other(text!(
        "there is no module for kernel {release}: {advice}",
        "没有适用于内核 {release} 的模块：{advice}";
        advice
    ))
}

fn writing(path: &Path) -> Text {
    let path = path.display();
    text!("writing {path}", "写入 {path} ")
}

fn system(what: Text, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Error::Permission,
        _ => Error::system(what, error),
    }
}

/// The error for an operation that is refused because a file is not trusted.
fn untrusted(what: &Text, fault: &Fault) -> Error {
    match fault {
        Fault::System {
            errno: Errno::EACCES | Errno::EPERM,
            ..
        } => Error::Permission,
        fault => {
            let reason = fault.text();
            Error::Other(text!("{what}: {reason}", "{what}失败：{reason}"; what, reason))
        }
    }
}

/// The folder with the sources.
fn sources() -> Option<PathBuf> {
    sources_of(&env::current_exe().ok()?)
}

/// The sources of an installed program, or of the tree in which it was built.
fn sources_of(program: &Path) -> Option<PathBuf> {
    let folder = program.parent()?;
    let installed = folder.parent()?.join("share/diagnose-tools");
    let tree = folder
        .ancestors()
        .find(|a| a.ends_with("target"))
        .and_then(Path::parent);
    let complete = |dir: &PathBuf| SOURCES.iter().all(|s| dir.join(s).is_dir());
    [Some(installed), tree.map(Path::to_owned)]
        .into_iter()
        .flatten()
        .find(complete)
}

/// Reads all sources. Each is read from the descriptor that was checked.
fn read_sources(from: &Path, owners: &Owners) -> std::result::Result<Sources, Fault> {
    let mut sources = Sources::new();
    for name in SOURCES {
        let folder = Folder::open(&from.join(name), owners)?;
        read_folder(&folder, Path::new(name), &mut sources)?;
    }
    Ok(sources)
}

fn read_folder(
    folder: &Folder,
    below: &Path,
    sources: &mut Sources,
) -> std::result::Result<(), Fault> {
    for (name, is_folder) in folder.entries()? {
        let path = below.join(&name);
        if is_folder {
            read_folder(&folder.folder(&name)?, &path, sources)?;
        } else if is_source(&name) {
            let mut content = vec![];
            let mut file = folder.file(&name)?;
            file.read_to_end(&mut content).map_err(|e| Fault::System {
                path: folder.path().join(&name),
                errno: e.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
            })?;
            sources.insert(path, content);
        }
    }
    Ok(())
}

/// Whether a file is a source, and not a result of a build in the tree.
fn is_source(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let known = [".c", ".h"].iter().any(|end| name.ends_with(end)) || name == "Kbuild";
    known && !name.ends_with(".mod.c") && !name.starts_with('.')
}

/// Checks the headers, which contain programs that are run: only root may write to them, and the
/// owner of the kernel tree that root has linked there.
fn check_headers(headers: &Path) -> std::result::Result<(), Fault> {
    let owner = fs::metadata(headers).map_or(0, |m| m.uid());
    let folder = Folder::open(headers, &Owners::of_program().and(owner))?;
    folder.file(OsStr::new("Makefile")).map(|_| ())
}

/// The folder for builds of a kernel, created if it is missing. Only root may own it.
fn state_folder(release: &str) -> Result<Folder> {
    let (top, path) = (Path::new(STATE), Path::new(STATE).join(release));
    let open = |folder: &Path| {
        let path = path.display();
        let what = text!("building in {path}", "在 {path} 中编译");
        Folder::open(folder, &Owners::root()).map_err(|fault| untrusted(&what, &fault))
    };
    // A folder is created only after the owner of its parent is checked.
    let mut folder = open(top.parent().unwrap_or(top))?;
    for path in [top, &path] {
        match DirBuilder::new().mode(0o755).create(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                let path = path.display();
                return Err(system(text!("making {path}", "创建 {path} "), e));
            }
            _ => folder = open(path)?,
        }
    }
    Ok(folder)
}

/// Takes the lock that allows only one build at a time. Other users cannot open the file, so they
/// cannot block a build.
fn lock(folder: &Folder) -> Result<Flock<File>> {
    let path = folder.path().join("lock");
    let what = || {
        let path = path.display();
        text!("locking {path}", "锁定 {path} ")
    };
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600);
    let file = file.open(&path).map_err(|e| system(what(), e))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| Error::system(what(), errno))
}

/// Whether the existing build has these sources and headers. An untrusted build does not count.
fn is_built(state: &Folder, sources: &Sources, headers: &Path) -> bool {
    let find = || {
        let build = state.folder(OsStr::new("build")).ok()?;
        let objects = build.folder(OsStr::new("kmod")).ok()?;
        let module = stamp::read(&objects, &module_name())?;
        let stamp = String::from_utf8(stamp::read(&build, STAMP)?).ok()?;
        Some(stamp::is_true(&stamp, sources, headers, &module))
    };
    find().unwrap_or(false)
}

/// Creates a new folder with the sources, without files of an earlier build.
fn start_anew(build: &Path, sources: &Sources) -> io::Result<()> {
    match fs::remove_dir_all(build) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => (),
    }
    for (path, content) in sources {
        let copy = build.join(path);
        if let Some(folder) = copy.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(folder)?;
        }
        write_new(&copy, content)?;
    }
    Ok(())
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?;
    file.write_all(content)
}

fn make(release: &str, headers: &Path, build: &Path) -> Result<()> {
    stderr::progress(&text!(
        "building the module for kernel {release} …",
        "正在为内核 {release} 编译模块 …"
    ));
    let mut command = programs::command("make");
    command.arg("-C").arg(headers);
    command
        .arg(format!("M={}", build.join("kmod").display()))
        .arg("modules");
    let done = match command.output() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let advice = words!(
                "install make and gcc first, to build it",
                "请先安装 `make` 和 `gcc` 以便编译"
            );
            return Err(missing(release, advice));
        }
        other => other.map_err(|e| Error::system(words!("running make", "运行 `make` "), e))?,
    };
    let log = build.join(LOG);
    let wrote = write_new(&log, &[&done.stdout[..], &done.stderr[..]].concat());
    wrote.map_err(|e| Error::system(writing(&log), e))?;
    match done.status.success() {
        true => Ok(()),
        false => {
            let (status, log) = (errno::status(done.status), log.display());
            Err(Error::Other(text!(
                "building the module for kernel {release} failed ({status}): see {log}",
                "为内核 {release} 编译模块失败（{status}）：参见 {log}";
                status
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let name = format!("diagnose-tools-{name}-{}", std::process::id());
        let path = env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn sources_are_all_but_what_builds_leave() {
        for name in ["a.c", "b.h", "Kbuild"] {
            assert!(is_source(OsStr::new(name)), "{name}");
        }
        for name in [
            "a.o",
            "x.mod.c",
            ".a.o.cmd",
            "x.ko",
            ".hidden.c",
            "Makefile",
        ] {
            assert!(!is_source(OsStr::new(name)), "{name}");
        }
    }

    /// Parts that others own or may write to: the folders above the tree, and its folders and
    /// files.
    fn loose_parts(tree: &Path, owners: &[u32]) -> Vec<PathBuf> {
        let sources = SOURCES.map(|folder| tree.join(folder));
        let files = sources
            .iter()
            .flat_map(|folder| fs::read_dir(folder).unwrap());
        let files = files.map(|entry| entry.unwrap().path());
        let all = tree.ancestors().map(Path::to_owned);
        let all = all.chain(sources.clone()).chain(files);
        all.filter(|path| {
            let meta = fs::metadata(path).unwrap();
            meta.mode() & 0o022 != 0 || !owners.contains(&meta.uid())
        })
        .collect()
    }

    #[test]
    fn the_sources_of_this_tree_are_read() {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR"))
            .canonicalize()
            .unwrap();
        let user = nix::unistd::geteuid().as_raw();
        let program = fs::metadata("/proc/self/exe").unwrap().uid();
        let loose = loose_parts(&tree, &[0, user, program]);
        match read_sources(&tree, &Owners::of_program().and(user)) {
            Ok(sources) => {
                assert_eq!(loose, [""; 0].map(PathBuf::from));
                for path in [
                    "kmod/tcpstates.c",
                    "kmod/probe/sanity.c",
                    "include/tcpstates.h",
                ] {
                    let text = fs::read(tree.join(path)).unwrap();
                    assert_eq!(sources.get(Path::new(path)), Some(&text), "{path}");
                }
                assert!(!sources.contains_key(Path::new("include/abi.txt")));
            }
            // The tree may be anywhere, for example under /tmp.
            Err(fault) => {
                let fault = fault.text();
                let fault = fault.en();
                let names = |path: &PathBuf| fault.contains(path.to_str().unwrap());
                assert!(loose.iter().any(names), "{fault}: none of {loose:?}");
            }
        }
    }

    #[test]
    fn sources_below_a_folder_of_everybody_are_not_read() {
        let top = scratch("sources");
        for folder in SOURCES {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        let owners = Owners::of_program().and(nix::unistd::geteuid().as_raw());
        let fault = read_sources(&top, &owners).unwrap_err();
        assert!(
            matches!(fault, Fault::Sticky { .. } | Fault::Writable { .. }),
            "{fault:?}"
        );
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_build_starts_with_the_sources_alone() {
        let build = scratch("build");
        fs::create_dir_all(build.join("kmod")).unwrap();
        for left in ["stamp", "kmod/tcpstates.ko", "kmod/.main.o.cmd"] {
            fs::write(build.join(left), "left").unwrap();
        }
        let sources = Sources::from([
            ("kmod/a.c".into(), b"a".to_vec()),
            ("kmod/probe/b.c".into(), b"b".to_vec()),
        ]);
        start_anew(&build, &sources).unwrap();
        let names = |folder: &str| {
            let entries = fs::read_dir(build.join(folder)).unwrap();
            let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(""), ["kmod"]);
        assert_eq!(names("kmod"), ["a.c", "probe"]);
        assert_eq!(fs::read(build.join("kmod/probe/b.c")).unwrap(), b"b");
        fs::remove_dir_all(build).unwrap();
    }

    #[test]
    fn a_program_in_its_tree_has_the_sources() {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
        for program in ["target/release/diagnose-tools", "target/debug/deps/test"] {
            assert_eq!(sources_of(&tree.join(program)), Some(tree.to_owned()));
        }
        assert_eq!(sources_of(Path::new("/somewhere/bin/diagnose-tools")), None);
    }
}
