//! Making the files that prove exchanges: this ledger's statements, the other side's, and what both rest on.

mod gathering;
mod grounds;
mod keeping;
mod selecting;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::archive::Role;
use jisr_ledger::evidence::{Builder, EvidenceError, SET_EXCHANGES_MAX, SetBuilder, encode, encode_set};
use jisr_ledger::statement::Tag;
use jisr_proto::admin::{EvidenceChunk, ExportEvidenceSetRequest};
use jisr_proto::ident::ExchangeId;
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::closets::Closets;
use crate::roles;
use gathering::{Gathered, gather};
use grounds::Grounds;

pub(crate) use keeping::keep_entries;

/// Between two looks while something still lacks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Exchanges of a set that are gathered at the same time.
const AT_ONCE: usize = 16;
/// Bytes of a set that go out in one message.
const CHUNK_BYTES: usize = 256 * 1024;
/// An exchange, and on which side of it this node stood where its id alone does not say it.
type Chosen = (ExchangeId, Option<Role>);

/// Things that a set lacks which are told one by one.
const LACKS_TOLD: usize = 100;

/// Makes the evidence of one exchange; `role` says which, where its id was used on both sides. Waits up to `wait` for closing statements and cosigned checkpoints; returns the
/// file and what it still lacks.
pub(crate) async fn export(
    closets: &Arc<Closets>,
    exchange: ExchangeId,
    role: Option<Role>,
    withhold: &[u32],
    wait: Duration,
) -> Result<(Bytes, Vec<String>), Fault> {
    let withheld = tags(withhold)?;
    let (gathered, mut lacks) = wait_for(closets, exchange, role, Instant::now() + wait).await?;
    let mut builder = Builder::new(&closets.node.instance(), &exchange, closets.clock.now_us());
    let mut grounds = Grounds::default();
    grounds.need(closets, &gathered, &mut lacks);
    for piece in gathered.pieces {
        builder = builder.statement(piece, &withheld);
    }
    for stamped in gathered.stamps {
        builder = builder.stamp(&stamped.note, stamped.token, stamped.renewals);
    }
    let found = grounds.collect(closets, &mut lacks).await;
    builder = found.entries.into_iter().fold(builder, Builder::registry_entry);
    builder = found.certificates.into_iter().fold(builder, Builder::certificate);
    for kept in found.snapshots {
        builder = builder.snapshot(kept.signed.header, kept.signed.note, kept.rows);
    }
    let evidence = builder.with_fewer_cosignatures(closets.directory.anchor()).build();
    Ok((encode(&evidence).map_err(too_long)?.into(), lacks))
}

/// Makes the evidence of many exchanges and sends it piece by piece.
pub(crate) async fn export_set(
    closets: &Arc<Closets>,
    request: ExportEvidenceSetRequest,
    chunks: mpsc::Sender<Result<EvidenceChunk, tonic::Status>>,
) -> Result<(), Fault> {
    let withheld = tags(&request.withhold)?;
    let filter = request.filter.unwrap_or_default();
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let limit = if limit == 0 {
        SET_EXCHANGES_MAX
    } else {
        limit.min(SET_EXCHANGES_MAX)
    };
    let role = roles::named(request.role)?;
    let selected = selecting::select(closets, &filter, limit).await?;
    let (selected, twofold) = on_one_side(closets, selected, role).await?;
    let title = selecting::title(&filter, selected.len());
    let wait = Duration::from_millis(u64::from(request.wait_ms)).min(Duration::from_secs(60));
    let mut builder = SetBuilder::new(&closets.node.instance(), &title, closets.clock.now_us());
    let (mut grounds, mut lacks) = (Grounds::default(), twofold);
    let until = Instant::now() + wait;
    for some in selected.chunks(AT_ONCE) {
        for ((exchange, _), gathered) in some.iter().zip(wait_for_all(closets, some, until).await?) {
            let (gathered, lacking) = gathered;
            lacks.extend(lacking.into_iter().map(|lack| format!("{exchange}: {lack}")));
            grounds.need(closets, &gathered, &mut lacks);
            for piece in gathered.pieces {
                builder.statement(exchange, piece, &withheld);
            }
            for stamped in gathered.stamps {
                builder.stamp(&stamped.note, stamped.token, stamped.renewals);
            }
        }
    }
    let found = grounds.collect(closets, &mut lacks).await;
    found
        .entries
        .into_iter()
        .for_each(|entry| builder.registry_entry(entry));
    found.certificates.into_iter().for_each(|der| builder.certificate(der));
    for kept in found.snapshots {
        builder.snapshot(kept.signed.header, kept.signed.note, kept.rows);
    }
    let file = tokio::task::spawn_blocking(move || encode_set(&builder.build())).await;
    let file = file.map_err(|error| Fault::new(Reason::Internal, error.to_string()))?;
    send(file.map_err(too_long)?.into(), selected.len(), lacks, &chunks).await;
    Ok(())
}

