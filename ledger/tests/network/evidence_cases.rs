//! Evidence that holds, evidence in which something lacks, and evidence that somebody altered.

use super::network::{ASKED_US, Log, Network, SCHEMA, cosignature};
use bytes::Bytes;
use jisr_certs::digest::{domain, sha256};
use jisr_ledger::{
    evidence::{Builder, Verifier, encode, verify},
    note::SignedNote,
    report::{Report, Verdict},
    statement::{Draft, Tag},
};
use jisr_proto::{
    evidence::Evidence,
    ident::ExchangeId,
    snapshot::{CertificateRevocationAct, ShownRow},
    statement::{Core, Kind},
};

const LATER_US: u64 = ASKED_US + 7_200_000_000;

fn judge(network: &Network, evidence: &Evidence) -> Report {
    verify(&encode(evidence).expect("short enough"), &network.anchor, LATER_US)
}

pub(crate) fn valid(network: &Network) {
    let report = judge(network, &network.evidence());
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
}

/// The verdict of one check, which is also that of the file.
fn finds(network: &Network, evidence: &Evidence, id: &str, verdict: Verdict) {
    let report = judge(network, evidence);
    let found = report.check(id).map(|check| check.verdict);
    assert_eq!((report.verdict, found), (verdict, Some(verdict)), "{id}\n{report}");
}

#[test]
fn the_whole_exchange_is_valid() {
    let network = super::network();
    valid(&network);
    let report = judge(&network, &network.evidence());
    let ids: Vec<_> = report.checks.iter().map(|check| check.id).collect();
    let documented = [
        "format",
        "digest",
        "anchor",
        "statements",
        "registry-entries",
        "snapshots",
        "certificates",
        "seals",
        "cosignatures",
        "citations",
        "consistency",
        "agreement",
        "agreed",
        "schema",
        "closing",
        "times",
        "revocation",
        "payload",
        "stamps",
        "withheld",
    ];
    assert_eq!(ids, documented);
    let found = |id| {
        report
            .check(id)
            .and_then(|check| check.text.split_once(" — "))
            .expect("it says what it means")
    };
    assert_eq!(found("stamps").0, "not present");
    assert_eq!(found("withheld").0, "OFFICER of Asked, SUBJECT of Asked");
    assert!(report.checks.iter().all(|check| check.text.contains(" — ")));
}

#[test]
fn every_changed_byte_is_invalid() {
    let network = super::network();
    let file = network.evidence_file();
    for at in 0..file.len() {
        for bit in [0x01, 0x80] {
            let mut changed = file.clone();
            changed[at] ^= bit;
            assert_eq!(
                verify(&changed, &network.anchor, LATER_US).verdict,
                Verdict::Invalid,
                "byte {at}"
            );
        }
    }
    for cut in [0, 7, 8, 39, 40, file.len() - 1] {
        assert_eq!(
            verify(&file[..cut], &network.anchor, LATER_US).verdict,
            Verdict::Invalid
        );
    }
    assert_eq!(
        verify(&[&file[..], &[0]].concat(), &network.anchor, LATER_US).verdict,
        Verdict::Invalid
    );
}

/// Whoever alters a file can mend its digest: then the signatures must tell, also to a verifier that has seen the true file.
#[test]
fn no_changed_bit_is_valid_even_with_the_digest_mended() {
    let network = super::network();
    let file = network.evidence_file();
    let created = network.evidence().created_us;
    let verifier = Verifier::new(network.anchor.clone());
    assert_eq!(verifier.verify(&file, LATER_US).verdict, Verdict::Valid);
    let mut tolerated = 0;
    for at in 40..file.len() {
        let bits: &[u8] = if at % 61 == 0 {
            &[1, 2, 4, 8, 16, 32, 64, 128]
        } else {
            &[0x01]
        };
        for bit in bits {
            let mut changed = file.clone();
            changed[at] ^= bit;
            let digest = domain("jisr.evidence", &[&changed[40..]]);
            changed[8..40].copy_from_slice(&digest);
            let report = verifier.verify(&changed, LATER_US);
            if report.verdict == Verdict::Valid {
                // Only when the file was made is nobody's word.
                tolerated += 1;
                let body: Evidence = prost::Message::decode(&changed[40..]).expect("it was valid");
                assert_ne!(body.created_us, created, "byte {at}\n{report}");
            }
        }
    }
    assert!(tolerated <= 16, "{tolerated}");
}

