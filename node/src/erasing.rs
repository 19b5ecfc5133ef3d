//! Erasing, and what forbids it: documents that officers signed are checked, put into the ledger, and carried out.
//!
//! The ledger is the truth: which holds stand is read from it, before anything is erased. One act runs at a time, so no hold
//! comes between the look and the deed.

use std::collections::BTreeMap;

use bytes::Bytes;
use jisr_certs::digest::Hash;
use jisr_ledger::erasure::{self, ApprovalError, Approved, Owner};
use jisr_ledger::ledger::{Cursor, Entry, EraseError, ErasedEntry, Kept, Ledger, ReadError, Surveyed};
use jisr_ledger::statement::{Draft, NAMED_MAX, RETENTION, STORED_PAYLOAD, Tag};
use jisr_proto::admin::{
    EraseRequest, EraseResponse, HoldRequest, HoldResponse, PayloadRequest, ProposeErasureRequest, ReleaseRequest,
    ReleaseResponse,
};
use jisr_proto::canonical;
use jisr_proto::ident::{ExchangeId, MethodPath};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Erased, ErasedParts, Erasure, Held, Hold, Kind, Released};
use jisr_proto::status::Fault;
use ring::rand::SecureRandom as _;
use tokio::sync::Mutex;

use crate::closets::{Closets, append_fault};
use crate::node::administrative;

/// Microseconds of a day.
const DAY_US: u64 = 86_400_000_000;
/// Messages that one retention erases at most; more are the next one's.
const RETENTION_MAX: usize = 4096;

/// What is known of holds, up to a place in the ledger.
#[derive(Default)]
pub(crate) struct Erasing(Mutex<Known>);