/// Which of two exchanges is meant, for each id; and what is told of ids that stand for two where none is named.
async fn on_one_side(
    closets: &Arc<Closets>,
    selected: Vec<ExchangeId>,
    role: Option<Role>,
) -> Result<(Vec<Chosen>, Vec<String>), Fault> {
    let (mut chosen, mut told) = (Vec::with_capacity(selected.len()), Vec::new());
    for exchange in selected {
        match role {
            Some(role) if !gathering::stood(closets, exchange, role).await? => {}
            Some(role) => chosen.push((exchange, Some(role))),
            None if gathering::is_twofold(closets, exchange).await? => {
                chosen.push((exchange, Some(Role::Consumer)));
                told.push(format!(
                    "{exchange}: a peer asked back under this id, and of two exchanges the file holds the one that this node \
                     asked; make another with --role provider"
                ));
            }
            None => chosen.push((exchange, None)),
        }
    }
    if chosen.is_empty() {
        let detail = "this node's ledger holds no exchange for which all of that holds";
        return Err(Fault::new(Reason::UnknownExchange, detail));
    }
    Ok((chosen, told))
}

/// Sends the file; who asked may have gone away.
async fn send(
    mut file: Bytes,
    exchanges: usize,
    mut lacks: Vec<String>,
    chunks: &mpsc::Sender<Result<EvidenceChunk, tonic::Status>>,
) {
    if lacks.len() > LACKS_TOLD {
        let more = lacks.len() - LACKS_TOLD;
        lacks.truncate(LACKS_TOLD);
        lacks.push(format!("and {more} more; jisr evidence verify names each"));
    }
    while file.len() > CHUNK_BYTES {
        let chunk = EvidenceChunk {
            data: file.split_to(CHUNK_BYTES),
            ..EvidenceChunk::default()
        };
        if chunks.send(Ok(chunk)).await.is_err() {
            return;
        }
    }
    let last = EvidenceChunk {
        data: file,
        exchanges: u32::try_from(exchanges).unwrap_or(u32::MAX),
        lacks,
    };
    if chunks.send(Ok(last)).await.is_err() {
        tracing::debug!("whoever asked for evidence has gone away");
    }
}

/// What both ledgers say of an exchange once nothing lacks, or at `until`.
async fn wait_for(
    closets: &Arc<Closets>,
    exchange: ExchangeId,
    role: Option<Role>,
    until: Instant,
) -> Result<(Gathered, Vec<String>), Fault> {
    loop {
        let gathered = gather(closets, exchange, role).await?;
        let lacks = gathered.lacks(closets);
        if lacks.is_empty() || Instant::now() + LOOK_EVERY > until {
            return Ok((gathered, lacks));
        }
        closets.cosigning.cosign_now();
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// As [`wait_for`], of several exchanges at the same time; in their order.
async fn wait_for_all(
    closets: &Arc<Closets>,
    exchanges: &[Chosen],
    until: Instant,
) -> Result<Vec<(Gathered, Vec<String>)>, Fault> {
    let mut waiting = Vec::with_capacity(exchanges.len());
    for (exchange, role) in exchanges.iter().copied() {
        let closets = Arc::clone(closets);
        waiting.push(AbortOnDrop(tokio::spawn(async move {
            wait_for(&closets, exchange, role, until).await
        })));
    }
    let mut gathered = Vec::with_capacity(exchanges.len());
    for mut task in waiting {
        let one = (&mut task.0).await;
        gathered.push(one.map_err(|error| Fault::new(Reason::Internal, error.to_string()))??);
    }
    Ok(gathered)
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn too_long(error: EvidenceError) -> Fault {
    Fault::new(Reason::SelectionTooLarge, error.to_string())
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