#[test]
fn what_lacks_is_indeterminate() {
    let network = super::network();
    let whole = network.evidence();
    // Seal certificates stand in NODE_ENROLLED, and the issuing authority in the snapshot.
    let mut short = whole.clone();
    short.certificates.drain(..3);
    assert_eq!(judge(&network, &short).verdict, Verdict::Valid);
    let without = |change: fn(&mut Evidence)| {
        let mut evidence = whole.clone();
        change(&mut evidence);
        evidence
    };
    let lacks = |evidence: &Evidence, id| finds(&network, evidence, id, Verdict::Indeterminate);
    lacks(&without(|evidence| drop(evidence.statements.remove(1))), "closing");
    lacks(
        &without(|evidence| evidence.certificates.push(Bytes::from_static(b"of nobody"))),
        "certificates",
    );
    lacks(&without(|evidence| drop(evidence.certificates.pop())), "certificates");
    lacks(
        &without(|evidence| drop(evidence.registry.remove(0))),
        "registry-entries",
    );
    lacks(&without(|evidence| drop(evidence.registry.remove(2))), "schema");
    lacks(&without(|evidence| drop(evidence.registry.remove(3))), "agreement");
    lacks(&without(|evidence| drop(evidence.registry.remove(4))), "snapshots");
    let no_snapshot = |evidence: &mut Evidence| {
        evidence.snapshots.clear();
        evidence.rows.clear();
    };
    lacks(&without(no_snapshot), "snapshots");
}

#[test]
fn the_file_has_only_the_rows_on_which_it_rests() {
    let network = super::network();
    let evidence = network.evidence();
    let rows = &evidence.rows[0].rows;
    let with_content: Vec<&str> = rows
        .iter()
        .filter(|row| !row.row.is_empty())
        .map(|row| row.key.as_str())
        .collect();
    assert!(with_content.iter().any(|key| key.starts_with("agreement/")));
    assert!(
        with_content
            .iter()
            .all(|key| !key.starts_with("member/") && *key != "quorum"),
        "{with_content:?}"
    );
    // No certificate is revoked, which the keys on both sides show.
    let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    let beside = keys
        .windows(2)
        .any(|pair| pair[0] == "quorum" && pair[1].starts_with("service/"));
    assert!(beside, "{keys:?}");
}

#[test]
fn rows_that_are_withheld_leave_it_open_and_bent_ones_refute() {
    let network = super::network();
    let whole = network.evidence();
    let without = |key: &'static str| {
        let mut evidence = whole.clone();
        evidence.rows[0].rows.retain(|row| !row.key.starts_with(key));
        evidence
    };
    for key in ["node/JO/GOV/mol", "node/JO/GOV/psd", "service/", "agreement/"] {
        finds(&network, &without(key), "snapshots", Verdict::Indeterminate);
    }
    finds(&network, &without("quorum"), "revocation", Verdict::Indeterminate);
    let at = |key: &str| {
        whole.rows[0]
            .rows
            .iter()
            .position(|row| row.key.starts_with(key))
            .expect("a row")
    };
    let (node, service) = (at("node/"), at("service/"));
    let bent = |change: &dyn Fn(&mut Vec<ShownRow>)| {
        let mut evidence = whole.clone();
        change(&mut evidence.rows[0].rows);
        finds(&network, &evidence, "snapshots", Verdict::Invalid);
    };
    bent(&|rows| rows[node].row = rows[service].row.clone());
    bent(&|rows| rows[node].index += 1);
    bent(&|rows| drop(rows[node].path.pop()));
    bent(&|rows| rows[service].key.push('x'));
    bent(&|rows| rows.swap(node, service));
    let mut withheld = whole.clone();
    let row = &mut withheld.rows[0].rows[node];
    row.content = Bytes::copy_from_slice(&domain("jisr.row", &[&row.row]));
    row.row = Bytes::new();
    finds(&network, &withheld, "snapshots", Verdict::Indeterminate);
}

