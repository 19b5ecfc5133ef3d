//! Every durable write, failing before it reaches the disk and after: nobody is told of what is not durable, and what was
//! told is there after the crash.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::seal::WitnessKey;
use jisr_ledger::ledger::{AppendError, Config, Fatal, Ledger, OpenError, Stands};
use jisr_ledger::statement::Closed;
use jisr_ledger::witness::{WitnessError, WitnessState};
use jisr_proto::statement::Kind;
use world::disk::{FaultDisk, Op, When};
use world::{MOL, World, append, asked, block_on, check_head, fresh, on, sealed_question};

struct Faulty {
    world: World,
    disk: FaultDisk,
    fatal: mpsc::Receiver<String>,
}

impl Faulty {
    fn new() -> (Self, Config) {
        let world = World::new(MOL);
        let disk = FaultDisk::default();
        let (sender, fatal) = mpsc::channel();
        let sender = Mutex::new(sender);
        let mut config = world.config();
        config.disk = Arc::new(disk.clone());
        config.fatal = Fatal::dangerous_hook(move |error| {
            let _ = sender.lock().unwrap().send(error.to_string());
        });
        (Self { world, disk, fatal }, config)
    }

    fn died(&self) -> bool {
        self.fatal.recv_timeout(Duration::from_secs(5)).is_ok()
    }

    fn lives(&self) -> bool {
        self.fatal.try_recv().is_err()
    }
}

/// What was acknowledged stands after the crash, at its index, in the same tree.
fn survives(world: &World, acknowledged: &[(Closed, Stands)]) {
    let after = world.crash();
    let (ledger, _) = after.open();
    for (closed, stands) in acknowledged {
        let entry = ledger
            .entry(stands.index)
            .unwrap()
            .expect("an acknowledged statement is there");
        assert_eq!(entry.statement.leaf(), closed.leaf());
        let checkpoint = stands.checkpoint();
        assert_eq!(ledger.root(checkpoint.size), Some(checkpoint.root));
    }
    append(&ledger, asked(fresh())).unwrap();
    check_head(&after, &ledger);
}

fn acknowledge(ledger: &Ledger, acknowledged: &mut Vec<(Closed, Stands)>) -> Result<(), AppendError> {
    let closed = asked(fresh());
    let stands = append(ledger, closed.clone())?;
    acknowledged.push((closed, stands));
    Ok(())
}

#[test]
fn a_failed_write_ends_the_process_and_wakes_nobody_with_success() {
    for when in [When::Before, When::After, When::LyingFull] {
        let (faulty, config) = Faulty::new();
        let (ledger, _) = faulty.world.open_with(config).unwrap();
        let mut acknowledged = Vec::new();
        for _ in 0..5 {
            acknowledge(&ledger, &mut acknowledged).unwrap();
        }
        let head = ledger.checkpoint();
        faulty.disk.fail(Op::Write, when, 0);
        let waiters: Vec<_> = (0..10).map(|_| ledger.append(vec![asked(fresh())])).collect();
        for waiter in waiters {
            assert!(matches!(block_on(waiter), Err(AppendError::Stopped)), "{when:?}");
        }
        assert!(faulty.died(), "{when:?}");
        assert_eq!(ledger.checkpoint(), head, "nothing was signed after the failure");
        assert!(matches!(append(&ledger, asked(fresh())), Err(AppendError::Stopped)));
        survives(&faulty.world, &acknowledged);
    }
}

#[test]
fn a_full_disk_refuses_changes_nothing_and_clears_by_itself() {
    let (faulty, config) = Faulty::new();
    let (ledger, _) = faulty.world.open_with(config).unwrap();
    let mut acknowledged = Vec::new();
    acknowledge(&ledger, &mut acknowledged).unwrap();
    faulty.disk.fail_always(Op::Write, When::Full);
    let head = ledger.checkpoint();
    for _ in 0..3 {
        assert_eq!(append(&ledger, asked(fresh())).unwrap_err(), AppendError::Full);
    }
    ledger.append_later(&[asked(fresh())]).unwrap();
    assert_eq!(append(&ledger, asked(fresh())).unwrap_err(), AppendError::Full);
    assert_eq!(ledger.checkpoint(), head);
    faulty.disk.heal();
    acknowledge(&ledger, &mut acknowledged).unwrap();
    assert_eq!(ledger.size(), 4, "what nobody waited for was not lost");
    assert!(faulty.lives());
    survives(&faulty.world, &acknowledged);
}

