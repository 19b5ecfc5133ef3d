//! Entries of the registry's ledger, as any enrolled node may ask for them, with proofs under one checkpoint.

use bytes::Bytes;
use jisr_ledger::ledger::{Ledger, ReadError};
use jisr_ledger::statement::{self, Parsed};
use jisr_proto::reason::Reason;
use jisr_proto::registry::{EntriesRequest, EntriesResponse};
use jisr_proto::statement::{Part, Seal, Sealed, Statement};

use crate::office::Office;
use crate::refusal::Refusal;

/// Entries in one answer.
const ENTRIES_MAX: usize = 256;
/// Bytes of statements in one answer, so that it stays below what callers accept.
const BYTES_MAX: usize = 3 << 20;
/// What a part takes besides its content, rounded up.
const PART_BYTES: usize = 64;

impl Office {
    /// Reads entries.
    ///
    /// # Errors
    /// REQUEST_INVALID for too many, UNKNOWN_ENTRY for one that is not there.
    pub(crate) async fn entries(&self, request: EntriesRequest) -> Result<EntriesResponse, Refusal> {
        if request.indexes.len() > ENTRIES_MAX {
            let rule = format!(
                "{} entries are asked for, {ENTRIES_MAX} are possible",
                request.indexes.len()
            );
            return Err(Refusal::invalid(rule));
        }
        let ledger = self.base.ledger.clone();
        let last = request.indexes.iter().copied().max().unwrap_or_default();
        let head = self.head(last)?;
        let read = tokio::task::spawn_blocking(move || read(&ledger, &head, &request.indexes));
        let stopped = |_| Refusal::new(Reason::Internal, "the ledger's reader stopped unexpectedly");
        read.await.map_err(stopped)?.map(|entries| EntriesResponse { entries })
    }
}

/// A signed checkpoint under which entries are shown.
struct Head {
    size: u64,
    note: Bytes,
}

impl Office {
    /// The newest checkpoint that nodes cosigned, where it covers `last`; otherwise the newest own one.
    fn head(&self, last: u64) -> Result<Head, Refusal> {
        let cosigned = self.newest_cosigned().filter(|(size, _)| last < *size);
        let (size, note) = cosigned.or_else(|| self.base.ledger.signed()).ok_or_else(|| {
            Refusal::new(
                Reason::LedgerUnavailable,
                "no checkpoint is signed yet; ask again when the registry is confirmed",
            )
        })?;
        Ok(Head { size, note })
    }
}

fn read(ledger: &Ledger, checkpoint: &Head, indexes: &[u64]) -> Result<Vec<Sealed>, Refusal> {
    let mut bytes = 0;
    let mut entries = Vec::with_capacity(indexes.len());
    for index in indexes {
        let missing = || {
            let rule = format!("the registry's ledger has {} entries, none at {index}", checkpoint.size);
            Refusal::new(Reason::UnknownEntry, rule)
        };
        let entry = ledger
            .entry(*index)
            .map_err(unreadable)?
            .filter(|_| *index < checkpoint.size)
            .ok_or_else(missing)?;
        let path = ledger.prove(*index, checkpoint.size).ok_or_else(missing)?;
        let statement = shown(&entry.statement);
        bytes += statement
            .parts
            .iter()
            .map(|part| part.content.len() + PART_BYTES)
            .sum::<usize>();
        if bytes > BYTES_MAX {
            let rule = format!("these entries are more than {BYTES_MAX} bytes; ask for fewer at once");
            return Err(Refusal::invalid(rule));
        }
        let seal = Seal {
            index: *index,
            path: path.iter().map(|hash| Bytes::copy_from_slice(hash)).collect(),
            checkpoint: checkpoint.note.clone(),
        };
        entries.push(Sealed {
            statement: Some(statement),
            seal: Some(seal),
        });
    }
    Ok(entries)
}

fn unreadable(error: ReadError) -> Refusal {
    tracing::error!(%error, "the ledger cannot be read");
    Refusal::new(Reason::LedgerUnavailable, error.to_string())
}

/// The statement as it is handed over; a registry's has no part that rests encrypted.
fn shown(statement: &Parsed) -> Statement {
    let part = |part: &statement::Part| {
        let opened = part.opened.as_ref()?;
        Some(Part {
            tag: u32::from(part.tag.number()),
            salt: Bytes::copy_from_slice(&opened.salt),
            content: opened.content.clone(),
        })
    };
    Statement {
        parts: statement.parts().iter().filter_map(part).collect(),
    }
}
