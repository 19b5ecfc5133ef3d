//! What a start finds: a torn tail is cut and recorded, anything else that is wrong refuses, what is derived is rebuilt.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod world;

use std::fs;

use bytes::Bytes;
use jisr_ledger::ledger::{AppendError, OpenError, Side};
use jisr_ledger::replay::{ReplaySet, State};
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::{Act, Draft};
use jisr_proto::statement::{Citation, Core, Kind};
use world::{MOL, NOW_US, PSD, World, append, asked, block_on, check_head, core, fresh, id, on, sealed_question};

/// Changes the bytes of a segment.
type Tearing = Box<dyn Fn(&mut Vec<u8>)>;

/// Where the last frame of the first segment ends.
fn used(bytes: &[u8]) -> usize {
    bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count()
}

/// A ledger that crashed behind two commits, the second larger than three pages; where that begins and ends.
fn crashed() -> (World, usize, usize, u64) {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    append(&ledger, asked(fresh())).unwrap();
    let begin = used(&fs::read(world.segment(0)).unwrap());
    let many = (0..16).map(|_| asked(fresh())).collect();
    block_on(ledger.append(many)).unwrap();
    let end = used(&fs::read(world.segment(0)).unwrap());
    (world.crash(), begin, end, 2)
}

#[test]
fn a_torn_last_frame_is_cut_and_recorded() {
    let (whole, begin, end, kept) = crashed();
    let sector = (end - 1) / 512 * 512;
    // The file ends early, in the body and in the header; the last sector, several, or all but the header are zero.
    let truncate = |at: usize| move |bytes: &mut Vec<u8>| bytes.truncate(at);
    let zero = |from: usize| move |bytes: &mut Vec<u8>| bytes[from..end].fill(0);
    let tears: Vec<Tearing> = vec![
        Box::new(truncate(end - 1)),
        Box::new(truncate(begin + 16)),
        Box::new(truncate(begin + 7)),
        Box::new(zero(sector)),
        Box::new(zero(sector - 5000)),
        Box::new(zero(begin + 16)),
    ];
    for (at, tear) in tears.iter().enumerate() {
        let torn = whole.crash();
        let mut bytes = fs::read(torn.segment(0)).unwrap();
        tear(&mut bytes);
        fs::write(torn.segment(0), &bytes).unwrap();
        let (ledger, opened) = torn.open();
        assert_eq!(opened.size, kept, "tear {at}");
        let cut = opened.torn.expect("it was torn");
        assert_eq!((cut.segment, cut.offset), (0, begin as u64), "tear {at}");
        let resumed = ledger.entry(kept).unwrap().unwrap();
        let recorded = ledger.entry(kept + 1).unwrap().unwrap();
        assert_eq!(resumed.statement.kind(), Kind::Resumed);
        assert!(matches!(recorded.statement.act(), Some(Act::TornTailCut(act)) if *act == cut));
        append(&ledger, asked(fresh())).unwrap();
        let root = ledger.root(5);
        ledger.close();
        let (ledger, opened) = torn.open();
        assert_eq!((opened.size, opened.torn), (5, None), "tear {at}");
        assert_eq!(ledger.root(5), root);
        check_head(&torn, &ledger);
    }
}

#[test]
fn a_question_of_others_under_an_own_id_closes_nothing_of_one_s_own() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    let n = fresh();
    append(&ledger, asked(n)).unwrap();
    // MoL is asked under the id that it asked PSD under, and refuses at once.
    let refused = Core {
        consumer: "JO/GOV/psd/residency".into(),
        provider: "JO/GOV/mol/permits".into(),
        provider_origin: MOL.into(),
        ..core(Kind::Refused, id(n))
    };
    let citation = Citation {
        origin: PSD.into(),
        index: 7,
        leaf: Bytes::from_static(&[5; 32]),
        tree_size: 9,
        root: Bytes::from_static(&[6; 32]),
    };
    append(&ledger, Draft::new(refused).peer(&citation).close()).unwrap();
    let (_, opened) = world.crash().open();
    let open: Vec<_> = opened.open.iter().map(|open| open.side).collect();
    assert_eq!(open, [Side::Consumer], "its own question is still open");
    let taken: Vec<_> = opened.replay.iter().map(|entry| entry.id).collect();
    assert_eq!(taken, [id(n)], "and what it refused is not taken on");
}

