use std::fs;

use super::memory::file;
use super::*;
use crate::files::RealDisk;
use crate::tree::tests::Kept;
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::seal::SealKey;
use jisr_proto::ident::NodeId;

struct World {
    dir: tempfile::TempDir,
    seal: SealKey,
    key: VerifierKey,
    tree: Kept,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::create(
            dir.path().join("keys"),
            &KeySecret::from_bytes(&[7; 32], "a test's secret"),
        )
        .unwrap();
        let origin: Origin = "jisr/JO/GOV/mol/node1/2026".parse().unwrap();
        let seal = SealKey::load_or_make(&store, &origin).unwrap();
        let key: VerifierKey = seal.vkey().parse().unwrap();
        let mut tree = Kept::default();
        for i in 0..20u64 {
            tree.push(tree::leaf_hash(&i.to_be_bytes()));
        }
        Self { dir, seal, key, tree }
    }

    fn witness(&self) -> Result<WitnessState, WitnessError> {
        let store = KeyStore::create(
            self.dir.path().join("witness-keys"),
            &KeySecret::from_bytes(&[7; 32], "a test's secret"),
        )
        .unwrap();
        let node: NodeId = "JO/GOV/psd/node/node1".parse().unwrap();
        let key = WitnessKey::of_node(&store, &node).unwrap();
        WitnessState::open(&self.directory(), self.begun(), key, Arc::new(RealDisk))
    }

    fn directory(&self) -> PathBuf {
        self.dir.path().join("witness")
    }

    fn begun(&self) -> PathBuf {
        self.dir.path().join("witness-keys/witness.begun")
    }

    fn note(&self, size: u64) -> Vec<u8> {
        self.seal
            .checkpoint(size, &tree::root(&self.tree, size).unwrap())
            .into_bytes()
    }

    fn add(&self, witness: &WitnessState, from: u64, to: u64) -> Result<String, WitnessError> {
        let proof = tree::consistency(&self.tree, from, to).unwrap_or_default();
        witness.add_checkpoint(from, &proof, &self.note(to), &self.key, 1_800_000_000)
    }
}

#[test]
fn a_growing_ledger_is_cosigned_also_after_a_restart() {
    let world = World::new();
    let witness = world.witness().unwrap();
    world.add(&witness, 0, 5).unwrap();
    world.add(&witness, 5, 5).unwrap();
    drop(witness);
    let witness = world.witness().unwrap();
    let line = world.add(&witness, 5, 12).unwrap();
    let vkey: VerifierKey = witness.key().vkey().parse().unwrap();
    let cosigned = [world.note(12), line.into_bytes()].concat();
    let found = note::cosignatures(&cosigned, &[vkey]).unwrap();
    assert_eq!(found.first().map(|cosignature| cosignature.time_s), Some(1_800_000_000));
    assert_eq!(witness.newest(world.seal.origin()).unwrap().0.size, 12);
}

#[test]
fn whoever_is_behind_or_ahead_is_told_the_known_size() {
    let world = World::new();
    let witness = world.witness().unwrap();
    world.add(&witness, 0, 5).unwrap();
    for (from, to) in [(0, 7), (4, 7), (6, 7), (0, 4)] {
        assert!(
            matches!(
                world.add(&witness, from, to),
                Err(WitnessError::Conflict { size: 5, .. })
            ),
            "{from} {to}"
        );
    }
    assert!(matches!(
        world.add(&witness, 5, 4),
        Err(WitnessError::OldSize { old: 5, new: 4 })
    ));
}

#[test]
fn a_fork_is_never_cosigned() {
    let world = World::new();
    let witness = world.witness().unwrap();
    world.add(&witness, 0, 5).unwrap();
    let same_size = world.seal.checkpoint(5, &[1; 32]).into_bytes();
    let refused = witness.add_checkpoint(5, &[], &same_size, &world.key, 1);
    assert!(matches!(refused, Err(WitnessError::Conflict { size: 5, .. })));
    let larger = world.seal.checkpoint(9, &[1; 32]).into_bytes();
    let proof = tree::consistency(&world.tree, 5, 9).unwrap();
    let refused = witness.add_checkpoint(5, &proof, &larger, &world.key, 1);
    assert!(matches!(
        refused,
        Err(WitnessError::Inconsistent { old: 5, new: 9, .. })
    ));
    let refused = witness.add_checkpoint(5, &[[0; 32]; 500], &world.note(9), &world.key, 1);
    assert!(matches!(refused, Err(WitnessError::Inconsistent { .. })));
    world.add(&witness, 5, 9).unwrap();
}

