//! One witness and one checkpoint (C2SP tlog-witness, add-checkpoint).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::ledger::SignedCheckpoint;
use jisr_ledger::note::{self, VerifierKey};
use jisr_ledger::tlog::{ADD_CHECKPOINT, AddCheckpoint, Answer};

use super::{Note, greet_registry};
use crate::closets::Closets;
use crate::directory::NodeRow;
use crate::watching;

/// How long a witness may take.
const WAIT: Duration = Duration::from_secs(2);

/// Where a witness is.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// At the registry's door.
    Registry,
    /// At a node's peer door.
    Node(Arc<NodeRow>),
}

/// A witness that is asked.
#[derive(Debug, Clone)]
pub(super) struct Witness {
    /// Its key, type 0x04.
    pub key: VerifierKey,
    /// Member that runs it, or `JO/registry`.
    pub operator: String,
    /// Where it is.
    pub way: Way,
}

/// Has one witness cosign a checkpoint; its line. What it knows of the own ledger and does not fit is compared at once.
pub(super) async fn ask(closets: &Arc<Closets>, witness: &Witness, checkpoint: &SignedCheckpoint) -> Option<String> {
    let asked = tokio::time::timeout(WAIT, ask_from_where_it_is(closets, witness, checkpoint));
    match asked.await {
        Ok(Ok(line)) => {
            closets.cosigning.reached(witness.operator.clone());
            let cosigned = Note {
                size: checkpoint.size,
                note: [&checkpoint.note, line.as_bytes()].concat().into(),
            };
            let name = witness.key.name().to_owned();
            closets.cosigning.lock().by_witness.insert(name, cosigned);
            Some(line)
        }
        Ok(Err(text)) => {
            tracing::debug!(witness = witness.key.name(), text, "a witness did not cosign");
            None
        }
        Err(_) => {
            tracing::debug!(witness = witness.key.name(), "a witness did not answer in time");
            None
        }
    }
}

/// Asks from the size that it cosigned last, and once more from the one that it names.
async fn ask_from_where_it_is(
    closets: &Arc<Closets>,
    witness: &Witness,
    checkpoint: &SignedCheckpoint,
) -> Result<String, String> {
    let known = closets.cosigning.lock().by_witness.get(witness.key.name()).cloned();
    let from = known.as_ref().map_or(0, |known| known.size);
    let size = match post(closets, witness, from, checkpoint.size, &checkpoint.note).await? {
        Answer::Cosigned(lines) => return own_line(&lines, witness, checkpoint),
        Answer::Conflict(size) if size <= checkpoint.size && size != from => size,
        answer => return contradicted(closets, witness, &answer).await,
    };
    if let Some(known) = known.filter(|known| size < known.size) {
        tracing::error!(
            witness = witness.key.name(),
            "a witness remembers size {size} of this ledger and cosigned size {} before: it was rolled back, and is told so",
            known.size
        );
        // Its own line on what it does not remember: from now on it knows that it forgot.
        post(closets, witness, size, known.size, &known.note).await?;
    }
    match post(closets, witness, size, checkpoint.size, &checkpoint.note).await? {
        Answer::Cosigned(lines) => own_line(&lines, witness, checkpoint),
        answer => contradicted(closets, witness, &answer).await,
    }
}

/// The witness knows the own ledger otherwise. Its word alone is nothing; what it holds is the own signature, or is not.
async fn contradicted(closets: &Arc<Closets>, witness: &Witness, answer: &Answer) -> Result<String, String> {
    if matches!(answer, Answer::Conflict(_) | Answer::Refused { status: 422, .. }) {
        match &witness.way {
            Way::Registry => greet_registry(closets).await?,
            Way::Node(row) => watching::greet_known(closets, row)
                .await
                .map_err(|error| format!("{error:?}"))?,
        }
    }
    Err(match answer {
        Answer::Refused { status, text } => format!("it answered {status}: {text}"),
        answer => format!("it answered {}", answer.status()),
    })
}

async fn post(closets: &Arc<Closets>, witness: &Witness, from: u64, to: u64, note: &Bytes) -> Result<Answer, String> {
    let ledger = closets.ledger.clone();
    let proof = tokio::task::spawn_blocking(move || ledger.consistency(from, to));
    let proof = proof.await.ok().flatten().ok_or("no consistency proof can be made")?;
    let request = AddCheckpoint {
        old_size: from,
        proof,
        checkpoint: note.clone(),
    };
    let body = Bytes::from(request.print());
    let posted = match &witness.way {
        Way::Registry => closets.registry.post(ADD_CHECKPOINT, body).await?,
        Way::Node(row) => closets
            .peers
            .post(closets.as_ref(), row, ADD_CHECKPOINT, body)
            .await
            .map_err(|error| format!("{error:?}"))?,
    };
    Ok(Answer::read(
        posted.status,
        posted.content_type.as_deref(),
        &posted.body,
    ))
}

/// The witness's own line, once it holds under its key.
fn own_line(lines: &str, witness: &Witness, checkpoint: &SignedCheckpoint) -> Result<String, String> {
    lines
        .split_inclusive('\n')
        .find(|line| {
            let cosigned = [&checkpoint.note, line.as_bytes()].concat();
            let by = note::cosignatures(&cosigned, std::slice::from_ref(&witness.key));
            by.is_ok_and(|by| !by.is_empty())
        })
        .map(str::to_owned)
        .ok_or_else(|| "no line in its answer is a cosignature by its key".to_owned())
}
