//! Loads the module into the kernel, and unloads it.

use std::env;
use std::ffi::CString;
use std::fs::{self, DirEntry, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, delete_module};
use nix::libc::O_NONBLOCK;
use nix::unistd::geteuid;

use crate::abi;
use crate::backend::device::{Device, check_version, device_path};
use crate::backend::{node, session};
use crate::error::{Error, Result};
use crate::fmt::text::{Text, Words, text, words};
use crate::model::version::Version;
use crate::module::compile;
use crate::module::trust::Owners;
use crate::module::unpack::{self, Failure, Packing};
use crate::stderr;

/// Environment variable for a folder with a folder for each kernel release. It is searched first
/// for modules.
const MODULES_VARIABLE: &str = "DIAGNOSE_TOOLS_MODULES";

/// The loaded module.
pub struct Loaded {
    /// The file from which it was loaded; `None`: it was already loaded.
    pub path: Option<PathBuf>,
    /// Whether it was not loaded before.
    pub new: bool,
    /// Its version.
    pub version: Version,
}

/// Loads the module for the running kernel, building it if no suitable one exists, and ensures that
/// the device node exists.
///
/// # Errors
/// There is no module and it cannot be built, the kernel refuses it, or a module of another version
/// is loaded.
pub fn install() -> Result<Loaded> {
    let loaded = match is_loaded() {
        true => Loaded {
            path: None,
            new: false,
            version: loaded_version()?,
        },
        false => load_for_kernel()?,
    };
    check_version(&loaded.version).map_err(reinstall)?;
    Ok(loaded)
}

/// Advice for a module of another version that is already loaded. It may be recording, so only the
/// user may unload it.
fn reinstall(error: Error) -> Error {
    match error {
        Error::Version {
            module,
            module_call,
            module_record,
            ..
        } => Error::Version {
            module,
            module_call,
            module_record,
            advice: words!(
                "it is loaded already: run `diagnose-tools uninstall`, which ends its recording, \
                 then `diagnose-tools install`",
                "它已加载：请先运行 `diagnose-tools uninstall`（会停止其记录），再运行 \
                 `diagnose-tools install`"
            ),
        },
        other => other,
    }
}

/// The version of the loaded module. Ensures that the device node exists.
fn loaded_version() -> Result<Version> {
    match node::ensure(&device_path()) {
        Err(_) if !is_live() => return Err(Error::NotLoaded),
        ensured => ensured?,
    }
    Device::open_any_version()?.version()
}

/// Unloads the module, which ends its recording. While the device is open the kernel refuses, and
/// the recording continues. Returns the number of unreported events; `None`: the module is not
/// loaded.
///
/// # Errors
/// No permission, or a process holds the device: the message names it.
pub fn uninstall() -> Result<Option<u64>> {
    if !is_loaded() {
        return Ok(None);
    }
    // The device is closed again before unloading. For another version the number is unknown.
    let lost = Device::open().and_then(|d| session::unreported(&d));
    match unload() {
        Ok(()) => Ok(Some(lost.unwrap_or(0))),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(unload_error(errno)),
    }
}

/// Whether the module is loaded.
pub fn is_loaded() -> bool {
    Path::new("/sys/module").join(abi::MODULE_NAME).exists()
}

/// Whether unloading has not been started; unloading takes a moment during a recording.
fn is_live() -> bool {
    let state = Path::new("/sys/module").join(abi::MODULE_NAME);
    fs::read_to_string(state.join("initstate")).is_ok_and(|text| text.trim() == "live")
}

/// Whether the kernel reports that it is locked down.
fn is_locked_down() -> bool {
    fs::read_to_string("/sys/kernel/security/lockdown").is_ok_and(|text| !text.contains("[none]"))
}

/// Why a file was not loaded as the module.
struct Refusal {
    error: Error,
    /// Whether a module that is built here may work.
    build: bool,
}

impl Refusal {
    fn new(error: Error, build: bool) -> Self {
        Self { error, build }
    }
}

