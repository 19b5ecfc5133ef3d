//! Verification of snapshots: nothing of one is used before all of it held.

use bytes::Bytes;
use jisr_certs::digest::Hash;
use jisr_ledger::anchor::Anchor;
use jisr_ledger::note;
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::snapshot::{Header, Rows, RowsError};
use jisr_ledger::statement::Act;
use jisr_proto::snapshot::{SignedSnapshot, SnapshotUpdate};
use prost::Message as _;

/// Longest update, bytes: several times what ten thousand nodes need.
pub const UPDATE_BYTES_MAX: usize = 512 << 20;

/// Why a snapshot is not taken up. The registry is at fault, or whoever stands between.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not a canonical snapshot.
    #[error("the snapshot does not parse: {0}. The registry is at fault; tell its operator")]
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
    #[error("the snapshot has a row that breaks the format: {0}. The registry is at fault; tell its operator")]
    Row(String),
    /// The rows that were told are not those that were signed.
    #[error("what was told of the snapshot's rows does not hold: {0}. Do not use this registry; tell its operator")]
    Rows(#[from] RowsError),
    /// The entries of the registry's ledger from which it follows are not shown.
    #[error(
        "the snapshot is not taken up before the entries from which it follows are read: {0}. It is tried again; tell the registry's operator if it stays so"
    )]
    Unread(String),
    /// A row rests on what administrators had to sign and did not.
    #[error("the snapshot lists what nobody signed: {0}. Tell the registry's operator and the other members")]
    Unfounded(String),
    /// Changes to a version that is not held.
    #[error(
        "snapshot {version} was told as changes to snapshot {base}, {held} is held. Everything is asked for anew; if it comes again, tell the \
         registry's operator"
    )]
    Base {
        /// The version told.
        version: u64,
        /// Of what.
        base: u64,
        /// Version held; 0: none.
        held: u64,
    },
}

/// A snapshot all of which held.
#[derive(Debug)]
pub struct Taken {
    /// Header, note and entry.
    pub signed: SignedSnapshot,
    /// What the header says.
    pub header: Header,
    /// The rows.
    pub rows: Rows,
}

/// Verifies what the registry, a file or the own disk tells of a snapshot, against the anchor and against the one held. `None`: it
/// is the one held. With `now_us` 0 one that has expired is taken too.
///
/// # Errors
/// The first thing that does not hold.
pub fn take(
    anchor: &Anchor,
    update: &SnapshotUpdate,
    held: Option<(&Header, &Rows)>,
    now_us: u64,
) -> Result<Option<Taken>, SnapshotError> {
    let signed = update.signed.as_ref();
    let signed = signed.ok_or_else(|| SnapshotError::Unparsable("it has no header".to_owned()))?;
    let at = held.map(|(header, _)| (header.version, header.digest));
    let Some(header) = check(anchor, signed, at, now_us)? else {
        return Ok(None);
    };
    let rows = match held {
        _ if update.base_version == 0 => {
            // What the own side knows of a row that is withheld from whoever wrote the file, it goes on knowing.
            let known = held.map(|(_, rows)| rows.known_of(&update.changes));
            Rows::default().with(known.as_deref().unwrap_or(&update.changes))?
        }
        Some((held, rows)) if held.version == update.base_version => rows.with(&update.changes)?,
        _ => {
            return Err(SnapshotError::Base {
                version: header.version,
                base: update.base_version,
                held: held.map_or(0, |(held, _)| held.version),
            });
        }
    };
    rows.check(&header)?;
    Ok(Some(Taken {
        signed: signed.clone(),
        header,
        rows,
    }))
}

