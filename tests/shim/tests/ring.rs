//! The module's ring writer against the controller's reader.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use diagnose_tools::abi::{RECORD_SIZE, RecordBytes};
use diagnose_tools::backend::ring::{RingReader, Step};
use kernel_shim::{Ring, expected_word};

/// Asserts that this is the record of that position, and that every word of it is.
fn assert_whole(record: &RecordBytes, pos: u64) {
    for (index, word) in record[8..].chunks_exact(8).enumerate() {
        let word = u64::from_ne_bytes(word.try_into().expect("eight bytes"));
        assert_eq!(
            word,
            expected_word(pos, index as u32),
            "word {index} of record {pos}"
        );
    }
}

/// Reads up to the current head; returns the numbers of whole and of lost records.
fn drain(reader: &mut RingReader) -> (u64, u64) {
    let (mut whole, mut lost) = (0, 0);
    let mut record = [0; RECORD_SIZE];
    let until = reader.head();
    loop {
        match reader.read_into(until, &mut record) {
            Step::Record(pos) => {
                assert_whole(&record, pos);
                whole += 1;
            }
            Step::Lost(count) => lost += count,
            Step::NotYet => panic!("the head was moved before the record was whole"),
            Step::End => return (whole, lost),
        }
    }
}

#[test]
fn what_fits_is_whole_and_what_does_not_is_counted() {
    const CAPACITY: u64 = 1024;
    for written in [
        0,
        1,
        CAPACITY / 2,
        CAPACITY - 1,
        CAPACITY,
        CAPACITY + 1,
        8 * CAPACITY,
    ] {
        let mut ring = Ring::new(CAPACITY as u32);
        let mut reader = ring.reader();
        ring.write(written);
        let (whole, lost) = drain(&mut reader);
        assert_eq!(whole, written.min(CAPACITY), "{written} written");
        assert_eq!(lost, written.saturating_sub(CAPACITY), "{written} written");
    }
}

#[test]
fn a_reader_goes_on_where_it_stopped() {
    let mut ring = Ring::new(64);
    let mut reader = ring.reader();
    for round in 0..100 {
        ring.write(round % 64);
        assert_eq!(drain(&mut reader), (round % 64, 0));
    }
}

#[test]
fn the_end_is_seen_with_the_final_head() {
    let mut ring = Ring::new(64);
    let mut reader = ring.reader();
    assert!(!reader.ended());
    ring.write(3);
    ring.end();
    assert!(reader.ended());
    assert_eq!(drain(&mut reader), (3, 0));
}

/// A writer that never waits against `readers` that are overtaken again and again: each of them
/// must account for every record, and read no torn one.
fn race(capacity: u32, total: u64, readers: usize) {
    let mut ring = Ring::new(capacity);
    let readers: Vec<_> = (0..readers).map(|_| ring.reader()).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut left = total;
            while left > 0 {
                let burst = left.min(u64::from(capacity) * 3 / 2);
                ring.write(burst);
                left -= burst;
                thread::yield_now();
            }
            done.store(true, Ordering::Release);
        });
        let readers: Vec<_> = readers
            .into_iter()
            .map(|mut reader| {
                let done = &done;
                scope.spawn(move || {
                    let (mut whole, mut lost) = (0, 0);
                    loop {
                        let last = done.load(Ordering::Acquire);
                        let (w, l) = drain(&mut reader);
                        whole += w;
                        lost += l;
                        if last {
                            return (whole, lost);
                        }
                    }
                })
            })
            .collect();
        writer.join().expect("the writer");
        for reader in readers {
            let (whole, lost) = reader.join().expect("a reader");
            assert_eq!(whole + lost, total);
            assert!(
                whole > 0 && lost > 0,
                "{whole} whole, {lost} lost: nothing was overtaken"
            );
        }
    });
}

#[test]
fn overtaken_readers_lose_nothing_uncounted() {
    race(64, 3_000_000, 1);
    race(64, 1_000_000, 3);
    race(1024, 1_000_000, 2);
}
