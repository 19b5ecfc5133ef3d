//! Nothing is sealed after a start before somebody outside has shown what they know of the ledger.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fs;

use jisr_ledger::ledger::{AppendError, ConfirmError, Ledger, Record};
use jisr_ledger::note::Checkpoint;
use jisr_ledger::statement::Act;
use jisr_proto::statement::Kind;
use world::{MOL, PSD, World, append, asked, block_on, check_head, fresh};

fn checkpoint(ledger: &Ledger) -> Checkpoint {
    let head = ledger.checkpoint();
    Checkpoint {
        origin: head.origin.to_string(),
        size: head.size,
        root: head.root,
    }
}

/// A ledger of some entries, closed, and its last checkpoint.
fn closed() -> (World, Checkpoint) {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    (0..3).for_each(|_| drop(append(&ledger, asked(fresh())).unwrap()));
    let last = checkpoint(&ledger);
    ledger.close();
    (world, last)
}

fn reopened(world: &World) -> Ledger {
    world.open_unconfirmed(world.config()).unwrap().0
}

#[test]
fn a_new_ledger_needs_nobody_and_compares_nevertheless() {
    let world = World::new(MOL);
    let ledger = reopened(&world);
    assert!(ledger.is_confirmed());
    append(&ledger, asked(fresh())).unwrap();
    ledger.confirm("JO/registry", Some(&checkpoint(&ledger))).unwrap();
    assert_eq!(ledger.size(), 2);
    let mut other = checkpoint(&ledger);
    other.root = [1; 32];
    assert!(matches!(
        ledger.confirm("JO/registry", Some(&other)),
        Err(ConfirmError::Differs { size: 2 })
    ));
    other.size = 3;
    assert!(matches!(
        ledger.confirm("JO/registry", Some(&other)),
        Err(ConfirmError::Ahead { theirs: 3, ours: 2 })
    ));
}

#[test]
fn an_unconfirmed_ledger_writes_nothing_and_is_read() {
    let (world, last) = closed();
    let before = fs::read(world.segment(0)).unwrap();
    let ledger = reopened(&world);
    assert!(!ledger.is_confirmed());
    let asked = asked(fresh());
    assert_eq!(append(&ledger, asked.clone()).unwrap_err(), AppendError::Recovering);
    assert_eq!(ledger.append_later(&[asked]), Err(AppendError::Recovering));
    assert_eq!(block_on(ledger.flush()), Err(AppendError::Recovering));
    let note = Record::PeerNote(ledger.checkpoint().note.clone());
    assert_eq!(ledger.note_later(note), Err(AppendError::Recovering));
    assert_eq!(checkpoint(&ledger), last);
    check_head(&world, &ledger);
    assert_eq!(ledger.signed().unwrap().0, last.size);
    assert!(ledger.entry(last.size - 1).unwrap().is_some());
    assert!(ledger.prove(0, last.size).is_some());
    ledger.close();
    assert_eq!(fs::read(world.segment(0)).unwrap(), before);
}

#[test]
fn who_confirmed_and_what_they_hold_is_recorded_once() {
    let (world, last) = closed();
    let ledger = reopened(&world);
    let mut theirs = last.clone();
    theirs.size -= 1;
    theirs.root = ledger.root(theirs.size).unwrap();
    ledger.confirm("JO/GOV/psd/node/node1", Some(&theirs)).unwrap();
    ledger.confirm("JO/registry", Some(&last)).unwrap();
    assert!(ledger.is_confirmed());
    assert_eq!(ledger.size(), last.size + 1);
    let resumed = ledger.entry(last.size).unwrap().unwrap().statement;
    let Some(Act::Resumed(act)) = resumed.act() else {
        panic!("{resumed:?}")
    };
    assert_eq!(
        (act.size, act.confirmed_by.as_str(), act.confirmed_size),
        (last.size, "JO/GOV/psd/node/node1", theirs.size)
    );
    append(&ledger, asked(fresh())).unwrap();
    check_head(&world, &ledger);
}

#[test]
fn who_knows_more_or_else_does_not_confirm_and_another_still_may() {
    let (world, last) = closed();
    let ledger = reopened(&world);
    let mut other = last.clone();
    other.root = [7; 32];
    assert!(matches!(
        ledger.confirm("JO/registry", Some(&other)),
        Err(ConfirmError::Differs { .. })
    ));
    other.size += 1;
    assert!(matches!(
        ledger.confirm("JO/registry", Some(&other)),
        Err(ConfirmError::Ahead { .. })
    ));
    other.origin = PSD.to_owned();
    assert!(matches!(
        ledger.confirm("JO/registry", Some(&other)),
        Err(ConfirmError::WrongOrigin(_))
    ));
    assert_eq!((ledger.is_confirmed(), ledger.size()), (false, last.size));
    ledger.confirm("JO/registry", Some(&last)).unwrap();
    append(&ledger, asked(fresh())).unwrap();
}

#[test]
fn a_refused_ledger_is_never_confirmed() {
    let (world, last) = closed();
    let ledger = reopened(&world);
    ledger.refuse();
    assert!(matches!(
        ledger.confirm("JO/registry", Some(&last)),
        Err(ConfirmError::Refused)
    ));
    assert_eq!(append(&ledger, asked(fresh())).unwrap_err(), AppendError::Recovering);
    ledger.close();
    // In use already: what comes after is refused too.
    let (ledger, _) = world.open();
    ledger.refuse();
    assert!(!ledger.is_confirmed());
    assert_eq!(append(&ledger, asked(fresh())).unwrap_err(), AppendError::Recovering);
}

#[test]
fn a_torn_tail_is_cut_only_when_somebody_confirms() {
    let (world, last) = closed();
    world.forget_resume_point();
    let mut bytes = fs::read(world.segment(0)).unwrap();
    let end = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
    bytes.truncate(end - 1);
    fs::write(world.segment(0), &bytes).unwrap();
    let (ledger, opened) = world.open_unconfirmed(world.config()).unwrap();
    assert!(opened.torn.is_some());
    assert_eq!(fs::read(world.segment(0)).unwrap(), bytes);
    let newest = ledger.size();
    ledger.confirm("JO/registry", None).unwrap();
    assert!(newest <= last.size);
    let cut = ledger.entry(newest + 1).unwrap().unwrap().statement;
    assert_eq!(cut.kind(), Kind::TornTailCut);
    ledger.close();
    assert_eq!(world.open().1.torn, None);
}

#[test]
fn a_second_process_is_refused_also_while_the_first_waits() {
    let (world, _) = closed();
    let ledger = reopened(&world);
    assert!(world.open_unconfirmed(world.config()).is_err());
    drop(ledger);
    reopened(&world);
}
