//! Builds the module from its sources, for kernels that have none.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::utsname::uname;

use crate::abi;
use crate::error::{Error, Result};
use crate::say;

/// Where modules that were built here are kept, in a folder per kernel release.
const STATE: &str = "/var/lib/diagnose-tools";
/// The folders of the sources.
const SOURCES: [&str; 2] = ["kmod", "include"];

/// The release of the running kernel, as `uname -r` says it.
///
/// # Errors
/// The kernel does not tell.
pub fn kernel_release() -> Result<String> {
    let name = uname().map_err(|e| Error::system("uname", e))?;
    Ok(name.release().to_string_lossy().into_owned())
}

/// Builds the module for `release`, or takes the one that was built before of
/// the same sources.
///
/// # Errors
/// No sources, no headers, no `make`, or the build fails.
pub fn module(release: &str) -> Result<PathBuf> {
    let headers = Path::new("/lib/modules").join(release).join("build");
    let Some(sources) = sources() else {
        return Err(missing(
            release,
            "neither are its sources beside diagnose-tools",
        ));
    };
    if !headers.join("Makefile").exists() {
        let advice = format!("install the headers first (apt-get install linux-headers-{release})");
        return Err(missing(release, &advice));
    }
    let build = Path::new(STATE).join(release).join("build");
    let built = build.join("kmod").join(format!("{}.ko", abi::MODULE_NAME));
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::PermissionDenied => Error::Permission,
        _ => Error::system(format!("copying the sources to {}", build.display()), e),
    };
    if !refresh(&sources, &build).map_err(failed)? && built.is_file() {
        return Ok(built);
    }
    make(release, &headers, &build)?;
    Ok(built)
}

fn missing(release: &str, advice: &str) -> Error {
    Error::Other(format!("there is no module for kernel {release}: {advice}"))
}

/// The folder that holds the sources.
fn sources() -> Option<PathBuf> {
    sources_of(&env::current_exe().ok()?)
}

/// Those of an installed program, or of the tree that it was built in.
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

/// Makes `to` hold the sources; whether any of them was not there before.
fn refresh(from: &Path, to: &Path) -> io::Result<bool> {
    let mut changed = false;
    for folder in SOURCES {
        changed |= refresh_folder(&from.join(folder), &to.join(folder))?;
    }
    Ok(changed)
}

fn refresh_folder(from: &Path, to: &Path) -> io::Result<bool> {
    fs::create_dir_all(to)?;
    let mut changed = false;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            changed |= refresh_folder(&path, &copy)?;
        } else if is_source(&path) {
            changed |= refresh_file(&path, &copy)?;
        }
    }
    Ok(changed)
}

fn refresh_file(from: &Path, to: &Path) -> io::Result<bool> {
    let text = fs::read(from)?;
    let changed = fs::read(to).ok().as_ref() != Some(&text);
    if changed {
        fs::write(to, text)?;
    }
    Ok(changed)
}

/// Not what a build in the tree has left.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let known = [".c", ".h"].iter().any(|end| name.ends_with(end)) || name == "Kbuild";
    known && !name.ends_with(".mod.c") && !name.starts_with('.')
}

fn make(release: &str, headers: &Path, build: &Path) -> Result<()> {
    say::progress(&format!("building the module for kernel {release} …"));
    let mut command = Command::new("make");
    command.arg("-C").arg(headers);
    command
        .arg(format!("M={}", build.join("kmod").display()))
        .arg("modules");
    let done = command.stdin(Stdio::null()).output();
    let done = match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(missing(release, "install make and gcc first, to build it"));
        }
        other => other.map_err(|e| Error::system("running make", e))?,
    };
    let log = build.join("build.log");
    let wrote = fs::write(&log, [&done.stdout[..], &done.stderr[..]].concat());
    wrote.map_err(|e| Error::system(format!("writing {}", log.display()), e))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(Error::Other(format!(
            "building the module for kernel {release} failed ({}): see {}",
            done.status,
            log.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_copied_without_what_builds_leave() {
        let root = env::temp_dir().join(format!("diagnose-tools-{}", std::process::id()));
        let (from, to) = (root.join("from"), root.join("to"));
        fs::create_dir_all(from.join("kmod/probe")).unwrap();
        fs::create_dir_all(from.join("include")).unwrap();
        for file in ["kmod/a.c", "kmod/Kbuild", "kmod/probe/b.c", "include/c.h"] {
            fs::write(from.join(file), file).unwrap();
        }
        for file in ["kmod/a.o", "kmod/x.mod.c", "kmod/.a.o.cmd", "kmod/x.ko"] {
            fs::write(from.join(file), "left").unwrap();
        }
        assert!(refresh(&from, &to).unwrap());
        assert!(!refresh(&from, &to).unwrap());
        assert!(to.join("kmod/probe/b.c").is_file() && !to.join("kmod/a.o").exists());
        assert!(!to.join("kmod/x.mod.c").exists());
        fs::write(from.join("kmod/a.c"), "changed").unwrap();
        assert!(refresh(&from, &to).unwrap());
        fs::remove_dir_all(root).unwrap();
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