#[test]
fn every_step_of_a_roll_fails_before_and_after() {
    let steps = [Op::Open, Op::Write, Op::Rename, Op::SyncDirectory];
    for (op, when) in steps.into_iter().flat_map(|op| [(op, When::Before), (op, When::After)]) {
        let (faulty, config) = Faulty::new();
        let (ledger, _) = faulty.world.open_with(config).unwrap();
        let mut acknowledged = Vec::new();
        // Up to the last commit that fits, so that the next operation of a kind is one of the roll.
        while room(&faulty.world, &ledger) > 4096 {
            acknowledge(&ledger, &mut acknowledged).unwrap();
        }
        wait_for_reserve(&faulty.world);
        let large: Vec<_> = (0..12).map(|_| asked(fresh())).collect();
        faulty.disk.fail(op, when, 0);
        let outcome = block_on(ledger.append(large));
        assert!(faulty.disk.happened(), "{op:?} {when:?}");
        let context = format!("{op:?} {when:?}: {:?}", outcome.as_ref().err());
        match outcome {
            // Nothing of the segment lies in the ledger yet: refused, and the next try succeeds.
            Err(AppendError::Full) => {
                assert!(
                    matches!((op, when), (Op::Open | Op::Write, _) | (Op::Rename, When::Before)),
                    "{context}"
                );
                acknowledge(&ledger, &mut acknowledged).unwrap();
                assert!(faulty.lives(), "{context}");
            }
            Err(AppendError::Stopped) => assert!(faulty.died(), "{context}"),
            _ => panic!("{context}"),
        }
        survives(&faulty.world, &acknowledged);
    }
}

/// Bytes after the last frame of the first segment.
fn room(world: &World, ledger: &Ledger) -> usize {
    let note = ledger.checkpoint();
    assert!(note.size > 0);
    let bytes = std::fs::read(world.segment(0)).unwrap();
    bytes.iter().rev().take_while(|byte| **byte == 0).count()
}

fn wait_for_reserve(world: &World) {
    let path = world.dir.path().join("reserve/next.seg");
    let begun = Instant::now();
    while std::fs::metadata(&path).map_or(0, |meta| meta.len()) < 64 * 1024 {
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(2));
    }
    // Its last sync and the directory's.
    std::thread::sleep(Duration::from_millis(50));
}

#[test]
fn no_room_for_a_reserve_closes_the_door_to_new_work_while_what_runs_is_closed() {
    let (mol, psd) = (World::new(MOL), World::new(world::PSD));
    let (asking, _) = mol.open();
    let disk = FaultDisk::default();
    let mut config = psd.config();
    config.disk = Arc::new(disk.clone());
    let (ledger, _) = psd.open_with(config).unwrap();
    let question = || sealed_question(&mol, &asking, fresh());
    let mut running = vec![question()];
    append(&ledger, on(Kind::Received, &running[0])).unwrap();

    disk.fail_always(Op::Allocate, When::Full);
    // Exchanges go on until the reserve that was made is taken and the next cannot be made: some are then still running.
    let begun = Instant::now();
    while ledger.admits().is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        let next = question();
        append(&ledger, on(Kind::Received, &next)).unwrap();
        running.push(next);
        if running.len() > RUNNING {
            append(&ledger, on(Kind::Answered, &running.remove(1))).unwrap();
        }
    }
    assert!(running.len() >= RUNNING, "several still run");
    // Nothing is begun, and all that runs is closed within the reserve.
    assert_eq!(append(&ledger, asked(fresh())).unwrap_err(), AppendError::Full);
    assert_eq!(ledger.append_later(&[asked(fresh())]), Err(AppendError::Full));
    for question in &running {
        append(&ledger, on(Kind::Answered, question)).expect("there is room to close what runs");
    }
    assert_eq!(append(&ledger, asked(fresh())).unwrap_err(), AppendError::Full);

    disk.heal();
    while ledger.admits().is_err() {
        assert!(begun.elapsed() < Duration::from_secs(40), "it opens by itself");
        std::thread::sleep(Duration::from_millis(10));
    }
    append(&ledger, asked(fresh())).unwrap();
    check_head(&psd, &ledger);
}

/// Exchanges that run at the same time.
const RUNNING: usize = 4;

#[test]
fn the_first_start_fails_clearly_and_the_next_succeeds() {
    let steps = [Op::Allocate, Op::Open, Op::Write, Op::Rename, Op::SyncDirectory];
    for (op, when) in steps.into_iter().flat_map(|op| [(op, When::Before), (op, When::After)]) {
        let (faulty, config) = Faulty::new();
        faulty.disk.fail_always(op, when);
        let refused = faulty.world.open_with(config.clone());
        assert!(
            matches!(
                refused,
                Err(OpenError::Append(AppendError::Full) | OpenError::Fatal(_) | OpenError::Io { .. })
            ),
            "{op:?} {when:?}: {refused:?}"
        );
        faulty.disk.heal();
        let (ledger, _) = faulty.world.open_with(config).unwrap();
        append(&ledger, asked(fresh())).unwrap();
        check_head(&faulty.world, &ledger);
    }
}