#[test]
fn a_crash_while_the_tail_is_cut_is_a_torn_tail_again() {
    let (whole, begin, end, kept) = crashed();
    let torn = whole.crash();
    let mut bytes = fs::read(torn.segment(0)).unwrap();
    bytes[end - 600..end].fill(0);
    // As after the first of the two writes: what lies behind the first page is zero.
    let page = (begin / 4096 + 1) * 4096;
    bytes[page..end].fill(0);
    fs::write(torn.segment(0), &bytes).unwrap();
    let (_, opened) = torn.open();
    assert_eq!(
        (opened.size, opened.torn.map(|cut| cut.offset)),
        (kept, Some(begin as u64))
    );
}

#[test]
fn a_torn_frame_at_the_very_end_of_a_segment_does_not_stay_behind() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    while 65_536 - used(&fs::read(world.segment(0)).unwrap()) > 3_000 {
        append(&ledger, asked(fresh())).unwrap();
    }
    let size = ledger.size();
    let torn = world.crash();
    let mut bytes = fs::read(torn.segment(0)).unwrap();
    let end = used(&bytes);
    bytes[(end - 1) / 512 * 512..end].fill(0);
    fs::write(torn.segment(0), &bytes).unwrap();
    let (ledger, opened) = torn.open();
    assert!(opened.torn.is_some());
    assert_eq!(opened.size, size - 1);
    append(&ledger, asked(fresh())).unwrap();
    ledger.close();
    assert_eq!(torn.open().1.torn, None);
}

#[test]
fn any_changed_byte_of_what_was_acknowledged_refuses_a_start_that_reads_the_whole() {
    let (whole, begin, end, _) = crashed();
    // With a frame behind it, nothing in front can be a tear.
    let (ledger, _) = whole.open();
    ledger.close();
    let bytes = fs::read(whole.segment(0)).unwrap();
    let last = used(&bytes);
    let places = [
        0,
        9,
        63,
        64,
        70,
        begin,
        begin + 3,
        begin + 20,
        end - 1,
        end,
        end + 5,
        last - 1,
        last,
        bytes.len() - 1,
    ];
    for at in places {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        fs::write(whole.segment(0), &changed).unwrap();
        whole.forget_resume_point();
        match whole.open_with(whole.config()) {
            Err(OpenError::Corrupt { segment: 0, what, .. }) => assert!(!what.is_empty()),
            other => panic!("byte {at}: {other:?}"),
        }
    }
    fs::write(whole.segment(0), &bytes).unwrap();
    whole.open();
}

#[test]
fn a_zeroed_end_of_an_acknowledged_frame_is_no_tear_when_another_follows() {
    let (whole, _, end, _) = crashed();
    whole.open().0.close();
    let mut bytes = fs::read(whole.segment(0)).unwrap();
    bytes[(end - 1) / 512 * 512..end].fill(0);
    fs::write(whole.segment(0), &bytes).unwrap();
    whole.forget_resume_point();
    assert!(matches!(
        whole.open_with(whole.config()),
        Err(OpenError::Corrupt { .. })
    ));
}

#[test]
fn missing_swapped_and_strange_segments_refuse() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    while !world.segment(2).exists() {
        append(&ledger, asked(fresh())).unwrap();
    }
    ledger.close();
    let refused = |change: &dyn Fn(&World)| {
        let copy = world.crash();
        copy.forget_resume_point();
        change(&copy);
        copy.open_with(copy.config()).expect_err("it is no ledger any more")
    };
    let missing = refused(&|world| fs::remove_file(world.segment(1)).unwrap());
    assert!(matches!(missing, OpenError::Corrupt { segment: 1, .. }));
    let swapped = refused(&|world| fs::copy(world.segment(1), world.segment(2)).map(drop).unwrap());
    assert!(matches!(
        swapped,
        OpenError::Corrupt {
            segment: 2,
            offset: 0,
            ..
        }
    ));
    let strange = refused(&|world| fs::write(world.segments().join("notes.txt"), "x").unwrap());
    assert!(matches!(strange, OpenError::Io { .. }));
    let torn_middle = refused(&|world| {
        let bytes = fs::read(world.segment(1)).unwrap();
        fs::write(world.segment(1), &bytes[..used(&bytes) - 3]).unwrap();
    });
    assert!(matches!(torn_middle, OpenError::Corrupt { segment: 1, .. }));
}

