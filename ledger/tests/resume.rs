//! A start goes on from the resume point where that fits, and reads the whole ledger where it does not: what it finds is the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fs;
use std::sync::Arc;

use jisr_ledger::frame::{FRAME_HEADER_BYTES, FrameHeader, SEGMENT_HEADER_BYTES};
use jisr_ledger::ledger::{Damage, Ledger, Opened, Reread};
use jisr_proto::statement::Kind;
use world::disk::{FaultDisk, Op, When};
use world::{MOL, PSD, World, append, asked, block_on, check_head, fresh, id, on, sealed_question};

/// All that a start says, in an order that does not depend on it.
fn said(ledger: &Ledger, opened: &Opened) -> String {
    let mut replay: Vec<String> = opened.replay.iter().map(|entry| format!("{entry:?}")).collect();
    replay.sort();
    let cosigned = ledger.cosigned();
    let head = ledger.checkpoint();
    let proofs: Vec<_> = (0..head.size).map(|index| ledger.prove(index, head.size)).collect();
    format!(
        "{} {:?} {} {:?} {replay:?} {:?} {cosigned:?} {proofs:?}",
        opened.size, opened.torn, opened.newest_us, opened.open, head.root
    )
}

/// What the same bytes say with their resume point and without.
fn same(world: &World) {
    let (with, without) = (world.crash(), world.crash());
    without.forget_resume_point();
    let (ledger, opened) = without.open_unconfirmed(without.config()).unwrap();
    let expected = said(&ledger, &opened);
    ledger.close();
    let (ledger, opened) = with.open_unconfirmed(with.config()).unwrap();
    assert_eq!(said(&ledger, &opened), expected);
    ledger.confirm("JO/registry", None).unwrap();
    append(&ledger, asked(fresh())).unwrap();
    check_head(&with, &ledger);
    let expected = ledger.root(ledger.size());
    let size = ledger.size();
    ledger.close();
    with.forget_resume_point();
    let (ledger, _) = with.open();
    assert_eq!(ledger.root(size), expected);
}

/// A provider's ledger with exchanges that are open, closed and refused, over several segments and tiles.
fn provider() -> (World, World, Ledger, Ledger) {
    let (mol, psd) = (World::new(MOL), World::new(PSD));
    let (asking, _) = mol.open();
    let (ledger, _) = psd.open();
    for n in 0..300u64 {
        let question = sealed_question(&mol, &asking, fresh());
        match n % 3 {
            0 => drop(append(&ledger, on(Kind::Received, &question)).unwrap()),
            1 => {
                let both = vec![on(Kind::Received, &question), on(Kind::Answered, &question)];
                drop(block_on(ledger.append(both)).unwrap());
            }
            _ => drop(append(&ledger, on(Kind::Refused, &question)).unwrap()),
        }
    }
    (mol, psd, asking, ledger)
}

#[test]
fn the_same_is_found_with_a_resume_point_and_without() {
    let (mol, psd, asking, ledger) = provider();
    asking.close();
    ledger.close();
    assert!(psd.resume_point().exists() && psd.segment(1).exists());
    same(&mol);
    same(&psd);
    // With frames behind the resume point.
    let old = fs::read(psd.resume_point()).unwrap();
    let (ledger, _) = psd.open();
    (0..40).for_each(|_| drop(append(&ledger, asked(fresh())).unwrap()));
    let crashed = psd.crash();
    ledger.close();
    assert_eq!(fs::read(crashed.resume_point()).unwrap(), old);
    same(&crashed);
    // A stale resume point beside newer tiles.
    fs::write(psd.resume_point(), old).unwrap();
    same(&psd);
}

#[test]
fn a_resume_point_that_does_not_fit_is_not_used() {
    let (mol, psd, asking, ledger) = provider();
    asking.close();
    ledger.close();
    let good = fs::read(psd.resume_point()).unwrap();
    // Damaged, cut, empty, of another ledger.
    for at in [0, 9, 40, good.len() / 2, good.len() - 1] {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        fs::write(psd.resume_point(), &damaged).unwrap();
        same(&psd);
    }
    for cut in [0, 7, good.len() - 1] {
        fs::write(psd.resume_point(), &good[..cut]).unwrap();
        same(&psd);
    }
    fs::copy(mol.resume_point(), psd.resume_point()).unwrap();
    same(&psd);
}

