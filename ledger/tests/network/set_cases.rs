//! Sets of evidence: that hold, that somebody altered, and that their holder cut.

use super::network::{ASKED_US, Network};
use bytes::Bytes;
use jisr_certs::digest::domain;
use jisr_ledger::{
    evidence::{self, SetReport, Verifier, encode, encode_set, extract, withhold, withhold_in_set},
    report::Verdict,
    statement::Tag,
};
use jisr_proto::{evidence::EvidenceSet, ident::ExchangeId};

const LATER_US: u64 = ASKED_US + 7_200_000_000;

fn judge(network: &Network, set: &EvidenceSet) -> SetReport {
    let file = encode_set(set).expect("short enough");
    Verifier::new(network.anchor.clone()).verify_set(&file, LATER_US)
}

fn verdicts(report: &SetReport) -> Vec<Verdict> {
    report.exchanges.iter().map(|one| one.report.verdict).collect()
}

#[test]
fn a_set_proves_each_of_its_exchanges() {
    let network = super::network();
    let report = judge(&network, &network.set());
    assert_eq!(report.report.verdict, Verdict::Valid, "{report:#?}");
    assert_eq!(verdicts(&report), [Verdict::Valid, Verdict::Valid]);
    let json = serde_json::to_value(&report).expect("it serializes");
    assert_eq!(json["exchanges"][0]["exchange_id"], network.exchange.to_string());
    assert_eq!(json["exchanges"][0]["checks"][0]["id"], "statements");
}

/// The digest first; then, mended, what the digest stands for. The verifier has seen the true file.
#[test]
fn no_changed_bit_of_a_set_is_valid() {
    let network = super::network();
    let set = network.set();
    let file = encode_set(&set).expect("short enough");
    let verifier = Verifier::new(network.anchor.clone());
    assert_eq!(verifier.verify_set(&file, LATER_US).report.verdict, Verdict::Valid);
    for at in 0..file.len() {
        let mut changed = file.clone();
        let bits: &[u8] = if at % 61 == 0 {
            &[1, 2, 4, 8, 16, 32, 64, 128]
        } else {
            &[0x01]
        };
        for bit in bits {
            changed[at] = file[at] ^ bit;
            assert_eq!(
                verifier.verify_set(&changed, LATER_US).report.verdict,
                Verdict::Invalid,
                "byte {at}"
            );
            if at < 40 {
                continue;
            }
            let mut mended = changed.clone();
            let digest = domain("jisr.evidence-set", &[&mended[40..]]);
            mended[8..40].copy_from_slice(&digest);
            let report = verifier.verify_set(&mended, LATER_US);
            if report.report.verdict == Verdict::Valid {
                // When the file was made, and its title, are nobody's word.
                let body = evidence::open_set(&mended).expect("it was valid");
                assert!(
                    body.created_us != set.created_us || body.title != set.title,
                    "byte {at}\n{report:#?}"
                );
            }
        }
    }
    for cut in [0, 7, 8, 39, 40, file.len() - 1] {
        assert_eq!(
            verifier.verify_set(&file[..cut], LATER_US).report.verdict,
            Verdict::Invalid
        );
    }
}

#[test]
fn neither_form_passes_for_the_other() {
    let network = super::network();
    let verifier = Verifier::new(network.anchor.clone());
    let (one, set) = (
        network.evidence_file(),
        encode_set(&network.set()).expect("short enough"),
    );
    assert!(evidence::is_set(&set) && !evidence::is_set(&one));
    assert_eq!(verifier.verify(&set, LATER_US).verdict, Verdict::Invalid);
    assert_eq!(verifier.verify_set(&one, LATER_US).report.verdict, Verdict::Invalid);
}

#[test]
fn one_bad_exchange_does_not_hide_the_others_and_decides_for_all() {
    let network = super::network();
    let mut set = network.set();
    set.exchanges[1].statements[0].index = 0;
    let report = judge(&network, &set);
    assert_eq!(verdicts(&report), [Verdict::Valid, Verdict::Invalid]);
    assert_eq!(report.report.verdict, Verdict::Invalid);
    assert!(
        report.report.reason.starts_with("1 of 2 exchanges are INVALID"),
        "{}",
        report.report.reason
    );
    let mut set = network.set();
    set.exchanges[0].statements.remove(1);
    assert_eq!(
        verdicts(&judge(&network, &set)),
        [Verdict::Indeterminate, Verdict::Valid]
    );
}

