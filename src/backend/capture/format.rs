//! The container: a header, blocks, and a last block with the number of blocks.
//!
//! | bytes of the header | |
//! |---|---|
//! | 8 | magic number |
//! | 2 | version of the format |
//! | 2 | zero |
//! | 4 | CRC-32 of the preceding 12 bytes |
//!
//! | bytes of a block | |
//! |---|---|
//! | 2 | kind of its elements |
//! | 1 | version of its elements |
//! | 1 | flags: 1 compressed with LZ4, 2 may be skipped by a reader that does not know the kind |
//! | 4 | number of the block, starting at 0 |
//! | 4 | length of the elements, at most 1 MiB |
//! | 4 | length of the stored data |
//! | 4 | CRC-32 of the preceding 16 bytes and of the stored data |
//! | | stored data |
//!
//! Kinds ascend, so the blocks of a kind are adjacent. The magic number and the positions of the
//! version and of its checksum never change.

use byteorder::{ByteOrder, LittleEndian};

use crate::backend::capture::Problem;
use crate::backend::capture::codec::fields;
use crate::fmt::text::{text, words};

/// Like the magic number of PNG: not text, and damaged by a conversion of line endings.
const MAGIC: [u8; 8] = *b"\x89DTCAP\r\n";
/// Version of the container.
pub const VERSION: u16 = 1;
/// Size of the header in bytes.
pub const HEADER: usize = 16;
/// Size of a block header in bytes.
pub const BLOCK: usize = 20;
/// Maximum size of the elements of a block in bytes.
pub const MOST: usize = 1 << 20;

/// Flags of a block.
const COMPRESSED: u8 = 1;
const OPTIONAL: u8 = 2;

/// Kind of the last block.
pub const END: u16 = u16::MAX;

/// The totals in the last block. All data before it must match them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct End {
    /// Number of blocks before it.
    pub blocks: u32,
    /// Size of the elements of those blocks in bytes.
    pub bytes: u64,
}

fields! { End { blocks bytes } }

/// The header of a file.
pub fn header(version: u16) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    LittleEndian::write_u16(&mut bytes[8..10], version);
    let checksum = crc32fast::hash(&bytes[..12]);
    LittleEndian::write_u32(&mut bytes[12..], checksum);
    bytes
}

/// Checks that a header belongs to a capture that can be read.
///
/// # Errors
/// The file is of another type, damaged or newer.
pub fn check_header(bytes: &[u8; HEADER]) -> Result<(), Problem> {
    if bytes[..8] != MAGIC {
        return Err(Problem::Foreign);
    }
    if LittleEndian::read_u32(&bytes[12..]) != crc32fast::hash(&bytes[..12]) {
        return Err(Problem::damaged(
            0,
            words!("its header has another checksum", "文件头的校验和不符"),
        ));
    }
    match LittleEndian::read_u16(&bytes[8..10]) {
        VERSION => Ok(()),
        found => Err(Problem::newer(text!("format {found}", "格式 {found}"))),
    }
}

/// The header of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Kind of the elements.
    pub kind: u16,
    /// Version of the elements.
    pub version: u8,
    /// Whether a reader that does not know the kind may skip the block.
    pub optional: bool,
    /// Number of the block.
    pub number: u32,
    /// Size of the elements in bytes.
    pub length: usize,
    /// Size of the stored data in bytes, smaller if it is compressed.
    pub stored: usize,
}

impl Block {
    /// Encodes the header of a block with this stored data.
    pub fn encode(&self, stored: &[u8]) -> [u8; BLOCK] {
        let mut bytes = [0; BLOCK];
        LittleEndian::write_u16(&mut bytes[0..2], self.kind);
        bytes[2] = self.version;
        let compressed = if self.is_compressed() { COMPRESSED } else { 0 };
        bytes[3] = compressed | if self.optional { OPTIONAL } else { 0 };
        LittleEndian::write_u32(&mut bytes[4..8], self.number);
        // Both are at most `MOST`.
        LittleEndian::write_u32(&mut bytes[8..12], self.length as u32);
        LittleEndian::write_u32(&mut bytes[12..16], self.stored as u32);
        let checksum = checksum(&bytes, stored);
        LittleEndian::write_u32(&mut bytes[16..], checksum);
        bytes
    }

    /// Decodes the block header at byte `at` of the file. Only the checksum proves that the lengths
    /// are correct, but they are always small enough to read that much.
    ///
    /// # Errors
    /// A length or a flag is not one that a writer writes.
    pub fn decode(bytes: &[u8; BLOCK], at: u64) -> Result<Self, Problem> {
        let word = |from: usize| LittleEndian::read_u32(&bytes[from..from + 4]) as usize;
        let block = Self {
            kind: LittleEndian::read_u16(&bytes[0..2]),
            version: bytes[2],
            optional: bytes[3] & OPTIONAL != 0,
            number: word(4) as u32,
            length: word(8),
            stored: word(12),
        };
        let compressed = bytes[3] & COMPRESSED != 0;
        if block.length > MOST || block.stored > block.length {
            Err(Problem::damaged(
                at,
                words!("a block is too long", "一个块过长"),
            ))
        } else if compressed != block.is_compressed() || bytes[3] & !(COMPRESSED | OPTIONAL) != 0 {
            Err(Problem::damaged(
                at,
                words!("a block has flags that do not fit", "一个块的标志不合理"),
            ))
        } else {
            Ok(block)
        }
    }

    /// Whether the stored data is compressed: data is compressed only if that makes it shorter.
    pub fn is_compressed(&self) -> bool {
        self.stored < self.length
    }
}

/// Whether the checksum of a block matches its header and stored data.
pub fn is_whole(block: &[u8; BLOCK], stored: &[u8]) -> bool {
    LittleEndian::read_u32(&block[16..]) == checksum(block, stored)
}

fn checksum(block: &[u8; BLOCK], stored: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block[..16]);
    hasher.update(stored);
    hasher.finalize()
}