/// Verifies a snapshot's header against the anchor and against the version and digest held. `None`: it is the one held.
///
/// # Errors
/// The first thing that does not hold.
pub fn check(
    anchor: &Anchor,
    signed: &SignedSnapshot,
    held: Option<(u64, Hash)>,
    now_us: u64,
) -> Result<Option<Header>, SnapshotError> {
    let header = Header::parse(&signed.header).map_err(|error| SnapshotError::Unparsable(error.to_string()))?;
    if header.instance != anchor.instance.as_str() {
        return Err(SnapshotError::Foreign(header.instance));
    }
    check_note(anchor, &signed.note, &header)?;
    check_entry(anchor, signed, &header)?;
    check_succession(&header, held)?;
    if held == Some((header.version, header.digest)) {
        return Ok(None);
    }
    if now_us >= header.expires_us {
        return Err(SnapshotError::Expired {
            version: header.version,
        });
    }
    Ok(Some(header))
}

fn check_note(anchor: &Anchor, signed_note: &Bytes, header: &Header) -> Result<(), SnapshotError> {
    let text = note::open_snapshot(signed_note, &anchor.snapshot_key)
        .map_err(|error| SnapshotError::Signature(error.to_string()))?;
    let same = text.version == header.version
        && text.digest == header.digest
        && text.expires_s == header.expires_us / 1_000_000;
    if same {
        Ok(())
    } else {
        Err(SnapshotError::Signature("the note signs another snapshot".to_owned()))
    }
}

fn check_entry(anchor: &Anchor, signed: &SignedSnapshot, header: &Header) -> Result<(), SnapshotError> {
    let unlogged = |text: &str| SnapshotError::Unlogged(text.to_owned());
    let entry = signed.entry.as_ref().ok_or_else(|| unlogged("no entry came along"))?;
    let sealed = SealVerifier::default()
        .verify(entry, &anchor.registry_key)
        .map_err(|error| SnapshotError::Unlogged(error.to_string()))?;
    let Some(Act::Snapshot(act)) = sealed.statement.act() else {
        return Err(unlogged("the entry is of another kind"));
    };
    let same =
        act.version == header.version && act.digest == header.digest.as_slice() && act.expires_us == header.expires_us;
    if same {
        Ok(())
    } else {
        Err(unlogged("the entry speaks of another snapshot"))
    }
}

fn check_succession(header: &Header, held: Option<(u64, Hash)>) -> Result<(), SnapshotError> {
    let Some((version, held)) = held else { return Ok(()) };
    if header.version < version {
        return Err(SnapshotError::RolledBack {
            offered: header.version,
            held: version,
        });
    }
    let forked = (header.version == version && header.digest != held)
        || (header.version == version + 1 && header.previous != Some(held));
    if forked {
        Err(SnapshotError::Forked {
            version: header.version,
        })
    } else {
        Ok(())
    }
}

/// Puts the pieces of an update together.
#[derive(Debug, Default)]
pub struct Pieces {
    whole: SnapshotUpdate,
    bytes: usize,
}

impl Pieces {
    /// Adds a piece; the update, once it was the last one.
    ///
    /// # Errors
    /// [`SnapshotError::Unparsable`]: a piece that is not the next one, or more than a network can be.
    pub fn push(&mut self, piece: SnapshotUpdate) -> Result<Option<SnapshotUpdate>, SnapshotError> {
        let is_first = self.whole.signed.is_none();
        if is_first != piece.signed.is_some() || (!is_first && piece.base_version != self.whole.base_version) {
            return Err(SnapshotError::Unparsable(
                "its pieces do not belong together".to_owned(),
            ));
        }
        self.bytes += piece.encoded_len();
        if self.bytes > UPDATE_BYTES_MAX {
            return Err(SnapshotError::Unparsable(format!(
                "it is longer than {UPDATE_BYTES_MAX} bytes"
            )));
        }
        let more = piece.more;
        if is_first {
            self.whole = piece;
        } else {
            self.whole.changes.extend(piece.changes);
        }
        Ok((!more).then(|| {
            self.bytes = 0;
            SnapshotUpdate {
                more: false,
                ..std::mem::take(&mut self.whole)
            }
        }))
    }
}
