//! Reads a ring without a lock while the module writes it, by the protocol documented at
//! `struct tcpstates_ring_header` in `include/tcpstates.h`.
//!
//! Data from a ring is not trusted: lengths are checked once against the size of the mapping,
//! positions are masked, and each step increases the position of the reader whatever the data is.

#![allow(unsafe_code, reason = "shared memory that another party writes")]

use std::any::Any;
use std::hint::spin_loop;
use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use nix::unistd::{SysconfVar, sysconf};

use crate::abi::{self, RECORD_SIZE, RecordBytes, RingHeader};
use crate::fmt::text::{Words, words};

const WORD: usize = size_of::<u64>();
const RECORD_WORDS: usize = RECORD_SIZE / WORD;
const HEADER_WORDS: usize = size_of::<RingHeader>() / WORD;
const HEAD_WORD: usize = offset_of!(RingHeader, head) / WORD;
const ENDED_WORD: usize = offset_of!(RingHeader, ended) / WORD;

/// How many times to read again a record that is being written. The module writes a record in well
/// under a microsecond, with interrupts disabled.
const SPINS: u32 = 2_000;

/// Offset of the first record: one page.
pub fn header_bytes() -> usize {
    match sysconf(SysconfVar::PAGE_SIZE) {
        Ok(Some(bytes)) => usize::try_from(bytes).unwrap_or(4096),
        _ => 4096,
    }
}

/// The memory of one ring as words that another party may write.
pub struct RingView {
    words: NonNull<AtomicU64>,
    len: usize,
    /// An object that must outlive the view, such as the mapping.
    _keep: Option<Arc<dyn Any + Send + Sync>>,
}

// SAFETY: the words are only read, atomically, so a view may move to another thread; the object
// that keeps them alive is itself Send and Sync.
unsafe impl Send for RingView {}

impl RingView {
    /// A view of `bytes` bytes at `start`. Bytes after the last whole word are excluded.
    ///
    /// # Safety
    /// `start` must be aligned to 8, readable for `bytes` bytes for as long as the view
    /// lives, and, while it does, be written by atomic operations or another address space only.
    pub unsafe fn from_raw_parts(start: NonNull<u8>, bytes: usize) -> Self {
        Self {
            words: start.cast(),
            len: bytes / WORD,
            _keep: None,
        }
    }

    /// A view of memory that `keep` keeps alive.
    ///
    /// # Safety
    /// As for [`RingView::from_raw_parts`], for as long as `keep` lives.
    pub unsafe fn with_owner(
        start: NonNull<u8>,
        bytes: usize,
        keep: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self {
            words: start.cast(),
            len: bytes / WORD,
            _keep: Some(keep),
        }
    }

    /// A view of words of this process.
    pub fn from_words(words: Arc<[AtomicU64]>) -> Self {
        let start = NonNull::from(&words[..]).cast();
        let len = words.len();
        // Box: Arc<[T]> itself is unsized and cannot be kept as Any.
        Self {
            words: start,
            len,
            _keep: Some(Arc::new(words)),
        }
    }

    /// Returns `count` words starting at `first`, or none if they are not all in the view.
    fn words(&self, first: usize, count: usize) -> &[AtomicU64] {
        if first > self.len || count > self.len - first {
            return &[];
        }
        // SAFETY: within the memory for which the constructor's caller vouched, aligned because the
        // start is; AtomicU64 allows other writers.
        unsafe { std::slice::from_raw_parts(self.words.add(first).as_ptr(), count) }
    }

    fn load(&self, index: usize, order: Ordering) -> u64 {
        self.words(index, 1).first().map_or(0, |w| w.load(order))
    }
}

/// Copies the words to the bytes, up to the length of the shorter.
#[inline]
fn copy(words: &[AtomicU64], bytes: &mut [u8]) {
    for (chunk, word) in bytes.chunks_exact_mut(WORD).zip(words) {
        chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
    }
}

/// Outcome of one step of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A whole record was copied; its position.
    Record(u64),
    /// Number of records that were overwritten before they were read.
    Lost(u64),
    /// The next record is still being written.
    NotYet,
    /// All records below the limit were read.
    End,
}

/// A problem with a ring's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingError(pub Words);

/// Result of reading a slot once.
enum Slot {
    Whole,
    Overwritten,
    NotYet,
}

