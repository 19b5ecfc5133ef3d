//! What a witness and a tile server are asked (C2SP tlog-witness, tlog-tiles).
#![no_main]

use jisr_ledger::tlog;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = tlog::AddCheckpoint::parse(bytes);
});
