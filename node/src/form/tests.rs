//! Hostile input to what is judged by form.

use jisr_proto::peer::{ExchangeRequest, Metadata};
use prost::Message as _;

use super::*;

fn hello_good() -> (HelloRequest, NodeId, Origin) {
    let request = HelloRequest {
        versions: vec![PROTOCOL_VERSION],
        origin: "jisr/JO/GOV/mol/node1/2026".to_owned(),
        snapshot_version: 1,
        snapshot: Bytes::from_static(&[7; 32]),
        ..HelloRequest::default()
    };
    let origin = request.origin.parse().unwrap();
    (request, "JO/GOV/mol/node/node1".parse().unwrap(), origin)
}

#[test]
fn a_hello_out_of_form_is_refused() {
    let (good, node, origin) = hello_good();
    hello(&good, &node, &origin).unwrap();
    type Case = (fn(&mut HelloRequest), Reason);
    let breaks: [Case; 7] = [
        (|hello| hello.versions.clear(), Reason::ProtocolVersion),
        (|hello| hello.versions = vec![2], Reason::ProtocolVersion),
        (|hello| hello.versions = (1..100_000).collect(), Reason::MalformedFrame),
        (|hello| hello.origin = "x".repeat(1 << 20), Reason::OriginUnlisted),
        (
            |hello| hello.snapshot = Bytes::from_static(&[7; 31]),
            Reason::MalformedFrame,
        ),
        (
            |hello| hello.checkpoint = vec![b'x'; NOTE_BYTES_MAX + 1].into(),
            Reason::MalformedFrame,
        ),
        (
            |hello| hello.yours = vec![b'x'; NOTE_BYTES_MAX + 1].into(),
            Reason::MalformedFrame,
        ),
    ];
    for (at, (break_it, reason)) in breaks.iter().enumerate() {
        let mut broken = good.clone();
        break_it(&mut broken);
        let fault = hello(&broken, &node, &origin).unwrap_err();
        assert_eq!(fault.reason, *reason, "{at}");
        assert!(fault.detail.len() < 1024, "{at}: an error is no echo");
    }
}

#[test]
fn an_answer_to_hello_out_of_form_is_refused() {
    let (request, node, origin) = hello_good();
    let good = HelloResponse {
        version: PROTOCOL_VERSION,
        origin: request.origin,
        snapshot: request.snapshot,
        proof: vec![Bytes::from_static(&[1; 32])],
        ..HelloResponse::default()
    };
    assert_eq!(hello_answer(&good, &node, &origin).unwrap(), [[1; 32]]);
    type Case = (fn(&mut HelloResponse), Reason);
    let breaks: [Case; 5] = [
        (|hello| hello.version = 0, Reason::ProtocolVersion),
        (|hello| hello.origin.push('x'), Reason::OriginUnlisted),
        (
            |hello| hello.snapshot = Bytes::from_static(&[7; 33]),
            Reason::MalformedFrame,
        ),
        (
            |hello| hello.proof = vec![Bytes::from_static(&[1; 31])],
            Reason::PeerMisbehaved,
        ),
        (
            |hello| hello.proof = vec![Bytes::from_static(&[1; 32]); 1000],
            Reason::PeerMisbehaved,
        ),
    ];
    for (at, (break_it, reason)) in breaks.iter().enumerate() {
        let mut broken = good.clone();
        break_it(&mut broken);
        assert_eq!(
            hello_answer(&broken, &node, &origin).unwrap_err().reason,
            *reason,
            "{at}"
        );
    }
}

#[test]
fn more_receipts_than_a_batch_are_refused() {
    let of = |count| ReceiptsRequest {
        receipts: vec![jisr_proto::peer::Receipt::default(); count],
        ..ReceiptsRequest::default()
    };
    assert!(receipts(&of(RECEIPTS_MAX)).is_ok());
    assert_eq!(
        receipts(&of(RECEIPTS_MAX + 1)).unwrap_err().reason,
        Reason::MalformedFrame
    );
}