/// Loads the first module that this kernel accepts and whose version matches, or builds one.
fn load_for_kernel() -> Result<Loaded> {
    let release = compile::kernel_release()?;
    let mut refusals = vec![];
    for candidate in candidates(&release) {
        match try_candidate(&candidate, &release) {
            None => (),
            Some(Ok(loaded)) => {
                warn_of(&refusals);
                return Ok(loaded);
            }
            Some(Err(refusal)) if matches!(refusal.error, Error::Permission) => {
                return Err(Error::Permission);
            }
            Some(Err(refusal)) => refusals.push(refusal),
        }
    }
    if !refusals.iter().all(|refusal| refusal.build) {
        return Err(none_is_left(refusals, None));
    }
    match load_built(&release) {
        Ok(loaded) => {
            warn_of(&refusals);
            Ok(loaded)
        }
        Err(Error::Permission) => Err(Error::Permission),
        Err(error) => Err(none_is_left(refusals, Some(error))),
    }
}

fn load_built(release: &str) -> Result<Loaded> {
    let path = compile::module(release)?;
    let built = Candidate {
        path: path.clone(),
        packing: Packing::Plain,
    };
    match try_candidate(&built, release) {
        Some(loaded) => loaded.map_err(|refusal| refusal.error),
        None => {
            let path = path.display();
            Err(Error::system(
                text!("{path}", "打开 {path} "),
                Errno::ENOENT,
            ))
        }
    }
}

fn warn_of(refusals: &[Refusal]) {
    for refusal in refusals {
        stderr::warn(&refusal.error.text());
    }
}

/// Combines the errors of all tries.
fn none_is_left(refusals: Vec<Refusal>, build: Option<Error>) -> Error {
    let mut errors: Vec<_> = refusals.into_iter().map(|refusal| refusal.error).collect();
    errors.extend(build);
    match errors.len() {
        1 => errors.remove(0),
        _ => {
            let texts: Vec<_> = errors.iter().map(Error::text).collect();
            Error::Other(Text::joined(&texts))
        }
    }
}

/// A file that may be the module for a kernel.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    path: PathBuf,
    packing: Packing,
}

/// Paths of modules for a kernel, best first.
fn candidates(release: &str) -> Vec<Candidate> {
    let own = env::var_os(MODULES_VARIABLE).filter(|v| !v.is_empty());
    let own = own.map(|dir| Path::new(&dir).join(release));
    let kernel = Path::new("/lib/modules").join(release);
    let standard = ["updates", "updates/dkms", "extra"].map(|dir| kernel.join(dir));
    let of_folder = |folder: PathBuf| {
        unpack::ALL.map(|packing| Candidate {
            path: folder.join(format!("{}.ko{}", abi::MODULE_NAME, packing.suffix())),
            packing,
        })
    };
    own.into_iter()
        .chain(standard)
        .flat_map(of_folder)
        .collect()
}

/// Loads a candidate and checks its version; `None` if the file does not exist.
fn try_candidate(
    candidate: &Candidate,
    release: &str,
) -> Option<std::result::Result<Loaded, Refusal>> {
    match open_module(&candidate.path) {
        Err(error) => Some(Err(Refusal::new(error, true))),
        Ok(None) => None,
        Ok(Some(file)) => Some(load(candidate, file, release)),
    }
}

/// Opens a module and checks its owner and mode, because whoever may write to it controls the
/// kernel. The folder does not matter: nobody else can create a file that root owns.
fn open_module(path: &Path) -> Result<Option<File>> {
    let mut options = OpenOptions::new();
    let file = match options.read(true).custom_flags(O_NONBLOCK).open(path) {
        Err(e) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&e.kind()) => {
            return Ok(None);
        }
        other => other.map_err(|e| {
            let path = path.display();
            Error::system(text!("opening {path}", "打开 {path} "), e)
        })?,
    };
    let trusted = Owners::of_program().check_file(path, &file);
    trusted.map_err(|fault| {
        let reason = fault.text();
        Error::Other(text!(
            "the module is not loaded: {reason}",
            "不加载该内核模块：{reason}";
            reason
        ))
    })?;
    Ok(Some(file))
}

