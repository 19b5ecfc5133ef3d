//! Retention: messages whose time is over go, without an officer's word.

use bytes::Bytes;
use jisr_certs::digest::Hash;
use jisr_ledger::erasure::{self, Owner};
use jisr_ledger::ledger::{Cursor, Ledger, Surveyed};
use jisr_ledger::statement::{RETENTION, STORED_PAYLOAD};
use jisr_proto::canonical;
use jisr_proto::ident::MethodPath;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Erased, ErasedParts, Kind};
use jisr_proto::status::Fault;

use super::{blocking, carry_out, document, unreadable};
use crate::closets::Closets;
use crate::node::administrative;

/// Microseconds of a day.
const DAY_US: u64 = 86_400_000_000;
/// Messages that one retention erases at most; more are the next one's.
const RETENTION_MAX: usize = 4096;

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

/// For how many days the message of this statement is kept. What cannot be told, or is not asked for, has no end.
pub(super) fn days(closets: &Closets, core: &Core) -> u32 {
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