#[derive(Default)]
struct Known {
    cursor: Cursor,
    /// Holds that stand, by digest.
    holds: BTreeMap<Hash, Hold>,
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
                    let digest = jisr_certs::digest::domain("jisr.hold", &[&act.hold]);
                    self.holds.insert(digest, hold);
                }
                Surveyed::Released(digest) => {
                    self.holds.retain(|hold, _| hold.as_slice() != digest);
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

/// The document of an erasure: every entry of the exchanges that has one of the parts, itself or in what it cites.
pub(crate) async fn propose(closets: &Closets, request: ProposeErasureRequest) -> Result<Bytes, Fault> {
    let invalid = |detail: String| Fault::new(Reason::ErasureInvalid, detail);
    let mut parts = Vec::new();
    for id in &request.exchanges {
        let exchange = ExchangeId::try_from(id.as_ref()).map_err(|error| invalid(error.to_string()))?;
        for entry in found(closets, exchange).await? {
            let tags: Vec<u8> = request
                .tags
                .iter()
                .copied()
                .filter(|tag| has(closets, &entry, *tag))
                .collect();
            if !tags.is_empty() {
                parts.push(ErasedParts {
                    index: entry.index,
                    tags: tags.into(),
                });
            }
        }
    }
    parts.sort_unstable_by_key(|part| part.index);
    parts.dedup_by_key(|part| part.index);
    if parts.is_empty() || parts.len() > NAMED_MAX {
        let detail = format!(
            "{} entries have one of these parts; 1 to {NAMED_MAX} can be erased at a time",
            parts.len()
        );
        return Err(invalid(detail));
    }
    document(closets, parts, request.reason).map(|erasure| canonical::encode(&erasure))
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

/// Whether an entry, or what it cites, has a part; of a part that is there whether it is erased already cannot be told here.
fn has(closets: &Closets, entry: &Entry, tag: u8) -> bool {
    if tag == STORED_PAYLOAD {
        return matches!(
            closets.ledger.kept(entry.index),
            Ok(Some(Kept::Message(_) | Kept::Sealed))
        );
    }
    let Some(tag) = Tag::from_number(tag).filter(|tag| tag.can_be_erased()) else {
        return false;
    };
    entry.statement.part(tag).is_some()
        || entry
            .peer
            .as_ref()
            .is_some_and(|peer| peer.statement.part(tag).is_some())
}

/// Checks an erasure, puts ERASED into the ledger, overwrites what it names.
pub(crate) async fn erase(closets: &Closets, request: EraseRequest) -> Result<EraseResponse, Fault> {
    let act = Erased {
        erasure: request.erasure,
        approvals: request.approvals,
    };
    if act.approvals.is_empty() {
        return Err(Fault::new(Reason::DualControl, "no officer approves".to_owned()));
    }
    let mut known = closets.erasing.0.lock().await;
    let core = administrative(closets, Kind::Erased);
    let approved = checked(closets, |owner| erasure::erasure(&act, owner, core.created_us))?;
    known.catch_up(closets).await?;
    for part in &approved.document().parts {
        let index = part.index;
        let ledger = closets.ledger.clone();
        let entry = blocking(move || ledger.entry(index).map_err(|error| unreadable(&error))).await?;
        let entry =
            entry.ok_or_else(|| Fault::new(Reason::UnknownEntry, format!("the ledger has no entry {index}")))?;
        may_erase(closets, &known, &entry).await?;
    }
    let erased = carry_out(closets, core, &act, approved).await?;
    Ok(EraseResponse {
        index: erased.index,
        parts: erased.parts,
    })
}

/// An exchange that is closed, and that nothing holds.
async fn may_erase(closets: &Closets, known: &Known, entry: &Entry) -> Result<(), Fault> {
    let core = entry.statement.core();
    let exchange = ExchangeId::try_from(core.exchange_id.as_ref()).map_err(|_| {
        let detail = format!("entry {} is no statement of an exchange", entry.index);
        Fault::new(Reason::ErasureInvalid, detail)
    })?;
    if let Some(why) = known.holding(core) {
        let detail = format!("exchange {exchange} is under the hold {why}");
        return Err(Fault::new(Reason::LegalHold, detail));
    }
    let entries = found(closets, exchange).await?;
    let is_open = entries
        .iter()
        .all(|entry| matches!(entry.statement.kind(), Kind::Asked | Kind::Received));
    if is_open {
        let detail = format!("exchange {exchange} is not closed yet");
        return Err(Fault::new(Reason::ErasureInvalid, detail));
    }
    Ok(())
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

/// Checks a hold and puts HELD into the ledger.
pub(crate) async fn hold(closets: &Closets, request: HoldRequest) -> Result<HoldResponse, Fault> {
    let act = Held {
        hold: request.hold,
        approvals: request.approvals,
    };
    let mut known = closets.erasing.0.lock().await;
    let core = administrative(closets, Kind::Held);
    let approved = checked(closets, |owner| erasure::hold(&act, owner, core.created_us))?;
    known.catch_up(closets).await?;
    if known.holds.contains_key(approved.digest()) {
        return Err(Fault::new(
            Reason::ErasureInvalid,
            "this hold stands already".to_owned(),
        ));
    }
    let stands = closets.append(vec![Draft::new(core).act(&act).close()]).await?;
    Ok(HoldResponse {
        index: stands.first().map_or(0, |stands| stands.index),
        digest: Bytes::copy_from_slice(approved.digest()),
    })
}

/// Checks a release and puts RELEASED into the ledger.
pub(crate) async fn release(closets: &Closets, request: ReleaseRequest) -> Result<ReleaseResponse, Fault> {
    let act = Released {
        release: request.release,
        approvals: request.approvals,
    };
    let mut known = closets.erasing.0.lock().await;
    let core = administrative(closets, Kind::Released);
    let approved = checked(closets, |owner| erasure::release(&act, owner, core.created_us))?;
    known.catch_up(closets).await?;
    let named = approved.document().hold.as_ref();
    if !known.holds.keys().any(|digest| digest == named) {
        return Err(Fault::new(
            Reason::ErasureInvalid,
            "no hold with this digest stands".to_owned(),
        ));
    }
    let stands = closets.append(vec![Draft::new(core).act(&act).close()]).await?;
    Ok(ReleaseResponse {
        index: stands.first().map_or(0, |stands| stands.index),
    })
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
    let entries = found(closets, exchange).await?;
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
    let detail = format!("no message of exchange {exchange} was kept; its method does not ask for it");
    Err(Fault::new(Reason::UnknownEntry, detail))
}

/// Finishes what the last run began, then erases the messages whose time is over.
pub(crate) async fn retain(closets: &Closets) {
    closets.standing.running().await;
    if let Err(fault) = resume(closets).await {
        tracing::error!(%fault, "an erasure that was begun could not be finished");
    }
    loop {
        match sweep(closets).await {
            Ok(0) => return,
            Ok(count) => tracing::info!(count, "stored messages whose time is over were erased"),
            Err(fault) => {
                tracing::error!(%fault, "stored messages whose time is over could not be erased");
                return;
            }
        }
    }
}

async fn resume(closets: &Closets) -> Result<(), Fault> {
    let _known = closets.erasing.0.lock().await;
    let ledger = closets.ledger.clone();
    let finished = blocking(move || {
        ledger
            .resume_erasure()
            .map_err(|error| Fault::new(Reason::LedgerUnavailable, error.to_string()))
    })
    .await?;
    if let Some(finished) = finished {
        tracing::warn!(
            index = finished.index,
            parts = finished.parts,
            "an erasure that was cut off is finished"
        );
    }
    Ok(())
}

/// One erasure of messages whose time is over; how many.
async fn sweep(closets: &Closets) -> Result<usize, Fault> {
    let mut known = closets.erasing.0.lock().await;
    known.catch_up(closets).await?;
    let now = closets.now_us();
    let (mut due, mut left, mut from) = (Vec::new(), None, known.retained);
    loop {
        let ledger = closets.ledger.clone();
        let (kept, end) = blocking(move || survey_kept(&ledger, from)).await?;
        let is_end = kept.is_empty();
        for (index, core, at) in kept {
            let over = core
                .created_us
                .saturating_add(u64::from(days(closets, &core)).saturating_mul(DAY_US));
            if over <= now && known.holding(&core).is_none() && due.len() < RETENTION_MAX {
                due.push(ErasedParts {
                    index,
                    tags: Bytes::from_static(&[STORED_PAYLOAD]),
                });
            } else {
                left.get_or_insert(at);
            }
        }
        from = end;
        if is_end || due.len() == RETENTION_MAX {
            break;
        }
    }
    let count = due.len();
    if count > 0 {
        let erasure = document(closets, due, RETENTION.to_owned())?;
        let act = Erased {
            erasure: canonical::encode(&erasure),
            approvals: Vec::new(),
        };
        let core = administrative(closets, Kind::Erased);
        // No officer approves, so it matters to nobody which authority is listed, nor whether the snapshot is in force.
        let owner = Owner {
            origin: &closets.origin,
            local_ca: None,
        };
        let approved = erasure::erasure(&act, owner, core.created_us)
            .map_err(|error| Fault::new(Reason::Internal, error.to_string()))?;
        carry_out(closets, core, &act, approved).await?;
    }
    known.retained = left.unwrap_or(from);
    Ok(count)
}

type KeptRow = (u64, Box<Core>, Cursor);

fn survey_kept(ledger: &Ledger, from: Cursor) -> Result<(Vec<KeptRow>, Cursor), Fault> {
    let mut kept = Vec::new();
    let end = ledger.survey(from, |found| {
        if let Surveyed::Kept { index, core, at } = found {
            kept.push((index, core, at));
        }
        kept.len() < RETENTION_MAX
    });
    end.map(|end| (kept, end)).map_err(|error| unreadable(&error))
}

/// For how many days the message of this statement is kept. What cannot be told is kept.
fn days(closets: &Closets, core: &Core) -> u32 {
    let (Ok(digest), Ok(service), Ok(method)) = (
        Hash::try_from(core.schema.as_ref()),
        core.service.parse(),
        core.method.parse(),
    ) else {
        return u32::MAX;
    };
    if !closets.schemas.load(&digest, &core.service) {
        return u32::MAX;
    }
    match closets.schemas.keep_days(&digest, &MethodPath { service, method }) {
        0 => u32::MAX,
        days => days,
    }
}

fn checked<T>(
    closets: &Closets,
    check: impl FnOnce(Owner<'_>) -> Result<Approved<T>, ApprovalError>,
) -> Result<Approved<T>, Fault> {
    let view = closets.directory.current(closets.now_us())?;
    let row = closets.own_row(&view)?;
    let local_ca = Hash::try_from(row.local_ca.as_ref()).map_err(|_| {
        let detail = format!("snapshot {} lists no local authority of this node", view.version);
        Fault::new(Reason::NotAdmitted, detail)
    })?;
    let owner = Owner {
        origin: &closets.origin,
        local_ca: Some(&local_ca),
    };
    check(owner).map_err(|error| {
        let reason = match error {
            ApprovalError::TooFew { .. } | ApprovalError::Twice(_) => Reason::DualControl,
            ApprovalError::Document(_) | ApprovalError::OtherLedger { .. } => Reason::ErasureInvalid,
            _ => Reason::OfficerInvalid,
        };
        Fault::new(reason, error.to_string())
    })
}

async fn found(closets: &Closets, exchange: ExchangeId) -> Result<Vec<Entry>, Fault> {
    let ledger = closets.ledger.clone();
    let entries = blocking(move || ledger.find(exchange).map_err(|error| unreadable(&error))).await?;
    if entries.is_empty() {
        let detail = format!("the ledger has no exchange {exchange}");
        return Err(Fault::new(Reason::UnknownExchange, detail));
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
