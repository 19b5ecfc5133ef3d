//! Entries of the registry's ledger, as any enrolled node may ask for them, with proofs under one checkpoint. What concerns an
//! agreement is shown to its parties only.

use bytes::Bytes;
use jisr_ledger::ledger::{Ledger, ReadError};
use jisr_ledger::statement::{self, Act, Parsed};
use jisr_proto::ident::{MemberId, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::registry::{EntriesRequest, EntriesResponse};
use jisr_proto::statement::{Agreement, Part, Seal, Sealed, Statement};
use prost::Message as _;

use crate::desk::Desk;
use crate::office::{Caller, Office};
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
    pub(crate) async fn entries(&self, caller: &Caller, request: EntriesRequest) -> Result<EntriesResponse, Refusal> {
        if request.indexes.len() > ENTRIES_MAX {
            let rule = format!(
                "{} entries are asked for, {ENTRIES_MAX} are possible",
                request.indexes.len()
            );
            return Err(Refusal::invalid(rule));
        }
        let reader = Reader {
            ledger: self.base.ledger.clone(),
            desk: self.desk.clone(),
            member: caller.member.clone(),
        };
        let last = request.indexes.iter().copied().max().unwrap_or_default();
        let head = self.head(last)?;
        let read = tokio::task::spawn_blocking(move || reader.read(&head, &request.indexes));
        let stopped = |_| Refusal::new(Reason::Internal, "the ledger's reader stopped unexpectedly");
        read.await.map_err(stopped)?
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

/// Reads entries for one member.
struct Reader {
    ledger: Ledger,
    desk: Desk,
    member: MemberId,
}

impl Reader {
    fn read(&self, checkpoint: &Head, indexes: &[u64]) -> Result<EntriesResponse, Refusal> {
        let (mut bytes, mut told) = (0, EntriesResponse::default());
        for index in indexes {
            let Some(entry) = self.entry(checkpoint, *index)? else {
                told.withheld.push(*index);
                continue;
            };
            let parts = entry.statement.iter().flat_map(|statement| &statement.parts);
            bytes += parts.map(|part| part.content.len() + PART_BYTES).sum::<usize>();
            if bytes > BYTES_MAX {
                let rule = format!("these entries are more than {BYTES_MAX} bytes; ask for fewer at once");
                return Err(Refusal::invalid(rule));
            }
            told.entries.push(entry);
        }
        Ok(told)
    }

    /// None: it is not for this member.
    fn entry(&self, checkpoint: &Head, index: u64) -> Result<Option<Sealed>, Refusal> {
        let missing = || {
            let rule = format!("the registry's ledger has {} entries, none at {index}", checkpoint.size);
            Refusal::new(Reason::UnknownEntry, rule)
        };
        let entry = self.ledger.entry(index).map_err(unreadable)?;
        let entry = entry.filter(|_| index < checkpoint.size).ok_or_else(missing)?;
        let path = self.ledger.prove(index, checkpoint.size).ok_or_else(missing)?;
        if !self.may_see(&entry.statement) {
            return Ok(None);
        }
        let seal = Seal {
            index,
            path: path.iter().map(|hash| Bytes::copy_from_slice(hash)).collect(),
            checkpoint: checkpoint.note.clone(),
        };
        Ok(Some(Sealed {
            statement: Some(shown(&entry.statement)),
            seal: Some(seal),
        }))
    }

    /// Whether the statement concerns no agreement, or one to which the member is party.
    fn may_see(&self, statement: &Parsed) -> bool {
        match statement.act() {
            Some(Act::Agreement(act)) => {
                let document = Agreement::decode(act.document.clone()).unwrap_or_default();
                let parties = [&document.consumer, &document.provider].map(|party| party.parse::<SubsystemId>());
                parties.iter().flatten().any(|party| party.member() == self.member)
            }
            Some(Act::AgreementRevocation(act)) => {
                let digest = act.digest.as_ref().try_into().ok();
                let parties = digest.and_then(|digest| self.desk.look(|state| state.parties_of(&digest)));
                parties.is_some_and(|parties| parties.contains(&self.member))
            }
            _ => true,
        }
    }
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
