//! Two ledgers compared: what is honest is no difference, and what was done to one of them is found, exchange by exchange.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod books;

use books::{Book, Rec, Two, core, id, question};
use bytes::Bytes;
use jisr_ledger::anchor::{Anchor, Quorum};
use jisr_ledger::archive::{Archive, ArchiveError, Exchange, Exchanges, Role, Row};
use jisr_ledger::compare::{Comparison, Difference, Options, Outcome, Side, directories};
use jisr_ledger::note::VerifierKey;
use jisr_ledger::statement::Draft;
use jisr_proto::statement::{Citation, Kind};
use std::time::Duration;

/// No witness: nothing here depends on one.
fn anchor() -> Anchor {
    let key = |name: &str| VerifierKey::new_seal(name, books::raw_key()).unwrap();
    Anchor {
        instance: "JO".parse().unwrap(),
        root: [0; 32],
        registry_origin: "jisr/JO/registry/2026".parse().unwrap(),
        registry_key: key("jisr/JO/registry/2026"),
        snapshot_key: key("jisr/JO/snapshot"),
        witnesses: Vec::new(),
        quorum: Quorum {
            routine: 1,
            standard: 1,
            high: 1,
            registry: 0,
        },
        time_stamps: Vec::new(),
    }
}

fn compared(a: &Book, b: &Book) -> Comparison {
    with(a, b, Options::default())
}

fn with(a: &Book, b: &Book, options: Options) -> Comparison {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    a.write(dirs[0].path());
    b.write(dirs[1].path());
    let [a, b] = dirs.each_ref().map(|dir| Archive::open(dir.path()).unwrap());
    directories(a, b, &anchor(), options).unwrap()
}

/// Kind, side and exchange of each finding.
fn found(comparison: &Comparison) -> Vec<(Difference, Side, Option<jisr_proto::ident::ExchangeId>)> {
    let findings = comparison.findings.iter();
    findings
        .map(|finding| {
            (
                finding.kind,
                finding.side,
                finding.exchange.as_ref().map(|about| about.id),
            )
        })
        .collect()
}

fn three() -> Two {
    let mut two = Two::new();
    for n in 1..=3 {
        two.exchange(n);
    }
    two
}

#[test]
fn what_both_hold_alike_is_the_same_from_either_side() {
    let two = three();
    let same = compared(&two.mol, &two.psd);
    assert_eq!(
        (same.outcome, same.findings.len(), same.open.len()),
        (Outcome::Same, 0, 0),
        "{same:#?}"
    );
    let [asked, nothing] = same.asked;
    assert_eq!((asked.exchanges, asked.agreed, asked.receipts), (3, 3, 3));
    assert_eq!(nothing.exchanges, 0);
    assert_eq!(same.held.map(|held| held.proofs), [3, 0]);
    assert!(same.held[0].checkpoints >= 3 && same.held[1].newest == two.mol.size());
    let turned = compared(&two.psd, &two.mol);
    assert_eq!((turned.outcome, turned.asked[1].agreed), (Outcome::Same, 3));
}

#[test]
fn honest_ends_of_exchanges_are_no_differences() {
    let mut two = three();
    // Refused, failed, unknown: sealed by the provider and cited.
    for (n, kind) in [
        (10, Kind::Refused),
        (11, Kind::NeverReceived),
        (12, Kind::OutcomeUnknown),
    ] {
        let asked = two.asked(n);
        if kind == Kind::OutcomeUnknown {
            two.received(n, asked);
        }
        let closed = two.closed(kind, n, asked);
        two.cited(kind, n, closed);
    }
    // The consumer gave up, before the question arrived, and after it was answered.
    two.asked(13);
    two.alone(Kind::Failed, 13);
    let asked = two.asked(14);
    two.received(14, asked);
    let answered = two.closed(Kind::Answered, 14, asked);
    two.alone(Kind::Cancelled, 14);
    two.cited(Kind::LateAnswer, 14, answered);
    // It never left, and one was refused at home.
    two.asked(15);
    two.alone(Kind::NotSent, 15);
    let home = two.core(Kind::Refused, 16);
    two.mol.put(Draft::new(home).purpose("curiosity").close());
    // The answer is gone after it was given.
    let asked = two.asked(17);
    two.received(17, asked);
    two.closed(Kind::Answered, 17, asked);
    let gone = two.closed(Kind::AnswerGone, 17, asked);
    two.cited(Kind::AnswerGone, 17, gone);
    // Another node of the same member, and another member: not for this pair.
    let mut elsewhere = core(Kind::Asked, 18);
    elsewhere.provider_origin = "jisr/JO/GOV/psd/node2/2026".into();
    let asked = question(18).close();
    let mut draft = asked.core().clone();
    draft.provider_origin = elsewhere.provider_origin;
    two.mol.put(Draft::new(draft).purpose("x").payload(b"q").close());
    let same = compared(&two.mol, &two.psd);
    assert_eq!((same.outcome, same.findings.len()), (Outcome::Same, 0), "{same:#?}");
    let [asked, _] = same.asked;
    assert_eq!(
        (asked.exchanges, asked.agreed, asked.alone, asked.open),
        (10, 7, 3, 0),
        "{asked:?}"
    );
}

