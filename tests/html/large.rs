//! A page about a million events.

use std::fs;
use std::time::{Duration, Instant};

use testkit::busy::Host;
use testkit::fake::Fake;
use testkit::host::Unobserved;

use crate::markup::assert_well_formed;
use crate::support::{Directory, write};

const EVENTS: u64 = 1_000_000;
const CONNECTIONS: u64 = 20_000;
const MOST_TIME: Duration = Duration::from_secs(2);
const MOST_BYTES: u64 = 2 << 20;
/// Memory beside the recording: most of it is what the diagnosis keeps, up to 65,536 kinds of
/// transitions of the last minute. It does not grow with the events.
const MOST_MEMORY: u64 = 128 << 20;

/// The highest memory use so far, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib << 10
}

/// Figures of docs/html.md: `cargo test --release --test html -- --ignored --nocapture`.
#[test]
#[ignore = "measures the time of a release build"]
fn a_million_events_are_a_small_page_within_two_seconds() {
    let busy = Host::make();
    let mut fake = Fake::new(4, EVENTS.next_power_of_two() / 4);
    fake.batch = 1_000;
    busy.fill(&fake, EVENTS);
    // The events of this host come after its connections.
    fake.later.set(EVENTS * 7_000);
    *fake.conns.borrow_mut() = busy.connections(CONNECTIONS);
    let directory = Directory::new("large");
    let file = directory.path("page.html");
    let (memory, start) = (peak_memory(), Instant::now());
    let told = write(&fake, &mut Unobserved::default(), &file).unwrap();
    let (took, more) = (start.elapsed(), peak_memory() - memory);
    let length = fs::metadata(&file).unwrap().len();
    println!(
        "{told}{took:?}, {length} bytes, {} KiB more memory",
        more >> 10
    );
    assert!(told.starts_with(&format!("written: {EVENTS} events, ")));
    assert_well_formed(&fs::read_to_string(&file).unwrap());
    assert!(length <= MOST_BYTES && more <= MOST_MEMORY);
    assert!(took <= MOST_TIME);
}
