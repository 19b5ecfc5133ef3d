//! Metadata of a caller, and identifiers.
#![no_main]

use jisr_proto::ident::{ExchangeId, MemberId, NodeId, Origin, ServiceName, SubsystemId};
use jisr_proto::metadata::{Asserted, Value, encode};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = Value::decode(bytes) {
        let again = Value::decode(encode(value.as_str()).as_bytes()).expect("what was good stays good");
        assert_eq!(again.as_str(), value.as_str());
    }
    let _refused = Asserted::parse([("jisr-purpose", bytes), ("jisr-case", bytes)]);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    fn same<T: std::str::FromStr + ToString>(text: &str) {
        if let Ok(parsed) = text.parse::<T>() {
            assert_eq!(parsed.to_string(), text, "one name has one text");
        }
    }
    same::<MemberId>(text);
    same::<NodeId>(text);
    same::<Origin>(text);
    same::<ServiceName>(text);
    same::<SubsystemId>(text);
    let _refused = text.parse::<ExchangeId>();
});
