//! The provider takes receipts: verifies that each closing statement stands in the consumer's ledger and cites one of its
//! own, and keeps it beside that.

use std::sync::Arc;

use jisr_ledger::Verified;
use jisr_ledger::anchor::QuorumClass;
use jisr_ledger::frame::RECEIPTS_BACK_MAX;
use jisr_ledger::ledger::{AppendError, Record};
use jisr_ledger::policy::Parties;
use jisr_ledger::seal::Sealed;
use jisr_proto::ident::{ExchangeId, NodeId};
use jisr_proto::peer::{ReceiptsRequest, ReceiptsResponse};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{self as wire, Citation, Seal};
use jisr_proto::status::Fault;

use crate::closets::{Closets, append_fault};
use crate::directory::NodeRow;
use crate::form;

/// What a receipt is to this ledger.
enum Standing {
    /// It is to be kept.
    New,
    /// It stands here already.
    Known,
    /// What it cites does not stand here.
    Foreign,
}

/// Takes a batch of a peer's receipts. When this returns, as many as it says stand in the own ledger.
pub(crate) async fn take(
    closets: &Arc<Closets>,
    peer: &NodeId,
    request: ReceiptsRequest,
) -> Result<ReceiptsResponse, Fault> {
    form::receipts(&request)?;
    let view = closets.directory.current(closets.now_us())?;
    let row = view.node(peer).cloned();
    let row = row.ok_or_else(|| Fault::new(Reason::OriginUnlisted, format!("{peer} is not listed")))?;
    let taking = Arc::clone(closets);
    let recorded = tokio::task::spawn_blocking(move || record(&taking, &row, request)).await;
    let recorded = recorded.unwrap_or_else(|_| Err(Fault::new(Reason::Internal, "see the node's log")))?;
    closets.ledger.flush().await.map_err(|error| append_fault(&error))?;
    Ok(ReceiptsResponse { recorded })
}

/// Verifies and keeps them, one after the other, as far as there is room. Returns how many.
fn record(closets: &Closets, row: &Arc<NodeRow>, request: ReceiptsRequest) -> Result<u32, Fault> {
    let finality = finality(closets, row, &request.checkpoint);
    let mut recorded = 0;
    for receipt in request.receipts {
        let sealed = wire::Sealed {
            statement: receipt.statement,
            seal: Some(Seal {
                index: receipt.index,
                path: receipt.path,
                checkpoint: request.checkpoint.clone(),
            }),
        };
        let verified = verify(closets, row, &sealed, finality)?;
        let (exchange, citation) = form::receipt(&verified.statement, &row.id, &closets.origin)?;
        let index = citation.index;
        let standing = standing(closets, row, exchange, citation)?;
        match standing {
            None => return Ok(recorded),
            Some(Standing::Known) => closets.receipts_owed.paid(&row.id, &exchange),
            Some(Standing::Foreign) => {
                tracing::warn!(peer = %row.id, %exchange, "a receipt is for a statement that this ledger does not hold");
                closets.refusals.count(row.id.as_str(), Reason::AnswerMismatch);
            }
            Some(Standing::New) => match closets.ledger.note_later(Record::PeerReceipt(Box::new(verified))) {
                Ok(()) => {
                    closets.receipts_owed.kept(row, index);
                    closets.receipts_owed.paid(&row.id, &exchange);
                }
                Err(AppendError::Overloaded | AppendError::Full) => return Ok(recorded),
                Err(error) => return Err(append_fault(&error)),
            },
        }
        recorded += 1;
    }
    Ok(recorded)
}

/// Whether a quorum cosigned the peer's checkpoint, between that peer and this node: for any class below the highest, and for
/// the highest.
fn finality(closets: &Closets, row: &NodeRow, checkpoint: &[u8]) -> (bool, bool) {
    let policy = closets.directory.policy();
    let parties = Parties {
        consumer: row.id.member(),
        provider: closets.node.member(),
    };
    let is_final = |class| {
        policy
            .cosigned(checkpoint, &row.origin, class, Some(&parties))
            .is_ok_and(|cosigned| cosigned.is_quorum())
    };
    (is_final(QuorumClass::Standard), is_final(QuorumClass::High))
}

/// The seal. Under a checkpoint that a quorum cosigned it is final, otherwise its proof is owed as that of any other.
fn verify(
    closets: &Closets,
    row: &Arc<NodeRow>,
    sealed: &wire::Sealed,
    (is_final, is_high_final): (bool, bool),
) -> Result<Verified<Sealed>, Fault> {
    let verified = closets
        .seals
        .verify(sealed, &row.seal_key)
        .map_err(|error| Fault::new(Reason::SealInvalid, format!("{}: {error}", row.id)))?;
    let core = verified.statement.core();
    closets.archive.cited(core.snapshot_version);
    let is_high = closets.directory.is_high(core);
    let is_done = if is_high { is_high_final } else { is_final };
    let kept = if is_done {
        closets.keep_certificates(row)
    } else {
        closets
            .owed
            .note(row, &verified, is_high, || closets.keep_certificates(row))
    };
    kept.map_err(|error| append_fault(&error))?;
    Ok(verified)
}

/// Looks in the table first; what is not in it is looked up in the ledger, so often a minute. `None`: not now.
fn standing(
    closets: &Closets,
    row: &NodeRow,
    exchange: ExchangeId,
    citation: &Citation,
) -> Result<Option<Standing>, Fault> {
    // An exchange of an earlier ledger of this node is cited under the origin of that.
    if citation.origin != closets.origin.as_str() {
        return Ok(Some(Standing::Foreign));
    }
    let due = closets.receipts_owed.due(&row.id, &exchange);
    let is_due = due.is_some_and(|due| due.index == citation.index && due.leaf.as_slice() == citation.leaf);
    if is_due && !is_too_old(closets, citation.index) {
        return Ok(Some(Standing::New));
    }
    if closets.receipts_owed.is_kept(&row.id, citation.index) {
        return Ok(Some(Standing::Known));
    }
    if closets.lookups.spend(&row.id, closets.now_us()).is_err() {
        return Ok(None);
    }
    let entries = closets.ledger.find(exchange);
    let entries = entries.map_err(|error| Fault::new(Reason::LedgerUnavailable, error.to_string()))?;
    let cited = entries
        .iter()
        .any(|entry| entry.index == citation.index && entry.statement.leaf().as_slice() == citation.leaf);
    if !cited {
        return Ok(Some(Standing::Foreign));
    }
    let known = closets.ledger.receipt(citation.index);
    let known = known.map_err(|error| Fault::new(Reason::LedgerUnavailable, error.to_string()))?;
    Ok(Some(if known.is_some() || is_too_old(closets, citation.index) {
        Standing::Known
    } else {
        Standing::New
    }))
}

/// A receipt must stand near what it is for, so that a verifier need not remember all of a ledger.
fn is_too_old(closets: &Closets, index: u64) -> bool {
    closets.ledger.size().saturating_sub(index) > RECEIPTS_BACK_MAX as u64 / 2
}
