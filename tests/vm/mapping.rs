//! The rings are mapped read-only, which cannot be changed, and contain no stray byte.

use std::fs::OpenOptions;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;

use diagnose_tools::abi::{RECORD_SIZE, RingHeader};
use libtest_mimic::Trial;

use crate::support::device::{self, Mapping};
use crate::support::{scenario, tool, traffic};

const PAGE: usize = 4096;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("a_ring_cannot_be_made_writable", read_only),
        scenario("a_debugger_cannot_write_to_a_ring", debugger),
        scenario("only_whole_rings_are_mapped", whole_rings),
        scenario("a_mapping_outlives_the_recording", outlives),
    ]
}

fn errno<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|e| e.raw_os_error())
}

fn read_only() {
    tool::activate("ring=64");
    let device = device::open();
    let len = device::settings(&device).ring_bytes as usize;
    let map = |prot, flags| Mapping::new(&device, len, prot, flags, 0);
    let read_write = libc::PROT_READ | libc::PROT_WRITE;
    assert_eq!(errno(map(read_write, libc::MAP_SHARED)), Some(libc::EPERM));
    assert_eq!(
        errno(map(libc::PROT_WRITE, libc::MAP_SHARED)),
        Some(libc::EPERM)
    );
    assert_eq!(errno(map(read_write, libc::MAP_PRIVATE)), Some(libc::EPERM));
    let executable = libc::PROT_READ | libc::PROT_EXEC;
    assert_eq!(errno(map(executable, libc::MAP_SHARED)), Some(libc::EPERM));
    let mapping = map(libc::PROT_READ, libc::MAP_SHARED).expect("a mapping to read");
    assert_eq!(errno(mapping.protect(read_write)), Some(libc::EACCES));
    assert_eq!(errno(mapping.protect(executable)), Some(libc::EACCES));
    mapping
        .protect(libc::PROT_READ)
        .expect("it is readable already");
    // A device that was opened read-only gives no more access.
    let reader = std::fs::File::open(device::path()).expect("root may open it to read");
    let mapping = Mapping::new(&reader, len, libc::PROT_READ, libc::MAP_SHARED, 0).expect("map");
    assert_eq!(errno(mapping.protect(read_write)), Some(libc::EACCES));
    tool::tcpstates(&["--deactivate"]);
}

/// Writes as ptrace(2) does, which need not obey a mapping's protection: where a page may become a
/// private copy, as in a private mapping, it writes to the copy.
fn debugger() {
    tool::activate("ring=64");
    let device = device::open();
    let len = device::settings(&device).ring_bytes as usize;
    let memory = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/proc/self/mem");
    let memory = memory.expect("one's own memory");
    for flags in [libc::MAP_SHARED, libc::MAP_PRIVATE] {
        let mapping = Mapping::new(&device, len, libc::PROT_READ, flags, 0).expect("a mapping");
        let before = mapping.bytes();
        for at in [0, PAGE] {
            let written = memory.write_at(b"forged", (mapping.address() + at) as u64);
            assert_eq!(errno(written), Some(libc::EIO), "{flags} at {at}");
        }
        assert!(mapping.bytes() == before, "the ring is as it was");
    }
    tool::tcpstates(&["--deactivate"]);
}

fn whole_rings() {
    tool::activate("ring=64");
    let device = device::open();
    let settings = device::settings(&device);
    let len = settings.ring_bytes as usize;
    let map = |len, offset| Mapping::new(&device, len, libc::PROT_READ, libc::MAP_SHARED, offset);
    assert_eq!(errno(map(len - PAGE, 0)), Some(libc::EINVAL));
    assert_eq!(errno(map(len + PAGE, 0)), Some(libc::EINVAL));
    assert_eq!(errno(map(PAGE, 0)), Some(libc::EINVAL));
    assert_eq!(errno(map(len, PAGE as i64)), Some(libc::EINVAL));
    let beyond = settings.ring_bytes * u64::from(settings.nr_rings);
    assert_eq!(errno(map(len, beyond as i64)), Some(libc::ENXIO));
    assert_eq!(
        errno(map(len, 1 << 60)),
        Some(libc::EINVAL).or(Some(libc::ENXIO))
    );
    for ring in 0..settings.nr_rings {
        map(len, (settings.ring_bytes * u64::from(ring)) as i64).expect("a whole ring");
    }
    tool::tcpstates(&["--deactivate"]);
    assert_eq!(errno(map(len, 0)), Some(libc::ENOLINK));
}

fn outlives() {
    const RING: usize = 1024;
    tool::activate(&format!("ring={RING}"));
    let device = device::open();
    let settings = device::settings(&device);
    let listener = traffic::listen(traffic::V4);
    for _ in 0..20 {
        traffic::client_first(&listener);
    }
    let len = settings.ring_bytes as usize;
    let mappings: Vec<_> = (0..settings.nr_rings)
        .map(|i| {
            let offset = settings.ring_bytes * u64::from(i);
            Mapping::new(
                &device,
                len,
                libc::PROT_READ,
                libc::MAP_SHARED,
                offset as i64,
            )
            .expect("a ring")
        })
        .collect();
    let before: Vec<_> = mappings.iter().map(Mapping::bytes).collect();
    tool::tcpstates(&["--deactivate"]);
    // Another recording must not change the rings of this one.
    tool::tcpstates(&["--activate"]);
    traffic::client_first(&listener);
    tool::tcpstates(&["--deactivate"]);
    drop(device);
    let mut records = 0;
    for (mapping, before) in mappings.iter().zip(before) {
        records += assert_left(&mapping.bytes(), &before, RING);
    }
    assert!(records >= 200, "only {records} records");
}

/// Number of records of the ring; asserts that the bytes beyond the records, and the reserved ones,
/// are zero.
fn assert_left(bytes: &[u8], before: &[u8], ring: usize) -> usize {
    let ended = offset_of!(RingHeader, ended);
    assert_eq!(bytes[ended..ended + 4], 1u32.to_ne_bytes());
    assert_eq!(
        bytes[PAGE..],
        before[PAGE..],
        "records changed after the end"
    );
    let at = offset_of!(RingHeader, head);
    let head = u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize;
    assert!(head <= ring, "the ring was not to overflow");
    let zero = |range: &[u8]| range.iter().all(|b| *b == 0);
    assert!(
        zero(&bytes[size_of::<RingHeader>()..PAGE]),
        "the header's page"
    );
    assert!(
        zero(&bytes[PAGE + head * RECORD_SIZE..]),
        "slots that were never used"
    );
    for record in bytes[PAGE..PAGE + head * RECORD_SIZE].chunks_exact(RECORD_SIZE) {
        // The gaps after role, ifindex, srtt_us and synacks: see include/abi.txt.
        for reserved in [134..136, 140..144, 212..216, 220..RECORD_SIZE] {
            assert!(zero(&record[reserved]), "reserved bytes of a record");
        }
    }
    head
}
