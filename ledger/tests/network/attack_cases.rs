//! What somebody puts together out of good pieces, and what he says is longer than it is.

use super::evidence_cases::other_question;
use super::network::{ASKED_US, Network};
use bytes::Bytes;
use jisr_certs::digest::domain;
use jisr_ledger::{
    evidence::{Verifier, encode, encode_set, verify},
    report::{Report, Verdict},
    statement::{Draft, Tag},
};
use jisr_proto::{
    evidence::{Evidence, EvidencePart, EvidenceSet},
    ident::ExchangeId,
    statement::Kind,
};

const LATER_US: u64 = ASKED_US + 7_200_000_000;

fn judge(network: &Network, evidence: &Evidence) -> Report {
    verify(&encode(evidence).expect("short enough"), &network.anchor, LATER_US)
}

fn judge_set(network: &Network, set: &EvidenceSet) -> Vec<Verdict> {
    let file = encode_set(set).expect("short enough");
    let report = Verifier::new(network.anchor.clone()).verify_set(&file, LATER_US);
    assert_eq!(report.report.verdict, Verdict::Invalid, "{report:#?}");
    report.exchanges.iter().map(|one| one.report.verdict).collect()
}

/// The same network after one more question was refused at home: its set shows the same exchanges at other places.
fn later(network: &Network) -> Network {
    let mut later = network.clone();
    later.exchange = ExchangeId::new_v7(ASKED_US + 30_000_000, [6; 10]);
    let mut core = later.core(Kind::Refused, 30);
    (core.rule, core.status) = ("NO_AGREEMENT".into(), 7);
    core.agreement = Bytes::new();
    later.put(1, Draft::new(core).purpose("curiosity"), None);
    later.exchange = network.exchange;
    later
}

#[test]
fn statements_of_another_set_prove_nothing_in_this_one() {
    let network = super::network();
    let (own, other) = (network.set(), later(&network).set());
    assert_ne!(own.checkpoints, other.checkpoints);

    let mut replaced = own.clone();
    replaced.exchanges[1] = other.exchanges[1].clone();
    assert_eq!(judge_set(&network, &replaced), [Verdict::Valid, Verdict::Invalid]);

    // The other set's checkpoint comes along, and what it covers of the first exchange does not.
    let mut mixed = own.clone();
    mixed.checkpoints = other.checkpoints.clone();
    assert!(judge_set(&network, &mixed).contains(&Verdict::Invalid));

    let mut added = own.clone();
    let foreign = other.exchanges[1].statements[0].clone();
    added.exchanges[0].statements.push(foreign);
    assert_ne!(judge_set(&network, &added).first(), Some(&Verdict::Valid));

    let mut posing = own.clone();
    posing.exchanges[1].statements = own.exchanges[0].statements.clone();
    assert_ne!(judge_set(&network, &posing).last(), Some(&Verdict::Valid));
}

#[test]
fn statements_of_two_instances_are_not_one_exchange() {
    let network = super::network();
    let mixed = other_question(
        &network,
        &[],
        |core| {
            if core.kind == Kind::Received as i32 || core.kind == Kind::Answered as i32 {
                core.instance = "SY".into();
            }
        },
        "work-permit-renewal",
    );
    let report = judge(&network, &mixed);
    let found = report.check("statements").expect("it says where");
    assert_eq!((report.verdict, found.verdict), (Verdict::Invalid, Verdict::Invalid));
    assert!(found.text.contains("instance"), "{}", found.text);

    let foreign = other_question(&network, &[], |core| core.instance = "SY".into(), "work-permit-renewal");
    assert_eq!(judge(&network, &foreign).verdict, Verdict::Invalid);
    // Nor does it help to call the file one of the other instance.
    let renamed = Evidence {
        instance: "SY".into(),
        ..foreign
    };
    assert_eq!(judge(&network, &renamed).verdict, Verdict::Invalid);
}

/// The part with this tag, which stands open.
fn part(evidence: &mut Evidence, statement: usize, tag: Tag) -> &mut EvidencePart {
    let parts = &mut evidence.statements[statement].parts;
    let found = parts.iter_mut().find(|part| part.tag == u32::from(tag.number()));
    found.expect("the statement has it")
}

