//! A burst at full speed: for how long the default ring holds it, and whether the number of records
//! lost after that is reported exactly.

use std::time::Instant;

use crate::common::connections;
use crate::figure::emit;
use crate::support::tool;
use crate::support::trace::Trace;

const PART: &str = "burst";
/// Records in the default ring of a CPU.
const RING: u64 = 65_536;
/// The records of the first number of connections fit into the ring, those of the second one do
/// not.
const FITS: u32 = 6_000;
const TOO_MANY: u32 = 12_000;

struct Burst {
    seconds: f64,
    recorded: u64,
    overwritten: u64,
}

/// Makes `count` connections, and then one report.
fn burst(count: u32) -> Burst {
    tool::activate_here("");
    let trace = Trace::start();
    let began = Instant::now();
    connections(count);
    let seconds = began.elapsed().as_secs_f64();
    let changes = trace.stop().len() as u64;
    let report = tool::report("");
    report.assert_totals_balance();
    let (recorded, overwritten) = (
        report.number("/recorded"),
        report.number("/this_report/overwritten"),
    );
    let told = (report.transitions.len() + report.alarms.len()) as u64;
    assert_eq!(
        told + overwritten,
        recorded,
        "told and lost are all that was recorded"
    );
    // The kernel's event does not cover requests and timewait sockets: each connection has one of
    // both.
    assert!(
        recorded >= changes,
        "{recorded} records of {changes} changes"
    );
    assert_eq!(
        recorded.saturating_sub(RING),
        overwritten,
        "the ring was used in full"
    );
    Burst {
        seconds,
        recorded,
        overwritten,
    }
}

pub fn measure() {
    let fits = burst(FITS);
    assert_eq!(fits.overwritten, 0, "{} records fit in", fits.recorded);
    let over = burst(TOO_MANY);
    assert!(over.overwritten > 0, "{} records do not", over.recorded);
    tool::fresh();
    let rate = fits.recorded as f64 / fits.seconds;
    emit(
        PART,
        "default_ring",
        "rate",
        f64::from(FITS) / fits.seconds,
        "connections/s",
    );
    emit(PART, "default_ring", "records", rate, "records/s");
    emit(PART, "default_ring", "holds", RING as f64 / rate, "s");
    emit(
        PART,
        "default_ring",
        "holds_connections",
        (RING * u64::from(FITS) / fits.recorded) as f64,
        "connections",
    );
    emit(
        PART,
        "too_many",
        "recorded",
        over.recorded as f64,
        "records",
    );
    emit(
        PART,
        "too_many",
        "overwritten",
        over.overwritten as f64,
        "records",
    );
}
