//! Which events are read, where the next report continues, and which are lost.

use std::io;
use std::io::{BufWriter, Write};

use diagnose_tools::backend::{Backend, Start};
use diagnose_tools::error::Error;
use testkit::fake::{Fake, NOW};
use testkit::records::record;

use crate::support::{check_totals, json, of_type, run_to};

#[test]
fn a_second_report_goes_on_where_the_first_stopped() {
    let fake = Fake::new(2, 64);
    fake.record(0, 3, NOW - 100, 10);
    fake.record(1, 2, NOW - 95, 10);
    let first = json(&fake, "");
    let order: Vec<_> = of_type(&first, "transition")
        .iter()
        .map(|t| (t["cpu"].as_u64().unwrap(), t["seq"].as_u64().unwrap()))
        .collect();
    assert_eq!(order, [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]);
    assert_eq!(fake.consumed(), [3, 2]);
    fake.record(1, 1, NOW, 1);
    let second = json(&fake, "");
    let events = of_type(&second, "transition");
    assert_eq!((events.len(), &events[0]["seq"]), (1, &2.into()));
    let summary = second.last().unwrap();
    check_totals(summary);
    assert_eq!(summary["reported"], 6);
    assert_eq!(of_type(&json(&fake, ""), "transition").len(), 0);
}

#[test]
fn a_peek_moves_nothing_and_takes_no_lock() {
    let fake = Fake::new(1, 64);
    fake.record(0, 5, NOW, 1);
    fake.busy.set(u32::MAX);
    for _ in 0..2 {
        let lines = json(&fake, "peek=1");
        assert_eq!(of_type(&lines, "transition").len(), 5);
        check_totals(lines.last().unwrap());
        assert_eq!(lines.last().unwrap()["pending"], 5);
    }
    assert_eq!((fake.consumed(), fake.consume_calls.get()), (vec![0], 0));
}

#[test]
fn losses_are_exact_for_reports_and_peeks() {
    let fake = Fake::new(2, 64);
    fake.record(0, 8 * 64, NOW, 1);
    fake.record(1, 64, NOW, 1);
    for keys in ["peek=1", "transitions=0", "", "peek=1"] {
        let lines = json(&fake, keys);
        let summary = lines.last().unwrap();
        check_totals(summary);
        assert_eq!(summary["lost"]["overwritten"], 7 * 64, "{keys}");
    }
    assert_eq!(fake.consumed(), [512, 64]);
    let after = json(&fake, "");
    assert_eq!(after[0]["this_report"]["overwritten"], 0);
    assert_eq!(after[0]["reported"], 128);
}

#[test]
fn without_the_transitions_the_position_stays() {
    let fake = Fake::new(1, 64);
    fake.record(0, 5, NOW, 1);
    let lines = json(&fake, "transitions=0");
    assert_eq!((lines.len(), fake.consumed()), (1, vec![0]));
    assert_eq!(lines[0]["pending"], 5);
}

#[test]
fn what_is_not_shown_is_reported_all_the_same() {
    let fake = Fake::new(1, 64);
    fake.record(0, 5, NOW, 1);
    let lines = json(&fake, "port=443");
    assert_eq!(of_type(&lines, "transition").len(), 0);
    let this = &lines[0]["this_report"];
    assert_eq!(
        (&this["transitions"], &this["shown"]),
        (&5.into(), &0.into())
    );
    assert_eq!(fake.consumed(), [5]);
}

/// Accepts `room` bytes, then fails.
struct Full {
    room: usize,
    kind: io::ErrorKind,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(self.kind.into());
        }
        let n = bytes.len().min(self.room);
        self.room -= n;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_was_not_written_is_not_reported() {
    for (kind, status) in [
        (io::ErrorKind::StorageFull, 1),
        (io::ErrorKind::BrokenPipe, 0),
    ] {
        for room in [0, 1, 4_000, 20_000] {
            let fake = Fake::new(1, 64);
            fake.record(0, 64, NOW, 1);
            // 64 lines of about 500 bytes, behind a buffer of the program's size.
            let mut out = BufWriter::with_capacity(1 << 16, Full { room, kind });
            let error = run_to(&fake, "json=1", &mut out).unwrap_err();
            let _ = out.into_parts();
            assert_eq!(error.exit_status(), status);
            assert_eq!(
                (fake.consumed(), fake.consume_calls.get()),
                (vec![0], 0),
                "{room}"
            );
            assert!(!fake.held.get(), "the lock is given back");
            assert_eq!(of_type(&json(&fake, ""), "transition").len(), 64);
        }
    }
}

/// Accepts everything except the totals.
struct NoTotals(Vec<u8>);

impl Write for NoTotals {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes.windows(7).any(|part| part == b"summary") {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => self.0.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_report_without_its_end_marks_nothing() {
    let fake = Fake::new(1, 64);
    fake.record(0, 3, NOW, 1);
    let mut out = NoTotals(Vec::new());
    run_to(&fake, "json=1", &mut out).unwrap_err();
    let given = String::from_utf8(out.0).unwrap();
    assert_eq!(given.matches("\"transition\"").count(), 3);
    assert_eq!((fake.consumed(), fake.consume_calls.get()), (vec![0], 0));
    assert!(!fake.held.get(), "the lock is given back");
}

#[test]
fn a_restart_during_the_report_is_told() {
    let fake = Fake::new(1, 64);
    fake.record(0, 1, NOW, 1);
    fake.generation.set(8);
    let error = run_to(&fake, "", &mut Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Stale), "{error:?}");
}

#[test]
fn a_restart_with_other_rings_is_told() {
    let fake = Fake::new(1, 64);
    let settings = fake.settings().unwrap().unwrap();
    fake.resized.set(true);
    let refused = fake.events(&settings, Start::Consumed).err();
    assert!(matches!(refused, Some(Error::System { .. })), "{refused:?}");
    fake.generation.set(8);
    let refused = fake.events(&settings, Start::Consumed).err();
    assert!(matches!(refused, Some(Error::Stale)), "{refused:?}");
}

#[test]
fn inactive_is_an_error() {
    let fake = Fake::new(1, 64);
    fake.active.set(false);
    let error = run_to(&fake, "", &mut Vec::new()).unwrap_err();
    assert_eq!(error.text().en(), "not active: use --activate first");
}

#[test]
fn unknown_records_are_counted() {
    let fake = Fake::new(1, 64);
    let mut strange = record(NOW);
    strange[24] = 99;
    fake.rings[0].write(&strange);
    fake.record(0, 1, NOW, 1);
    let lines = json(&fake, "");
    assert_eq!(lines.last().unwrap()["this_report"]["unknown_records"], 1);
    assert_eq!(lines.last().unwrap()["this_report"]["transitions"], 1);
    assert_eq!(fake.consumed(), [2]);
}

#[test]
fn a_running_report_is_waited_for() {
    let fake = Fake::new(1, 64);
    fake.record(0, 1, NOW, 1);
    fake.busy.set(3);
    let start = std::time::Instant::now();
    run_to(&fake, "", &mut Vec::new()).unwrap();
    assert!(
        start.elapsed().as_millis() >= 100,
        "three tries, with pauses"
    );
    assert_eq!(fake.consumed(), [1]);
}
