//! The stamp of a build: it lists the inputs, is written after the build, and is compared before
//! that module is loaded again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::module::programs;
use crate::module::trust::Folder;

/// The sources: path relative to their folder, and content.
pub type Sources = BTreeMap<PathBuf, Vec<u8>>;

/// Files that identify the headers, in addition to those that the compiler has read: release,
/// configuration, exported symbols and their versions.
const KERNEL: [&str; 9] = [
    ".config",
    ".kernelvariables",
    "Makefile",
    "Module.symvers",
    "include/config/auto.conf",
    "include/config/kernel.release",
    "include/generated/autoconf.h",
    "include/generated/utsrelease.h",
    "scripts/module.lds",
];
const HEADER: &str = "header ";
const COMPILER: &str = "compiler ";
/// The compiler if a build does not name the one that it used.
const DEFAULT_COMPILER: &str = "gcc";

/// The stamp of a module that was just built in the folder `build`.
pub fn of_build(sources: &Sources, headers: &Path, build: &Path, module: &[u8]) -> String {
    let made = Made::read(&build.join("kmod"), headers, build);
    made.stamp(sources, headers, module)
}

/// Whether a stamp still matches: none of the listed files has changed.
pub fn is_true(stamp: &str, sources: &Sources, headers: &Path, module: &[u8]) -> bool {
    Made::told(stamp).stamp(sources, headers, module) == stamp
}

/// Inputs that only the build shows: the compiler, and the headers that it has read.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    compiler: String,
    headers: Vec<PathBuf>,
}

impl Made {
    /// Reads the command files that kbuild writes for the objects.
    fn read(objects: &Path, headers: &Path, build: &Path) -> Self {
        let mut commands = String::new();
        for entry in fs::read_dir(objects).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().ends_with(".o.cmd") {
                let text = fs::read_to_string(entry.path());
                commands.push_str(&text.unwrap_or_default());
                commands.push('\n');
            }
        }
        Self::parse(&commands, headers, build)
    }

    fn parse(commands: &str, headers: &Path, build: &Path) -> Self {
        let compiles = |l: &&str| l.contains("cmd_") && l.contains(" -c ");
        let command = commands.lines().find(compiles);
        let compiler = command.and_then(|l| l.split_once(":=")?.1.split_whitespace().next());
        let words = commands.split_whitespace();
        let read = words.filter(|w| w.ends_with(".h") && !w.contains('$'));
        let mut read: Vec<_> = read.map(|w| headers.join(w)).collect();
        read.retain(|path| !path.starts_with(build) && path.is_file());
        read.sort();
        read.dedup();
        Self {
            compiler: compiler.unwrap_or(DEFAULT_COMPILER).to_owned(),
            headers: read,
        }
    }

    /// Parses a stamp.
    fn told(stamp: &str) -> Self {
        let compiler = stamp.lines().find_map(|l| l.strip_prefix(COMPILER));
        let compiler = compiler.and_then(|l| l.split_whitespace().next());
        let header = |l: &str| Some(PathBuf::from(path_of(l.strip_prefix(HEADER)?)));
        Self {
            compiler: compiler.unwrap_or(DEFAULT_COMPILER).to_owned(),
            headers: stamp.lines().filter_map(header).collect(),
        }
    }

    fn stamp(&self, sources: &Sources, headers: &Path, module: &[u8]) -> String {
        let mut text = String::new();
        let mut line = |kind: &str, path: &Path, digest: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{kind}{digest} {}", path.display());
        };
        for (path, content) in sources {
            line("source ", path, &digest(content));
        }
        for path in KERNEL {
            line("kernel ", Path::new(path), &digest_of(&headers.join(path)));
        }
        for path in &self.headers {
            line(HEADER, path, &digest_of(path));
        }
        let _ = writeln!(
            text,
            "{COMPILER}{} {}",
            self.compiler,
            version(&self.compiler)
        );
        let _ = writeln!(text, "module {}", digest(module));
        text
    }
}

/// The path in a line, without the kind and digest of the file.
fn path_of(rest: &str) -> &str {
    rest.split_once(' ').map_or("", |(_, path)| path)
}

