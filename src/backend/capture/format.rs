//! The container: a header, blocks, and a last block that says how many there were.
//!
//! | bytes of the header | |
//! |---|---|
//! | 8 | magic number |
//! | 2 | version of the format |
//! | 2 | zero |
//! | 4 | CRC-32 of the 12 bytes before |
//!
//! | bytes of a block | |
//! |---|---|
//! | 2 | kind of its elements |
//! | 1 | version of its elements |
//! | 1 | flags: 1 compressed by LZ4, 2 may be left out by who does not know the kind |
//! | 4 | number of the block, from 0 on |
//! | 4 | length of the elements, at most 1 MiB |
//! | 4 | stored length |
//! | 4 | CRC-32 of the 16 bytes before and of what is stored |
//! | | what is stored |
//!
//! Kinds ascend, so the blocks of one kind follow each other. The magic number and the places of
//! the version and of its checksum are for all time.

use byteorder::{ByteOrder, LittleEndian};

use crate::backend::capture::Problem;
use crate::backend::capture::codec::fields;

/// As PNG's: not text, and changed by what changes the ends of lines.
const MAGIC: [u8; 8] = *b"\x89DTCAP\r\n";
/// Version of the container.
pub const VERSION: u16 = 1;
/// Bytes of the header.
pub const HEADER: usize = 16;
/// Bytes of a block before what is stored.
pub const BLOCK: usize = 20;
/// Most bytes of elements in a block.
pub const MOST: usize = 1 << 20;

/// Flags of a block.
const COMPRESSED: u8 = 1;
const OPTIONAL: u8 = 2;

/// Kind of the last block.
pub const END: u16 = u16::MAX;

/// What the last block says, to which nothing may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct End {
    /// Blocks before it.
    pub blocks: u32,
    /// Bytes of all elements in them.
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

/// Whether a header is that of a capture that can be read.
///
/// # Errors
/// Another file, a damaged or a newer one.
pub fn check_header(bytes: &[u8; HEADER]) -> Result<(), Problem> {
    if bytes[..8] != MAGIC {
        return Err(Problem::Foreign);
    }
    if LittleEndian::read_u32(&bytes[12..]) != crc32fast::hash(&bytes[..12]) {
        return Err(Problem::damaged(0, "its header has another checksum"));
    }
    match LittleEndian::read_u16(&bytes[8..10]) {
        VERSION => Ok(()),
        found => Err(Problem::newer(format!("format {found}"))),
    }
}

/// What stands before the elements of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Kind of the elements.
    pub kind: u16,
    /// Version of the elements.
    pub version: u8,
    /// Whether a reader that does not know the kind goes on behind it.
    pub optional: bool,
    /// Which block it is.
    pub number: u32,
    /// Bytes of the elements.
    pub length: usize,
    /// Bytes that are stored; fewer, when they are compressed.
    pub stored: usize,
}

impl Block {
    /// Its bytes, before those that are stored.
    pub fn encode(&self, stored: &[u8]) -> [u8; BLOCK] {
        let mut bytes = [0; BLOCK];
        LittleEndian::write_u16(&mut bytes[0..2], self.kind);
        bytes[2] = self.version;
        let compressed = if self.is_compressed() { COMPRESSED } else { 0 };
        bytes[3] = compressed | if self.optional { OPTIONAL } else { 0 };
        LittleEndian::write_u32(&mut bytes[4..8], self.number);
        // Both are at most MOST.
        LittleEndian::write_u32(&mut bytes[8..12], self.length as u32);
        LittleEndian::write_u32(&mut bytes[12..16], self.stored as u32);
        let checksum = checksum(&bytes, stored);
        LittleEndian::write_u32(&mut bytes[16..], checksum);
        bytes
    }

    /// Reads what stands at byte `at` of the file. Whether the lengths are true shows the checksum
    /// only, but they are never too large to read as much.
    ///
    /// # Errors
    /// A length or a flag that no writer has written.
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
            Err(Problem::damaged(at, "a block is too long"))
        } else if compressed != block.is_compressed() || bytes[3] & !(COMPRESSED | OPTIONAL) != 0 {
            Err(Problem::damaged(at, "a block has flags that do not fit"))
        } else {
            Ok(block)
        }
    }

    /// Whether what is stored is compressed: only what that makes shorter is.
    pub fn is_compressed(&self) -> bool {
        self.stored < self.length
    }
}

/// Whether a block and what is stored in it have the checksum that it says.
pub fn is_whole(block: &[u8; BLOCK], stored: &[u8]) -> bool {
    LittleEndian::read_u32(&block[16..]) == checksum(block, stored)
}

fn checksum(block: &[u8; BLOCK], stored: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block[..16]);
    hasher.update(stored);
    hasher.finalize()
}
