//! Segments of a ledger: headers, frames, records.
#![no_main]

use jisr_ledger::frame::{Next, Records, SegmentScan};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut scan) = SegmentScan::open(bytes) {
        while let Ok(Next::Frame { body, .. }) = scan.read_next() {
            Records::new(&body).for_each(drop);
        }
    }
    Records::new(bytes).for_each(drop);
});