#[test]
fn one_side_alone_is_indeterminate() {
    let network = super::network();
    let mut evidence = network.evidence();
    evidence.statements.truncate(2);
    evidence.checkpoints.remove(1);
    evidence.registry.iter_mut().for_each(|entry| entry.checkpoint -= 1);
    finds(&network, &evidence, "closing", Verdict::Indeterminate);
}

#[test]
fn without_a_quorum_it_is_indeterminate() {
    let network = super::network();
    let mut evidence = network.evidence();
    evidence.checkpoints[0] = network.logs[1].note(4, &[]);
    finds(&network, &evidence, "cosignatures", Verdict::Indeterminate);
    // The ledger's own member does not count, however often it cosigns.
    evidence.checkpoints[0] = network.logs[1].note(4, &[1]);
    finds(&network, &evidence, "cosignatures", Verdict::Indeterminate);
}

#[test]
fn what_a_revoked_key_signed_holds_only_where_a_witness_saw_it_before() {
    // The registry's witness dates its cosignatures an hour after the question.
    for (seconds, verdict) in [(3601, Verdict::Valid), (3600, Verdict::Invalid), (1, Verdict::Invalid)] {
        let mut network = super::network();
        let core = Core {
            format: 1,
            kind: Kind::CertificateRevoked as i32,
            instance: "JO".into(),
            created_us: ASKED_US + seconds * 1_000_000,
            ..Core::default()
        };
        let act = CertificateRevocationAct {
            certificates: vec![Bytes::copy_from_slice(&sha256(&[&network.certificates[0]]))],
            reason: 1,
            node: "JO/GOV/mol/node/node1".into(),
            ..CertificateRevocationAct::default()
        };
        network.put(0, Draft::new(core).act(&act), None);
        finds(&network, &network.evidence(), "revocation", verdict);
    }
}

#[test]
fn what_contradicts_is_invalid() {
    let network = super::network();
    let whole = network.evidence();
    let is_wrong = |id, change: &dyn Fn(&mut Evidence)| {
        let mut evidence = whole.clone();
        change(&mut evidence);
        finds(&network, &evidence, id, Verdict::Invalid);
    };
    is_wrong("anchor", &|evidence| evidence.instance = "SY".into());
    is_wrong("format", &|evidence| evidence.format = 2);
    is_wrong("format", &|evidence| {
        evidence.exchange_id = Bytes::from_static(&[1; 15])
    });
    is_wrong("format", &|evidence| {
        evidence.exchange_id = Bytes::from_static(&[1; 16])
    });
    is_wrong("statements", &|evidence| {
        let other = ExchangeId::new_v7(ASKED_US + 1, [8; 10]);
        evidence.exchange_id = Bytes::copy_from_slice(other.as_bytes())
    });
    is_wrong("statements", &|evidence| evidence.statements.swap(0, 1));
    is_wrong("statements", &|evidence| {
        evidence.statements.insert(1, evidence.statements[0].clone())
    });
    is_wrong("registry-entries", &|evidence| evidence.registry.swap(0, 1));
    is_wrong("registry-entries", &|evidence| evidence.registry[0].index += 1);
    is_wrong("registry-entries", &|evidence| evidence.registry[0].checkpoint = 0);
    is_wrong("seals", &|evidence| evidence.statements[0].index = 0);
    is_wrong("seals", &|evidence| evidence.statements[0].checkpoint = 1);
    is_wrong("seals", &|evidence| {
        evidence.checkpoints[0] = signed_by_another(&evidence.checkpoints[0])
    });
    is_wrong("schema", &|evidence| evidence.schema = [SCHEMA, b"x"].concat().into());
    is_wrong("snapshots", &|evidence| {
        evidence.snapshots[0].note = evidence.checkpoints[0].clone()
    });
}

