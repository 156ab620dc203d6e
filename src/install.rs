//! `install` and `uninstall`: the module into the kernel and out of it.

use std::env;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};

use crate::abi::{self, padded_text};
use crate::device::{Device, check_version, device_path};
use crate::error::{Error, Result, write_error};
use crate::{activate, build, node};

/// A folder with a folder per kernel release: where modules are looked for first.
const MODULES_VARIABLE: &str = "DIAGNOSE_TOOLS_MODULES";

/// Loads the module for the running kernel, building it when there is none,
/// and sees to its device.
///
/// # Errors
/// There is no module and it cannot be built, the kernel refuses it, or its
/// version is another one.
pub fn install(out: &mut dyn Write) -> Result<()> {
    let (word, from) = match is_loaded() {
        true => ("already installed", None),
        false => {
            let (path, new) = load_for_kernel()?;
            (
                if new {
                    "installed"
                } else {
                    "already installed"
                },
                Some(path),
            )
        }
    };
    match node::ensure(&device_path()) {
        Err(_) if !is_live() => return Err(Error::NotLoaded),
        ensured => ensured?,
    }
    let version = Device::open_any_version()?.version()?;
    check_version(&version)?;
    let version = padded_text(&version.module_version);
    let from = from.map_or(String::new(), |path| format!(" from {}", path.display()));
    print(out, &format!("{word}: module {version}{from}"))
}

/// Unloads the module, which ends its recording. While the device is open the
/// kernel refuses, and the recording goes on.
///
/// # Errors
/// No permission, or a process holds the device: the message names it.
pub fn uninstall(out: &mut dyn Write) -> Result<()> {
    if !is_loaded() {
        return print(out, "not installed: the module is not loaded");
    }
    // The device is closed again before unloading; of another version nothing is known.
    let lost = Device::open().and_then(|d| activate::unreported(&d));
    // The name has no NUL byte.
    let name = CString::new(abi::MODULE_NAME).unwrap_or_default();
    match delete_module(&name, DeleteModuleFlags::O_NONBLOCK) {
        Ok(()) => {
            activate::warn_discarded(lost.unwrap_or(0));
            print(out, "uninstalled")
        }
        Err(Errno::ENOENT) => print(out, "not installed: the module is not loaded"),
        Err(errno) => Err(unload_error(errno)),
    }
}

fn print(out: &mut dyn Write, text: &str) -> Result<()> {
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(write_error)
}

/// Whether the kernel has the module.
pub fn is_loaded() -> bool {
    Path::new("/sys/module").join(abi::MODULE_NAME).exists()
}

/// Whether nobody has begun to unload it, which takes a moment while it records.
fn is_live() -> bool {
    let state = Path::new("/sys/module").join(abi::MODULE_NAME);
    fs::read_to_string(state.join("initstate")).is_ok_and(|text| text.trim() == "live")
}

/// Whether the kernel says that it is locked down, where that can be read.
fn is_locked_down() -> bool {
    fs::read_to_string("/sys/kernel/security/lockdown").is_ok_and(|text| !text.contains("[none]"))
}

/// Loads the module; the path, and whether it was not loaded before.
fn load_for_kernel() -> Result<(PathBuf, bool)> {
    let release = build::kernel_release()?;
    let path = match candidates(&release).into_iter().find(|p| p.is_file()) {
        Some(path) => path,
        None => build::module(&release)?,
    };
    let file = File::open(&path).map_err(|e| Error::system(path.display().to_string(), e))?;
    match finit_module(&file, c"", ModuleInitFlags::empty()) {
        Ok(()) => Ok((path, true)),
        Err(Errno::EEXIST) => Ok((path, false)),
        Err(errno) => Err(load_error(&path, &release, errno)),
    }
}

/// Where the module for a kernel may lie, best first.
fn candidates(release: &str) -> Vec<PathBuf> {
    let file = format!("{}.ko", abi::MODULE_NAME);
    let own = env::var_os(MODULES_VARIABLE).filter(|v| !v.is_empty());
    let own = own.map(|dir| Path::new(&dir).join(release).join(&file));
    let kernel = Path::new("/lib/modules").join(release);
    let standard = ["updates", "updates/dkms", "extra"].map(|dir| kernel.join(dir).join(&file));
    own.into_iter().chain(standard).collect()
}