fn load(candidate: &Candidate, file: File, release: &str) -> std::result::Result<Loaded, Refusal> {
    let path = candidate.path.clone();
    let new = match candidate.packing.load(file) {
        Ok(()) => true,
        // Another process loaded it first.
        Err(Failure::Kernel(Errno::EEXIST)) => false,
        Err(Failure::Kernel(errno)) => {
            let error = load_error(&path, release, errno);
            return Err(Refusal::new(error, may_be_another_kernels(errno)));
        }
        Err(Failure::Unpacking(program, why)) => {
            let path = path.display();
            let error = Error::Other(text!(
                "unpacking {path} with {program}: {why}: install the program, or put the module \
                 there as it is",
                "用 {program} 解压 {path} 失败：{why}：请安装该程序，或放置未压缩的模块";
                why
            ));
            return Err(Refusal::new(error, true));
        }
    };
    let version = loaded_version().map_err(|e| Refusal::new(e, false))?;
    if new && check_version(&version).is_err() {
        unload().map_err(|errno| Refusal::new(unload_error(errno), false))?;
        return Err(Refusal::new(stale(&path, &version), true));
    }
    Ok(Loaded {
        path: Some(path),
        new,
        version,
    })
}

fn stale(path: &Path, version: &Version) -> Error {
    let (path, controller) = (path.display(), env!("CARGO_PKG_VERSION"));
    let (call, record) = (version.call, version.record);
    let our_call = abi::TCPSTATES_CALL_VERSION;
    let our_record = abi::TCPSTATES_RECORD_VERSION;
    Error::Other(text!(
        "{path} has call version {call} and record version {record}, diagnose-tools {controller} \
         has {our_call} and {our_record}: it was unloaded again: remove the file, or install \
         diagnose-tools and the module anew",
        "{path} 的调用版本为 {call}，记录版本为 {record}，而 diagnose-tools {controller} 的为 {our_call} \
         和 {our_record}：已重新卸载：请删除该文件，或重新安装 diagnose-tools 和内核模块"
    ))
}

/// Whether the kernel refuses a module that was built for another kernel or other headers.
fn may_be_another_kernels(errno: Errno) -> bool {
    [Errno::ENOEXEC, Errno::ENOENT, Errno::EINVAL].contains(&errno)
}

fn load_error(path: &Path, release: &str, errno: Errno) -> Error {
    if errno == Errno::EPERM && !geteuid().is_root() {
        return Error::Permission;
    }
    let path = path.display();
    Error::System {
        what: text!(
            "loading {path} into kernel {release}",
            "把 {path} 加载到内核 {release} "
        ),
        source: errno.into(),
        advice: load_advice(errno, is_locked_down()).into(),
    }
}

fn load_advice(errno: Errno, locked_down: bool) -> Words {
    match errno {
        Errno::EPERM if locked_down => words!(
            ": the kernel is locked down, and wants a signature that it trusts: sign the module \
             with a key that is enrolled (mokutil --import)",
            "：内核处于锁定（lockdown）状态，需要它信任的签名：请用已注册的密钥为模块签名（`mokutil --import`）"
        ),
        Errno::EPERM => words!(
            ": module loading is not allowed here (container, lockdown or modules_disabled)",
            "：这里不允许加载模块（容器、lockdown 或 `modules_disabled`）"
        ),
        Errno::ENOKEY | Errno::EKEYREJECTED | Errno::EBADMSG => words!(
            ": the kernel wants a signature that it trusts (Secure Boot): sign the module with a \
             key that is enrolled (mokutil --import), or turn Secure Boot off",
            "：内核需要它信任的签名（Secure Boot）：请用已注册的密钥为模块签名（`mokutil --import`），或关闭 \
             Secure Boot"
        ),
        Errno::ENOEXEC => words!(
            ": it was built for another kernel: build it against the headers of this one",
            "：它是为其他内核编译的：请用本内核的头文件编译"
        ),
        Errno::ENOENT => words!(
            ": a symbol that it needs is missing: see the kernel's log (dmesg)",
            "：缺少它需要的符号：请查看内核日志（`dmesg`）"
        ),
        Errno::ENOSYS => words!(": this kernel cannot load modules", "：该内核不能加载模块"),
        _ => words!(
            ": see the kernel's log (dmesg)",
            "：请查看内核日志（`dmesg`）"
        ),
    }
}

