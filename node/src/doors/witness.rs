//! The node as a witness: cosigns checkpoints of listed nodes at its peer door (C2SP tlog-witness, add-checkpoint).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use jisr_ledger::note::VerifierKey;
use jisr_ledger::tlog::{Answer, BODY_BYTES_MAX};
use jisr_proto::ident::{NodeId, Origin};
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;

use crate::closets::Closets;
use crate::grpc::Chunks;

/// How long a peer may take to send a checkpoint.
const REQUEST_WAIT: Duration = Duration::from_secs(10);

/// Answers add-checkpoint. What is remembered of the ledger is durable before the cosignature leaves.
pub(crate) async fn add_checkpoint(closets: &Arc<Closets>, peer: &NodeId, body: Incoming) -> Response<Chunks> {
    let answer = match judge(closets, peer, body).await {
        Ok(answer) => answer,
        Err(fault) => {
            closets.refusals.count(peer.as_str(), fault.reason);
            answer_of(&fault)
        }
    };
    if answer.status() == 409 || answer.status() == 422 {
        tracing::debug!(%peer, status = answer.status(), "a checkpoint was not cosigned");
    }
    respond(&answer)
}

async fn judge(closets: &Arc<Closets>, peer: &NodeId, body: Incoming) -> Result<Answer, Fault> {
    // A node that does not know whether its disk was rolled back does not know what it cosigned either.
    closets.standing.admits()?;
    closets.budget.spend(peer, closets.clock.now_us())?;
    let body = match read(body).await {
        Ok(body) => body,
        Err(answer) => return Ok(answer),
    };
    let view = closets.directory.current(closets.now_us())?;
    let closets = Arc::clone(closets);
    let asked = tokio::task::spawn_blocking(move || {
        let key_of =
            |origin: &Origin| -> Option<VerifierKey> { view.node_of_origin(origin).map(|row| row.seal_key.clone()) };
        let time_s = closets.clock.now_us() / 1_000_000;
        closets.watching.witness.answer(&body, key_of, time_s)
    });
    asked
        .await
        .map_err(|_| Fault::new(Reason::Internal, "the witness stopped unexpectedly"))
}

/// The body, bounded while it comes in.
async fn read(body: Incoming) -> Result<Bytes, Answer> {
    let read = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(REQUEST_WAIT, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Answer::refused(
            413,
            format!("caller: the body is longer than {BODY_BYTES_MAX} bytes"),
        )),
        Ok(Err(error)) => Err(Answer::refused(400, format!("caller: the body broke off: {error}"))),
        Err(_) => Err(Answer::refused(408, "caller: the request did not arrive in time")),
    }
}

/// A fault of this node as a plain HTTP answer.
pub(super) fn refused(fault: &Fault) -> Response<Chunks> {
    respond(&answer_of(fault))
}

fn answer_of(fault: &Fault) -> Answer {
    let status = match fault.reason {
        Reason::ProofBudget => 429,
        Reason::CertificateRevoked | Reason::OriginUnlisted => 403,
        Reason::Internal => 500,
        _ => 503,
    };
    Answer::refused(status, fault.message())
}

fn respond(answer: &Answer) -> Response<Chunks> {
    text(answer.status(), answer.content_type(), answer.body().into())
}

/// A plain HTTP answer with a body.
pub(super) fn text(status: u16, content_type: &'static str, body: Bytes) -> Response<Chunks> {
    let mut response = Response::new(Chunks::text(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("answers have constant statuses");
    let kind = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