impl Slot {
    /// The result for a `seq` that is not `whole`: the record is older or being written, or a newer
    /// one.
    fn unreadable(seq: u64, whole: u64) -> Self {
        if seq > whole | 1 {
            Self::Overwritten
        } else {
            Self::NotYet
        }
    }
}

/// Reads a ring from a given position.
pub struct RingReader {
    view: RingView,
    cpu: u32,
    generation: u64,
    capacity: u64,
    first_word: usize,
    position: u64,
}

impl RingReader {
    /// Checks the header of `view`. The reader starts at position 0.
    ///
    /// # Errors
    /// [`RingError`] says which field of the header is invalid.
    pub fn new(view: RingView) -> Result<Self, RingError> {
        let first_word = header_bytes() / WORD;
        if view.len < first_word + RECORD_WORDS || view.len < HEADER_WORDS {
            return Err(RingError(words!("too short", "太短")));
        }
        let mut header = [0; size_of::<RingHeader>()];
        copy(view.words(0, HEADER_WORDS), &mut header);
        let capacity = checked_capacity(&header, view.len - first_word)?;
        Ok(Self {
            cpu: abi::u32_at(&header, offset_of!(RingHeader, cpu)),
            generation: abi::u64_at(&header, offset_of!(RingHeader, generation)),
            capacity,
            first_word,
            position: 0,
            view,
        })
    }

    /// The CPU whose events the ring carries.
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Generation of the activation that created the ring.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Position of the next record that the module will write.
    pub fn head(&self) -> u64 {
        // Pairs with the release store of head in kmod/ring.h.
        self.view.load(HEAD_WORD, Ordering::Acquire)
    }

    /// Whether the recording has ended; a head loaded after that is final.
    pub fn ended(&self) -> bool {
        // Pairs with the release store of ended in kmod/ring.c.
        let word = self.view.load(ENDED_WORD, Ordering::Acquire).to_ne_bytes();
        abi::u32_at(&word, offset_of!(RingHeader, ended) % WORD) != 0
    }

    /// Position of the next record to read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Continues from another position.
    pub fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// One step towards `until`, which must not exceed a head that was loaded before. Copies a
    /// whole record into `record`; after any other result its contents are undefined.
    #[inline]
    pub fn read_into(&mut self, until: u64, record: &mut RecordBytes) -> Step {
        for _ in 0..SPINS {
            if self.position >= until {
                return Step::End;
            }
            match self.look(self.position, record) {
                Slot::Whole => {
                    let at = self.position;
                    self.position += 1;
                    return Step::Record(at);
                }
                Slot::Overwritten => return Step::Lost(self.skip_overwritten(until)),
                Slot::NotYet => spin_loop(),
            }
        }
        Step::NotYet
    }

    #[inline]
    fn look(&self, position: u64, record: &mut RecordBytes) -> Slot {
        let slot = (position & (self.capacity - 1)) as usize;
        let first = self.first_word + slot * RECORD_WORDS;
        let whole = position.wrapping_add(1).wrapping_mul(2);
        // The length is constant here, so a loop over the words needs no bounds check in each
        // iteration.
        let words: Option<&[_; RECORD_WORDS]> = self.view.words(first, RECORD_WORDS).first_chunk();
        let Some(words @ [seq, ..]) = words else {
            return Slot::NotYet;
        };
        // Pairs with the release store of seq that ends a write (kmod/ring.c).
        let before = seq.load(Ordering::Acquire);
        if before != whole {
            return Slot::unreadable(before, whole);
        }
        copy(words, record);
        // Pairs with the write barrier after seq is marked (kmod/ring.c): a reader that copied a
        // word of a newer record sees its mark below.
        fence(Ordering::Acquire);
        let after = seq.load(Ordering::Relaxed);
        if after == whole {
            Slot::Whole
        } else {
            Slot::unreadable(after, whole)
        }
    }

    /// Moves to the oldest record that may still be whole; returns the number of skipped records,
    /// at least one.
    fn skip_overwritten(&mut self, until: u64) -> u64 {
        let oldest = self.head().saturating_sub(self.capacity);
        let next = oldest.max(self.position + 1).min(until);
        let skipped = next - self.position;
        self.position = next;
        skipped
    }
}

