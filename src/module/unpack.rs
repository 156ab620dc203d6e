//! Compressed modules of distributions: `tcpstates.ko.xz`, `.zst`, `.gz`.
//!
//! The kernel decompresses them itself if it can (5.17, `CONFIG_MODULE_DECOMPRESS`). Otherwise
//! `xz`, `zstd` or `gzip` does: a host with compressed modules has the program, and three libraries
//! are not worthwhile for a single use.

use std::fs::{self, File};
use std::io::{self, Read};
use std::process::Stdio;

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module, init_module};

use crate::fmt::errno;
use crate::fmt::text::{Text, text, words};
use crate::module::programs;

/// Larger than any module.
const MAX_MODULE: u64 = 64 << 20;
/// `MODULE_INIT_COMPRESSED_FILE` in `linux/module.h`.
const COMPRESSED_FILE: u32 = 4;

/// Compression of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not compressed.
    Plain,
    /// Compressed by `xz`.
    Xz,
    /// Compressed by `zstd`.
    Zstd,
    /// Compressed by `gzip`.
    Gzip,
}

/// In the order of the search.
pub const ALL: [Packing; 4] = [Packing::Plain, Packing::Xz, Packing::Zstd, Packing::Gzip];

/// Why a module was not loaded.
#[derive(Debug)]
pub enum Failure {
    /// The kernel refuses it.
    Kernel(Errno),
    /// It cannot be decompressed: the program, and the reason.
    Unpacking(&'static str, Text),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno)
    }
}

impl Packing {
    /// The suffix after `.ko`.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }

    /// The program that decompresses it, which is also the kernel's name for the format.
    fn program(self) -> &'static str {
        match self {
            Self::Plain => "cat",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    fn is_known_to_kernel(self) -> bool {
        fs::read_to_string("/sys/module/compression").is_ok_and(|t| t.trim() == self.program())
    }

    /// Loads a module.
    ///
    /// # Errors
    /// The kernel refuses it, or it cannot be decompressed.
    pub fn load(self, file: File) -> Result<(), Failure> {
        if self == Self::Plain {
            return Ok(finit_module(&file, c"", ModuleInitFlags::empty())?);
        }
        if self.is_known_to_kernel() {
            let flags = ModuleInitFlags::from_bits_retain(COMPRESSED_FILE);
            match finit_module(&file, c"", flags) {
                // The kernel does not support every kind of checksum or dictionary.
                Err(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::EIO) => (),
                done => return Ok(done?),
            }
        }
        let module = self.unpack(file, MAX_MODULE)?;
        Ok(init_module(&module, c"")?)
    }

    fn unpack(self, file: File, limit: u64) -> Result<Vec<u8>, Failure> {
        let failed = |why: Text| Failure::Unpacking(self.program(), why);
        let of_system = |error: io::Error| failed(errno::of(&error));
        let mut command = programs::command(self.program());
        command.arg("-dc").stdin(file).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().map_err(|e| {
            failed(match e.kind() {
                io::ErrorKind::NotFound => words!("it is not installed", "没有安装").into(),
                _ => errno::of(&e),
            })
        })?;
        let mut module = vec![];
        let read = match child.stdout.take() {
            Some(out) => out.take(limit + 1).read_to_end(&mut module),
            None => Ok(0),
        };
        // If the program still writes, the closed pipe ends it.
        let status = child.wait().map_err(of_system)?;
        read.map_err(of_system)?;
        if module.len() as u64 > limit {
            let most = limit >> 20;
            return Err(failed(text!(
                "there is more than {most} MiB of it",
                "超过 {most} MiB"
            )));
        }
        match status.success() {
            true => Ok(module),
            false => Err(failed(errno::status(status))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::path::{Path, PathBuf};

    use super::*;

    fn packed(by: Packing, text: &str) -> PathBuf {
        let path = env::temp_dir().join(format!("diagnose-tools-{by:?}-{}", std::process::id()));
        fs::write(&path, text).unwrap();
        let out = path.with_extension("packed");
        let mut command = programs::command(by.program());
        command.arg("-c").stdin(File::open(&path).unwrap());
        command.stdout(File::create(&out).unwrap());
        assert!(command.status().unwrap().success());
        fs::remove_file(path).unwrap();
        out
    }

    fn unpack(by: Packing, path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
        by.unpack(File::open(path).unwrap(), limit)
    }

    #[test]
    fn each_packing_is_unpacked() {
        let text = "a module ".repeat(10_000);
        for by in [Packing::Xz, Packing::Zstd, Packing::Gzip] {
            let path = packed(by, &text);
            assert_eq!(unpack(by, &path, 90_000).unwrap(), text.as_bytes());
            assert!(unpack(by, &path, 89_999).is_err(), "over the limit");
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            assert!(unpack(by, &path, 90_000).is_err(), "cut off");
            fs::write(&path, "no archive").unwrap();
            assert!(unpack(by, &path, 90_000).is_err(), "no archive");
            fs::remove_file(path).unwrap();
        }
    }
}