#[test]
fn what_is_open_is_listed_and_is_no_difference() {
    let mut two = three();
    two.asked(20);
    let asked = two.asked(21);
    two.received(21, asked);
    let asked = two.asked(22);
    two.received(22, asked);
    two.alone(Kind::Failed, 22);
    let same = compared(&two.mol, &two.psd);
    assert_eq!(same.outcome, Outcome::Same);
    let open: Vec<_> = same.open.iter().map(|open| (open.exchange.id, open.side)).collect();
    assert_eq!(open.len(), 3);
    for wanted in [(id(20), Side::A), (id(21), Side::A), (id(22), Side::B)] {
        assert!(open.contains(&wanted), "{wanted:?} in {open:?}");
    }
}

#[test]
fn an_exchange_taken_out_of_either_ledger_is_named() {
    let two = three();
    let found_in_b = compared(&two.mol, &two.psd.without(2));
    assert_eq!(found_in_b.outcome, Outcome::Differs);
    assert_eq!(
        found(&found_in_b),
        [
            (Difference::LedgerForked, Side::B, None),
            (Difference::ExchangeLacking, Side::B, Some(id(2)))
        ],
        "{found_in_b:#?}"
    );
    let lacking = &found_in_b.findings[1];
    let records: Vec<_> = lacking.proofs.iter().map(|proof| proof.record).collect();
    assert_eq!(records, ["PEER_STATEMENT", "PEER_PROOF"]);
    assert!(
        lacking
            .proofs
            .iter()
            .all(|proof| proof.is_signed && proof.tree_size > 0 && proof.holder == Side::A)
    );
    assert!(
        lacking.what[0].contains("cites ANSWERED at entry"),
        "{:?}",
        lacking.what
    );

    let found_in_a = compared(&two.mol.without(2), &two.psd);
    assert_eq!(
        found(&found_in_a),
        [
            (Difference::LedgerForked, Side::A, None),
            (Difference::ExchangeLacking, Side::A, Some(id(2)))
        ],
        "{found_in_a:#?}"
    );
    let what = &found_in_a.findings[1].what;
    assert!(what.iter().any(|what| what.contains("receipt")), "{what:?}");
}

#[test]
fn an_invented_exchange_is_named() {
    let mut two = three();
    let before = two.mol.size();
    let invented = Citation {
        index: before - 1,
        leaf: Bytes::from_static(&[9; 32]),
        ..two.mol.citation(before - 1)
    };
    let received = two.core(Kind::Received, 30);
    two.psd.put(Draft::new(received).peer(&invented).close());
    let answered = two.core(Kind::Answered, 30);
    two.psd.put(Draft::new(answered).peer(&invented).payload(b"a").close());
    let differs = compared(&two.mol, &two.psd);
    assert_eq!(found(&differs), [(Difference::ExchangeInvented, Side::B, Some(id(30)))]);
    assert!(
        differs.findings[0]
            .proofs
            .iter()
            .all(|proof| !proof.is_signed && proof.record == "PEER")
    );
    assert_eq!((differs.outcome, differs.asked[0].different), (Outcome::Differs, 1));
}