/// The same text with the line of a key that is not the ledger's, under its name.
fn signed_by_another(note: &[u8]) -> Bytes {
    use jisr_ledger::note::{VerifierKey, assemble, signature_line};
    let text = SignedNote::parse(note).expect("a note").text;
    let pair = super::network::pair(&[99; 32]);
    let key = VerifierKey::new_seal(super::network::ORIGINS[1], super::network::public(&pair)).expect("a key");
    let line = signature_line(&key, pair.sign(text.as_bytes()).as_ref());
    assemble(text, [line.as_str(), cosignature(text, 0).as_str()]).into()
}

/// Evidence over other statements than those of the network: each of `consumer`, then of `provider`, is appended anew.
fn other(network: &Network, withheld: &[Tag], make: impl Fn(&mut Network)) -> Evidence {
    let mut network = network.clone();
    let sizes = [network.logs[1].size(), network.logs[2].size()];
    make(&mut network);
    let [registry, mol, psd] = &network.logs;
    let note = registry.note(registry.size(), &[]);
    let mut builder = Builder::new(&network.anchor.instance, &network.exchange, LATER_US).snapshot(
        network.snapshot.clone(),
        network.snapshot_note.clone(),
        network.shown(),
    );
    for index in 1..registry.size() {
        builder = builder.registry_entry(registry.piece(index, &note));
    }
    for (log, from) in [(mol, sizes[0]), (psd, sizes[1])] {
        let note = log.note(log.size(), &[0, 1]);
        for index in from..log.size() {
            builder = builder.statement(log.piece(index, &note), withheld);
        }
    }
    for der in &network.certificates {
        builder = builder.certificate(der.clone());
    }
    builder.build()
}

/// Another question, altered, with everything that follows from it.
pub(crate) fn other_question(network: &Network, withheld: &[Tag], alter: fn(&mut Core), purpose: &str) -> Evidence {
    other(network, withheld, |network| {
        let mut core = network.core(Kind::Asked, 10);
        core.expires_us = core.created_us + 60_000_000;
        alter(&mut core);
        network.put(1, Draft::new(core).purpose(purpose), Some(b"q"));
        let cite = |log: &Log, which: usize, index: u64| {
            let key = super::network::seal_key(which);
            let sealed = log.sealed(index, log.size());
            jisr_ledger::seal::SealVerifier::new()
                .verify(&sealed, &key)
                .expect("a good seal")
                .citation()
        };
        let asked = cite(&network.logs[1], 1, 4);
        for (kind, message) in [(Kind::Received, None), (Kind::Answered, Some(&b"a"[..]))] {
            let mut core = network.core(kind, 11);
            alter(&mut core);
            network.put(2, Draft::new(core).peer(&asked), message);
        }
        let answered = cite(&network.logs[2], 2, 5);
        let mut core = network.core(Kind::Delivered, 12);
        alter(&mut core);
        network.put(1, Draft::new(core).peer(&answered), None);
    })
}

#[test]
fn the_agreement_must_allow_it() {
    let network = super::network();
    let ask = |alter, purpose| other_question(&network, &[], alter, purpose);
    assert_eq!(
        judge(&network, &ask(|_| {}, "work-permit-renewal")).verdict,
        Verdict::Valid
    );
    finds(&network, &ask(|_| {}, "curiosity"), "agreement", Verdict::Invalid);
    finds(
        &network,
        &ask(|core| core.method = "Deport".into(), "work-permit-renewal"),
        "agreement",
        Verdict::Invalid,
    );
    finds(
        &network,
        &ask(|core| core.mask = "a".into(), "work-permit-renewal"),
        "agreement",
        Verdict::Invalid,
    );
    let withheld = other_question(&network, &[Tag::Purpose], |_| {}, "work-permit-renewal");
    finds(&network, &withheld, "agreement", Verdict::Indeterminate);
}

