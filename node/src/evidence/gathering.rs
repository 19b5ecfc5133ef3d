//! What both ledgers say of one exchange.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::anchor::QuorumClass;
use jisr_ledger::archive::Role;
use jisr_ledger::evidence::Piece;
use jisr_ledger::ledger::{Entry, PeerEntry, StampedCheckpoint};
use jisr_ledger::policy::Parties;
use jisr_ledger::seal::{self, SealVerifier};
use jisr_ledger::{Verified, note};
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::peer::ShowRequest;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Agreement, Core, Kind, Sealed};
use jisr_proto::status::Fault;
use prost::Message as _;

use crate::closets::Closets;
use crate::directory::NodeRow;
use crate::{roles, settling};

/// How long the other side may take to show its statements.
const SHOW_WAIT: Duration = Duration::from_secs(5);

/// What both ledgers say of an exchange.
pub(super) struct Gathered {
    pub(super) pieces: Vec<Piece>,
    /// Time-stamps on the checkpoint of the own ones.
    pub(super) stamps: Vec<StampedCheckpoint>,
    /// Why the other side's statements are not complete.
    silent: Option<String>,
    /// Only this node knows of the exchange: it was refused, or never sent.
    alone: bool,
    consumer: Origin,
}

impl Gathered {
    /// The core that speaks for the exchange.
    pub(super) fn core(&self) -> &Core {
        self.pieces
            .first()
            .expect("gather found at least one statement")
            .statement
            .core()
    }

    /// What a verifier would find lacking of the statements themselves.
    pub(super) fn lacks(&self, closets: &Closets) -> Vec<String> {
        let mut lacks: Vec<String> = self.silent.iter().cloned().collect();
        let closed = |consumer: bool| {
            let mut kinds = self
                .pieces
                .iter()
                .filter(|piece| (piece.origin == self.consumer) == consumer);
            kinds.any(|piece| !matches!(piece.statement.kind(), Kind::Asked | Kind::Received | Kind::LateAnswer))
        };
        if !closed(true) {
            lacks.push("the consumer has not closed the exchange".to_owned());
        }
        if !self.alone && !closed(false) {
            lacks.push("the provider has not closed the exchange".to_owned());
        }
        let (policy, class) = (closets.directory.policy(), class(closets, self.core()));
        let parties = Parties::of(self.core());
        for piece in &self.pieces {
            let cosigned = policy.cosigned(&piece.checkpoint, &piece.origin, class, parties.as_ref());
            if !cosigned.is_ok_and(|cosigned| cosigned.is_quorum()) {
                lacks.push(format!(
                    "{:?} in {} stands under no checkpoint that the quorum for {class} cosigned",
                    piece.statement.kind(),
                    piece.origin
                ));
            }
        }
        lacks
    }
}

/// The evidence class that the agreement pins for the method, by the snapshot that the statement cites.
fn class(closets: &Closets, core: &Core) -> QuorumClass {
    let pinned = || {
        let kept = closets.archive.find(core.snapshot_version)?;
        let row = kept.listed.agreements.iter().find(|row| row.digest == core.agreement)?;
        let agreement = Agreement::decode(row.document.clone()).ok()?;
        let mut methods = agreement.methods.iter();
        let method = methods.find(|method| method.service == core.service && method.method == core.method)?;
        Some(method.evidence_class)
    };
    QuorumClass::from_evidence_class(pinned().unwrap_or(0))
}

/// Whether both are of one exchange. An id alone does not say so: a peer may ask under one that was used between others.
fn same_parties(one: &Core, other: &Core) -> bool {
    one.consumer == other.consumer
        && one.provider == other.provider
        && one.service == other.service
        && one.method == other.method
}

/// Whether this node stood on both sides of exchanges with this id.
pub(super) async fn is_twofold(closets: &Arc<Closets>, exchange: ExchangeId) -> Result<bool, Fault> {
    let entries = settling::entries(closets, exchange).await?;
    Ok(roles::both(&entries, &closets.origin))
}

/// Whether this node stood on that side of an exchange with this id.
pub(super) async fn stood(closets: &Arc<Closets>, exchange: ExchangeId, role: Role) -> Result<bool, Fault> {
    let entries = settling::entries(closets, exchange).await?;
    let is_of = |entry: &Entry| Role::of(&entry.statement, &closets.origin) == role;
    Ok(entries.iter().any(is_of))
}