#[test]
fn windows_and_bounds_that_cannot_be_meant_are_refused() {
    let good = ReconcileRequest {
        from_ms: 600_000,
        until_ms: 1_200_000,
        ..Default::default()
    };
    assert_eq!(window(&good, 2_000_000).unwrap(), Range::of_time(600_000, 1_200_000));
    let breaks: [fn(&mut ReconcileRequest); 6] = [
        |request| request.from_ms = request.until_ms,
        |request| request.until_ms = u64::MAX,
        |request| request.until_ms = 2_000_001,
        |request| request.low = Bytes::from_static(&[0; 16]),
        |request| request.low = Bytes::from_static(&[1; 3]),
        |request| {
            request.low = Bytes::copy_from_slice(ExchangeId::new_v7(900_000_000, [0; 10]).as_bytes());
            request.high = Bytes::copy_from_slice(ExchangeId::new_v7(800_000_000, [0; 10]).as_bytes());
        },
    ];
    for (at, break_it) in breaks.iter().enumerate() {
        let mut request = good.clone();
        break_it(&mut request);
        assert_eq!(
            window(&request, 2_000_000).unwrap_err().reason,
            Reason::MalformedFrame,
            "{at}"
        );
    }
}

fn answer(count: u64) -> ReconcileResponse {
    let items: Vec<Item> = (0..count)
        .map(|nth| Item {
            exchange: ExchangeId::new_v7((10 + nth) * 1_000, [1; 10]),
            asked: [1; 32],
            closing: Some([2; 32]),
        })
        .collect();
    ReconcileResponse {
        count,
        root: Bytes::copy_from_slice(&Sum::of(&items).root),
        items: items.iter().map(Item::wire).collect(),
        open: false,
    }
}

#[test]
fn answers_out_of_form_are_refused() {
    let range = Range::of_time(10, 100);
    assert!(told(&answer(3), &range, false).is_ok() && told(&answer(3), &range, true).is_ok());
    assert!(told(&answer(0), &range, false).is_ok());
    let breaks: [fn(&mut ReconcileResponse); 8] = [
        |answer| answer.count += 1,
        |answer| answer.count = u64::MAX,
        |answer| answer.root = Bytes::new(),
        |answer| answer.root = Bytes::from_static(&[7; 32]),
        |answer| answer.items.swap(0, 1),
        |answer| drop(answer.items.pop()),
        |answer| answer.items[1] = answer.items[0].clone(),
        |answer| answer.items[0].asked = Bytes::new(),
    ];
    for (at, break_it) in breaks.iter().enumerate() {
        let mut broken = answer(3);
        break_it(&mut broken);
        for unanswered in [false, true] {
            assert!(told(&broken, &range, unanswered).is_err(), "{at}");
        }
    }
    assert!(
        told(&answer(3), &Range::of_time(11, 100), false).is_err(),
        "outside of the range"
    );
    // Too many to be listed: items are not looked at, and must not be there.
    let mut many = answer(65);
    assert!(told(&many, &range, false).is_err());
    many.items.clear();
    assert!(told(&many, &range, false).is_ok());
    assert!(told(&many, &range, true).is_err());
}

#[test]
fn an_exchange_s_message_is_short_but_for_its_payload() {
    let mut request = ExchangeRequest {
        timeout_us: 7,
        payload: Bytes::from(vec![7; 3 << 20]),
        ..ExchangeRequest::default()
    };
    envelope(&request.encode_to_vec()).unwrap();
    request.metadata = vec![Metadata::default(); ENVELOPE_BYTES_MAX / 2 + 1];
    let refused = envelope(&request.encode_to_vec()).unwrap_err();
    assert_eq!(refused.reason, Reason::BodyTooLarge);
    request.metadata.truncate(1000);
    envelope(&request.encode_to_vec()).unwrap();
    // A length beyond the message, a field number of 0, a wire type that is none.
    for broken in [&[0x7a, 0xff, 0x01][..], &[0x02, 0x00], &[0x0f]] {
        assert_eq!(envelope(broken).unwrap_err().reason, Reason::MalformedFrame);
    }
}
