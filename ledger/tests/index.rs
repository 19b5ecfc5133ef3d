//! Exchanges are found by id, peer, time, person and case, and in pairs; the same after the index was made anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fs;

use jisr_ledger::ledger::{Ledger, OpenError, RebuildError, Record, rebuild};
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::Draft;
use jisr_ledger::vault::Vault;
use jisr_proto::ident::{ExchangeId, MemberId};
use jisr_proto::statement::Kind;
use world::{MOL, NOW_US, PSD, World, append, asked, block_on, core, fresh, id, on, sealed_question};

const ALL: std::ops::Range<u64> = 0..u64::MAX;

struct Pair {
    mol: World,
    psd: World,
    asking: Ledger,
    ledger: Ledger,
    /// Answered and received, refused, only asked.
    ids: [ExchangeId; 3],
}

/// Two nodes' ledgers with three exchanges, the first with its receipt.
fn pair() -> Pair {
    let (mol, psd) = (World::new(MOL), World::new(PSD));
    let ((asking, _), (ledger, _)) = (mol.open(), psd.open());
    let numbers = [fresh(), fresh(), fresh()];
    let [answered, refused, _] = numbers.map(|n| sealed_question(&mol, &asking, n));
    let verifier = SealVerifier::new();
    let answer = on(Kind::Answered, &answered);
    let stands = block_on(ledger.append(vec![on(Kind::Received, &answered), answer.clone()])).unwrap();
    let answer = verifier
        .verify(&stands.last().unwrap().sealed(&answer), &psd.verifier())
        .unwrap();
    let [first, ..] = numbers;
    let delivered = Draft::new(core(Kind::Delivered, id(first))).citing(answer).close();
    let stands = append(&asking, delivered.clone()).unwrap();
    let receipt = verifier.verify(&stands.sealed(&delivered), &mol.verifier()).unwrap();
    ledger.note_later(Record::PeerReceipt(Box::new(receipt))).unwrap();
    append(&ledger, on(Kind::Refused, &refused)).unwrap();
    Pair {
        mol,
        psd,
        asking,
        ledger,
        ids: numbers.map(id),
    }
}

fn member(text: &str) -> MemberId {
    text.parse().unwrap()
}

fn consumer(ledger: &Ledger, vault: &Vault, ids: &[ExchangeId]) {
    let found = |found: jisr_ledger::ledger::Found| found.exchanges;
    assert_eq!(found(ledger.by_time(ALL, 10).unwrap()), ids);
    assert_eq!(found(ledger.by_time(NOW_US..NOW_US + 1, 10).unwrap()), ids);
    assert!(found(ledger.by_time(0..NOW_US, 10).unwrap()).is_empty());
    assert!(found(ledger.by_time(NOW_US + 1..u64::MAX, 10).unwrap()).is_empty());
    let some = ledger.by_time(ALL, 2).unwrap();
    assert_eq!((some.exchanges.len(), some.more), (2, true));
    assert_eq!(found(ledger.by_peer(&member("JO/GOV/psd"), ALL, 10).unwrap()), ids);
    assert!(found(ledger.by_peer(&member("JO/GOV/mol"), ALL, 10).unwrap()).is_empty());
    for named in [vault.subject(1, "subject 9871234567"), vault.case("CASE-الملف-77")] {
        assert_eq!(found(ledger.by_pseudonym(&named, ALL, 10).unwrap()), ids);
    }
    let nobody = vault.subject(1, "another");
    assert!(found(ledger.by_pseudonym(&nobody, ALL, 10).unwrap()).is_empty());
}

fn provider(ledger: &Ledger, asking: &Ledger, vault: &Vault, ids: &[ExchangeId; 3]) {
    let [answered, refused, asked] = *ids;
    let both = [answered, refused];
    assert_eq!(ledger.by_peer(&member("JO/GOV/mol"), ALL, 10).unwrap().exchanges, both);
    let named = vault.subject(1, "SUBJECT-9871234567");
    // The question is stored with RECEIVED; nothing of it is with a refusal.
    assert_eq!(ledger.by_pseudonym(&named, ALL, 10).unwrap().exchanges, [answered]);
    let theirs = asking.pairs(0, u64::MAX, answered, asked).unwrap();
    let ours = ledger.pairs(0, u64::MAX, answered, asked).unwrap();
    assert_eq!(theirs.iter().map(|row| row.exchange).collect::<Vec<_>>(), ids);
    assert_eq!(ours.iter().map(|row| row.exchange).collect::<Vec<_>>(), both);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours.asked, theirs.asked);
        assert_eq!((ours.asked_by_us, theirs.asked_by_us), (false, true));
        assert_eq!((ours.peer.as_str(), theirs.peer.as_str()), (MOL, PSD));
    }
    let first = |rows: &[jisr_ledger::ledger::PairRow]| rows.first().unwrap().clone();
    assert_eq!(first(&ours).answered, first(&theirs).answered);
    assert!(first(&ours).answered.is_some() && first(&ours).receipt);
    assert_eq!(ledger.pairs(0, u64::MAX, refused, refused).unwrap().len(), 1);
    assert!(ledger.pairs(0, NOW_US / 1000, answered, asked).unwrap().is_empty());
    let closed = first(&ours).closed.unwrap();
    let receipt = ledger.receipt(closed).unwrap().unwrap();
    assert_eq!(receipt.statement.kind(), Kind::Delivered);
    assert!(ledger.receipt(closed - 1).unwrap().is_none());
}

