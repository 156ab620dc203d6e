//! Reads captures.

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;

use lz4_flex::block::decompress_into;

use crate::backend::capture::codec::Codec;
use crate::backend::capture::format::{self, BLOCK, Block, END, End, HEADER};
use crate::backend::capture::{Kind, Problem};
use crate::fmt::text::{text, words};

/// A source of the bytes of a capture.
pub trait Source {
    /// Reads bytes starting at `at`; returns 0 only at the end.
    ///
    /// # Errors
    /// The system cannot read them.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;
}

impl Source for File {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, at)
    }
}

/// A capture in memory.
impl Source for Vec<u8> {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let rest = self.get(from..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// Maximum size of a table in memory: twice that of the largest pair table of the module.
const LARGEST_TABLE: u64 = 256 << 20;

/// Fills `bytes` starting at byte `at` of the file.
fn read_exact(source: &impl Source, bytes: &mut [u8], at: u64) -> Result<(), Problem> {
    let mut done = 0;
    while done < bytes.len() {
        let here = at + done as u64;
        match source.read_at(&mut bytes[done..], here) {
            Ok(0) => return Err(Problem::Truncated { at: here }),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A position between two blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    at: u64,
    number: u32,
}

impl Place {
    const FIRST: Self = Self {
        at: HEADER as u64,
        number: 0,
    };
}

/// Reads blocks in order, and keeps one of them in memory.
struct Blocks<'a, S> {
    source: &'a S,
    next: Place,
    stored: Vec<u8>,
}

impl<'a, S: Source> Blocks<'a, S> {
    fn new(source: &'a S, next: Place) -> Self {
        let stored = Vec::new();
        Self {
            source,
            next,
            stored,
        }
    }

    /// Reads the next block into `stored` and checks its checksum.
    fn next(&mut self) -> Result<Block, Problem> {
        let Place { at, number } = self.next;
        let mut head = [0; BLOCK];
        read_exact(self.source, &mut head, at)?;
        let block = Block::decode(&head, at)?;
        self.stored.resize(block.stored, 0);
        read_exact(self.source, &mut self.stored, at + BLOCK as u64)?;
        if !format::is_whole(&head, &self.stored) {
            return Err(Problem::damaged(
                at,
                words!("a block has another checksum", "一个块的校验和不符"),
            ));
        }
        if block.number != number {
            return Err(Problem::damaged(
                at,
                words!("a block is not the one that follows", "一个块的序号不连续"),
            ));
        }
        self.next = Place {
            at: at + (BLOCK + block.stored) as u64,
            number: number.saturating_add(1),
        };
        Ok(block)
    }

    /// Puts the elements of that block into `bytes`, decompressed if necessary.
    fn unpack(&self, block: Block, at: u64, bytes: &mut Vec<u8>) -> Result<(), Problem> {
        bytes.resize(block.length, 0);
        if !block.is_compressed() {
            bytes.copy_from_slice(&self.stored);
            return Ok(());
        }
        match decompress_into(&self.stored, bytes) {
            Ok(length) if length == block.length => Ok(()),
            _ => Err(Problem::damaged(
                at,
                words!("a block cannot be decompressed", "一个块无法解压"),
            )),
        }
    }
}

/// A reader of a complete capture.
pub struct Reader<S> {
    source: S,
    /// Position of the first block of each kind in the file.
    starts: Vec<(u16, Place)>,
}

impl<S: Source> Reader<S> {
    /// Checks every block, so that later reads find all data. `kinds` are the kinds that this
    /// version knows.
    ///
    /// # Errors
    /// The file is of another type, newer, damaged or truncated, or cannot be read.
    pub fn new(source: S, kinds: &[Kind]) -> Result<Self, Problem> {
        check_header(&source)?;
        let mut starts: Vec<(u16, Place)> = Vec::new();
        let mut blocks = Blocks::new(&source, Place::FIRST);
        let mut sum = End::default();
        loop {
            let place = blocks.next;
            let block = blocks.next()?;
            if block.kind == END {
                check_end(&blocks, block, place.at, sum)?;
                return Ok(Self { source, starts });
            }
            sum.blocks += 1;
            sum.bytes += block.length as u64;
            let last = starts.last().map(|(kind, _)| *kind);
            if last > Some(block.kind) {
                return Err(Problem::damaged(
                    place.at,
                    words!("its kinds are not in order", "各类数据的顺序错误"),
                ));
            }
            if is_known(&block, kinds)? && last != Some(block.kind) {
                starts.push((block.kind, place));
            }
        }
    }

    /// Iterates over the elements of a kind.
    pub fn stream<T: Codec>(&self, kind: Kind) -> Elements<'_, S, T> {
        let start = self
            .starts
            .iter()
            .find(|(number, _)| *number == kind.number);
        Elements {
            blocks: start.map(|(_, place)| Blocks::new(&self.source, *place)),
            kind,
            at: 0,
            bytes: Vec::new(),
            taken: 0,
            unpacked: 0,
            element: PhantomData,
        }
    }

    /// The version of the elements of a kind: that of its first block.
    pub fn version(&self, kind: Kind) -> u8 {
        let is_it = |start: &&(u16, Place)| start.0 == kind.number;
        let start = self.starts.iter().find(is_it);
        let first = start.map(|(_, place)| Blocks::new(&self.source, *place).next());
        first
            .and_then(Result::ok)
            .map_or(kind.version, |b| b.version)
    }

    /// All elements of a kind.
    ///
    /// # Errors
    /// There are more than such a table can have, or they cannot be decoded.
    pub fn table<T: Codec>(&self, kind: Kind) -> Result<Vec<T>, Problem> {
        let mut all = Vec::new();
        let mut elements = self.stream(kind);
        while let Some(element) = elements.next() {
            if all.len() >= kind.most || elements.unpacked > LARGEST_TABLE {
                let name = kind.name;
                let what = text!("there are too many {name}", "{name}过多"; name);
                return Err(Problem::damaged(elements.at, what));
            }
            all.push(element?);
        }
        Ok(all)
    }

    /// The only element of a kind.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn one<T: Codec>(&self, kind: Kind) -> Result<T, Problem> {
        let mut all = self.stream(kind);
        match (all.next(), all.next()) {
            (Some(one), None) => one,
            (Some(Err(problem)), _) | (_, Some(Err(problem))) => Err(problem),
            _ => {
                let name = kind.name;
                let what = text!("it has not one element of {name}", "{name}不是恰好一项"; name);
                Err(Problem::damaged(0, what))
            }
        }
    }
}

fn check_header(source: &impl Source) -> Result<(), Problem> {
    let mut bytes = [0; HEADER];
    match read_exact(source, &mut bytes, 0) {
        // It is too short to tell what it is.
        Err(Problem::Truncated { .. }) => Err(Problem::Foreign),
        other => other.and_then(|()| format::check_header(&bytes)),
    }
}

/// Whether this version knows the kind of a block; an unknown kind that is not optional is an
/// error.
fn is_known(block: &Block, kinds: &[Kind]) -> Result<bool, Problem> {
    match kinds.iter().find(|kind| kind.number == block.kind) {
        Some(kind) if block.version <= kind.version => Ok(true),
        Some(kind) => {
            let (version, name) = (block.version, kind.name);
            Err(Problem::newer(
                text!("version {version} of {name}", "{name}的版本 {version}"; name),
            ))
        }
        None if block.optional => Ok(false),
        None => {
            let kind = block.kind;
            Err(Problem::newer(text!(
                "blocks of kind {kind}",
                "类型 {kind} 的块"
            )))
        }
    }
}

fn check_end<S: Source>(
    blocks: &Blocks<S>,
    block: Block,
    at: u64,
    sum: End,
) -> Result<(), Problem> {
    let mut bytes = Vec::new();
    blocks.unpack(block, at, &mut bytes)?;
    if End::take(&mut &bytes[..]) != Ok(sum) {
        return Err(Problem::damaged(
            at,
            words!(
                "its blocks are not those that it counts",
                "块的数量与记载不符"
            ),
        ));
    }
    let behind = blocks.next.at;
    match read_exact(blocks.source, &mut [0], behind) {
        Err(Problem::Truncated { .. }) => Ok(()),
        Ok(()) => Err(Problem::damaged(
            behind,
            words!("it goes on behind its last block", "最后的块之后还有内容"),
        )),
        Err(problem) => Err(problem),
    }
}

/// The elements of a kind. The iterator ends after the first error.
pub struct Elements<'a, S, T> {
    /// `None`: there are no more blocks of this kind.
    blocks: Option<Blocks<'a, S>>,
    kind: Kind,
    /// Position of the block in `bytes`, and how much of it was decoded.
    at: u64,
    bytes: Vec<u8>,
    taken: usize,
    /// Decompressed size so far of the blocks of the kind.
    unpacked: u64,
    element: PhantomData<T>,
}

