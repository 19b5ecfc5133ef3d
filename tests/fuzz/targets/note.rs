//! Signed notes, keys as text, checkpoints, cosignatures, snapshot notes, anchors.
#![no_main]

use jisr_ledger::anchor::Anchor;
use jisr_ledger::note::{Checkpoint, SignedNote, SnapshotText, VerifierKey};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = SignedNote::parse(bytes) {
        if let Ok(checkpoint) = Checkpoint::parse(note.text) {
            assert_eq!(checkpoint.text(), note.text, "one checkpoint has one text");
        }
        let _refused = SnapshotText::parse(note.text);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(key) = text.parse::<VerifierKey>() {
            assert_eq!(key.to_string(), text, "one key has one text");
        }
        let _refused = text.parse::<Anchor>();
    }
});