#[test]
fn what_is_out_of_form_has_no_exchange() {
    let network = super::network();
    let refused = |change: &dyn Fn(&mut EvidenceSet)| {
        let mut set = network.set();
        change(&mut set);
        let report = judge(&network, &set);
        assert_eq!(
            (report.report.verdict, report.exchanges.len()),
            (Verdict::Invalid, 0),
            "{report:#?}"
        );
    };
    refused(&|set| set.exchanges.swap(0, 1));
    refused(&|set| set.exchanges.clear());
    refused(&|set| set.exchanges.insert(1, set.exchanges[0].clone()));
    refused(&|set| set.format = 2);
    refused(&|set| set.instance = "SY".into());
    refused(&|set| set.title = "a\nb".into());
    refused(&|set| set.schemas.push(Bytes::from_static(b"of no question")));
    refused(&|set| set.schemas.push(set.schemas[0].clone()));
    refused(&|set| set.registry.swap(0, 1));
    refused(&|set| set.snapshots.clear());
    refused(&|set| set.checkpoints.push(network.logs[1].note(1, &[])));
    refused(&|set| set.certificates = vec![Bytes::from_static(b"x"); 65]);
}

#[test]
fn a_set_without_a_quorum_says_since_when_it_is_unwitnessed() {
    let network = super::network();
    let mut set = network.set();
    for note in &mut set.checkpoints {
        let text = String::from_utf8(note.to_vec()).expect("text");
        let kept: Vec<&str> = text.lines().filter(|line| !line.contains("/witness ")).collect();
        *note = (kept.join("\n") + "\n").into();
    }
    let report = judge(&network, &set);
    assert_eq!(verdicts(&report), [Verdict::Indeterminate; 2]);
    let text = &report.exchanges[0]
        .report
        .check("cosignatures")
        .expect("it is there")
        .text;
    assert!(text.starts_with("unwitnessed since 2026-09-21T14:13:20Z"), "{text}");
}

#[test]
fn the_holder_can_withhold_parts_and_take_one_exchange_out() {
    let network = super::network();
    let mut set = network.set();
    withhold_in_set(&mut set, &[Tag::Case, Tag::Core, Tag::Payload]).expect("in form");
    let report = judge(&network, &set);
    assert_eq!(report.report.verdict, Verdict::Valid, "{report:#?}");
    let text = &report.exchanges[0].report.check("withheld").expect("it is there").text;
    assert!(
        text.starts_with("CASE of Asked, OFFICER of Asked, SUBJECT of Asked, PAYLOAD of Asked"),
        "{text}"
    );

    let verifier = Verifier::new(network.anchor.clone());
    for exchange in &set.exchanges {
        let id = ExchangeId::try_from(exchange.exchange_id.as_ref()).expect("an id");
        let mut one = extract(&set, &id).expect("the set has it");
        let report = verifier.verify(&encode(&one).expect("short enough"), LATER_US);
        assert_eq!(report.verdict, Verdict::Valid, "{report}");
        assert!(report.reason.contains(&id.to_string()));
        withhold(&mut one, &[Tag::Purpose]).expect("in form");
        let report = verifier.verify(&encode(&one).expect("short enough"), LATER_US);
        let asked = exchange.statements.len() > 1;
        let wanted = if asked { Verdict::Indeterminate } else { Verdict::Valid };
        assert_eq!(
            report.verdict, wanted,
            "what was asked for decides whether it was allowed\n{report}"
        );
    }
    // Of a refusal at home nothing of the other exchange remains.
    let refused = ExchangeId::try_from(set.exchanges[1].exchange_id.as_ref()).expect("an id");
    let one = extract(&set, &refused).expect("the set has it");
    assert_eq!(
        (one.certificates.len(), one.checkpoints.len(), one.schema.len()),
        (3, 2, 0)
    );
    let unknown = ExchangeId::new_v7(ASKED_US, [9; 10]);
    assert!(extract(&set, &unknown).is_err());
}

proptest::proptest! {
    #[test]
    fn any_body_is_judged_and_never_valid(body: Vec<u8>) {
        let network = super::network();
        let verifier = Verifier::new(network.anchor);
        let file = [&b"JISREV\x01\x01"[..], &domain("jisr.evidence-set", &[&body]), &body].concat();
        proptest::prop_assert_eq!(verifier.verify_set(&file, LATER_US).report.verdict, Verdict::Invalid);
    }

    /// Lists in another order, statements moved between exchanges, things left out: never VALID unless nothing was changed.
    #[test]
    fn a_shuffled_set_is_never_valid(from in 0usize..4, to in 0usize..2, drop in 0usize..6) {
        let network = super::network();
        let mut set = network.set();
        let whole = set.clone();
        let statement = set.exchanges[0].statements.remove(from);
        set.exchanges[to].statements.push(statement);
        if drop < set.registry.len() {
            set.registry.remove(drop);
        }
        let report = judge(&network, &set);
        proptest::prop_assert!(set == whole || report.report.verdict != Verdict::Valid);
    }
}