#[test]
fn a_resume_point_ahead_of_the_segments_is_not_used() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    (0..30).for_each(|_| drop(append(&ledger, asked(fresh())).unwrap()));
    let before = world.crash();
    while !world.segment(2).exists() {
        append(&ledger, asked(fresh())).unwrap();
    }
    ledger.close();
    // The segments of an earlier day under the resume point and tiles of today.
    let rolled_back = world.crash();
    for segment in [1, 2] {
        let _ = fs::remove_file(rolled_back.segment(segment));
    }
    fs::copy(before.segment(0), rolled_back.segment(0)).unwrap();
    same(&rolled_back);
    // One of several frames lacks; the frame that it points at is cut, is zero, is another.
    let bytes = fs::read(world.segment(2)).unwrap();
    let end = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
    for cut in [end - 1, end / 2, 64] {
        let copy = world.crash();
        let mut shorter = bytes.clone();
        shorter[cut..].fill(0);
        fs::write(copy.segment(2), &shorter).unwrap();
        let without = copy.crash();
        without.forget_resume_point();
        if without.open_unconfirmed(without.config()).is_ok() {
            same(&copy);
        } else {
            assert!(copy.open_unconfirmed(copy.config()).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn another_history_under_the_same_key_is_told_apart() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    (0..300).for_each(|_| drop(append(&ledger, asked(fresh())).unwrap()));
    ledger.close();
    let fork = world.crash();
    for world in [&world, &fork] {
        let (ledger, _) = world.open();
        (0..10).for_each(|_| drop(append(&ledger, asked(fresh())).unwrap()));
        ledger.close();
    }
    // The derived data of one fork beside the segments of the other.
    let mixed = world.crash();
    fs::remove_dir_all(mixed.dir.path().join("ledger/index")).unwrap();
    fs::rename(
        fork.crash().dir.path().join("ledger/index"),
        mixed.dir.path().join("ledger/index"),
    )
    .unwrap();
    same(&mixed);
}

#[test]
fn tiles_that_are_missing_or_damaged_cost_a_whole_reading_and_no_more() {
    let (_mol, psd, asking, ledger) = provider();
    asking.close();
    ledger.close();
    let tile = |world: &World, name: &str| world.dir.path().join("ledger/index/tile").join(name);
    for name in ["0/000", "entries/000"] {
        let copy = psd.crash();
        fs::write(tile(&copy, name), b"damaged").unwrap();
        // Whoever needs it finds out; the next start makes it again.
        let (ledger, _) = copy.open_unconfirmed(copy.config()).unwrap();
        let size = ledger.size();
        let _ = (ledger.prove(3, size), ledger.pairs(0, u64::MAX, id(0), id(u64::MAX)));
        ledger.close();
        let (ledger, _) = copy.open();
        assert!(ledger.prove(3, size).is_some());
        check_head(&copy, &ledger);
        ledger.close();
        same(&copy);
    }
}

#[test]
fn a_failed_write_of_the_resume_point_loses_nothing() {
    for when in [When::Full, When::Before, When::After] {
        let world = World::new(MOL);
        let disk = FaultDisk::default();
        let mut config = world.config();
        config.disk = Arc::new(disk.clone());
        let (ledger, _) = world.open_with(config.clone()).unwrap();
        (0..30).for_each(|_| drop(append(&ledger, asked(fresh())).unwrap()));
        let size = ledger.size();
        disk.fail(Op::Replace, when, 0);
        ledger.close();
        same(&world);
        let (ledger, opened) = world.open_with(config).unwrap();
        assert_eq!(opened.size, size, "{when:?}");
        ledger.close();
        assert!(world.resume_point().exists());
        same(&world);
    }
}

/// Every segment, read again.
fn reread(ledger: &Ledger) -> Vec<Result<Reread, Damage>> {
    (0..=ledger.durable().segment)
        .map(|segment| ledger.reread(segment, |_| true))
        .collect()
}

#[test]
fn what_is_read_again_holds_and_one_altered_byte_does_not() {
    let (_mol, psd, _asking, ledger) = provider();
    let before = reread(&ledger);
    assert!(before.len() > 1);
    let statements: u64 = before.iter().map(|read| read.as_ref().unwrap().statements).sum();
    assert_eq!(statements, ledger.size());
    assert!(before.iter().all(|read| read.as_ref().unwrap().whole));
    let stopped = ledger.reread(0, |_| false).unwrap();
    assert!(!stopped.whole && stopped.statements < statements);
    // A byte of the segment's header, of a frame's, of its body, and of the last frame.
    let path = psd.segment(0);
    let sound = fs::read(&path).unwrap();
    let used = sound.iter().rposition(|byte| *byte != 0).unwrap();
    for at in [20, SEGMENT_HEADER_BYTES, 3_000, used - 3] {
        let mut altered = sound.clone();
        altered[at] ^= 1;
        fs::write(&path, &altered).unwrap();
        let damage = ledger.reread(0, |_| true).unwrap_err();
        assert_eq!(damage.place.segment, 0, "{damage}");
        assert!(
            damage.place.offset <= at.max(SEGMENT_HEADER_BYTES) as u64,
            "{damage} for byte {at}"
        );
        assert!(reread(&ledger)[1..].iter().all(Result::is_ok));
    }
    // Frames gone from the end, and the whole file.
    let (cut, frames_end) = (&sound[..2_000], sound.len());
    fs::write(&path, [cut, &vec![0; frames_end - cut.len()]].concat()).unwrap();
    ledger.reread(0, |_| true).unwrap_err();
    fs::remove_file(&path).unwrap();
    ledger.reread(0, |_| true).unwrap_err();
    fs::write(&path, &sound).unwrap();
    assert!(reread(&ledger).iter().all(Result::is_ok));
    ledger.close();
}

#[test]
fn an_altered_statement_with_sound_checksums_is_found() {
    let (_mol, psd, _asking, ledger) = provider();
    let path = psd.segment(0);
    let mut bytes = fs::read(&path).unwrap();
    let mut at = SEGMENT_HEADER_BYTES;
    // The third frame's purpose is another, and its checksum is made anew.
    let header =
        |bytes: &[u8], at: usize| FrameHeader::parse(bytes[at..at + FRAME_HEADER_BYTES].try_into().unwrap()).unwrap();
    for _ in 0..2 {
        at += FRAME_HEADER_BYTES + header(&bytes, at).body_bytes as usize;
    }
    let body = at + FRAME_HEADER_BYTES..at + FRAME_HEADER_BYTES + header(&bytes, at).body_bytes as usize;
    let method = bytes[body.clone()]
        .windows(11)
        .position(|text| text == b"CheckStatus")
        .unwrap();
    bytes[body.start + method] = b'B';
    let sound = FrameHeader::of(&bytes[body.clone()]).unwrap().encode();
    bytes[at..at + FRAME_HEADER_BYTES].copy_from_slice(&sound);
    fs::write(&path, &bytes).unwrap();
    let damage = ledger.reread(0, |_| true).unwrap_err();
    assert!(damage.what.contains("root"), "{damage}");
    ledger.close();
}
