//! Making the file that proves one exchange: this ledger's statements, the other side's, and what both rest on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::evidence::{Builder, Piece, encode};
use jisr_ledger::ledger::{Entry, PeerEntry};
use jisr_ledger::seal::{self, SealVerifier};
use jisr_ledger::statement::Tag;
use jisr_ledger::{Verified, note};
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::peer::ShowRequest;
use jisr_proto::reason::Reason;
use jisr_proto::registry::EntriesRequest;
use jisr_proto::snapshot::{SignedSnapshot, Snapshot};
use jisr_proto::statement::{Core, Kind, Sealed};
use jisr_proto::status::Fault;
use prost::Message as _;
use tokio::time::Instant;

use crate::closets::Closets;
use crate::directory::NodeRow;
use crate::{paying, proofs, settling};

/// Between two looks while something still lacks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long the other side may take to show its statements.
const SHOW_WAIT: Duration = Duration::from_secs(5);

/// Makes the evidence of one exchange. Waits up to `wait` for closing statements and cosigned checkpoints; returns the
/// file and what it still lacks.
pub(crate) async fn export(
    closets: &Arc<Closets>,
    exchange: ExchangeId,
    withhold: &[u32],
    wait: Duration,
) -> Result<(Bytes, Vec<String>), Fault> {
    let withheld = tags(withhold)?;
    let give_up = Instant::now() + wait;
    let (gathered, mut lacks) = loop {
        let gathered = gather(closets, exchange).await?;
        let lacks = gathered.lacks(closets);
        if lacks.is_empty() || Instant::now() + LOOK_EVERY > give_up {
            break (gathered, lacks);
        }
        closets.registry.cosign_now();
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let mut builder = Builder::new(&closets.node.instance(), &exchange, closets.clock.now_us());
    let core = gathered.core().clone();
    for piece in gathered.pieces {
        builder = builder.statement(piece, &withheld);
    }
    builder = add_grounds(closets, builder, &core, &gathered.snapshots, &mut lacks).await;
    let file = encode(&builder.build()).map_err(|error| Fault::new(Reason::Internal, error.to_string()))?;
    Ok((file.into(), lacks))
}

fn tags(numbers: &[u32]) -> Result<Vec<Tag>, Fault> {
    let tag = |number: &u32| {
        u8::try_from(*number)
            .ok()
            .and_then(Tag::from_number)
            .filter(|tag| *tag != Tag::Core)
    };
    numbers
        .iter()
        .map(|number| {
            tag(number)
                .ok_or_else(|| Fault::new(Reason::RequestInvalid, format!("there is no part {number} to withhold")))
        })
        .collect()
}

/// What both ledgers say of an exchange.
struct Gathered {
    pieces: Vec<Piece>,
    snapshots: BTreeSet<u64>,
    /// Why the other side's statements are not complete.
    silent: Option<String>,
    /// Only this node knows of the exchange: it was refused, or never sent.
    alone: bool,
    consumer: Origin,
}

impl Gathered {
    fn core(&self) -> &Core {
        self.pieces
            .first()
            .expect("gather found at least one statement")
            .statement
            .core()
    }

    fn lacks(&self, closets: &Closets) -> Vec<String> {
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
        for piece in self
            .pieces
            .iter()
            .filter(|piece| !proofs::cosigned(closets.directory.anchor(), &piece.checkpoint, &piece.origin))
        {
            lacks.push(format!(
                "{:?} in {} stands under no checkpoint that the quorum cosigned",
                piece.statement.kind(),
                piece.origin
            ));
        }
        lacks
    }
}

/// Whether both are of one exchange. An id alone does not say so: a peer may ask under one that was used between others.
fn same_parties(one: &Core, other: &Core) -> bool {
    one.consumer == other.consumer
        && one.provider == other.provider
        && one.service == other.service
        && one.method == other.method
}

async fn gather(closets: &Arc<Closets>, exchange: ExchangeId) -> Result<Gathered, Fault> {
    let mut entries = settling::entries(closets, exchange).await?;
    let Some(of) = entries.first().map(|first| first.statement.core().clone()) else {
        return Err(Fault::new(
            Reason::UnknownExchange,
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
    let mut pieces = Vec::new();
    for entry in &entries {
        pieces.push(own_piece(closets, entry)?);
    }
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
                pieces.extend(
                    entries
                        .iter()
                        .filter_map(|entry| attached_piece(entry.peer.as_ref()?, &other)),
                );
                silent = Some(text);
            }
        }
    }
    let snapshots = pieces
        .iter()
        .map(|piece| piece.statement.core().snapshot_version)
        .collect();
    Ok(Gathered {
        pieces,
        snapshots,
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

fn own_piece(closets: &Closets, entry: &Entry) -> Result<Piece, Fault> {
    let sealed = paying::under_cosigned(closets, entry)?;
    let wrong = || {
        Fault::new(
            Reason::LedgerUnavailable,
            format!("entry {} cannot be shown", entry.index),
        )
    };
    let seal = sealed.seal.ok_or_else(wrong)?;
    Ok(Piece {
        origin: closets.origin.clone(),
        index: entry.index,
        statement: entry.statement.clone(),
        path: seal::path(&seal.path).map_err(|_| wrong())?,
        checkpoint: seal.checkpoint,
    })
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

fn piece(verified: &Verified<seal::Sealed>, origin: &Origin) -> Piece {
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

/// Adds what the exchange rests on: certificates, cited snapshots, entries of the registry's ledger.
async fn add_grounds(
    closets: &Arc<Closets>,
    mut builder: Builder,
    core: &Core,
    cited: &BTreeSet<u64>,
    lacks: &mut Vec<String>,
) -> Builder {
    let mut indexes = BTreeSet::new();
    for version in cited {
        let Some(signed) = closets.archive.find(*version) else {
            lacks.push(format!("snapshot {version} is not kept here"));
            continue;
        };
        let Ok(snapshot) = Snapshot::decode(signed.snapshot.clone()) else {
            lacks.push(format!("the copy of snapshot {version} is damaged"));
            continue;
        };
        for node in parties(&snapshot, core) {
            builder = builder.certificate(node.seal_certificate.clone());
            indexes.insert(node.entry);
        }
        indexes.extend(grounds(&snapshot, core));
        match snapshot_entry(closets, &signed) {
            Ok(entry) => builder = builder.registry_entry(entry),
            Err(error) => lacks.push(error),
        }
        builder = builder.snapshot(signed.snapshot, signed.note);
    }
    for issuer in &closets.issuers {
        builder = builder.certificate(issuer.clone());
    }
    match registry_entries(closets, indexes).await {
        Ok(entries) => entries.into_iter().fold(builder, Builder::registry_entry),
        Err(error) => {
            lacks.push(error);
            builder
        }
    }
}

/// Rows of both nodes of the exchange.
fn parties<'a>(snapshot: &'a Snapshot, core: &'a Core) -> impl Iterator<Item = &'a jisr_proto::snapshot::Node> {
    let consumer = core.consumer.rsplit_once('/').map_or("", |(member, _)| member);
    snapshot.nodes.iter().filter(move |node| {
        node.origin == core.provider_origin
            || node
                .id
                .strip_prefix(consumer)
                .is_some_and(|rest| rest.starts_with("/node/"))
    })
}

/// Entries of the registry's ledger behind the service and the agreement.
fn grounds<'a>(snapshot: &'a Snapshot, core: &'a Core) -> impl Iterator<Item = u64> + 'a {
    let services = snapshot
        .services
        .iter()
        .filter(|row| row.name == core.service && row.provider == core.provider);
    let agreements = snapshot.agreements.iter().filter(|row| row.digest == core.agreement);
    services.map(|row| row.entry).chain(agreements.map(|row| row.entry))
}

fn snapshot_entry(closets: &Closets, signed: &SignedSnapshot) -> Result<Piece, String> {
    let entry = signed.entry.as_ref().ok_or("a snapshot came without its entry")?;
    let anchor = closets.directory.anchor();
    let verified = closets
        .seals
        .verify(entry, &anchor.registry_key)
        .map_err(|error| error.to_string())?;
    Ok(piece(&verified, &anchor.registry_origin))
}

async fn registry_entries(closets: &Arc<Closets>, indexes: BTreeSet<u64>) -> Result<Vec<Piece>, String> {
    let anchor = closets.directory.anchor();
    let request = EntriesRequest {
        indexes: indexes.into_iter().collect(),
    };
    let fetched = tokio::time::timeout(SHOW_WAIT, closets.registry.client().entries(request)).await;
    let response = fetched
        .map_err(|_| "the registry did not show its entries in time".to_owned())?
        .map_err(|status| format!("the registry did not show its entries: {status}"))?
        .into_inner();
    let verified = response.entries.iter().map(|entry| {
        let verified = closets
            .seals
            .verify(entry, &anchor.registry_key)
            .map_err(|error| error.to_string())?;
        Ok(piece(&verified, &anchor.registry_origin))
    });
    verified.collect()
}
