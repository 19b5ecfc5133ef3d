//! What this node owes its peers: final proofs of what it sealed, and its own statements of their exchanges.

use std::sync::Arc;

use bytes::Bytes;
use jisr_proto::ident::{ExchangeId, NodeId, Origin, SubsystemId};
use jisr_proto::peer::{Path, ProveRequest, ProveResponse, ShowRequest, ShowResponse};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Sealed};
use jisr_proto::status::Fault;

use crate::closets::Closets;
use crate::proofs::INDEXES_MAX;
use crate::settling;

/// Shows leaves under the newest cosigned checkpoint. What it does not cover yet is left out.
pub(crate) async fn prove(closets: &Arc<Closets>, request: ProveRequest) -> Result<ProveResponse, Fault> {
    if request.indexes.len() > INDEXES_MAX {
        let detail = format!(
            "{} indexes were asked for, at most {INDEXES_MAX} are shown",
            request.indexes.len()
        );
        return Err(Fault::new(Reason::MalformedFrame, detail));
    }
    let last = request.indexes.iter().max().copied().unwrap_or_default();
    let Some((size, checkpoint)) = closets.cosigning.covering(last) else {
        closets.cosigning.cosign_now();
        return Ok(ProveResponse::default());
    };
    if last < size {
        closets.cosigning.ask_more();
    }
    let ledger = closets.ledger.clone();
    let paths = tokio::task::spawn_blocking(move || {
        let covered = request.indexes.into_iter().filter(|index| *index < size);
        covered
            .map(|index| {
                Some(Path {
                    index,
                    hashes: hashes(ledger.prove(index, size)?),
                })
            })
            .collect::<Option<Vec<_>>>()
    });
    let paths = paths.await.ok().flatten();
    let paths = paths.ok_or_else(|| Fault::new(Reason::LedgerUnavailable, "a proof could not be made"))?;
    Ok(ProveResponse { checkpoint, paths })
}

fn hashes(path: Vec<jisr_ledger::Hash>) -> Vec<Bytes> {
    path.iter().map(|hash| Bytes::copy_from_slice(hash)).collect()
}

/// Shows a party what this ledger says of an exchange.
pub(crate) async fn show(closets: &Arc<Closets>, peer: &NodeId, request: &ShowRequest) -> Result<ShowResponse, Fault> {
    let exchange = ExchangeId::try_from(request.exchange_id.as_ref())
        .map_err(|error| Fault::new(Reason::ExchangeIdInvalid, error.to_string()))?;
    let _place = closets.places.shown.acquire().await;
    let entries = settling::entries(closets, exchange).await?;
    let mut statements = Vec::with_capacity(entries.len());
    for entry in entries.iter().filter(|entry| is_party(peer, entry.statement.core())) {
        statements.push(under_cosigned(closets, entry)?);
    }
    Ok(ShowResponse { statements })
}

/// Whether the exchange is between the peer and this node. The consumer's node is known by its member, the provider's by
/// its origin.
fn is_party(peer: &NodeId, core: &Core) -> bool {
    let consumer: Result<SubsystemId, _> = core.consumer.parse();
    let provider: Result<Origin, _> = core.provider_origin.parse();
    consumer.is_ok_and(|consumer| consumer.member() == peer.member())
        || provider.is_ok_and(|provider| provider.node().as_ref() == Some(peer))
}

/// A statement of this ledger under the newest cosigned checkpoint, if that covers it, else under the newest own one.
pub(crate) fn under_cosigned(closets: &Closets, entry: &jisr_ledger::ledger::Entry) -> Result<Sealed, Fault> {
    match closets.cosigning.covering(entry.index) {
        Some((size, checkpoint)) if entry.index < size => {
            settling::sealed_under(entry, closets.ledger.prove(entry.index, size), checkpoint)
        }
        _ => {
            closets.cosigning.cosign_now();
            settling::sealed(closets, entry)
        }
    }
}