/// Collects the statements of both sides, each under the newest checkpoint that the quorum cosigned. `role` says which exchange
/// is meant, where the id was used on both sides.
pub(super) async fn gather(
    closets: &Arc<Closets>,
    exchange: ExchangeId,
    role: Option<Role>,
) -> Result<Gathered, Fault> {
    let entries = settling::entries(closets, exchange).await?;
    let mut entries = roles::of_one(entries, &closets.origin, exchange, role)?;
    let Some(of) = entries.first().map(|first| first.statement.core().clone()) else {
        return Err(roles::unknown(
            &closets.config.data,
            format!("this node's ledger does not hold {exchange}"),
        ));
    };
    entries.retain(|entry| same_parties(&of, entry.statement.core()));
    let provider = of.provider_origin == closets.origin.as_str();
    let consumer = if provider {
        consumer_origin(&entries)?
    } else {
        closets.origin.clone()
    };
    let other = if provider {
        Some(consumer.clone())
    } else {
        of.provider_origin.parse().ok()
    };
    let (mut pieces, stamps) = own_pieces(closets, &entries).await?;
    let asked = entries.iter().any(|entry| entry.statement.kind() == Kind::Asked);
    let not_sent = entries.iter().any(|entry| entry.statement.kind() == Kind::NotSent);
    let alone = !provider && (!asked || not_sent);
    let mut silent = None;
    if let Some(other) = other.filter(|_| !alone) {
        match shown(closets, &other, exchange).await {
            Ok(theirs) => pieces.extend(
                theirs
                    .into_iter()
                    .filter(|piece| same_parties(&of, piece.statement.core())),
            ),
            Err(text) => {
                let attached = entries.iter().filter_map(|entry| entry.peer.as_ref());
                pieces.extend(attached.filter_map(|peer| attached_piece(peer, &other)));
                let receipts = receipts(closets, &entries).await;
                // With a receipt all is here that the other side has to show.
                silent = receipts.is_empty().then_some(text);
                pieces.extend(receipts.iter().filter_map(|receipt| attached_piece(receipt, &other)));
            }
        }
    }
    Ok(Gathered {
        pieces,
        stamps,
        silent,
        alone,
        consumer,
    })
}

/// The consumer's origin, as the provider's statements cite it.
fn consumer_origin(entries: &[Entry]) -> Result<Origin, Fault> {
    let cited = entries.iter().find_map(|entry| entry.statement.citation());
    cited.and_then(|cited| cited.origin.parse().ok()).ok_or_else(|| {
        Fault::new(
            Reason::UnknownExchange,
            "no statement of this ledger cites the consumer's",
        )
    })
}

/// The own statements, all under one checkpoint: the first stamped one that covers them with the quorum, else the newest cosigned one,
/// else the newest own one; and the time-stamps on it. A part that was erased is withheld.
async fn own_pieces(closets: &Arc<Closets>, entries: &[Entry]) -> Result<(Vec<Piece>, Vec<StampedCheckpoint>), Fault> {
    let last = entries.iter().map(|entry| entry.index).max().unwrap_or_default();
    let stamps = stamps(closets, entries, last).await;
    let covering = closets.cosigning.covering(last).filter(|(size, _)| last < *size);
    let stamped = stamps.first().map(|stamped| (stamped.size, stamped.note.clone()));
    let (size, checkpoint) = stamped.or(covering).unwrap_or_else(|| {
        closets.cosigning.cosign_now();
        let newest = closets.ledger.checkpoint();
        (newest.size, newest.note.clone())
    });
    let (ledger, origin, entries) = (closets.ledger.clone(), closets.origin.clone(), entries.to_vec());
    let proven = tokio::task::spawn_blocking(move || {
        let piece = |entry: Entry| {
            Some(Piece {
                origin: origin.clone(),
                index: entry.index,
                path: ledger.prove(entry.index, size)?,
                statement: entry.statement,
                checkpoint: checkpoint.clone(),
            })
        };
        entries.into_iter().map(piece).collect::<Option<Vec<_>>>()
    });
    let pieces = proven.await.ok().flatten();
    let pieces = pieces.ok_or_else(|| Fault::new(Reason::LedgerUnavailable, "the own statements cannot be proven"))?;
    Ok((pieces, stamps))
}