/// Length and hash. The hash is not cryptographic: only trusted users can choose the content.
fn digest(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    format!("{}:{:016x}", content.len(), hasher.finish())
}

fn digest_of(path: &Path) -> String {
    fs::read(path).map_or("none".into(), |content| digest(&content))
}

/// The version of a compiler as one line.
fn version(compiler: &str) -> String {
    let output = programs::command(compiler).arg("--version").output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().next().unwrap_or("none").to_owned()
}

/// The content of a file in a trusted folder, if it exists and is trusted too.
pub fn read(folder: &Folder, name: &str) -> Option<Vec<u8>> {
    let mut content = vec![];
    let mut file = folder.file(name.as_ref()).ok()?;
    file.read_to_end(&mut content).ok()?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let name = format!("diagnose-tools-{name}-{}", std::process::id());
        let path = env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("headers/include/linux")).unwrap();
        fs::create_dir_all(path.join("build/kmod")).unwrap();
        path
    }

    #[test]
    fn commands_tell_the_compiler_and_what_it_has_read() {
        let top = scratch("commands");
        let (headers, build) = (top.join("headers"), top.join("build"));
        fs::write(headers.join("include/linux/tcp.h"), "").unwrap();
        fs::write(build.join("kmod/own.h"), "").unwrap();
        let commands = format!(
            "savedcmd_x.o := clang-99 -Wp,-MMD -c -o x.o x.c\n\
             deps_x.o := \\\n  $(wildcard include/config/SMP) \\\n  include/linux/tcp.h \\\n  \
             {0}/include/linux/tcp.h \\\n  {1}/kmod/own.h \\\n  gone.h \\\n",
            headers.display(),
            build.display()
        );
        let expected = Made {
            compiler: "clang-99".into(),
            headers: vec![headers.join("include/linux/tcp.h")],
        };
        assert_eq!(Made::parse(&commands, &headers, &build), expected);
        assert_eq!(Made::parse("", &headers, &build).compiler, "gcc");
        let stamp = expected.stamp(&Sources::new(), &headers, b"");
        assert_eq!(Made::told(&stamp), expected);
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_change_of_anything_makes_a_stamp_untrue() {
        let top = scratch("stamp");
        let (headers, build) = (top.join("headers"), top.join("build"));
        let header = headers.join("include/linux/tcp.h");
        fs::write(&header, "struct tcp_sock;").unwrap();
        fs::write(headers.join("Module.symvers"), "0x1 tcp_close").unwrap();
        let command = format!("cmd_x.o := true -c x.c\ndeps_x.o := {}\n", header.display());
        fs::write(build.join("kmod/.x.o.cmd"), command).unwrap();
        let mut sources = Sources::from([("kmod/a.c".into(), b"int a;".to_vec())]);
        let stamp = of_build(&sources, &headers, &build, b"module");
        let holds = |sources: &Sources, module: &[u8]| is_true(&stamp, sources, &headers, module);
        assert!(holds(&sources, b"module"));
        assert!(!holds(&sources, b"modul"));
        assert!(!is_true("", &sources, &headers, b"module"));
        for (path, text) in [
            (&header, "struct tcp_sock;"),
            (&headers.join("Module.symvers"), "0x1 tcp_close"),
        ] {
            fs::write(path, "another").unwrap();
            assert!(!holds(&sources, b"module"), "{}", path.display());
            fs::remove_file(path).unwrap();
            assert!(!holds(&sources, b"module"), "{}", path.display());
            fs::write(path, text).unwrap();
            assert!(holds(&sources, b"module"), "{}", path.display());
        }
        fs::write(headers.join(".config"), "new").unwrap();
        assert!(!holds(&sources, b"module"));
        fs::remove_file(headers.join(".config")).unwrap();
        let other = stamp.replace("compiler true ", "compiler true of-another-version ");
        assert!(!is_true(&other, &sources, &headers, b"module"));
        sources.insert("kmod/b.c".into(), vec![]);
        assert!(!holds(&sources, b"module"));
        fs::remove_dir_all(top).unwrap();
    }
}