#[test]
fn another_key_s_checkpoint_is_refused() {
    let world = World::new();
    let witness = world.witness().unwrap();
    let other = World::new();
    let refused = witness.add_checkpoint(0, &[], &other.note(5), &world.key, 1);
    assert!(matches!(refused, Err(WitnessError::Note(_))));
    assert!(witness.newest(world.seal.origin()).is_none());
}

#[test]
fn a_damaged_memory_refuses_to_start() {
    let world = World::new();
    world.add(&world.witness().unwrap(), 0, 5).unwrap();
    let path = world.dir.path().join("witness").join(file(world.seal.origin()));
    fs::write(&path, b"JISRWIT\x01").unwrap();
    assert!(matches!(world.witness(), Err(WitnessError::Damaged(_))));
}

#[test]
fn what_cannot_be_remembered_is_not_cosigned() {
    let world = World::new();
    let witness = world.witness().unwrap();
    fs::remove_dir(world.dir.path().join("witness")).unwrap();
    assert!(matches!(world.add(&witness, 0, 5), Err(WitnessError::Io { .. })));
    assert!(witness.newest(world.seal.origin()).is_none());
}

fn listed(key: &VerifierKey) -> impl Fn(&Origin) -> Option<VerifierKey> {
    move |origin| (origin.as_str() == key.name()).then(|| key.clone())
}

#[test]
fn a_checkpoint_is_cosigned_again_with_a_new_time() {
    let world = World::new();
    let witness = world.witness().unwrap();
    world.add(&witness, 0, 5).unwrap();
    let line = witness
        .add_checkpoint(5, &[], &world.note(5), &world.key, 1_900_000_000)
        .unwrap();
    let vkey: VerifierKey = witness.key().vkey().parse().unwrap();
    let found = note::cosignatures(&[world.note(5), line.into_bytes()].concat(), &[vkey]).unwrap();
    assert_eq!(found[0].time_s, 1_900_000_000);
}

#[test]
fn what_is_only_observed_binds_as_what_is_cosigned() {
    let world = World::new();
    let witness = world.witness().unwrap();
    let proof = |from, to| tree::consistency(&world.tree, from, to).unwrap();
    assert_eq!(witness.observe(&world.note(5), &[], &world.key).unwrap(), 5);
    assert_eq!(witness.observe(&world.note(9), &proof(5, 9), &world.key).unwrap(), 9);
    assert_eq!(witness.observe(&world.note(9), &proof(5, 9), &world.key).unwrap(), 9);
    drop(witness);
    let witness = world.witness().unwrap();
    assert_eq!(witness.newest(world.seal.origin()).unwrap().0.size, 9);
    let back = witness.observe(&world.note(7), &[], &world.key);
    assert!(matches!(back, Err(WitnessError::RolledBack { shown: 7, size: 9, .. })));
    let forked = world.seal.checkpoint(9, &[1; 32]).into_bytes();
    let refused = witness.observe(&forked, &[], &world.key);
    assert!(matches!(refused, Err(WitnessError::Conflict { size: 9, .. })));
    let refused = witness.observe(&world.note(12), &proof(5, 12), &world.key);
    assert!(matches!(
        refused,
        Err(WitnessError::Inconsistent { old: 9, new: 12, .. })
    ));
    assert!(matches!(
        world.add(&witness, 5, 12),
        Err(WitnessError::Conflict { size: 9, .. })
    ));
    world.add(&witness, 9, 9).unwrap();
    world.add(&witness, 9, 12).unwrap();
}

#[test]
fn a_witness_whose_memory_is_gone_says_so_and_cosigns_nothing() {
    let world = World::new();
    world.add(&world.witness().unwrap(), 0, 5).unwrap();
    let kept = world.dir.path().join("kept");
    fs::rename(world.directory(), &kept).unwrap();
    for _ in 0..2 {
        let witness = world.witness().unwrap();
        assert!(witness.lost().is_some());
        for from in [0, 5] {
            assert!(matches!(world.add(&witness, from, 9), Err(WitnessError::Lost(_))));
        }
        // It goes on comparing what is shown, without putting down a new memory.
        witness.observe(&world.note(9), &[], &world.key).unwrap();
        assert!(witness.observe(&world.note(4), &[], &world.key).is_err());
    }
    fs::remove_dir(world.directory()).unwrap();
    fs::rename(&kept, world.directory()).unwrap();
    let witness = world.witness().unwrap();
    assert_eq!(witness.lost(), None);
    world.add(&witness, 5, 9).unwrap();
}