#[test]
fn an_altered_statement_is_named_and_what_shifts_behind_it_is_summed_up() {
    let two = three();
    let mut altered = two.psd.clone();
    for rec in &mut altered.recs {
        let Rec::Own(closed) = rec else { continue };
        let core = closed.core().clone();
        if core.kind == Kind::Answered as i32 && core.exchange_id.as_ref() == id(2).as_bytes() {
            let citation = closed.parsed().unwrap().citation().unwrap().clone();
            *rec = Rec::Own(Box::new(
                Draft::new(core).peer(&citation).payload(b"another answer").close(),
            ));
        }
    }
    let differs = compared(&two.mol, &altered);
    assert_eq!(
        found(&differs),
        [
            (Difference::LedgerForked, Side::B, None),
            (Difference::ExchangeDiffers, Side::B, Some(id(2)))
        ]
    );
    // With one statement too many, everything behind it stands elsewhere: one finding, not many.
    let mut shifted = two.psd.clone();
    let extra = Draft::new(core(Kind::NeverReceived, 40))
        .peer(&two.mol.citation(1))
        .close();
    shifted.recs.insert(1, Rec::Own(Box::new(extra)));
    let differs = compared(&two.mol, &shifted);
    assert_eq!(differs.findings[0].kind, Difference::LedgerForked);
    assert!(
        differs.findings[0]
            .what
            .iter()
            .any(|what| what.contains("3 exchanges stand")),
        "{differs:#?}"
    );
}

#[test]
fn a_side_that_contradicts_itself_is_named() {
    let mut two = three();
    let asked = two.asked(50);
    two.received(50, asked);
    two.closed(Kind::Answered, 50, asked);
    let failed = two.closed(Kind::Failed, 50, asked);
    two.cited(Kind::Failed, 50, failed);
    let asked = two.asked(51);
    two.received(51, asked);
    let never = two.closed(Kind::NeverReceived, 51, asked);
    two.cited(Kind::NeverReceived, 51, never);
    let asked = two.asked(52);
    let mut other = two.core(Kind::Received, 52);
    other.agreement = Bytes::from_static(&[8; 32]);
    two.psd.cite(Draft::new(other), &two.mol, asked);
    let differs = compared(&two.mol, &two.psd);
    let ids: Vec<_> = found(&differs)
        .into_iter()
        .map(|(kind, _, id)| (kind, id.unwrap()))
        .collect();
    for n in [50, 51, 52] {
        assert!(
            ids.contains(&(Difference::ExchangeDiffers, id(n))),
            "{n} in {differs:#?}"
        );
    }
    assert_eq!(ids.len(), 3);
}

#[test]
fn an_older_copy_is_no_difference_but_is_not_the_same_either() {
    let mut two = three();
    let older = two.psd.clone();
    two.exchange(60);
    let found_short = compared(&two.mol, &older);
    assert_eq!(found_short.outcome, Outcome::Indeterminate, "{found_short:#?}");
    assert_eq!(found(&found_short), [(Difference::LedgerShorter, Side::B, None)]);
    assert_eq!(found_short.open[0].exchange.id, id(60));
    let apart = Options {
        apart: Duration::from_secs(600),
        ..Options::default()
    };
    let allowed = with(&two.mol, &older, apart);
    assert_eq!(
        (allowed.outcome, allowed.open.len()),
        (Outcome::Same, 1),
        "{allowed:#?}"
    );
    // Where the shorter one is much older, allowing for little does not help.
    for n in 61..=85 {
        two.exchange(n);
    }
    assert_eq!(
        with(&two.mol, &older, apart).outcome,
        Outcome::Same,
        "all of it happened in less than ten minutes"
    );
    let little = Options {
        apart: Duration::from_secs(60),
        ..Options::default()
    };
    assert_eq!(with(&two.mol, &older, little).outcome, Outcome::Indeterminate);
}

#[test]
fn in_a_forked_ledger_nothing_is_newer_than_the_copy() {
    let two = three();
    let mut rebuilt = two.psd.without(1);
    while rebuilt.size() > 4 {
        rebuilt.recs.pop();
    }
    let differs = compared(&two.mol, &rebuilt);
    let ids: Vec<_> = found(&differs).into_iter().filter_map(|(_, _, id)| id).collect();
    assert_eq!(ids, [id(1), id(3)], "{differs:#?}");
    assert_eq!(
        (differs.asked[0].different, differs.asked[0].open, differs.open.len()),
        (2, 0, 0)
    );
}