/// The time-stamps on the first stamped checkpoint that covers the entries up to `last`, where the quorum for them cosigned it.
async fn stamps(closets: &Arc<Closets>, entries: &[Entry], last: u64) -> Vec<StampedCheckpoint> {
    let ledger = closets.ledger.clone();
    let found = tokio::task::spawn_blocking(move || ledger.stamps_covering(last)).await;
    let mut found = match found {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the time-stamps in the ledger could not be read");
            return Vec::new();
        }
        Err(_) => return Vec::new(),
    };
    let (policy, core) = (
        closets.directory.policy(),
        entries.first().map(|entry| entry.statement.core()),
    );
    let (class, parties) = (core.map(|core| class(closets, core)), core.and_then(Parties::of));
    found.retain(|stamped| {
        let class = class.unwrap_or(QuorumClass::Standard);
        let cosigned = policy.cosigned(&stamped.note, &closets.origin, class, parties.as_ref());
        cosigned.is_ok_and(|cosigned| cosigned.is_quorum())
    });
    found
}

/// Receipts of the own statements: how the consumer closed the exchange, as it showed it.
async fn receipts(closets: &Arc<Closets>, entries: &[Entry]) -> Vec<PeerEntry> {
    let ledger = closets.ledger.clone();
    let indexes: Vec<u64> = entries.iter().map(|entry| entry.index).collect();
    let found = tokio::task::spawn_blocking(move || {
        let receipts = indexes.into_iter().map(|index| ledger.receipt(index));
        receipts.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()
    });
    match found.await {
        Ok(Ok(receipts)) => receipts,
        Ok(Err(error)) => {
            tracing::warn!(%error, "receipts could not be read");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

/// The other side's statements, as it shows them now.
async fn shown(closets: &Arc<Closets>, origin: &Origin, exchange: ExchangeId) -> Result<Vec<Piece>, String> {
    let view = closets.directory.newest().ok_or("this node holds no snapshot")?;
    let row = view
        .node_of_origin(origin)
        .ok_or_else(|| format!("snapshot {} does not list {origin}", view.version))?;
    let request = ShowRequest {
        exchange_id: Bytes::copy_from_slice(exchange.as_bytes()),
    };
    let response = tokio::time::timeout(SHOW_WAIT, closets.peers.show(closets.as_ref(), row, &request))
        .await
        .map_err(|_| format!("{} did not show its statements in time", row.id))?
        .map_err(|error| format!("{} did not show its statements: {error:?}", row.id))?;
    response
        .statements
        .iter()
        .map(|sealed| verified_piece(&closets.seals, sealed, row, exchange))
        .collect()
}

fn verified_piece(seals: &SealVerifier, sealed: &Sealed, row: &NodeRow, exchange: ExchangeId) -> Result<Piece, String> {
    let verified = seals
        .verify(sealed, &row.seal_key)
        .map_err(|error| format!("{}: {error}", row.id))?;
    if verified.statement.core().exchange_id != exchange.as_bytes().as_slice() {
        return Err(format!("{} showed a statement of another exchange", row.id));
    }
    Ok(piece(&verified, &row.origin))
}

/// A verified statement as a piece of evidence.
pub(super) fn piece(verified: &Verified<seal::Sealed>, origin: &Origin) -> Piece {
    Piece {
        origin: origin.clone(),
        index: verified.index,
        statement: verified.statement.clone(),
        path: verified.path.clone(),
        checkpoint: verified.note().clone(),
    }
}

/// The other side's statement as it was kept here, under its final proof if that was paid.
fn attached_piece(peer: &PeerEntry, origin: &Origin) -> Option<Piece> {
    let (path, checkpoint) = match &peer.proof {
        Some(proof) => (proof.path.clone(), proof.note.clone()),
        None => (peer.path.clone(), peer.note.clone()),
    };
    note::SignedNote::parse(&checkpoint).ok()?;
    Some(Piece {
        origin: origin.clone(),
        index: peer.index,
        statement: peer.statement.clone(),
        path,
        checkpoint,
    })
}