fn load_error(path: &Path, release: &str, errno: Errno) -> Error {
    let advice = match errno {
        Errno::EPERM if !nix::unistd::geteuid().is_root() => return Error::Permission,
        Errno::EPERM if is_locked_down() => {
            ": the kernel is locked down, and wants a signature that it trusts: sign the module with \
             a key that is enrolled (mokutil --import)"
        }
        Errno::EPERM => {
            ": module loading is not allowed here (container, lockdown or modules_disabled)"
        }
        Errno::ENOKEY | Errno::EKEYREJECTED | Errno::EBADMSG => {
            ": the kernel wants a signature that it trusts (Secure Boot): sign the module with a key \
             that is enrolled (mokutil --import), or turn Secure Boot off"
        }
        Errno::ENOEXEC => {
            ": it was built for another kernel: build it against the headers of this one"
        }
        Errno::ENOENT => ": a symbol that it needs is missing: see the kernel's log (dmesg)",
        Errno::ENOSYS => ": this kernel cannot load modules",
        _ => ": see the kernel's log (dmesg)",
    };
    let what = format!("loading {} into kernel {release}", path.display());
    Error::System {
        what,
        source: errno.into(),
        advice,
    }
}

fn unload_error(errno: Errno) -> Error {
    match errno {
        Errno::EPERM => Error::Permission,
        Errno::EAGAIN | Errno::EBUSY => Error::Other(match holders().as_slice() {
            [] => "the module is in use: try again".into(),
            some => format!(
                "the module is in use by {}: end them first",
                some.join(", ")
            ),
        }),
        _ => Error::system(format!("unloading {}", abi::MODULE_NAME), errno),
    }
}

/// Processes that have the device open or mapped, as `PID (NAME)`.
fn holders() -> Vec<String> {
    let Some(device) = fs::metadata(device_path()).ok().map(|m| m.rdev()) else {
        return vec![];
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let holding = processes.filter(|p| has_open(&p.path(), device) || has_mapped(&p.path()));
    holding.map(|p| holder_name(&p.path())).collect()
}

fn has_open(process: &Path, device: u64) -> bool {
    let fds = fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten();
    let mut opened = fds.filter_map(|fd| fs::metadata(fd.path()).ok());
    opened.any(|m| m.rdev() == device)
}

/// A mapping holds the module when the file is closed, too.
fn has_mapped(process: &Path) -> bool {
    let maps = fs::read_to_string(process.join("maps")).unwrap_or_default();
    let device = device_path();
    maps.lines()
        .any(|l| device.to_str().is_some_and(|d| l.ends_with(d)))
}

fn holder_name(process: &Path) -> String {
    let pid = process.file_name().unwrap_or_default().to_string_lossy();
    let comm = fs::read(process.join("comm")).unwrap_or_default();
    format!(
        "{pid} ({})",
        crate::text::printable_bytes(comm.trim_ascii_end())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_refusals_say_what_to_do() {
        let text = |errno| load_error(Path::new("/x/tcpstates.ko"), "6.1.0", errno).to_string();
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
        let found: Vec<_> = found.iter().filter_map(|p| p.to_str()).collect();
        assert_eq!(
            found[found.len() - 3..],
            [
                "/lib/modules/6.1.0/updates/tcpstates.ko",
                "/lib/modules/6.1.0/updates/dkms/tcpstates.ko",
                "/lib/modules/6.1.0/extra/tcpstates.ko",
            ]
        );
    }

    #[test]
    fn a_process_that_holds_a_device_is_named() {
        let null = File::open("/dev/null").unwrap();
        let device = null.metadata().unwrap().rdev();
        let me = Path::new("/proc").join(std::process::id().to_string());
        assert!(has_open(&me, device));
        assert!(holder_name(&me).starts_with(&format!("{} (", std::process::id())));
    }
}
