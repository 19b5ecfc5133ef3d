//! Schemas that members publish, with their annotations.
#![no_main]

use jisr_proto::annotations::ServiceSchema;

libfuzzer_sys::fuzz_target!(init: {
    // The one panic that is caught where it arises is no finding; libFuzzer would end at any.
    std::panic::set_hook(Box::new(|panic| {
        if !panic.location().is_some_and(|location| location.file().contains("prost-reflect")) {
            eprintln!("{panic}");
            std::process::abort();
        }
    }));
}, |bytes: &[u8]| {
    if let Ok(schema) = ServiceSchema::parse(bytes, "jo.residency.v1.ResidencePermits") {
        let _found = schema.method("CheckStatus");
    }
});
