//! Erasing, and what forbids it: what goes is put into the ledger, and carried out.
//!
//! Two stories share it: what officers ask for by signed documents, and the retention of stored messages. The ledger is the
//! truth: which holds stand is read from it, before anything is erased. One act runs at a time, so no hold comes between the look
//! and the deed.

mod officers;
mod retention;

use std::collections::BTreeMap;

use bytes::Bytes;
use jisr_certs::digest::{self, Hash};
use jisr_ledger::erasure::Approved;
use jisr_ledger::ledger::{Cursor, Entry, EraseError, ErasedEntry, Kept, ReadError, Surveyed};
use jisr_ledger::statement::Draft;
use jisr_proto::admin::PayloadRequest;
use jisr_proto::canonical;
use jisr_proto::ident::ExchangeId;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Erased, ErasedParts, Erasure, Hold, Kind};
use jisr_proto::status::Fault;
use ring::rand::SecureRandom as _;
use tokio::sync::Mutex;

use crate::closets::{Closets, append_fault};
use crate::roles;

pub(crate) use officers::{erase, hold, holds, propose, release};
pub(crate) use retention::retain;

/// What is known of officers' acts, up to a place in the ledger.
#[derive(Default)]
pub(crate) struct Erasing(Mutex<Known>);

#[derive(Default)]
struct Known {
    cursor: Cursor,
    /// Holds that stand, by digest.
    holds: BTreeMap<Hash, Hold>,
    /// Erasures that officers approved, by digest: the index of ERASED.
    erased: BTreeMap<Hash, u64>,
    /// Before this no stored message is left that is not erased.
    retained: Cursor,
}

impl Known {
    /// Reads on to the end of the ledger.
    async fn catch_up(&mut self, closets: &Closets) -> Result<(), Fault> {
        let (ledger, from) = (closets.ledger.clone(), self.cursor);
        let (acts, cursor) = blocking(move || {
            let mut acts = Vec::new();
            let cursor = ledger.survey(from, |found| {
                if !matches!(found, Surveyed::Kept { .. }) {
                    acts.push(found);
                }
                true
            });
            cursor.map(|cursor| (acts, cursor)).map_err(|error| unreadable(&error))
        })
        .await?;
        for act in acts {
            match act {
                Surveyed::Held(act) => {
                    let hold: Hold = canonical::decode(&act.hold)
                        .map_err(|error| Fault::new(Reason::LedgerUnavailable, error.to_string()))?;
                    let digest = digest::domain("jisr.hold", &[&act.hold]);
                    self.holds.insert(digest, hold);
                }
                Surveyed::Released(digest) => {
                    self.holds.retain(|hold, _| hold.as_slice() != digest);
                }
                Surveyed::Erased { index, erasure } => {
                    self.erased
                        .entry(digest::domain("jisr.erasure", &[&erasure]))
                        .or_insert(index);
                }
                Surveyed::Kept { .. } => {}
            }
        }
        self.cursor = cursor;
        Ok(())
    }

    /// A hold that covers the statement: its digest, by which it is ended, and its reason.
    fn holding(&self, core: &Core) -> Option<String> {
        let covers = |(_, hold): &(_, &Hold)| {
            hold.exchanges.contains(&core.exchange_id) || (hold.from_us..hold.until_us).contains(&core.created_us)
        };
        let (digest, hold) = self.holds.iter().find(covers)?;
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("{hex} ({})", hold.reason))
    }
}

fn document(closets: &Closets, parts: Vec<ErasedParts>, reason: String) -> Result<Erasure, Fault> {
    let mut nonce = [0; 16];
    closets
        .random
        .fill(&mut nonce)
        .map_err(|_| Fault::new(Reason::Internal, "the system gives no random numbers".to_owned()))?;
    Ok(Erasure {
        format: 1,
        origin: closets.origin.to_string(),
        parts,
        reason,
        created_us: closets.now_us(),
        nonce: Bytes::copy_from_slice(&nonce),
    })
}

async fn carry_out(
    closets: &Closets,
    core: Core,
    act: &Erased,
    approved: Approved<Erasure>,
) -> Result<ErasedEntry, Fault> {
    let statement = Draft::new(core).act(act).close();
    let ledger = closets.ledger.clone();
    blocking(move || {
        ledger.erase(statement, &approved).map_err(|error| match error {
            EraseError::Append(error) => append_fault(&error),
            EraseError::UnknownEntry(_) => Fault::new(Reason::UnknownEntry, error.to_string()),
            _ => Fault::new(Reason::LedgerUnavailable, error.to_string()),
        })
    })
    .await
}

/// The message of an exchange, where it was kept.
pub(crate) async fn payload(closets: &Closets, request: PayloadRequest) -> Result<Bytes, Fault> {
    let exchange = ExchangeId::try_from(request.exchange_id.as_ref())
        .map_err(|error| Fault::new(Reason::ExchangeIdInvalid, error.to_string()))?;
    let kinds = if request.reply {
        [Kind::Answered, Kind::Delivered]
    } else {
        [Kind::Asked, Kind::Received]
    };
    let role = roles::named(request.role)?;
    let entries = roles::of_one(found(closets, exchange).await?, &closets.origin, exchange, role)?;
    for entry in entries.iter().filter(|entry| kinds.contains(&entry.statement.kind())) {
        let (ledger, index) = (closets.ledger.clone(), entry.index);
        match blocking(move || ledger.kept(index).map_err(|error| unreadable(&error))).await? {
            Some(Kept::Message(message)) => return Ok(message),
            Some(Kept::Erased) => {
                let detail = format!("the message of exchange {exchange} was erased");
                return Err(Fault::new(Reason::PartErased, detail));
            }
            Some(Kept::Sealed) => {
                let detail = format!("the key of the message of exchange {exchange} is not in the key store");
                return Err(Fault::new(Reason::PartErased, detail));
            }
            None => {}
        }
    }
    Err(not_kept(closets, exchange, &entries, request.reply))
}

/// Whether nothing was to be kept, or there was no such message.
fn not_kept(closets: &Closets, exchange: ExchangeId, entries: &[Entry], reply: bool) -> Fault {
    let core = entries.first().map(|entry| entry.statement.core());
    let what = if reply { "reply" } else { "request" };
    // What is not asked for has no end.
    let asks = |core: &Core| retention::days(closets, core) != u32::MAX;
    let detail = match core {
        Some(core) if asks(core) => format!(
            "{}/{} asks for its messages to be kept, but exchange {exchange} has no {what}: jisr audit list shows how it ended",
            core.service, core.method
        ),
        Some(core) => format!(
            "nothing is kept of exchange {exchange}: the schema of {}/{} sets no keep_payload_days",
            core.service, core.method
        ),
        None => format!("nothing is kept of exchange {exchange}"),
    };
    Fault::new(Reason::PayloadNotKept, detail)
}

async fn found(closets: &Closets, exchange: ExchangeId) -> Result<Vec<Entry>, Fault> {
    let ledger = closets.ledger.clone();
    let entries = blocking(move || ledger.find(exchange).map_err(|error| unreadable(&error))).await?;
    if entries.is_empty() {
        let detail = format!("the ledger has no exchange {exchange}");
        return Err(roles::unknown(&closets.config.data, detail));
    }
    Ok(entries)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Fault::new(Reason::Internal, "see the node's log".to_owned())))
}

fn unreadable(error: &ReadError) -> Fault {
    Fault::new(Reason::LedgerUnavailable, error.to_string())
}
