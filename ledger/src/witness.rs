//! A witness cosigns a checkpoint only if it extends everything that it cosigned of that ledger before.
//!
//! The rules are those of C2SP tlog-witness (add-checkpoint). What is remembered of a ledger is one file, replaced whole
//! and durable before the cosignature leaves: a witness that forgot could be shown two histories.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jisr_certs::seal::WitnessKey;
use jisr_proto::ident::Origin;

use crate::Hash;
use crate::files::{Disk, create_directory};
use crate::note::{self, Checkpoint, NoteError, SignedNote, VerifierKey};
use crate::tree;

/// `"JISRWIT" ‖ 0x01`, in front of the note.
const MAGIC: &[u8; 8] = b"JISRWIT\x01";

/// Why a checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The note is not a checkpoint of this ledger, signed by its seal key (C2SP: 403).
    #[error("caller: the checkpoint is refused: {0}")]
    Note(#[from] NoteError),
    /// The old size is larger than the checkpoint's (C2SP: 400).
    #[error(
        "caller: the old size {old} is larger than the checkpoint's {new}; name the size of the last cosigned checkpoint"
    )]
    OldSize {
        /// Old size as asked.
        old: u64,
        /// Size of the checkpoint.
        new: u64,
    },
    /// The witness knows another size than the caller believes, or another root of the same size (C2SP: 409).
    #[error("caller: this witness last cosigned {origin} at size {size}; prove consistency from there")]
    Conflict {
        /// The ledger.
        origin: String,
        /// Size that the witness knows.
        size: u64,
        /// Newest checkpoint that the witness holds; empty if none. With the one refused it may be proof of a fork.
        note: Bytes,
    },
    /// The proof does not lead from the known root to the new one (C2SP: 422).
    #[error("caller: the tree of {origin} at size {new} is not shown to continue that of size {old}")]
    Inconsistent {
        /// The ledger.
        origin: String,
        /// Known size.
        old: u64,
        /// Size of the refused checkpoint.
        new: u64,
    },
    /// The state could not be made durable: nothing was cosigned.
    #[error("own node: the witness state {path} cannot be read or written ({error}); nothing is cosigned until it can")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A state file does not parse. Starting anew would forget what was cosigned.
    #[error("own node: the witness state {0} is damaged; restore it, or ask the instance to list a new witness key")]
    Damaged(PathBuf),
}

/// What was last cosigned of a ledger.
#[derive(Clone, Debug)]
struct Known {
    checkpoint: Checkpoint,
    note: Bytes,
}

type Slot = Arc<Mutex<Option<Known>>>;

/// The durable memory of one witness, and its key.
pub struct WitnessState {
    directory: PathBuf,
    key: WitnessKey,
    disk: Arc<dyn Disk>,
    /// One lock per ledger: ledgers do not wait for each other's disk writes.
    ledgers: Mutex<HashMap<Origin, Slot>>,
}

