//! Verification of snapshots: nothing of one is used before all of it held.

use bytes::Bytes;
use jisr_certs::digest::{self, Hash};
use jisr_ledger::anchor::Anchor;
use jisr_ledger::note;
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::Act;
use jisr_proto::canonical;
use jisr_proto::snapshot::{SignedSnapshot, Snapshot};

/// Why a snapshot is not taken up. The registry is at fault, or whoever stands between.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not a canonical snapshot.
    #[error("the snapshot does not parse: {0}")]
    Unparsable(String),
    /// Of another network.
    #[error("the snapshot is of instance `{0}`; this node belongs to another one. Check the registry address")]
    Foreign(String),
    /// The signature, or what it signs, is wrong.
    #[error("the snapshot is not signed by the key of the anchor: {0}. Do not use this registry; tell its operator")]
    Signature(String),
    /// Not an entry of the registry's ledger.
    #[error("the snapshot does not stand in the registry's ledger: {0}. Do not use this registry; tell its operator")]
    Unlogged(String),
    /// Older than the one held.
    #[error("snapshot {offered} was offered, {held} is held: somebody rolled the registry back. Tell its operator")]
    RolledBack {
        /// Version offered.
        offered: u64,
        /// Version held.
        held: u64,
    },
    /// Another picture under the same version, or one that does not continue the one held.
    #[error(
        "snapshot {version} contradicts the one held: the registry shows two histories. Keep both, tell its operator"
    )]
    Forked {
        /// The version.
        version: u64,
    },
    /// Past its life.
    #[error("snapshot {version} has expired. Check this machine's clock and the registry")]
    Expired {
        /// The version.
        version: u64,
    },
    /// A row breaks the format.
    #[error("the snapshot has a row that breaks the format: {0}")]
    Row(String),
}

/// Verifies a snapshot against the anchor and against the version and digest held. `None`: it is the one held.
pub fn verify(
    anchor: &Anchor,
    signed: SignedSnapshot,
    held: Option<(u64, Hash)>,
    now_us: u64,
) -> Result<Option<(SignedSnapshot, Snapshot, Hash)>, SnapshotError> {
    let digest = digest::domain("jisr.snapshot", &[&signed.snapshot]);
    let snapshot: Snapshot =
        canonical::decode(&signed.snapshot).map_err(|error| SnapshotError::Unparsable(error.to_string()))?;
    if snapshot.instance != anchor.instance.as_str() {
        return Err(SnapshotError::Foreign(snapshot.instance));
    }
    check_note(anchor, &signed.note, &snapshot, &digest)?;
    check_entry(anchor, &signed, &snapshot, &digest)?;
    check_succession(&snapshot, &digest, held)?;
    if held == Some((snapshot.version, digest)) {
        return Ok(None);
    }
    if now_us >= snapshot.expires_us {
        return Err(SnapshotError::Expired {
            version: snapshot.version,
        });
    }
    Ok(Some((signed, snapshot, digest)))
}

fn check_note(anchor: &Anchor, signed_note: &Bytes, snapshot: &Snapshot, digest: &Hash) -> Result<(), SnapshotError> {
    let text = note::open_snapshot(signed_note, &anchor.snapshot_key)
        .map_err(|error| SnapshotError::Signature(error.to_string()))?;
    let same =
        text.version == snapshot.version && text.digest == *digest && text.expires_s == snapshot.expires_us / 1_000_000;
    if same {
        Ok(())
    } else {
        Err(SnapshotError::Signature("the note signs another snapshot".to_owned()))
    }
}

fn check_entry(
    anchor: &Anchor,
    signed: &SignedSnapshot,
    snapshot: &Snapshot,
    digest: &Hash,
) -> Result<(), SnapshotError> {
    let unlogged = |text: &str| SnapshotError::Unlogged(text.to_owned());
    let entry = signed.entry.as_ref().ok_or_else(|| unlogged("no entry came along"))?;
    let sealed = SealVerifier::default()
        .verify(entry, &anchor.registry_key)
        .map_err(|error| SnapshotError::Unlogged(error.to_string()))?;
    let Some(Act::Snapshot(act)) = sealed.statement.act() else {
        return Err(unlogged("the entry is of another kind"));
    };
    let same =
        act.version == snapshot.version && act.digest == digest.as_slice() && act.expires_us == snapshot.expires_us;
    if same {
        Ok(())
    } else {
        Err(unlogged("the entry speaks of another snapshot"))
    }
}

fn check_succession(snapshot: &Snapshot, digest: &Hash, held: Option<(u64, Hash)>) -> Result<(), SnapshotError> {
    let Some((version, held)) = held else { return Ok(()) };
    if snapshot.version < version {
        return Err(SnapshotError::RolledBack {
            offered: snapshot.version,
            held: version,
        });
    }
    let forked = (snapshot.version == version && *digest != held)
        || (snapshot.version == version + 1 && snapshot.previous != held.as_slice());
    if forked {
        Err(SnapshotError::Forked {
            version: snapshot.version,
        })
    } else {
        Ok(())
    }
}
