//! What a witness and a tile server are asked, and what a witness answers (C2SP tlog-witness, tlog-tiles).
#![no_main]

use jisr_ledger::tlog::{AddCheckpoint, Answer, Resource};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(asked) = AddCheckpoint::parse(bytes) {
        let again = asked.print();
        assert_eq!(AddCheckpoint::parse(&again).expect("what was good stays good").print(), again);
    }
    for (status, kind) in [(200, None), (409, Some("text/x.tlog.size")), (422, None)] {
        if let Answer::Conflict(size) = Answer::read(status, kind, bytes) {
            assert_eq!(format!("{size}\n").as_bytes(), bytes, "one size has one text");
        }
    }
    if let Some((path, resource)) = std::str::from_utf8(bytes).ok().and_then(|path| Some((path, Resource::parse(path)?))) {
        assert_eq!(resource.to_string(), path, "one resource has one path");
    }
});
