//! Writes captures.

use std::io::{self, Write};

use lz4_flex::block::{compress_into, get_maximum_output_size};

use crate::backend::capture::Kind;
use crate::backend::capture::codec::Codec;
use crate::backend::capture::format::{self, Block, END, End, MOST};
use crate::error::{Error, Result};
use crate::fmt::errno;
use crate::fmt::text::{text, words};

/// A block is written once it has this many bytes.
const FULL: usize = 256 << 10;

/// Writes blocks, and keeps one of them in memory.
pub struct Writer<W> {
    out: W,
    /// Name used in errors.
    name: String,
    /// Kind of the elements in `bytes`.
    kind: Option<Kind>,
    bytes: Vec<u8>,
    compressed: Vec<u8>,
    end: End,
}

impl<W: Write> Writer<W> {
    /// Writes the header of a capture; errors use `name`.
    ///
    /// # Errors
    /// Writing to `out` fails.
    pub fn new(out: W, name: &str) -> Result<Self> {
        let mut writer = Self {
            out,
            name: name.into(),
            kind: None,
            bytes: Vec::new(),
            compressed: Vec::new(),
            end: End::default(),
        };
        let written = writer.out.write_all(&format::header(format::VERSION));
        written.map_err(|error| writer.error(error))?;
        Ok(writer)
    }

    /// Appends an element. All elements of a kind must be adjacent, and kinds must ascend.
    ///
    /// # Errors
    /// Writing to `out` fails, or the element is too large.
    pub fn put<T: Codec>(&mut self, kind: Kind, element: &T) -> Result<()> {
        if self.kind != Some(kind) {
            debug_assert!(self.kind < Some(kind), "kinds ascend");
            self.flush()?;
            self.kind = Some(kind);
        }
        element.put(&mut self.bytes);
        match self.bytes.len() {
            0..FULL => Ok(()),
            _ => self.flush(),
        }
    }

    /// Appends all elements of a kind.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn put_all<'a, T: Codec + 'a>(
        &mut self,
        kind: Kind,
        elements: impl IntoIterator<Item = &'a T>,
    ) -> Result<()> {
        elements
            .into_iter()
            .try_for_each(|element| self.put(kind, element))
    }

    /// Writes the buffered elements and the last block.
    ///
    /// # Errors
    /// Writing to `out` fails.
    pub fn finish(mut self) -> Result<W> {
        self.flush()?;
        let end = self.end;
        end.put(&mut self.bytes);
        let written = self.block(END, 1).and_then(|()| self.out.flush());
        written.map_err(|error| self.error(error))?;
        Ok(self.out)
    }

    fn flush(&mut self) -> Result<()> {
        let written = match self.kind {
            Some(kind) if !self.bytes.is_empty() => self.block(kind.number, kind.version),
            _ => Ok(()),
        };
        written.map_err(|error| self.error(error))
    }

    fn error(&self, error: io::Error) -> Error {
        let name = &self.name;
        Error::system(text!("writing {name}", "写入 {name} "), error)
    }

    fn block(&mut self, kind: u16, version: u8) -> io::Result<()> {
        let length = self.bytes.len();
        if length > MOST {
            return Err(errno::other(words!(
                "an element is too large for a capture",
                "一项数据过大，捕获文件无法容纳"
            )));
        }
        let room = get_maximum_output_size(length).max(self.compressed.len());
        self.compressed.resize(room, 0);
        let compressed = compress_into(&self.bytes, &mut self.compressed);
        let stored = match compressed {
            Ok(shorter) if shorter < length => &self.compressed[..shorter],
            _ => &self.bytes[..],
        };
        let block = Block {
            kind,
            version,
            optional: false,
            number: self.end.blocks,
            length,
            stored: stored.len(),
        };
        self.out.write_all(&block.encode(stored))?;
        self.out.write_all(stored)?;
        self.bytes.clear();
        self.end.blocks = self.end.blocks.checked_add(1).ok_or_else(too_many)?;
        self.end.bytes += length as u64;
        Ok(())
    }
}

/// Reached only above a petabyte.
fn too_many() -> io::Error {
    errno::other(words!(
        "a capture has room for 4294967295 blocks",
        "一个捕获文件最多容纳 4294967295 个块"
    ))
}