#[test]
fn the_parties_must_be_those_of_the_ledgers() {
    let network = super::network();
    let other = other_question(
        &network,
        &[],
        |core| core.consumer = "JO/GOV/moh/x".into(),
        "work-permit-renewal",
    );
    finds(&network, &other, "consistency", Verdict::Invalid);
}

#[test]
fn the_cited_snapshot_must_be_the_published_one() {
    let network = super::network();
    let other = |alter| other_question(&network, &[], alter, "work-permit-renewal");
    finds(
        &network,
        &other(|core| core.snapshot = vec![1; 32].into()),
        "snapshots",
        Verdict::Invalid,
    );
    finds(
        &network,
        &other(|core| core.snapshot_version = 2),
        "snapshots",
        Verdict::Indeterminate,
    );
    finds(
        &network,
        &other(|core| core.key_set = vec![1; 32].into()),
        "snapshots",
        Verdict::Invalid,
    );
}

#[test]
fn a_refusal_at_home_needs_no_other_side() {
    let network = super::network();
    let refuse = |seconds: &'static [u64]| {
        other(&network, &[], move |network| {
            for second in seconds {
                let mut core = network.core(Kind::Refused, *second);
                (core.rule, core.status) = ("NO_AGREEMENT".into(), 7);
                core.agreement = Bytes::new();
                network.put(1, Draft::new(core).purpose("curiosity"), None);
            }
        })
    };
    let report = judge(&network, &refuse(&[20]));
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
    assert!(report.reason.contains("NO_AGREEMENT"), "{}", report.reason);
    finds(&network, &refuse(&[20, 21]), "closing", Verdict::Invalid);
    finds(&network, &refuse(&[22, 20]), "times", Verdict::Invalid);
    // Statements are made before they wait for a commit.
    let report = judge(&network, &refuse(&[21, 20]));
    assert_eq!(report.check("times").map(|check| check.verdict), Some(Verdict::Valid));
}

#[test]
fn evidence_is_judged_as_of_a_time() {
    let network = super::network();
    let report = verify(&network.evidence_file(), &network.anchor, ASKED_US - 86_400_000_000);
    assert_eq!(report.verdict, Verdict::Indeterminate, "{report}");
}

#[test]
fn another_anchor_trusts_nothing_of_it() {
    let network = super::network();
    let file = network.evidence_file();
    let judged = |anchor: &jisr_ledger::anchor::Anchor| verify(&file, anchor, LATER_US).verdict;
    let mut root = network.anchor.clone();
    root.root = [0; 32];
    assert_ne!(judged(&root), Verdict::Valid);
    let mut registry = network.anchor.clone();
    registry.registry_key = super::network::seal_key(1);
    assert_eq!(judged(&registry), Verdict::Invalid);
    let mut snapshot = network.anchor.clone();
    snapshot.snapshot_key = super::network::seal_key(1);
    assert_eq!(judged(&snapshot), Verdict::Invalid);
    // The snapshot lists the registry's witness, and two nodes whose ledgers these are.
    let mut witnesses = network.anchor.clone();
    witnesses.witnesses.clear();
    assert_eq!(judged(&witnesses), Verdict::Valid);
    witnesses.quorum.standard = 2;
    assert_eq!(judged(&witnesses), Verdict::Indeterminate);
}

proptest::proptest! {
    #[test]
    fn any_body_is_judged_and_never_valid(body: Vec<u8>) {
        let network = super::network();
        let file = [&b"JISREV\0\x01"[..], &domain("jisr.evidence", &[&body]), &body].concat();
        proptest::prop_assert_eq!(verify(&file, &network.anchor, LATER_US).verdict, Verdict::Invalid);
        proptest::prop_assert_eq!(verify(&body, &network.anchor, LATER_US).verdict, Verdict::Invalid);
    }
}