impl<S: Source, T: Codec> Elements<'_, S, T> {
    /// Reads the next block of the kind; returns false if there is none.
    fn fill(&mut self) -> Result<bool, Problem> {
        let Some(blocks) = &mut self.blocks else {
            return Ok(false);
        };
        self.at = blocks.next.at;
        let block = blocks.next()?;
        if block.kind != self.kind.number {
            return Ok(false);
        }
        blocks.unpack(block, self.at, &mut self.bytes)?;
        self.taken = 0;
        self.unpacked += block.length as u64;
        Ok(true)
    }

    fn take(&mut self) -> Result<Option<T>, Problem> {
        while self.taken >= self.bytes.len() {
            if !self.fill()? {
                return Ok(None);
            }
        }
        let mut rest = &self.bytes[self.taken..];
        let element = T::take(&mut rest).map_err(|_| {
            let name = self.kind.name;
            let what = text!("an element of {name} makes no sense", "{name}中有一项不合理"; name);
            Problem::damaged(self.at, what)
        })?;
        self.taken = self.bytes.len() - rest.len();
        Ok(Some(element))
    }
}

impl<S: Source, T: Codec> Iterator for Elements<'_, S, T> {
    type Item = Result<T, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self.take();
        if !matches!(taken, Ok(Some(_))) {
            self.blocks = None;
            self.bytes.clear();
            self.taken = 0;
        }
        taken.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::backend::capture::write::Writer;
    use crate::fmt::text::Words;

    const NUMBERS: Kind = Kind::stream(1, Words::same("numbers"));
    const TEXTS: Kind = Kind::table(7, 3, Words::same("texts"));
    const OTHERS: Kind = Kind::stream(9, Words::same("others"));
    const KINDS: [Kind; 3] = [NUMBERS, TEXTS, OTHERS];

    fn open(bytes: impl Into<Vec<u8>>) -> Result<Reader<Vec<u8>>, Problem> {
        Reader::new(bytes.into(), &KINDS)
    }

    fn problem(bytes: impl Into<Vec<u8>>) -> String {
        let problem = open(bytes).err().expect("it is refused");
        problem.text().en().to_owned()
    }

    fn texts() -> [String; 2] {
        ["eins", "zwei"].map(String::from)
    }

    fn written(numbers: impl Iterator<Item = u64>) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), "memory").unwrap();
        for number in numbers {
            writer.put(NUMBERS, &number).unwrap();
        }
        writer.put_all(TEXTS, &texts()).unwrap();
        writer.finish().unwrap()
    }

    /// Builds a capture of any blocks: kind, version, whether optional, elements.
    fn made(blocks: &[(u16, u8, bool, &[u8])]) -> Vec<u8> {
        let mut file = format::header(format::VERSION).to_vec();
        let sum = End {
            blocks: blocks.len() as u32,
            bytes: blocks.iter().map(|(.., bytes)| bytes.len() as u64).sum(),
        };
        let mut end = Vec::new();
        sum.put(&mut end);
        let last = (END, 1, false, &end[..]);
        let all = blocks.iter().chain([&last]);
        for (number, (kind, version, optional, bytes)) in (0..).zip(all) {
            let block = Block {
                kind: *kind,
                version: *version,
                optional: *optional,
                number,
                length: bytes.len(),
                stored: bytes.len(),
            };
            file.extend(block.encode(bytes));
            file.extend(*bytes);
        }
        file
    }

    #[test]
    fn what_was_written_is_read() {
        // Some blocks that compress well, and some that do not compress.
        let numbers = || (0..200_000_u64).map(|n| if n < 100_000 { 7 } else { n.wrapping_pow(9) });
        let bytes = written(numbers());
        assert!(
            bytes.len() > 600_000 && bytes.len() < 1_000_000,
            "{}",
            bytes.len()
        );
        let reader = open(bytes).unwrap();
        let read: Vec<u64> = reader.stream(NUMBERS).map(Result::unwrap).collect();
        assert!(read.into_iter().eq(numbers()));
        assert_eq!(reader.table::<String>(TEXTS).unwrap(), texts());
        assert!(reader.table::<u8>(OTHERS).unwrap().is_empty());
        assert!(reader.one::<String>(TEXTS).is_err() && reader.one::<u8>(OTHERS).is_err());
    }

    #[test]
    fn nothing_is_a_capture_too() {
        let bytes = Writer::new(Vec::new(), "memory").unwrap().finish().unwrap();
        let reader = open(bytes).unwrap();
        assert_eq!(reader.stream::<u64>(NUMBERS).count(), 0);
    }

    #[test]
    fn each_damaged_byte_is_seen() {
        let whole = written(0..20);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                let text = problem(damaged);
                let expected = match at {
                    0..8 => "it is not a capture",
                    _ => "it is damaged at byte ",
                };
                // A length that is too large may exceed the end of the file.
                let may_be_cut = text.starts_with("it ends at byte ");
                assert!(text.starts_with(expected) || may_be_cut, "{at}: {text}");
            }
        }
    }

    #[test]
    fn each_missing_end_is_seen() {
        let whole = written(0..20);
        for length in 0..whole.len() {
            let text = problem(&whole[..length]);
            let expected = match length {
                0..HEADER => "it is not a capture of diagnose-tools".into(),
                _ => format!(
                    "it ends at byte {length}, before its last block: it was not written or copied \
                     whole"
                ),
            };
            assert_eq!(text, expected);
        }
        let more = [&whole[..], b"\0"].concat();
        let text = problem(more);
        assert!(text.contains("it goes on behind its last block"), "{text}");
    }

    #[test]
    fn other_files_and_newer_captures_are_told_apart() {
        for other in [&b""[..], b"TZif2", b"0123456789abcdef0123456789abcdef"] {
            assert_eq!(problem(other), "it is not a capture of diagnose-tools");
        }
        let newer = format::header(format::VERSION + 1);
        assert!(problem(newer).contains("by a newer version of diagnose-tools (format 2; "));
        let newer = made(&[(TEXTS.number, 2, false, b"")]);
        assert!(problem(newer).contains("(version 2 of texts; "));
        let newer = made(&[(8, 1, false, b"new")]);
        assert!(problem(newer).contains("(blocks of kind 8; "));
        let known = made(&[
            (1, 1, false, &[9; 8]),
            (8, 5, true, b"new"),
            (9, 1, false, b"x"),
        ]);
        let reader = open(known).unwrap();
        assert_eq!(reader.one::<u64>(NUMBERS).unwrap(), 0x0909_0909_0909_0909);
        assert_eq!(reader.one::<u8>(OTHERS).unwrap(), b'x');
    }

    #[test]
    fn blocks_that_no_writer_has_written_are_refused() {
        let disordered = made(&[(7, 1, false, b""), (1, 1, false, b"")]);
        assert!(problem(disordered).contains("its kinds are not in order"));
        let one = made(&[(1, 1, false, &[1; 8])]);
        let two = made(&[(1, 1, false, &[1; 8]), (1, 1, false, &[2; 8])]);
        let end = one.len() - BLOCK - 12;
        // A duplicate block, and one block fewer than the last block says.
        let twice = [&one[..end], &one[HEADER..]].concat();
        assert!(problem(twice).contains("a block is not the one that follows"));
        let missing = [&two[..HEADER], &two[end..]].concat();
        assert!(problem(missing).contains("a block is not the one that follows"));
        let mut count = Vec::new();
        End {
            blocks: 7,
            bytes: 0,
        }
        .put(&mut count);
        let wrong = made(&[(END, 1, false, &count)]);
        assert!(problem(wrong).contains("its blocks are not those that it counts"));
    }

    #[test]
    fn elements_that_make_no_sense_end_the_reading() {
        let reader = open(made(&[(1, 1, false, &[1; 20]), (7, 1, false, &[0; 16])])).unwrap();
        let mut numbers = reader.stream::<u64>(NUMBERS);
        assert!(numbers.next().is_some_and(|n| n.is_ok()));
        assert!(numbers.next().is_some_and(|n| n.is_ok()));
        let text = numbers.next().unwrap().unwrap_err().text().en().to_owned();
        assert_eq!(
            text,
            "it is damaged at byte 16: an element of numbers makes no sense: copy it again"
        );
        assert!(numbers.next().is_none());
        let text = reader
            .table::<String>(TEXTS)
            .unwrap_err()
            .text()
            .en()
            .to_owned();
        assert!(text.contains("there are too many texts"), "{text}");
    }

    /// A file system that is full after this many bytes.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.0);
            self.0 -= count;
            match count {
                0 => Err(io::ErrorKind::StorageFull.into()),
                count => Ok(count),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_fails_the_writing_wherever_it_is() {
        let whole = written(0..20).len();
        let write = |room| -> crate::error::Result<Full> {
            let mut writer = Writer::new(Full(room), "x.cap")?;
            (0..20_u64).try_for_each(|n| writer.put(NUMBERS, &n))?;
            writer.put_all(TEXTS, &texts())?;
            writer.finish()
        };
        for room in 0..whole {
            let error = write(room).err().expect("it does not fit");
            assert_eq!(error.text().en(), "writing x.cap: no storage space");
        }
        assert!(write(whole).is_ok());
        let mut writer = Writer::new(Vec::new(), "memory").unwrap();
        let huge = "x".repeat(format::MOST);
        let error = writer.put(TEXTS, &huge).unwrap_err().text().en().to_owned();
        assert_eq!(
            error,
            "writing memory: an element is too large for a capture"
        );
    }
}
