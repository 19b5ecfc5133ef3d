use bytes::Bytes;
use proptest::prelude::*;

use super::{CanonicalError, Why, decode, decode_bounded, encode};
use crate::statement::{AgreedMethod, Agreement, Citation, Core, Part, Seal, Sealed, Statement};
use crate::{peer, snapshot};

fn core(bytes: &[u8]) -> Result<Core, Why> {
    decode(&Bytes::copy_from_slice(bytes)).map_err(|error: CanonicalError| error.why)
}

#[test]
fn each_rule_refuses_what_breaks_it() {
    for (bytes, why) in [
        (&[0x08][..], Why::Truncated),
        (&[0x08, 0x80], Why::Truncated),
        (&[0x1a, 0x05, b'J'], Why::Truncated),
        (
            &[0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            Why::Truncated,
        ),
        (&[0x08, 0x81, 0x00], Why::Varint),
        (&[0x88, 0x00, 0x01], Why::Varint),
        (
            &[0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            Why::Varint,
        ),
        (
            &[0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x00],
            Why::Varint,
        ),
        (&[0x00, 0x01], Why::Number),
        (&[0x80, 0x80, 0x80, 0x80, 0x10, 0x01], Why::Number),
        (&[0x10, 0x01, 0x08, 0x01], Why::Order),
        (&[0x08, 0x01, 0x08, 0x01], Why::Duplicate),
        (&[0x08, 0x00], Why::Default),
        (&[0x10, 0x00], Why::Default),
        (&[0x1a, 0x00], Why::Default),
        (&[0x22, 0x00], Why::Default),
        (&[0xb0, 0x01, 0x00], Why::Default),
        (&[0x09, 1, 0, 0, 0, 0, 0, 0, 0], Why::WireType),
        (&[0x0a, 0x01, 0x01], Why::WireType),
        (&[0x0b, 0x0c], Why::WireType),
        (&[0x08, 0x80, 0x80, 0x80, 0x80, 0x10], Why::Range),
        (&[0x10, 0x80, 0x80, 0x80, 0x80, 0x08], Why::Range),
        (&[0xb0, 0x01, 0x02], Why::Range),
        (&[0x1a, 0x01, 0xff], Why::Utf8),
        (&[0xc0, 0x01, 0x01], Why::Unknown),
        (&[0xb8, 0x3e, 0x01], Why::Unknown),
        (&[0xc3, 0x3e, 0xc4, 0x3e], Why::WireType),
    ] {
        assert_eq!(core(bytes), Err(why), "{bytes:02x?}");
    }
}

#[test]
fn unknown_fields_from_1000_on_are_skipped() {
    let known = core(&[0x08, 0x01]).expect("canonical");
    for tail in [
        &[0xc0, 0x3e, 0x00][..],
        &[0xc2, 0x3e, 0x02, 1, 2],
        &[0xc5, 0x3e, 1, 2, 3, 4],
        &[0xc1, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8],
    ] {
        assert_eq!(
            core(&[&[0x08, 0x01], tail].concat()).as_ref(),
            Ok(&known),
            "{tail:02x?}"
        );
    }
}

#[test]
fn the_empty_message_is_canonical() {
    assert_eq!(core(&[]), Ok(Core::default()));
}

#[test]
fn inner_messages_are_held_to_the_rule_and_named() {
    // Sealed { statement: { parts: [ { tag: 0 written out } ] } }
    let error = decode::<Sealed>(&Bytes::from_static(&[0x0a, 0x04, 0x0a, 0x02, 0x08, 0x00])).expect_err("refused");
    assert_eq!((error.message, error.field, error.why), ("Part", 1, Why::Default));
    assert!(error.to_string().contains("Part field 1"));
}

#[test]
fn repeated_scalars_are_packed_once_and_repeated_others_are_not() {
    let hello = |bytes: &[u8]| decode::<peer::HelloRequest>(&Bytes::copy_from_slice(bytes)).map_err(|error| error.why);
    assert_eq!(
        hello(&[0x0a, 0x02, 0x00, 0x01]).map(|hello| hello.versions),
        Ok(vec![0, 1])
    );
    assert_eq!(hello(&[0x08, 0x01]), Err(Why::WireType));
    assert_eq!(hello(&[0x0a, 0x00]), Err(Why::Default));
    assert_eq!(hello(&[0x0a, 0x01, 0x01, 0x0a, 0x01, 0x02]), Err(Why::Duplicate));
    assert_eq!(hello(&[0x0a, 0x02, 0x81, 0x00]), Err(Why::Varint));
    assert_eq!(hello(&[0x0a, 0x05, 0x80, 0x80, 0x80, 0x80, 0x10]), Err(Why::Range));
    // Elements of repeated bytes may be empty, and stand one by one.
    let path = decode::<peer::Path>(&Bytes::from_static(&[0x12, 0x00, 0x12, 0x00])).expect("canonical");
    assert_eq!(path.hashes.len(), 2);
}

#[test]
fn a_message_that_is_present_and_empty_is_kept() {
    let sealed = decode::<Sealed>(&Bytes::from_static(&[0x0a, 0x00])).expect("canonical");
    assert_eq!(sealed.statement, Some(Statement::default()));
    assert_eq!(encode(&sealed).as_ref(), [0x0a, 0x00]);
}

#[test]
fn negative_enum_numbers_have_ten_bytes() {
    let negative = Core {
        kind: -1,
        ..Core::default()
    };
    assert_eq!(core(&encode(&negative)).map(|core| core.kind), Ok(-1));
    assert_eq!(core(&[0x10, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(Why::Range));
}

fn blob() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

prop_compose! {
    fn any_core()(
        numbers in prop::array::uniform6(any::<u64>()), kind in any::<i32>(), small in any::<[u32; 2]>(),
        blobs in prop::array::uniform7(blob()), texts in prop::array::uniform8("\\PC{0,12}"), flag in any::<bool>(),
    ) -> Core {
        let [created_us, expires_us, snapshot_version, payload_bytes, ..] = numbers;
        let [format, status] = small;
        let [exchange_id, tags, agreement, snapshot, schema, key_set, repeats] = blobs;
        let [instance, consumer, provider, provider_origin, service, method, rule, mask] = texts;
        Core {
            format, kind, instance, exchange_id, created_us, expires_us, tags, consumer, provider, provider_origin,
            service, method, agreement, snapshot_version, snapshot, schema, key_set, payload_bytes, status, rule, mask,
            no_side_effects: flag, repeats,
        }
    }
}

prop_compose! {
    fn any_sealed()(
        parts in prop::collection::vec((any::<u32>(), blob(), blob()), 0..5), index in any::<u64>(),
        path in prop::collection::vec(blob(), 0..5), checkpoint in blob(), bare in any::<bool>(),
    ) -> Sealed {
        let parts = parts.into_iter().map(|(tag, salt, content)| Part { tag, salt, content }).collect();
        Sealed {
            statement: (!bare).then_some(Statement { parts }),
            seal: Some(Seal { index, path, checkpoint }),
        }
    }
}

proptest! {
    #[test]
    fn what_prost_writes_is_canonical_and_comes_back(core in any_core(), sealed in any_sealed()) {
        prop_assert_eq!(decode::<Core>(&encode(&core)), Ok(core));
        prop_assert_eq!(decode::<Sealed>(&encode(&sealed)), Ok(sealed));
    }

    #[test]
    fn what_passes_has_no_other_encoding(
        sealed in any_sealed(), place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = encode(&sealed).to_vec();
        if let Some(at) = (!bytes.is_empty()).then(|| place.index(bytes.len())) {
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
        }
        let bytes = Bytes::from(bytes);
        if let Ok(message) = decode::<Sealed>(&bytes) {
            prop_assert_eq!(encode(&message), bytes);
        }
    }

    #[test]
    fn noise_is_parsed_back_to_itself_or_refused(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let noise = Bytes::from(noise);
        // Fields from 1000 on need at least a tag of three bytes; noise that holds one may be skipped over.
        if let Ok(core) = decode::<Core>(&noise) {
            prop_assert!(encode(&core).len() <= noise.len());
        }
        let _ = decode::<snapshot::Row>(&noise);
        let _ = decode::<peer::ExchangeRequest>(&noise);
        let _ = decode::<Agreement>(&noise);
        let _ = decode::<AgreedMethod>(&noise);
        let _ = decode::<Citation>(&noise);
    }
}

#[test]
fn pieces_are_counted_on_all_levels_before_they_are_made() {
    let part = Part {
        tag: 1,
        salt: Bytes::from_static(&[7; 32]),
        content: Bytes::from_static(b"x"),
    };
    let sealed = Sealed {
        statement: Some(Statement { parts: vec![part; 3] }),
        ..Sealed::default()
    };
    let bytes = encode(&sealed);
    assert_eq!(decode_bounded::<Sealed>(&bytes, 4), Ok(sealed));
    let refused = decode_bounded::<Sealed>(&bytes, 3).unwrap_err();
    assert_eq!((refused.message, refused.why), ("Statement", Why::TooMany));
}