fn unload() -> nix::Result<()> {
    // The name contains no NUL byte.
    let name = CString::new(abi::MODULE_NAME).unwrap_or_default();
    delete_module(&name, DeleteModuleFlags::O_NONBLOCK)
}

fn unload_error(errno: Errno) -> Error {
    match errno {
        Errno::EPERM => Error::Permission,
        Errno::EAGAIN | Errno::EBUSY => Error::Other(match holders().as_slice() {
            [] => words!(
                "the module is in use: try again",
                "内核模块正在使用：请重试"
            )
            .into(),
            some => {
                let holders = Text::list(some);
                text!(
                    "the module is in use by {holders}: end them first",
                    "内核模块正被 {holders} 使用：请先结束它们";
                    holders
                )
            }
        }),
        _ => {
            let name = abi::MODULE_NAME;
            Error::system(text!("unloading {name}", "卸载 {name} "), errno)
        }
    }
}

/// Processes that have the device open or mapped, as `PID (NAME)`.
fn holders() -> Vec<String> {
    let names = [device_path(), Path::new("/dev").join(abi::DEVICE_NAME)];
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let holding = processes.filter(|p| has_open(&p.path(), &names) || has_mapped(p, &names));
    holding.map(|p| holder_name(&p.path())).collect()
}

/// Whether a process has the device open. Open files are compared by name only: a stat call may
/// block forever on a file system of another user (FUSE, NFS). In a mount namespace of their own,
/// users can give any name to such a file.
fn has_open(process: &Path, names: &[PathBuf]) -> bool {
    let fds = fs::read_dir(process.join("fd"));
    let mut opened = fds.into_iter().flatten().flatten();
    opened.any(|fd| {
        let target = fs::read_link(fd.path()).unwrap_or_default();
        let name = without_deleted(target.as_os_str().as_bytes());
        names.iter().any(|n| n.as_os_str().as_bytes() == name)
    })
}

/// Removes the suffix that the kernel adds if the name was removed while the file is open.
fn without_deleted(name: &[u8]) -> &[u8] {
    name.strip_suffix(b" (deleted)").unwrap_or(name)
}

/// Whether a process has mapped the device, which keeps the module in use after the file is closed.
/// Checks only root's processes: reading the mappings blocks while the process waits for its files.
fn has_mapped(process: &DirEntry, names: &[PathBuf]) -> bool {
    if !process.metadata().is_ok_and(|m| m.uid() == 0) {
        return false;
    }
    let maps = fs::read(process.path().join("maps")).unwrap_or_default();
    let ends = |line: &[u8]| {
        let line = without_deleted(line);
        names
            .iter()
            .any(|name| line.ends_with(name.as_os_str().as_bytes()))
    };
    maps.split(|b| *b == b'\n').any(ends)
}

