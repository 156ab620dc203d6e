//! The module's ring writer and filter, compiled for user space from the
//! files in `kmod/`, for tests against the controller's reader and filter.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ffi::c_void;
use std::ptr::NonNull;

use diagnose_tools::abi::{RECORD_SIZE, RawFilter, RawIdent};
use diagnose_tools::backend::ring::{RingReader, RingView, header_bytes};

#[repr(C)]
struct RawRing {
    header: *mut c_void,
    records: *mut c_void,
    mask: u64,
}

unsafe extern "C" {
    fn tcps_ring_init(
        ring: *mut RawRing,
        pages: *mut c_void,
        records: u32,
        header_bytes: u32,
        cpu: u32,
        generation: u64,
    );
    fn tcps_ring_end(ring: *mut RawRing);
    fn shim_write(ring: *mut RawRing, count: u64);
    fn shim_word(pos: u64, index: u32) -> u64;
    fn tcps_filter_valid(filter: *const RawFilter) -> bool;
    fn tcps_filter_match(filter: *const RawFilter, who: *const RawIdent) -> bool;
}

/// A ring in ordinary memory, written by the module's code.
pub struct Ring {
    raw: RawRing,
    pages: NonNull<u8>,
    layout: Layout,
}

// SAFETY: only one thread at a time writes (&mut self); readers only load.
unsafe impl Send for Ring {}

impl Ring {
    /// A ring of `records` records, a power of two.
    pub fn new(records: u32) -> Self {
        let bytes = header_bytes() + records as usize * RECORD_SIZE;
        let layout = Layout::from_size_align(bytes, header_bytes()).expect("a page's alignment");
        // SAFETY: the layout is not empty.
        let pages = NonNull::new(unsafe { alloc_zeroed(layout) })
            .unwrap_or_else(|| handle_alloc_error(layout));
        let mut raw = RawRing {
            header: pages.as_ptr().cast(),
            records: pages.as_ptr().cast(),
            mask: 0,
        };
        // SAFETY: the pages are zeroed and as long as a ring with that many records.
        unsafe {
            tcps_ring_init(
                &mut raw,
                pages.as_ptr().cast(),
                records,
                header_bytes() as u32,
                0,
                1,
            );
        }
        Self { raw, pages, layout }
    }

    /// A reader at position 0. It must not outlive the ring.
    pub fn reader(&self) -> RingReader {
        // SAFETY: page-aligned and valid as long as self; the tests keep the ring longer than its
        // readers; the C side stores atomically.
        let view = unsafe { RingView::from_raw_parts(self.pages, self.layout.size()) };
        RingReader::new(view).expect("a ring that the module's code has made")
    }

    /// Writes `count` records as the hooks do.
    pub fn write(&mut self, count: u64) {
        // SAFETY: the ring is initialised, and &mut makes this its only writer.
        unsafe { shim_write(&mut self.raw, count) }
    }

    /// Marks the ring as ended.
    pub fn end(&mut self) {
        // SAFETY: as above.
        unsafe { tcps_ring_end(&mut self.raw) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and not freed before.
        unsafe { dealloc(self.pages.as_ptr(), self.layout) }
    }
}

/// Word `index` after `seq`, as the writer puts it into the record at `pos`.
pub fn expected_word(pos: u64, index: u32) -> u64 {
    // SAFETY: plain arithmetic.
    unsafe { shim_word(pos, index) }
}

/// The module's check of a filter.
pub fn filter_valid(filter: &RawFilter) -> bool {
    // SAFETY: a valid reference, read only.
    unsafe { tcps_filter_valid(filter) }
}

/// The module's filter. `filter` must be valid.
pub fn filter_match(filter: &RawFilter, who: &RawIdent) -> bool {
    assert!(filter_valid(filter), "the module would have refused it");
    // SAFETY: valid references, and the filter passed the module's own check.
    unsafe { tcps_filter_match(filter, who) }
}