#[test]
fn a_last_segment_without_frames_is_where_a_roll_was_interrupted() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    while !world.segment(1).exists() {
        append(&ledger, asked(fresh())).unwrap();
    }
    let copy = world.crash();
    let mut bytes = fs::read(copy.segment(1)).unwrap();
    bytes[64..].fill(0);
    fs::write(copy.segment(1), &bytes).unwrap();
    let (ledger, opened) = copy.open();
    assert_eq!((opened.size, opened.torn), (world_size(&copy), None));
    append(&ledger, asked(fresh())).unwrap();
}

/// Index of the first statement of the second segment, from its header.
fn world_size(world: &World) -> u64 {
    let bytes = fs::read(world.segment(1)).unwrap();
    u64::from_be_bytes(bytes[16..24].try_into().unwrap())
}

#[test]
fn an_index_that_is_missing_behind_ahead_or_foreign_is_rebuilt() {
    let (mol, other) = (World::new(MOL), World::new(MOL));
    let ids: Vec<u64> = (0..40).map(|_| fresh()).collect();
    let (ledger, _) = mol.open();
    for n in &ids[..20] {
        append(&ledger, asked(*n)).unwrap();
    }
    ledger.clone().close();
    drop(ledger);
    let behind = mol.crash();
    let (ledger, _) = mol.open();
    for n in &ids[20..] {
        append(&ledger, asked(*n)).unwrap();
    }
    ledger.close();
    let (ledger, _) = other.open();
    for _ in 0..30 {
        append(&ledger, asked(fresh())).unwrap();
    }
    ledger.close();

    let index = |world: &World| world.dir.path().join("ledger/index");
    for (case, from) in [("behind", Some(&behind)), ("foreign", Some(&other)), ("missing", None)] {
        let copy = mol.crash();
        fs::remove_dir_all(index(&copy)).unwrap();
        if let Some(from) = from {
            let whole = from.crash();
            fs::rename(index(&whole), index(&copy)).unwrap();
        }
        let (ledger, _) = copy.open();
        for n in &ids {
            assert_eq!(ledger.find(id(*n)).unwrap().len(), 1, "{case}");
        }
        check_head(&copy, &ledger);
    }
    // Ahead: the index of the longer ledger beside the shorter one.
    let copy = behind.crash();
    fs::remove_dir_all(index(&copy)).unwrap();
    fs::rename(index(&mol.crash()), index(&copy)).unwrap();
    let (ledger, _) = copy.open();
    assert_eq!(ledger.find(id(ids[0])).unwrap().len(), 1);
    assert_eq!(ledger.find(id(ids[39])).unwrap().len(), 0);
    fs::write(index(&mol).join("exchanges/db"), b"damaged").unwrap();
    assert_eq!(mol.open().0.find(id(ids[39])).unwrap().len(), 1);
}

#[test]
fn a_provider_learns_what_it_may_not_run_again_and_what_it_left_open() {
    let (mol, psd) = (World::new(MOL), World::new(PSD));
    let (asking, _) = mol.open();
    let (ledger, _) = psd.open();
    let ns: Vec<u64> = (0..4).map(|_| fresh()).collect();
    let questions: Vec<_> = ns.iter().map(|n| sealed_question(&mol, &asking, *n)).collect();
    let [running, answered, refused, never] = questions.as_slice() else {
        unreachable!()
    };
    append(&ledger, on(Kind::Received, running)).unwrap();
    block_on(ledger.append(vec![on(Kind::Received, answered), on(Kind::Answered, answered)])).unwrap();
    append(&ledger, on(Kind::Received, refused)).unwrap();
    let refusal = append(&ledger, on(Kind::Refused, refused)).unwrap();
    let settled = append(&ledger, on(Kind::NeverReceived, never)).unwrap();
    ledger.close();

    let (ledger, opened) = psd.open();
    assert_eq!(opened.newest_us, NOW_US);
    let [open] = opened.open.as_slice() else {
        panic!("{:?}", opened.open)
    };
    let entry = open.entry(&ledger).unwrap();
    assert_eq!((open.side, entry.statement.kind()), (Side::Provider, Kind::Received));
    ledger.close();
    assert_eq!(entry.peer.as_ref().unwrap().statement.leaf(), running.statement.leaf());

    let set = ReplaySet::new(100);
    opened
        .replay
        .iter()
        .for_each(|entry| set.remember(entry, NOW_US).unwrap());
    let state = |at: usize| set.state(id(ns[at])).unwrap();
    assert_eq!(state(0).state, State::Running);
    assert_eq!(state(0).asked, running.statement.leaf());
    assert!(matches!(
        state(1).state,
        State::Closed {
            kind: Kind::Answered,
            ..
        }
    ));
    assert_eq!(
        state(2).state,
        State::Closed {
            kind: Kind::Refused,
            index: refusal.index
        }
    );
    assert_eq!(
        state(3).state,
        State::Closed {
            kind: Kind::NeverReceived,
            index: settled.index
        }
    );
    assert!(state(0).until_us > NOW_US + 60_000_000);

    // Long after, only what still runs is remembered.
    psd.clock.set(NOW_US + 7_200_000_000);
    drop(opened);
    let (_, opened) = psd.open();
    assert_eq!(
        opened.replay.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        [id(ns[0])]
    );
}

