//! Evidence files. The digest is made to fit, so that what lies behind it is reached.
#![no_main]

use std::sync::LazyLock;

use jisr_ledger::anchor::Anchor;
use jisr_ledger::report::Verdict;

static ANCHOR: LazyLock<Anchor> = LazyLock::new(|| {
    let vectors = include_str!("../../../docs/vectors/evidence.json");
    let (_, anchor) = vectors.split_once("\"anchor\": \"").expect("the vectors have an anchor");
    let (anchor, _) = anchor.split_once("\",\n").expect("it is a string");
    let anchor = anchor.replace("\\n", "\n").replace("\\\"", "\"");
    anchor.parse().expect("it is a good anchor")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // What is not the very file of the vectors cannot be valid: nobody here has the keys.
    let report = jisr_ledger::evidence::verify(bytes, &ANCHOR, 1_800_000_000_000_000);
    if report.verdict == Verdict::Valid {
        let known = include_str!("../../../docs/vectors/evidence.json");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(known.contains(&hex), "an altered file is valid");
    }
    let body = bytes.get(40..).unwrap_or_default();
    let digest = jisr_certs::digest::domain("jisr.evidence", &[body]);
    let file = [b"JISREV\x00\x01".as_slice(), &digest, body].concat();
    let _judged = jisr_ledger::evidence::verify(&file, &ANCHOR, 1_800_000_000_000_000);
});