#[test]
fn what_a_new_key_took_over_is_missed_when_it_goes() {
    let world = World::new();
    world.add(&world.witness().unwrap(), 0, 5).unwrap();
    fs::remove_file(world.begun()).unwrap();
    world.add(&world.witness().unwrap(), 5, 9).unwrap();
    fs::remove_dir_all(world.directory()).unwrap();
    assert!(world.witness().unwrap().lost().is_some());
}

#[test]
fn a_witness_restored_from_a_backup_recognises_its_own_later_cosignature() {
    let world = World::new();
    world.add(&world.witness().unwrap(), 0, 5).unwrap();
    let file = world.directory().join(file(world.seal.origin()));
    let backup = fs::read(&file).unwrap();
    let line = world.add(&world.witness().unwrap(), 5, 12).unwrap();
    fs::write(&file, backup).unwrap();
    let shown = [world.note(12), line.into_bytes()].concat();
    let witness = world.witness().unwrap();
    let proof = tree::consistency(&world.tree, 5, 12).unwrap();
    let refused = witness.add_checkpoint(5, &proof, &shown, &world.key, 1);
    assert!(matches!(refused, Err(WitnessError::Lost(_))));
    assert!(matches!(world.add(&witness, 5, 7), Err(WitnessError::Lost(_))));
    drop(witness);
    assert!(matches!(
        world.add(&world.witness().unwrap(), 5, 7),
        Err(WitnessError::Lost(_))
    ));
}

#[test]
fn answers_are_those_of_the_standard() {
    let world = World::new();
    let witness = world.witness().unwrap();
    let body = |old_size, proof: Vec<Hash>, checkpoint: Vec<u8>| {
        AddCheckpoint {
            old_size,
            proof,
            checkpoint: checkpoint.into(),
        }
        .print()
    };
    let proof = |from, to| tree::consistency(&world.tree, from, to).unwrap();
    let other = World::new();
    let unknown = {
        let store = KeyStore::create(
            world.dir.path().join("unknown"),
            &KeySecret::from_bytes(&[7; 32], "a test's secret"),
        )
        .unwrap();
        let origin: Origin = "jisr/JO/GOV/psd/node1/2026".parse().unwrap();
        SealKey::load_or_make(&store, &origin).unwrap().checkpoint(1, &[1; 32])
    };
    for (body, status) in [
        (body(0, vec![], world.note(5)), 200),
        (body(5, vec![], world.note(5)), 200),
        (body(5, proof(5, 9), world.note(9)), 200),
        (body(0, vec![], world.note(12)), 409),
        (body(5, proof(5, 12), world.note(12)), 409),
        (body(9, vec![], world.seal.checkpoint(9, &[1; 32]).into_bytes()), 409),
        (body(9, vec![], world.note(12)), 422),
        (body(9, vec![[0; 32]; 63], world.note(12)), 422),
        (body(12, vec![], world.note(9)), 400),
        (body(9, vec![[0; 32]; 64], world.note(12)), 400),
        (body(9, vec![], b"no note".to_vec()), 400),
        (b"old 9\n".to_vec(), 400),
        (body(9, vec![], other.note(12)), 403),
        (body(0, vec![], unknown.into_bytes()), 404),
    ] {
        let answer = witness.answer(&body, listed(&world.key), 1);
        assert_eq!(answer.status(), status, "{answer:?}");
        if status == 409 {
            assert_eq!(answer, Answer::Conflict(9));
            assert_eq!(answer.content_type(), "text/x.tlog.size");
            assert_eq!(answer.body(), "9\n");
        }
    }
    fs::remove_dir_all(world.directory()).unwrap();
    let answer = witness.answer(&body(9, proof(9, 12), world.note(12)), listed(&world.key), 1);
    assert_eq!(answer.status(), 503);
    let answer = world
        .witness()
        .unwrap()
        .answer(&body(9, proof(9, 12), world.note(12)), listed(&world.key), 1);
    assert_eq!(answer.status(), 503);
}