#[test]
fn the_payload_of_another_exchange_does_not_fit() {
    let network = super::network();
    let mut own = network.evidence();
    let mut other = other_question(&network, &[], |_| {}, "work-permit-renewal");
    // ASKED is the first of the consumer's statements, ANSWERED the second of the provider's.
    for (statement, name) in [(0, "request"), (3, "reply")] {
        let mut swapped = own.clone();
        let foreign = part(&mut other, statement, Tag::Payload).clone();
        assert_ne!(*part(&mut own, statement, Tag::Payload), foreign, "{name}");
        *part(&mut swapped, statement, Tag::Payload) = foreign.clone();
        let report = judge(&network, &swapped);
        assert_eq!(
            report.check("seals").map(|check| check.verdict),
            Some(Verdict::Invalid),
            "{name}\n{report}"
        );
        // Withheld, so that only the hash of the other one stands there.
        let hash = jisr_ledger::statement::Part::open(
            Tag::Payload,
            foreign.salt.as_ref().try_into().expect("32 bytes"),
            foreign.content,
        );
        *part(&mut swapped, statement, Tag::Payload) = EvidencePart {
            hash: Bytes::copy_from_slice(&hash.hash),
            ..EvidencePart::default()
        };
        assert_eq!(judge(&network, &swapped).verdict, Verdict::Invalid, "{name}");
        // The content of the one under the salt of the other.
        let mut resalted = own.clone();
        part(&mut resalted, statement, Tag::Payload).salt = foreign.salt;
        assert_eq!(judge(&network, &resalted).verdict, Verdict::Invalid, "{name}");
    }
}

/// A file with this body and the digest that belongs to it.
fn file(magic: &[u8; 8], name: &str, body: &[u8]) -> Vec<u8> {
    [magic.as_slice(), &domain(name, &[body]), body].concat()
}

fn refused(network: &Network, body: &[u8]) -> [String; 2] {
    let verifier = Verifier::new(network.anchor.clone());
    let one = verifier.verify(&file(b"JISREV\0\x01", "jisr.evidence", body), LATER_US);
    let set = verifier
        .verify_set(&file(b"JISREV\x01\x01", "jisr.evidence-set", body), LATER_US)
        .report;
    [one, set].map(|report| {
        assert_eq!(report.verdict, Verdict::Invalid);
        assert_eq!(report.checks.len(), 1, "nothing else was looked at");
        report.reason
    })
}

#[test]
fn lengths_beyond_the_file_are_refused_where_they_stand() {
    let network = super::network();
    let head = b"\x08\x01\x12\x02JO";
    // Field 6, statements or exchanges, with lengths up to 2^64 - 1.
    for length in [
        &b"\x80\x94\xeb\xdc\x03"[..],
        b"\xff\xff\xff\xff\x0f",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ] {
        for reason in refused(&network, &[head, &b"\x32"[..], length].concat()) {
            assert!(reason.contains("end within"), "{reason}");
        }
    }
}

#[test]
fn a_million_empty_pieces_are_counted_before_they_take_memory() {
    let network = super::network();
    let million = b"\x32\x00".repeat(1 << 20);
    for reason in refused(&network, &million) {
        assert!(reason.contains("more messages and elements"), "{reason}");
    }
    // The same, one level down: parts of one statement of one exchange.
    let parts = b"\x1a\x00".repeat(1 << 20);
    let framed = |field: u8, inner: &[u8]| {
        let mut bytes = vec![field];
        let mut length = inner.len();
        while length >= 0x80 {
            bytes.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
            length >>= 7;
        }
        bytes.push(u8::try_from(length).expect("seven bits"));
        [bytes, inner.to_vec()].concat()
    };
    let [one, _] = refused(&network, &framed(0x32, &parts));
    assert!(one.contains("more messages and elements"), "{one}");
}

#[test]
fn messages_within_messages_are_refused_as_deep_as_the_contract_goes() {
    let network = super::network();
    let mut body = Vec::new();
    for _ in 0..40 {
        let length = u8::try_from(body.len()).expect("short");
        body = [&[0x32, length][..], &body].concat();
    }
    for reason in refused(&network, &body) {
        assert!(
            reason.contains("no such field") || reason.contains("wire type"),
            "{reason}"
        );
    }
    // Groups, which need no length.
    for reason in refused(&network, &[0x33; 100_000]) {
        assert!(reason.contains("wire type"), "{reason}");
    }
}
