//! What is appended stands: durable, sealed, found again, provable.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::{Duration, Instant};

use bytes::Bytes;
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::seal::WitnessKey;
use jisr_ledger::ledger::{AppendError, OpenError, Record};
use jisr_ledger::note::SignedNote;
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::tree;
use jisr_proto::statement::Kind;
use world::{MOL, PSD, World, append, asked, block_on, check_head, fresh, id, on, sealed_question};

#[test]
fn many_threads_share_commits_and_each_gets_a_seal_that_holds() {
    let world = World::new(MOL);
    let (ledger, opened) = world.open();
    assert_eq!((opened.size, ledger.size()), (0, 1));
    let (verifier, key) = (SealVerifier::new(), world.verifier());
    let commits: std::collections::HashSet<u64> = std::thread::scope(|scope| {
        let (ledger, verifier, key) = (&ledger, &verifier, &key);
        let threads: Vec<_> = (0..16u64)
            .map(|_| {
                scope.spawn(move || {
                    let mut sizes = Vec::new();
                    for _ in 0..20 {
                        let closed = asked(fresh());
                        let stands = append(ledger, closed.clone()).unwrap();
                        let sealed = verifier.verify(&stands.sealed(&closed), key).unwrap();
                        assert_eq!(sealed.index, stands.index);
                        assert_eq!(sealed.citation(), stands.citation(&closed));
                        sizes.push(stands.checkpoint().size);
                    }
                    sizes
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(ledger.size(), 321);
    assert!(commits.len() < 320, "statements share commits: {}", commits.len());
    check_head(&world, &ledger);
}

#[test]
fn several_statements_of_one_call_stand_in_one_commit() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    let statements = vec![asked(fresh()), asked(fresh()), asked(fresh())];
    let stands = block_on(ledger.append(statements)).unwrap();
    let indexes: Vec<u64> = stands.iter().map(|stands| stands.index).collect();
    assert_eq!(indexes, [1, 2, 3]);
    assert!(stands.iter().all(|stands| stands.checkpoint().size == 4));
    assert!(matches!(
        block_on(ledger.append(Vec::new())),
        Err(AppendError::Unsound(_))
    ));
}

#[test]
fn reopened_it_is_the_same_tree_over_many_segments_and_proves_everything() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    let mut leaves = Vec::new();
    for _ in 0..300 {
        let closed = asked(fresh());
        leaves.push(tree::leaf_hash(&closed.leaf()));
        append(&ledger, closed).unwrap();
    }
    let head = ledger.checkpoint();
    ledger.close();
    assert!(world.segment(2).exists(), "it rolled");

    let (ledger, opened) = world.open();
    assert_eq!((opened.size, opened.torn), (301, None));
    assert_eq!(ledger.root(301), Some(head.root));
    let size = ledger.size();
    let roots: Vec<_> = (0..=size).map(|size| ledger.root(size).unwrap()).collect();
    for (at, leaf) in leaves.iter().enumerate() {
        let index = at as u64 + 1;
        for size in [index + 1, (index + 40).min(size), size] {
            let path = ledger.prove(index, size).unwrap();
            assert!(tree::verify_inclusion(index, size, leaf, &path, &roots[size as usize]));
        }
        let proof = ledger.consistency(index, size).unwrap();
        assert!(tree::verify_consistency(
            index,
            &roots[at + 1],
            size,
            &roots[size as usize],
            &proof
        ));
    }
    assert_eq!(ledger.prove(size, size), None);
    assert_eq!(ledger.prove(0, size + 1), None);
    check_head(&world, &ledger);
}

#[test]
fn a_second_process_is_refused() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    assert!(matches!(world.open_with(world.config()), Err(OpenError::Locked(_))));
    ledger.close();
    world.open();
}

#[test]
fn another_ledger_s_directory_is_refused() {
    let world = World::new(MOL);
    world.open().0.close();
    let other = World::new(PSD);
    let mut config = other.config();
    config.dir = world.config().dir;
    assert!(matches!(other.open_with(config), Err(OpenError::WrongLedger { .. })));
}

#[test]
fn an_exchange_is_found_with_what_it_cites_and_its_final_proof() {
    let (mol, psd) = (World::new(MOL), World::new(PSD));
    let (asking, _) = mol.open();
    let (answering, _) = psd.open();
    let n = fresh();
    let question = sealed_question(&mol, &asking, n);
    block_on(answering.append(vec![on(Kind::Received, &question), on(Kind::Answered, &question)])).unwrap();

    // One more question under the same consumer's ledger, and the proof for the first under a later checkpoint.
    append(&asking, asked(fresh())).unwrap();
    let later = asking.checkpoint();
    let proof = Record::PeerProof {
        index: question.index,
        leaf: question.statement.leaf(),
        note: later.note.clone(),
        path: asking.prove(question.index, later.size).unwrap(),
    };
    answering.note_later(proof).unwrap();
    append(&answering, asked(fresh())).unwrap();

    let check = |answering: &jisr_ledger::ledger::Ledger| {
        let entries = answering.find(id(n)).unwrap();
        let [received, answered] = entries.as_slice() else {
            panic!("two entries, not {}", entries.len())
        };
        assert_eq!(
            (received.statement.kind(), answered.statement.kind()),
            (Kind::Received, Kind::Answered)
        );
        let peer = received.peer.as_ref().unwrap();
        assert_eq!(peer.statement, question.statement);
        assert_eq!(peer.statement.case(), Some("CASE-الملف-77"));
        assert_eq!(
            (peer.index, peer.tree_size, &peer.path),
            (question.index, question.tree_size, &question.path)
        );
        assert_eq!(peer.note, question.note());
        let paid = peer.proof.as_ref().unwrap();
        assert_eq!(paid.note, later.note);
        let leaf = tree::leaf_hash(&question.statement.leaf());
        assert!(tree::verify_inclusion(
            paid.index,
            later.size,
            &leaf,
            &paid.path,
            &later.root
        ));
        assert_eq!(answering.entry(received.index).unwrap().as_ref(), Some(received));
        assert_eq!(answering.entry(answering.size()).unwrap(), None);
        assert!(answering.find(id(fresh())).unwrap().is_empty());
    };
    check(&answering);
    answering.close();
    check(&psd.open().0);
    std::fs::remove_dir_all(psd.dir.path().join("ledger/index")).unwrap();
    check(&psd.open().0);
}

#[test]
fn one_note_of_a_peer_is_stored_once() {
    let (mol, psd) = (World::new(MOL), World::new(PSD));
    let (asking, _) = mol.open();
    let (answering, _) = psd.open();
    let statements: Vec<_> = (0..10).map(|_| asked(fresh())).collect();
    let stands = block_on(asking.append(statements.clone())).unwrap();
    let verifier = SealVerifier::new();
    for (stands, closed) in stands.iter().zip(&statements) {
        let question = verifier.verify(&stands.sealed(closed), &mol.verifier()).unwrap();
        append(&answering, on(Kind::Received, &question)).unwrap();
    }
    let note = stands[0].checkpoint().note.clone();
    let bytes = std::fs::read(psd.segment(0)).unwrap();
    assert_eq!(bytes.windows(note.len()).filter(|window| *window == note).count(), 1);
}

#[test]
fn what_nobody_waits_for_is_written_within_milliseconds() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    ledger.append_later(&[asked(fresh())]).unwrap();
    while ledger.size() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::yield_now();
    }
    let later = asked(fresh());
    ledger.append_later(std::slice::from_ref(&later)).unwrap();
    let stands = append(&ledger, asked(fresh())).unwrap();
    assert_eq!(stands.index, 3, "what waits goes first");
}

#[test]
fn the_newest_checkpoint_is_stored_when_idle_and_at_the_end() {
    let world = World::new(MOL);
    let mut config = world.config();
    config.idle_checkpoint_ms = 100;
    let (ledger, _) = world.open_with(config).unwrap();
    let stored = |note: &[u8]| {
        let bytes = std::fs::read(world.segment(0)).unwrap();
        bytes.windows(note.len()).any(|window| window == note)
    };
    append(&ledger, asked(fresh())).unwrap();
    let head = ledger.checkpoint();
    let begun = Instant::now();
    while !stored(&head.note) {
        assert!(begun.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
    append(&ledger, asked(fresh())).unwrap();
    let head = ledger.checkpoint();
    ledger.close();
    assert!(stored(&head.note));
}

#[test]
fn a_cosigned_checkpoint_is_kept_and_a_foreign_one_refused() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    append(&ledger, asked(fresh())).unwrap();
    let head = ledger.checkpoint();
    let store = KeyStore::create(
        world.dir.path().join("witness-keys"),
        &KeySecret::from_bytes(&[7; 32], "a test's secret"),
    )
    .unwrap();
    let witness = WitnessKey::of_node(&store, &"JO/GOV/psd/node/node1".parse().unwrap()).unwrap();
    let line = witness.cosign(1_795_000_000, &world.origin, head.size, &head.root);
    let cosigned = Bytes::from([head.note.as_ref(), line.as_bytes()].concat());

    let forged = world.key().checkpoint(2, &[7; 32]);
    assert!(matches!(
        ledger.note_later(Record::Cosigned(forged.into())),
        Err(AppendError::Unsound(_))
    ));
    let ahead = world.key().checkpoint(9, &[7; 32]);
    assert!(matches!(
        ledger.note_later(Record::Cosigned(ahead.into())),
        Err(AppendError::Unsound(_))
    ));
    assert_eq!(ledger.cosigned(), None);

    ledger.note_later(Record::Cosigned(cosigned.clone())).unwrap();
    append(&ledger, asked(fresh())).unwrap();
    assert_eq!(ledger.cosigned(), Some((2, cosigned.clone())));
    assert_eq!(SignedNote::parse(&cosigned).unwrap().signatures.len(), 2);
    ledger.close();
    assert_eq!(world.open().0.cosigned(), Some((2, cosigned)));
}

#[test]
fn a_full_queue_refuses_at_once_and_a_huge_call_always() {
    let world = World::new(MOL);
    let mut config = world.config();
    (config.queue_items, config.commit_bytes) = (3, 16 * 1024);
    let (ledger, _) = world.open_with(config).unwrap();
    let many: Vec<_> = (0..64).map(|_| asked(fresh())).collect();
    assert!(matches!(
        block_on(ledger.append(many)),
        Err(AppendError::TooLarge { limit: 16384, .. })
    ));
    let outcomes: Vec<_> = (0..200).map(|_| ledger.append_later(&[asked(fresh())])).collect();
    let refused = outcomes
        .iter()
        .filter(|outcome| **outcome == Err(AppendError::Overloaded))
        .count();
    assert!(refused > 0);
    let accepted = 200 - refused as u64;
    append_until_room(&ledger);
    ledger.clone().close();
    assert_eq!(ledger.size(), 2 + accepted);
}

fn append_until_room(ledger: &jisr_ledger::ledger::Ledger) {
    while append(ledger, asked(fresh())).is_err() {
        std::thread::yield_now();
    }
}

#[test]
fn a_closed_ledger_takes_nothing_more() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    ledger.clone().close();
    assert_eq!(append(&ledger, asked(fresh())).unwrap_err(), AppendError::Stopped);
    assert_eq!(ledger.append_later(&[asked(fresh())]), Err(AppendError::Stopped));
    assert_eq!(ledger.entry(0).unwrap().unwrap().statement.kind(), Kind::Started);
}

#[test]
fn a_dropped_future_does_not_take_its_statement_back() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    drop(ledger.append(vec![asked(fresh())]));
    let stands = append(&ledger, asked(fresh())).unwrap();
    assert_eq!(stands.index, 2);
}