#[test]
fn slices_find_what_one_reading_finds() {
    let mut two = Two::new();
    for n in 1..=40 {
        two.exchange(n);
    }
    two.asked(41);
    let tampered = two.psd.without(7);
    let whole = compared(&two.mol, &tampered);
    for slice_statements in [1, 7, 50] {
        let options = Options {
            slice_statements,
            ..Options::default()
        };
        assert_eq!(with(&two.mol, &tampered, options), whole, "{slice_statements}");
    }
}

/// Reads the exchanges of a ledger.
fn exchanges(bytes: &[u8]) -> Result<Vec<Exchange>, ArchiveError> {
    let dir = tempfile::tempdir().unwrap();
    books::write(dir.path(), bytes);
    let archive = Archive::open(dir.path())?;
    let rows = Exchanges::new(archive.items()).filter_map(|row| match row {
        Ok(Row::Exchange(exchange)) => Some(Ok(*exchange)),
        Ok(Row::Act { .. }) => None,
        Err(error) => Some(Err(error)),
    });
    rows.collect()
}

#[test]
fn each_side_s_exchanges_are_put_together() {
    let mut two = three();
    let home = two.core(Kind::Refused, 16);
    two.mol.put(Draft::new(home).purpose("curiosity").close());
    two.asked(4);
    let of_mol = exchanges(&two.mol.bytes()).unwrap();
    let outcomes: Vec<_> = of_mol.iter().map(|one| (one.id, one.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            (id(1), Some(Kind::Delivered)),
            (id(2), Some(Kind::Delivered)),
            (id(3), Some(Kind::Delivered)),
            (id(16), Some(Kind::Refused)),
            (id(4), None)
        ]
    );
    assert_eq!(of_mol[3].purpose(), Some("curiosity"));
    assert!(
        of_mol
            .iter()
            .all(|one| one.role == Role::Consumer && one.peer == "JO/GOV/psd")
    );
    let of_psd = exchanges(&two.psd.bytes()).unwrap();
    assert_eq!(of_psd.len(), 3);
    for one in &of_psd {
        assert_eq!(
            (one.role, one.outcome, one.peer.as_str()),
            (Role::Provider, Some(Kind::Answered), "JO/GOV/mol")
        );
        assert_eq!(
            one.purpose(),
            Some("work-permit-renewal"),
            "from the question that stands with it"
        );
    }
}

#[test]
fn a_torn_tail_ends_the_reading_and_a_broken_middle_is_named_by_its_place() {
    let two = three();
    let whole = two.mol.bytes();
    let used = whole.len() - 600;
    let all = exchanges(&whole).unwrap();
    // The last record is a final proof: without it the exchanges are the same.
    let torn = &whole[..used - 10];
    assert_eq!(exchanges(torn).unwrap(), all);
    let mut broken = whole.clone();
    broken[used / 2] ^= 1;
    let error = exchanges(&broken).unwrap_err();
    assert!(matches!(error, ArchiveError::Broken { .. }), "{error}");
    assert!(error.to_string().contains("00000000000000000000.seg byte "), "{error}");
    for cut in [0, 10, 63] {
        assert!(exchanges(&whole[..cut]).is_err(), "{cut}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        Archive::open(dir.path()),
        Err(ArchiveError::Unreadable { .. })
    ));
    std::fs::create_dir(dir.path().join("segments")).unwrap();
    assert!(matches!(Archive::open(dir.path()), Err(ArchiveError::Broken { .. })));
    std::fs::write(dir.path().join("segments/00000000000000000001.seg"), &whole).unwrap();
    assert!(matches!(Archive::open(dir.path()), Err(ArchiveError::Broken { .. })));
}

#[test]
fn any_changed_byte_is_read_or_refused_without_panic() {
    let mut two = Two::new();
    two.exchange(1);
    let whole = two.psd.bytes();
    for at in (0..whole.len() - 600).step_by(97) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        assert!(exchanges(&changed).is_err(), "byte {at}");
    }
}