#[test]
fn a_consumer_learns_what_it_left_open_also_when_it_asks_itself() {
    let world = World::new(PSD);
    let (ledger, _) = world.open();
    let verifier = SealVerifier::new();
    let ask = |n: u64| {
        let closed = asked(n);
        let stands = append(&ledger, closed.clone()).unwrap();
        verifier.verify(&stands.sealed(&closed), &world.verifier()).unwrap()
    };
    let (alone, both, done) = (fresh(), fresh(), fresh());
    ask(alone);
    // The node asks itself: the provider's side is closed, the consumer's is not.
    let question = ask(both);
    append(&ledger, on(Kind::Received, &question)).unwrap();
    append(&ledger, on(Kind::Answered, &question)).unwrap();
    // Both sides are closed, the consumer's without an answer.
    let question = ask(done);
    append(&ledger, on(Kind::Received, &question)).unwrap();
    let failed = Draft::new(core(Kind::Failed, id(done))).close();
    append(&ledger, failed).unwrap();
    append(&ledger, on(Kind::Cancelled, &question)).unwrap();
    ledger.close();

    let (_, opened) = world.open();
    let open: Vec<_> = opened.open.iter().map(|open| (open.side, open.exchange)).collect();
    let expected = [alone, both].map(|n| (Side::Consumer, id(n)));
    assert_eq!(open, expected);
}

#[test]
fn time_never_goes_back_over_a_restart() {
    let world = World::new(MOL);
    world.open().0.close();
    world.clock.set(NOW_US - 1_000_000_000);
    let (ledger, opened) = world.open();
    assert_eq!(opened.newest_us, NOW_US);
    assert_eq!(ledger.entry(1).unwrap().unwrap().statement.core().created_us, NOW_US);
}

#[test]
fn personal_parts_rest_encrypted_and_open_with_the_vault_alone() {
    let (mol, psd) = (World::new(MOL), World::new(PSD));
    let (asking, _) = mol.open();
    let (ledger, _) = psd.open();
    let n = fresh();
    let question = sealed_question(&mol, &asking, n);
    append(&ledger, on(Kind::Received, &question)).unwrap();
    ledger.close();
    asking.close();
    for world in [&mol, &psd] {
        for file in files(world.dir.path()) {
            let bytes = fs::read(&file).unwrap();
            for personal in ["SUBJECT-9871234567", "OFFICER-salma", "CASE-الملف-77"] {
                let found = bytes
                    .windows(personal.len())
                    .any(|window| window == personal.as_bytes());
                assert!(!found, "{personal} in {}", file.display());
            }
        }
        let salts = question
            .statement
            .parts()
            .iter()
            .filter(|part| part.tag.data_class().is_some());
        let bytes = fs::read(world.segment(0)).unwrap();
        for part in salts {
            let salt = part.opened.as_ref().unwrap().salt;
            assert!(
                !bytes.windows(32).any(|window| window == salt),
                "salt of {:?}",
                part.tag
            );
        }
    }
    let (ledger, _) = mol.open();
    assert_eq!(ledger.find(id(n)).unwrap()[0].statement, question.statement);
    ledger.close();

    // Without the data keys the tree is the same and the personal parts are withheld.
    fs::remove_dir_all(mol.dir.path().join("keys/vault")).unwrap();
    let (ledger, _) = mol.open();
    let found = &ledger.find(id(n)).unwrap()[0];
    assert_eq!(found.statement.leaf(), question.statement.leaf());
    assert_eq!(
        (found.statement.purpose(), found.statement.case()),
        (Some("work-permit-renewal"), None)
    );
}

fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn a_vault_that_cannot_make_a_key_refuses_the_statement() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    fs::remove_dir_all(world.dir.path().join("keys/vault")).unwrap();
    assert!(matches!(append(&ledger, asked(fresh())), Err(AppendError::Vault(_))));
    assert_eq!(ledger.size(), 1);
}
