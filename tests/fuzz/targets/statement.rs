//! Statements as they come over the wire and as they rest.
#![no_main]

use bytes::Bytes;
use jisr_ledger::frame::StoredParts;
use jisr_ledger::statement::Parsed;
use jisr_proto::canonical;
use prost::Message as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(wire) = jisr_proto::statement::Statement::decode(bytes) {
        if let Ok(statement) = Parsed::parse(&wire) {
            let again = statement.to_wire().expect("every part was shown");
            let again = Parsed::parse(&again).expect("what was good stays good");
            assert_eq!(again.leaf(), statement.leaf());
        }
    }
    if let Ok(parts) = StoredParts::new(bytes) {
        parts.for_each(drop);
    }
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(core) = canonical::decode::<jisr_proto::statement::Core>(&bytes) {
        assert_eq!(canonical::encode(&core), bytes, "one message has one canonical form");
    }
});
