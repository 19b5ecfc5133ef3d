//! What officers ask for: erasures, holds and their ends.

use bytes::Bytes;
use jisr_certs::digest::Hash;
use jisr_ledger::archive::Role;
use jisr_ledger::erasure::{self, ApprovalError, Approved, Owner};
use jisr_ledger::ledger::{Entry, Kept};
use jisr_ledger::statement::{Draft, NAMED_MAX, STORED_PAYLOAD, Tag};
use jisr_proto::admin::{
    EraseRequest, EraseResponse, HoldRequest, HoldResponse, HoldsResponse, ProposeErasureRequest, ReleaseRequest,
    ReleaseResponse, StandingHold,
};
use jisr_proto::canonical;
use jisr_proto::ident::ExchangeId;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Erased, ErasedParts, Held, Kind, Released};
use jisr_proto::status::Fault;

use super::{Known, blocking, carry_out, document, found, unreadable};
use crate::closets::Closets;
use crate::node::administrative;
use crate::roles;

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
    // Asked again, for example because the answer was lost: it stands, and was carried out or is by the next start.
    if let Some(index) = known.erased.get(approved.digest()) {
        return Ok(EraseResponse {
            index: *index,
            parts: 0,
        });
    }
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
    // The id may stand for another exchange besides, in which this node stood on the other side.
    let role = Role::of(&entry.statement, &closets.origin);
    let entries = roles::of_one(found(closets, exchange).await?, &closets.origin, exchange, Some(role))?;
    let is_open = entries
        .iter()
        .all(|entry| matches!(entry.statement.kind(), Kind::Asked | Kind::Received));
    if is_open {
        let detail = format!("exchange {exchange} is not closed yet");
        return Err(Fault::new(Reason::ErasureInvalid, detail));
    }
    Ok(())
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

/// The holds that stand.
pub(crate) async fn holds(closets: &Closets) -> Result<HoldsResponse, Fault> {
    let mut known = closets.erasing.0.lock().await;
    known.catch_up(closets).await?;
    let standing = known.holds.iter().map(|(digest, hold)| StandingHold {
        digest: Bytes::copy_from_slice(digest),
        hold: canonical::encode(hold),
    });
    Ok(HoldsResponse {
        holds: standing.collect(),
    })
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