#[test]
fn a_restored_segment_gets_its_room_before_anything_is_admitted() {
    for sparse in [true, false] {
        let (faulty, config) = Faulty::new();
        let (ledger, _) = faulty.world.open_with(config.clone()).unwrap();
        let mut acknowledged = Vec::new();
        acknowledge(&ledger, &mut acknowledged).unwrap();
        let room = room(&faulty.world, &ledger) as u64;
        ledger.close();
        // A copy without the blocks of its trailing zeros, or without the zeros.
        let path = faulty.world.segment(0);
        let bytes = std::fs::metadata(&path).unwrap().len();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(bytes - room).unwrap();
        if sparse {
            file.set_len(bytes).unwrap();
        }
        let (ledger, _) = faulty.world.open_unconfirmed(config).unwrap();
        faulty.disk.fail_always(Op::Occupy, When::Full);
        for _ in 0..2 {
            let refused = ledger.confirm("JO/registry", None).unwrap_err();
            assert!(
                refused.to_string().contains(&AppendError::Full.to_string()),
                "{refused}"
            );
        }
        assert!(matches!(append(&ledger, asked(fresh())), Err(AppendError::Recovering)));
        assert!(faulty.lives());
        faulty.disk.heal();
        ledger.confirm("JO/registry", None).unwrap();
        let blocks = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&path).unwrap());
        assert!(blocks * 512 >= bytes, "all of it is there before the disk fills up");
        acknowledge(&ledger, &mut acknowledged).unwrap();
        ledger.close();
        survives(&faulty.world, &acknowledged);
    }
}

#[test]
fn a_restart_whose_first_write_fails_signs_nothing() {
    let writes = [When::Full, When::Before, When::After].map(|when| (Op::Write, when));
    let rooms = [When::Full, When::Before, When::After].map(|when| (Op::Occupy, when));
    for (op, when) in writes
        .into_iter()
        .chain(rooms)
        .chain([(Op::Sync, When::Before), (Op::Sync, When::After)])
    {
        let (faulty, config) = Faulty::new();
        let (ledger, _) = faulty.world.open_with(config.clone()).unwrap();
        let mut acknowledged = Vec::new();
        acknowledge(&ledger, &mut acknowledged).unwrap();
        ledger.close();
        let (ledger, _) = faulty.world.open_unconfirmed(config).unwrap();
        faulty.disk.fail(op, when, 0);
        assert!(ledger.confirm("JO/registry", None).is_err());
        assert!(!ledger.is_confirmed());
        assert!(matches!(append(&ledger, asked(fresh())), Err(AppendError::Recovering)));
        ledger.close();
        survives(&faulty.world, &acknowledged);
    }
}

#[test]
fn a_witness_cosigns_only_what_it_has_durably() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    let disk = FaultDisk::default();
    let witness = || {
        let keys = KeyStore::create(
            world.dir.path().join("witness-keys"),
            &KeySecret::from_bytes(&[7; 32], "a test's secret"),
        )
        .unwrap();
        let key = WitnessKey::of_node(&keys, &"JO/GOV/psd/node/node1".parse().unwrap()).unwrap();
        let begun = keys.path().join("witness.begun");
        WitnessState::open(&world.dir.path().join("witness"), begun, key, Arc::new(disk.clone())).unwrap()
    };
    let add = |witness: &WitnessState, from: u64| {
        let head = ledger.checkpoint();
        let proof = ledger.consistency(from, head.size).unwrap();
        witness
            .add_checkpoint(from, &proof, &head.note, &world.verifier(), 1)
            .map(|_| head.size)
    };
    let mut known = add(&witness(), 0).unwrap();
    for when in [When::Full, When::Before, When::After] {
        append(&ledger, asked(fresh())).unwrap();
        let running = witness();
        disk.fail(Op::Replace, when, 0);
        assert!(matches!(add(&running, known), Err(WitnessError::Io { .. })), "{when:?}");
        assert_eq!(running.newest(&world.origin).unwrap().0.size, known);
        // After a restart it may know more than it signed, never less.
        let restarted = witness().newest(&world.origin).unwrap().0.size;
        assert_eq!(restarted, if when == When::After { ledger.size() } else { known });
        known = add(&witness(), restarted).unwrap();
    }
}

#[test]
fn a_crash_at_any_moment_keeps_what_was_acknowledged() {
    let world = World::new(MOL);
    let (ledger, _) = world.open();
    let mut acknowledged = Vec::new();
    for round in 0..120 {
        acknowledge(&ledger, &mut acknowledged).unwrap();
        if round % 20 == 0 {
            survives(&world, &acknowledged);
        }
    }
}