impl WitnessState {
    /// Reads what is in `directory` (made if absent).
    ///
    /// # Errors
    /// [`WitnessError::Io`], [`WitnessError::Damaged`].
    pub fn open(directory: &Path, key: WitnessKey, disk: Arc<dyn Disk>) -> Result<Self, WitnessError> {
        let failed = |error| WitnessError::Io {
            path: directory.to_owned(),
            error,
        };
        create_directory(directory).map_err(failed)?;
        let mut ledgers = HashMap::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            // What a crash left of a replacement that was never finished is not a state.
            if path.extension().is_some_and(|extension| extension == "state") {
                let (origin, known) = read(&path)?;
                ledgers.insert(origin, Arc::new(Mutex::new(Some(known))));
            }
        }
        Ok(Self {
            directory: directory.to_owned(),
            key,
            disk,
            ledgers: Mutex::new(ledgers),
        })
    }

    /// The key it cosigns with.
    #[must_use]
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// Checks a checkpoint against what is known of its ledger, remembers it durably, and returns the cosignature line
    /// with its newline. `key` is the seal key that the snapshot lists for the origin, `time_s` POSIX seconds.
    ///
    /// # Errors
    /// As the variants of [`WitnessError`] say; after any error nothing was cosigned and the memory is as it was, or, where
    /// the write failed, possibly one checkpoint ahead, which is safe.
    pub fn add_checkpoint(
        &self,
        old_size: u64,
        proof: &[Hash],
        note: &[u8],
        key: &VerifierKey,
        time_s: u64,
    ) -> Result<String, WitnessError> {
        let new = note::open(note, key)?.into_inner();
        let origin: Origin = new.origin.parse().map_err(|_| NoteError::Text {
            what: "checkpoint",
            why: "the first line is no origin of this network",
        })?;
        if old_size > new.size {
            return Err(WitnessError::OldSize {
                old: old_size,
                new: new.size,
            });
        }
        let slot = self.slot(&origin);
        let mut known = slot.lock().unwrap_or_else(PoisonError::into_inner);
        extends(known.as_ref(), old_size, &new, proof)?;
        if known.as_ref().is_none_or(|known| known.checkpoint != new) {
            let path = self.directory.join(file(&origin));
            self.disk
                .replace(&path, &[MAGIC.as_slice(), note].concat())
                .map_err(|error| WitnessError::Io { path, error })?;
            *known = Some(Known {
                checkpoint: new.clone(),
                note: Bytes::copy_from_slice(note),
            });
        }
        Ok(self.key.cosign(time_s, &origin, new.size, &new.root))
    }

    /// The newest checkpoint of that ledger that was cosigned here, as it was signed.
    #[must_use]
    pub fn newest(&self, origin: &Origin) -> Option<(Checkpoint, Bytes)> {
        let slot = self
            .ledgers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(origin)
            .cloned()?;
        let known = slot.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .as_ref()
            .map(|known| (known.checkpoint.clone(), known.note.clone()))
    }

    fn slot(&self, origin: &Origin) -> Slot {
        let mut ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(ledgers.entry(origin.clone()).or_default())
    }
}

/// The rules of C2SP tlog-witness: the caller must name what the witness knows, and prove from there.
fn extends(known: Option<&Known>, old_size: u64, new: &Checkpoint, proof: &[Hash]) -> Result<(), WitnessError> {
    let (size, root) = known.map_or((0, tree::empty_root()), |known| {
        (known.checkpoint.size, known.checkpoint.root)
    });
    let conflict = || WitnessError::Conflict {
        origin: new.origin.clone(),
        size,
        note: known.map(|known| known.note.clone()).unwrap_or_default(),
    };
    if old_size != size || (new.size == size && new.root != root) {
        return Err(conflict());
    }
    if !tree::verify_consistency(size, &root, new.size, &new.root, proof) {
        return Err(WitnessError::Inconsistent {
            origin: new.origin.clone(),
            old: size,
            new: new.size,
        });
    }
    Ok(())
}

/// An origin has no underscore, so this is one to one.
fn file(origin: &Origin) -> String {
    format!("{}.state", origin.as_str().replace('/', "_"))
}

fn read(path: &Path) -> Result<(Origin, Known), WitnessError> {
    let bytes = fs::read(path).map_err(|error| WitnessError::Io {
        path: path.to_owned(),
        error,
    })?;
    let damaged = || WitnessError::Damaged(path.to_owned());
    let note = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let text = SignedNote::parse(note).map_err(|_| damaged())?.text;
    let checkpoint = Checkpoint::parse(text).map_err(|_| damaged())?;
    let origin: Origin = checkpoint.origin.parse().map_err(|_| damaged())?;
    if path.file_name().is_none_or(|name| name != file(&origin).as_str()) {
        return Err(damaged());
    }
    Ok((
        origin,
        Known {
            checkpoint,
            note: Bytes::copy_from_slice(note),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::RealDisk;
    use crate::tree::tests::Kept;
    use jisr_certs::keys::KeyStore;
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
            let store = KeyStore::create(dir.path().join("keys")).unwrap();
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
            let store = KeyStore::create(self.dir.path().join("witness-keys")).unwrap();
            let node: NodeId = "JO/GOV/psd/node/node1".parse().unwrap();
            let key = WitnessKey::of_node(&store, &node).unwrap();
            WitnessState::open(&self.dir.path().join("witness"), key, Arc::new(RealDisk))
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
}