fn checked_capacity(header: &[u8], record_words: usize) -> Result<u64, RingError> {
    let word = |at| abi::u32_at(header, at);
    let capacity = abi::u64_at(header, offset_of!(RingHeader, capacity));
    if word(offset_of!(RingHeader, magic)) != abi::TCPSTATES_RING_MAGIC {
        Err(RingError(words!("wrong magic number", "幻数错误")))
    } else if word(offset_of!(RingHeader, record_version)) != abi::TCPSTATES_RECORD_VERSION {
        Err(RingError(words!("wrong record version", "记录版本错误")))
    } else if word(offset_of!(RingHeader, record_size)) as usize != RECORD_SIZE {
        Err(RingError(words!("wrong record size", "记录大小错误")))
    } else if !capacity.is_power_of_two() {
        Err(RingError(words!(
            "capacity is not a power of two",
            "容量不是 2 的幂"
        )))
    } else if capacity > (record_words / RECORD_WORDS) as u64 {
        Err(RingError(words!("longer than its mapping", "长度超出映射")))
    } else {
        Ok(capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: u64 = 16;

    /// A ring in this process's memory, written as the module does.
    struct Writer(Arc<[AtomicU64]>);

    impl Writer {
        fn new(capacity: u64) -> Self {
            let words = header_bytes() / WORD + capacity as usize * RECORD_WORDS;
            let ring = Self((0..words).map(|_| AtomicU64::new(0)).collect());
            ring.set32(0, abi::TCPSTATES_RING_MAGIC, abi::TCPSTATES_RECORD_VERSION);
            ring.set32(1, RECORD_SIZE as u32, 3);
            ring.0[2].store(capacity, Ordering::Relaxed);
            ring.0[3].store(7, Ordering::Relaxed);
            ring
        }

        fn set32(&self, word: usize, low: u32, high: u32) {
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&low.to_ne_bytes());
            bytes[4..].copy_from_slice(&high.to_ne_bytes());
            self.0[word].store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }

        fn capacity(&self) -> u64 {
            self.0[2].load(Ordering::Relaxed)
        }

        fn slot(&self, position: u64) -> &[AtomicU64] {
            let slot = (position & (self.capacity() - 1)) as usize;
            &self.0[header_bytes() / WORD + slot * RECORD_WORDS..][..RECORD_WORDS]
        }

        /// Marks the next slot and fills it; every word contains the position.
        fn begin(&self) -> u64 {
            let position = self.0[HEAD_WORD].load(Ordering::Relaxed);
            let slot = self.slot(position);
            slot[0].store((position + 1) * 2 + 1, Ordering::Relaxed);
            fence(Ordering::Release);
            for word in &slot[1..] {
                word.store(position, Ordering::Relaxed);
            }
            position
        }

        fn commit(&self, position: u64) {
            self.slot(position)[0].store((position + 1) * 2, Ordering::Release);
            self.0[HEAD_WORD].store(position + 1, Ordering::Release);
        }

        fn write(&self, n: u64) {
            for _ in 0..n {
                self.commit(self.begin());
            }
        }

        fn reader(&self) -> RingReader {
            RingReader::new(RingView::from_words(self.0.clone())).unwrap()
        }
    }

    /// Reads up to the head. Returns the positions of the whole records, and the lost count.
    fn drain(reader: &mut RingReader) -> (Vec<u64>, u64) {
        let until = reader.head();
        let (mut whole, mut lost) = (Vec::new(), 0);
        let mut bytes = [0; RECORD_SIZE];
        loop {
            match reader.read_into(until, &mut bytes) {
                Step::Record(at) => {
                    assert!((1..RECORD_WORDS).all(|w| abi::u64_at(&bytes, w * WORD) == at));
                    whole.push(at);
                }
                Step::Lost(n) => lost += n,
                Step::NotYet | Step::End => return (whole, lost),
            }
        }
    }

    #[test]
    fn every_fill_level_is_read_and_every_loss_counted() {
        for n in [
            0,
            1,
            CAPACITY / 2,
            CAPACITY - 1,
            CAPACITY,
            CAPACITY + 1,
            8 * CAPACITY,
        ] {
            let ring = Writer::new(CAPACITY);
            ring.write(n);
            let mut reader = ring.reader();
            let (whole, lost) = drain(&mut reader);
            assert_eq!(lost, n.saturating_sub(CAPACITY), "{n} written");
            assert_eq!(whole, (lost..n).collect::<Vec<_>>());
            assert_eq!(reader.position(), n);
        }
    }

    #[test]
    fn a_reader_goes_on_where_it_stopped() {
        let ring = Writer::new(CAPACITY);
        let mut reader = ring.reader();
        ring.write(5);
        assert_eq!(drain(&mut reader), ((0..5).collect(), 0));
        ring.write(CAPACITY + 3);
        assert_eq!(drain(&mut reader), ((8..8 + CAPACITY).collect(), 3));
        assert_eq!(drain(&mut reader), (vec![], 0));
    }

    #[test]
    fn the_oldest_record_is_lost_while_its_slot_is_written() {
        let ring = Writer::new(CAPACITY);
        ring.write(CAPACITY);
        let mut reader = ring.reader();
        let position = ring.begin();
        let (whole, lost) = drain(&mut reader);
        assert_eq!((whole, lost), ((1..CAPACITY).collect(), 1));
        ring.commit(position);
        assert_eq!(drain(&mut reader), (vec![CAPACITY], 0));
    }

    #[test]
    fn a_record_that_is_being_written_is_not_yet() {
        let ring = Writer::new(CAPACITY);
        let position = ring.begin();
        let mut reader = ring.reader();
        let mut step = || reader.read_into(1, &mut [0; RECORD_SIZE]);
        assert_eq!(step(), Step::NotYet);
        ring.commit(position);
        assert_eq!(step(), Step::Record(0));
        assert_eq!(step(), Step::End);
    }

    #[test]
    fn an_overtaking_writer_loses_nothing_uncounted() {
        const TOTAL: u64 = 200_000;
        let ring = Writer::new(CAPACITY);
        let mut reader = ring.reader();
        std::thread::scope(|scope| {
            scope.spawn(|| ring.write(TOTAL));
            let (mut read, mut lost, mut last) = (0, 0, None);
            while reader.position() < TOTAL {
                let (whole, missed) = drain(&mut reader);
                assert!(whole.iter().all(|&p| last.replace(p).is_none_or(|l| l < p)));
                read += whole.len() as u64;
                lost += missed;
            }
            assert_eq!(read + lost, TOTAL);
        });
    }

    #[test]
    fn the_end_is_seen() {
        let ring = Writer::new(CAPACITY);
        let reader = ring.reader();
        assert!(!reader.ended());
        ring.set32(ENDED_WORD, 1, 0);
        assert!(reader.ended());
        assert_eq!((reader.cpu(), reader.generation()), (3, 7));
    }

    #[test]
    fn a_wrong_header_is_refused() {
        let broken = |change: &dyn Fn(&Writer)| {
            let ring = Writer::new(CAPACITY);
            change(&ring);
            RingReader::new(RingView::from_words(ring.0))
                .err()
                .map(|e| e.0.en())
        };
        assert_eq!(broken(&|_| ()), None);
        assert_eq!(broken(&|r| r.set32(0, 1, 1)), Some("wrong magic number"));
        assert_eq!(
            broken(&|r| r.set32(0, abi::TCPSTATES_RING_MAGIC, 9)),
            Some("wrong record version")
        );
        assert_eq!(broken(&|r| r.set32(1, 128, 0)), Some("wrong record size"));
        let capacity = |n| move |r: &Writer| r.0[2].store(n, Ordering::Relaxed);
        assert_eq!(broken(&capacity(0)), Some("capacity is not a power of two"));
        assert_eq!(
            broken(&capacity(12)),
            Some("capacity is not a power of two")
        );
        assert_eq!(broken(&capacity(32)), Some("longer than its mapping"));
        assert_eq!(broken(&capacity(1 << 63)), Some("longer than its mapping"));
        let short = RingReader::new(RingView::from_words(Arc::new([])));
        assert_eq!(short.err().map(|e| e.0.en()), Some("too short"));
    }

    #[test]
    fn any_bytes_are_read_in_bounded_steps() {
        let mut numbers = fastrand::Rng::with_seed(88_172_645_463_325_252);
        let mut random = || numbers.u64(..);
        for _ in 0..40 {
            let ring = Writer::new(CAPACITY);
            for word in &ring.0[HEAD_WORD..] {
                let value = random();
                let value = if value & 1 == 0 { value >> 40 } else { value };
                word.store(value, Ordering::Relaxed);
            }
            let mut reader = ring.reader();
            for until in [random(), u64::MAX, CAPACITY] {
                reader.seek(random() >> (random() % 64));
                for _ in 0..4 * CAPACITY {
                    let before = reader.position();
                    let step = reader.read_into(until, &mut [0; RECORD_SIZE]);
                    assert!(reader.position() > before || matches!(step, Step::NotYet | Step::End));
                    assert!(reader.position() <= until.max(before));
                }
            }
        }
    }
}
