//! Acts: what administrators sign, and what stands in a ledger as the act of a statement.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use jisr_ledger::statement::{Parsed, Tag};
use jisr_proto::canonical;
use jisr_proto::ident::Instance;
use jisr_proto::snapshot::SignedAct;
use jisr_proto::statement::{Core, Kind, Part, Statement};
use jisr_registry::form;
use prost::Message as _;

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| "JO".parse().expect("an instance"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(signed) = SignedAct::decode(bytes) {
        let _refused = form::act(signed, &INSTANCE);
    }
    let document = Bytes::copy_from_slice(bytes);
    let signed = SignedAct {
        document: document.clone(),
        ..SignedAct::default()
    };
    let _refused = form::act(signed, &INSTANCE);
    // The first byte says of which kind.
    let Some((kind, content)) = bytes.split_first() else {
        return;
    };
    let Ok(kind) = Kind::try_from(i32::from(*kind)) else {
        return;
    };
    let core = Core {
        format: 1,
        instance: "JO".to_owned(),
        kind: kind.into(),
        created_us: 1_800_000_000_000_000,
        tags: Bytes::from(vec![Tag::Core.number(), Tag::Act.number()]),
        ..Core::default()
    };
    let content = Bytes::copy_from_slice(content);
    let part = |tag: Tag, content: Bytes| Part {
        tag: u32::from(tag.number()),
        salt: Bytes::from_static(&[7; 32]),
        content,
    };
    let statement = Statement {
        parts: vec![
            part(Tag::Core, canonical::encode(&core)),
            part(Tag::Act, content.clone()),
        ],
    };
    if let Ok(parsed) = Parsed::parse(&statement) {
        assert!(parsed.act().is_some() && parsed.content(Tag::Act) == Some(&content));
    }
});