#[test]
fn what_was_appended_is_found_also_after_all_that_is_derived_was_made_anew() {
    let Pair {
        mol,
        psd,
        asking,
        ledger,
        ids,
    } = pair();
    let vaults = [&mol, &psd].map(|world| Vault::open(&world.store()).unwrap());
    let [of_mol, of_psd] = &vaults;
    consumer(&asking, of_mol, &ids);
    provider(&ledger, &asking, of_psd, &ids);
    assert!(matches!(
        rebuild(&mol.dir.path().join("ledger"), mol.dir.path(), &mol.store()),
        Err(RebuildError::Open(OpenError::Locked(_)))
    ));
    asking.close();
    ledger.close();
    for world in [&mol, &psd] {
        let index = world.dir.path().join("ledger/index");
        fs::write(index.join("erasing"), b"").unwrap();
        let size = rebuild(&world.dir.path().join("ledger"), world.dir.path(), &world.store()).unwrap();
        assert!(size > 3 && index.join("erasing").exists() && index.join("checkpoint").exists());
    }
    let ((asking, _), (ledger, _)) = (mol.open(), psd.open());
    consumer(&asking, of_mol, &ids);
    provider(&ledger, &asking, of_psd, &ids);
    assert_eq!(ledger.indexed(), ledger.size());
}

#[test]
fn an_index_that_is_torn_or_damaged_or_older_or_another_ledgers_is_made_right_by_a_start() {
    let Pair {
        mol,
        psd,
        asking,
        ledger,
        ids,
    } = pair();
    let vault = Vault::open(&mol.store()).unwrap();
    let file = |world: &World| world.dir.path().join("ledger/index/exchanges/rows.redb");
    ledger.close();
    asking.close();
    let older = fs::read(file(&mol)).unwrap();
    let (asking, _) = mol.open();
    let later = fresh();
    append(&asking, asked(later)).unwrap();
    let ids = [&ids[..], &[id(later)]].concat();
    consumer(&asking, &vault, &ids);
    asking.close();
    let whole = fs::read(file(&mol)).unwrap();
    let half = whole.get(..whole.len() / 2).unwrap().to_vec();
    let wrong = whole.iter().map(|byte| byte ^ 0x55).collect();
    for found in [vec![], half, wrong, older, fs::read(file(&psd)).unwrap()] {
        fs::write(file(&mol), found).unwrap();
        let (asking, _) = mol.open();
        consumer(&asking, &vault, &ids);
        assert_eq!(asking.indexed(), asking.size());
        asking.close();
    }
}

#[test]
fn many_exchanges_of_one_moment_share_rows_and_are_all_found() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    let numbers: Vec<u64> = (0..900).map(|_| fresh()).collect();
    for some in numbers.chunks(60) {
        block_on(ledger.append(some.iter().map(|n| asked(*n)).collect())).unwrap();
    }
    for n in numbers.iter().step_by(97) {
        assert_eq!(ledger.find(id(*n)).unwrap().len(), 1);
    }
    assert!(ledger.find(id(fresh())).unwrap().is_empty());
    let mut found = ledger.by_time(ALL, 1_000).unwrap().exchanges;
    found.sort();
    assert_eq!(found, numbers.iter().map(|n| id(*n)).collect::<Vec<_>>());
    let (low, high) = (id(numbers[10]), id(numbers[19]));
    assert_eq!(ledger.pairs(0, u64::MAX, low, high).unwrap().len(), 10);
}

#[test]
fn rebuilding_needs_a_ledger_and_its_own_keys() {
    let (mol, psd) = (World::new(MOL), World::new(PSD));
    mol.open().0.close();
    psd.open().0.close();
    let ledger = mol.dir.path().join("ledger");
    assert!(matches!(
        rebuild(mol.dir.path(), mol.dir.path(), &mol.store()),
        Err(RebuildError::NoLedger(_))
    ));
    assert!(rebuild(&ledger, psd.dir.path(), &psd.store()).is_err());
    let key = mol.dir.path().join(format!("keys/seal-{}.pem", MOL.replace('/', ".")));
    fs::remove_file(&key).unwrap();
    assert!(matches!(
        rebuild(&ledger, mol.dir.path(), &mol.store()),
        Err(RebuildError::NoKey(_))
    ));
    assert!(!key.exists());
}