fn holder_name(process: &Path) -> String {
    let pid = process.file_name().unwrap_or_default().to_string_lossy();
    let comm = fs::read(process.join("comm")).unwrap_or_default();
    format!(
        "{pid} ({})",
        crate::fmt::escape::printable_bytes(comm.trim_ascii_end())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_refusals_say_what_to_do() {
        let text = |errno| {
            let error = load_error(Path::new("/x/tcpstates.ko"), "6.1.0", errno);
            error.text().en().to_owned()
        };
        assert_eq!(
            text(Errno::ENOEXEC),
            "loading /x/tcpstates.ko into kernel 6.1.0: Exec format error (os error 8): it was \
             built for another kernel: build it against the headers of this one"
        );
        assert!(text(Errno::EKEYREJECTED).contains("Secure Boot"));
        assert!(text(Errno::ENOKEY).contains("Secure Boot"));
        assert!(text(Errno::ENOENT).contains("symbol"));
    }

    #[test]
    fn modules_are_looked_for_in_order() {
        let found = candidates("6.1.0");
        let found: Vec<_> = found.iter().filter_map(|c| c.path.to_str()).collect();
        let names = [
            "tcpstates.ko",
            "tcpstates.ko.xz",
            "tcpstates.ko.zst",
            "tcpstates.ko.gz",
        ];
        let folders = ["updates", "updates/dkms", "extra"];
        let of_folder = |f: &str| names.map(|name| format!("/lib/modules/6.1.0/{f}/{name}"));
        let expected: Vec<_> = folders.iter().flat_map(|f| of_folder(f)).collect();
        assert_eq!(found[found.len() - expected.len()..], expected);
    }

    #[test]
    fn what_another_kernel_may_take_lets_us_build() {
        let other = [Errno::ENOEXEC, Errno::EINVAL, Errno::ENOENT];
        assert!(other.into_iter().all(may_be_another_kernels));
        let ours = [
            Errno::EPERM,
            Errno::EKEYREJECTED,
            Errno::ENOMEM,
            Errno::ENOSYS,
        ];
        assert!(!ours.into_iter().any(may_be_another_kernels));
    }

    #[test]
    fn all_that_was_tried_is_one_line() {
        let refused = |text: &str| Refusal::new(Error::Other(Text::same(text)), true);
        let one = none_is_left(vec![refused("a.ko: bad")], None);
        assert_eq!(one.text().en(), "a.ko: bad");
        let build = Some(Error::Other(Text::same("no headers")));
        let both = none_is_left(vec![refused("a.ko: bad"), refused("b.ko: old")], build);
        assert_eq!(both.text().en(), "a.ko: bad; b.ko: old; no headers");
        assert!(matches!(
            none_is_left(vec![], Some(Error::NotLoaded)),
            Error::NotLoaded
        ));
    }

    #[test]
    fn a_stale_module_is_named_with_both_versions() {
        let version = Version {
            name: "9.8".into(),
            call: 98,
            record: 99,
        };
        let text = stale(Path::new("/x/tcpstates.ko"), &version).text();
        let text = text.en();
        assert!(text.starts_with("/x/tcpstates.ko has call version 98 and record version 99, "));
        assert!(text.contains("remove the file"));
        let loaded = reinstall(check_version(&version).unwrap_err()).text();
        let loaded = loaded.en();
        assert!(
            loaded.contains("`diagnose-tools uninstall`, which ends its recording"),
            "{loaded}"
        );
    }

    #[test]
    fn only_files_that_others_cannot_write_are_modules() {
        assert!(
            open_module(Path::new("/no/such/module.ko"))
                .unwrap()
                .is_none()
        );
        for path in ["/dev/null", "/proc"] {
            let text = open_module(Path::new(path)).unwrap_err().text();
            let text = text.en();
            assert!(text.contains("is not a regular file"), "{text}");
        }
        assert!(open_module(Path::new("/proc/self/exe")).unwrap().is_some());
    }

    #[test]
    fn a_process_that_holds_a_device_is_named() {
        let null = File::open("/dev/null").unwrap();
        let me = Path::new("/proc").join(std::process::id().to_string());
        assert!(has_open(&me, &["/dev/null".into()]));
        drop(null);
        assert!(!has_open(&me, &["/dev/no-such-device".into()]));
        let path = env::temp_dir().join(format!("diagnose-tools-held-{}", std::process::id()));
        let held = File::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(has_open(&me, &[path]), "its name is gone");
        drop(held);
        assert!(holder_name(&me).starts_with(&format!("{} (", std::process::id())));
    }
}
