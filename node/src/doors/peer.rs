//! The peer door: other nodes ask here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use jisr_ledger::tlog::{ADD_CHECKPOINT, Resource};
use jisr_proto::peer::{
    ExchangeRequest, ExchangeResponse, HelloRequest, HelloResponse, ProveRequest, SettleRequest, ShowRequest,
};
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::accept::{Stopped, serve_connection};
use super::{body_fault, not_grpc, refuse, tiles, witness};
use crate::cancelled::Cancelled;
use crate::closets::{Closets, withheld};
use crate::ends::End;
use crate::form::{self, ENVELOPE_BYTES_MAX, PROTOCOL_VERSION};
use crate::grpc::{self, Chunks, FrameError, Status};
use crate::peers::head_before_payload;
use crate::{paying, provider, question, receipts, reconciling, settling};

/// How long a peer may take to send one request.
const REQUEST_WAIT: std::time::Duration = std::time::Duration::from_secs(60);

/// How long calls on a connection are answered with the reason for which it is cut.
const CUT_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// One connection: who is at the other end, and whether it has introduced itself.
struct Caller {
    end: End,
    /// The connection is being cut: calls in flight are told why.
    cut: Notify,
    greeted: AtomicBool,
    /// It showed no checkpoint where one of its ledger is known: it hears what is known, as a recovering node must, and nothing else.
    keeps_back: AtomicBool,
}

/// Serves one connection.
pub(crate) async fn serve(closets: Arc<Closets>, stream: TcpStream, stopped: Stopped) {
    let limits = closets.config.limits.clone();
    let acceptor = closets.identity.acceptor();
    let accepted = tokio::time::timeout(limits.handshake_timeout, acceptor.accept(stream)).await;
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "peer door: a caller failed the TLS handshake");
            return closets.refusals.count("", Reason::CertificateInvalid);
        }
        Err(_) => return closets.refusals.count("", Reason::CertificateInvalid),
    };
    let view = closets.directory.newest();
    let Some(end) = view.and_then(|view| End::of(stream.get_ref().1.peer_certificates(), &view)) else {
        return;
    };
    let caller = Arc::new(Caller {
        end,
        cut: Notify::new(),
        greeted: AtomicBool::new(false),
        keeps_back: AtomicBool::new(false),
    });
    let (watched, whose) = (Arc::clone(&closets), Arc::clone(&caller));
    let served = serve_connection(stream, &limits, stopped, move |request| {
        handle(Arc::clone(&closets), Arc::clone(&caller), request)
    });
    tokio::pin!(served);
    let fault = tokio::select! {
        () = served.as_mut() => return,
        fault = until_cut(&watched, &whose.end) => fault,
    };
    tracing::warn!(node = %whose.end.node, %fault, "peer door: a connection is cut");
    whose.cut.notify_waiters();
    // Calls are answered with the reason for a moment; whoever does not read it is cut without a word.
    let _ = tokio::time::timeout(CUT_WAIT, served).await;
}

/// Returns once the newest snapshot no longer lets the connection go on.
async fn until_cut(closets: &Closets, end: &End) -> Fault {
    let mut versions = closets.directory.follow();
    loop {
        versions.mark_unchanged();
        if let Some(Err(fault)) = closets.directory.newest().map(|view| end.holds(&view)) {
            return fault;
        }
        if versions.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn handle(closets: Arc<Closets>, caller: Arc<Caller>, request: Request<Incoming>) -> Response<Chunks> {
    if !grpc::is_grpc(request.headers()) {
        return Box::pin(plain(&closets, &caller, request)).await;
    }
    if request.method() != Method::POST {
        return not_grpc(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let cut = caller.cut.notified();
    let outcome = tokio::select! {
        biased;
        outcome = dispatch(&closets, &caller, request) => outcome,
        // Nothing more goes to a node whose certificate was revoked, but why.
        () = cut => Err(still_there(&closets, &caller).err().unwrap_or_else(|| {
            Fault::new(Reason::CertificateRevoked, "the connection was cut while the call was under way")
        })),
    };
    match outcome {
        Ok((head, payload)) => {
            let mut trailers = http::HeaderMap::with_capacity(1);
            Status::default().write(&mut trailers);
            grpc::respond(grpc::response_headers(), Chunks::reply(head, payload, trailers))
        }
        Err(fault) => {
            closets.refusals.count(caller.end.node.as_str(), fault.reason);
            closets.counters.refused.up();
            refuse(&fault, grpc::response_headers())
        }
    }
}

/// What C2SP asks of a witness and of a log, beside gRPC: these callers know no `Hello`.
async fn plain(closets: &Arc<Closets>, caller: &Caller, request: Request<Incoming>) -> Response<Chunks> {
    if let Err(fault) = still_there(closets, caller) {
        closets.refusals.count(caller.end.node.as_str(), fault.reason);
        return witness::refused(&fault);
    }
    let (parts, body) = request.into_parts();
    match (&parts.method, parts.uri.path(), Resource::parse(parts.uri.path())) {
        (&Method::POST, ADD_CHECKPOINT, _) => witness::add_checkpoint(closets, &caller.end.node, body).await,
        (&Method::GET, _, Some(resource)) => tiles::fetch(closets, &caller.end.node, resource).await,
        (&Method::GET, ..) => not_grpc(StatusCode::NOT_FOUND),
        _ => not_grpc(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

async fn dispatch(
    closets: &Arc<Closets>,
    caller: &Caller,
    request: Request<Incoming>,
) -> Result<(Bytes, Bytes), Fault> {
    still_there(closets, caller)?;
    let (parts, body) = request.into_parts();
    let method = parts.uri.path().strip_prefix("/jisr.peer.v1.Peer/").unwrap_or_default();
    let limit = match method {
        "Exchange" => closets.config.limits.body_bytes_max + ENVELOPE_BYTES_MAX,
        _ => ENVELOPE_BYTES_MAX,
    };
    let message = tokio::time::timeout(REQUEST_WAIT, grpc::read_message(body, limit))
        .await
        .map_err(|_| Fault::new(Reason::DeadlineExceeded, "the request did not arrive in time"))?
        .map_err(|error| body_fault(&error, Reason::MalformedFrame))?;
    if method == "Hello" {
        return Box::pin(hello(closets, caller, decode(message)?))
            .await
            .map(|response| (response.encode_to_vec().into(), Bytes::new()));
    }
    if !caller.greeted.load(Ordering::Acquire) {
        return Err(Fault::new(
            Reason::ProtocolVersion,
            "the first call on a connection is Hello",
        ));
    }
    // A node that waits still says what others may rest on; one in quarantine says nothing any more.
    if method != "Prove" || closets.standing.is_quarantined() {
        closets.standing.admits()?;
    }
    if matches!(method, "Exchange" | "Settle") && caller.keeps_back.load(Ordering::Acquire) {
        return Err(withheld(&caller.end.node));
    }
    match method {
        "Exchange" => {
            form::envelope(&message)?;
            exchange(closets, caller, decode(message)?).await.map(split)
        }
        "Settle" => Box::pin(settle(closets, caller, decode(message)?)).await.map(split),
        "Prove" => {
            closets.budget.spend(&caller.end.node, closets.clock.now_us())?;
            let request: ProveRequest = decode(message)?;
            Box::pin(paying::prove(closets, request))
                .await
                .map(|response| (response.encode_to_vec().into(), Bytes::new()))
        }
        "Show" => {
            let request: ShowRequest = decode(message)?;
            let shown = Box::pin(paying::show(closets, &caller.end.node, &request)).await?;
            Ok((shown.encode_to_vec().into(), Bytes::new()))
        }
        "Receipts" => {
            let taken = Box::pin(receipts::take(closets, &caller.end.node, decode(message)?)).await?;
            Ok((taken.encode_to_vec().into(), Bytes::new()))
        }
        "Reconcile" => {
            let held = Box::pin(reconciling::answer(closets, &caller.end.node, decode(message)?)).await?;
            Ok((held.encode_to_vec().into(), Bytes::new()))
        }
        _ => Err(Fault::new(
            Reason::UnknownMethod,
            format!("{} is no method of the peer protocol", parts.uri.path()),
        )),
    }
}

fn decode<M: Message + Default>(message: Bytes) -> Result<M, Fault> {
    M::decode(message).map_err(|error| Fault::new(Reason::MalformedFrame, error.to_string()))
}

fn split(mut response: ExchangeResponse) -> (Bytes, Bytes) {
    let payload = std::mem::take(&mut response.payload);
    (head_before_payload(&response, payload.len()), payload)
}

/// A connection that must not go on is refused on the next call, whatever the handshake said.
fn still_there(closets: &Closets, caller: &Caller) -> Result<(), Fault> {
    let now_us = closets.now_us();
    caller.end.holds(&*closets.directory.current(now_us)?)?;
    caller.end.in_time(now_us)
}

async fn hello(closets: &Closets, caller: &Caller, request: HelloRequest) -> Result<HelloResponse, Fault> {
    let view = closets.directory.current(closets.now_us())?;
    let row = view
        .node(&caller.end.node)
        .ok_or_else(|| Fault::new(Reason::OriginUnlisted, format!("{} is not listed", caller.end.node)))?;
    form::hello(&request, &caller.end.node, &row.origin)?;
    closets.compare_snapshots(&caller.end.node, request.snapshot_version, &request.snapshot)?;
    // A seal that was seen says more of the caller's ledger than what was checked, where it is newer.
    let (seen_size, seen) = closets.owed.newest_checkpoint(&row.origin);
    let (watching, row) = (Arc::clone(&closets.watching), Arc::clone(row));
    let keeps_back = watching.keeps_back(&row, &request.checkpoint, seen_size);
    let compared = tokio::task::spawn_blocking(move || {
        watching.held_of_us(row.id.as_str(), &request.yours, false)?;
        watching.shown_by_caller(&row, &request.checkpoint)?;
        let yours = match watching.witness.newest(&row.origin) {
            Some((checked, note)) if checked.size >= seen_size => note,
            _ => seen,
        };
        let checkpoint = watching.shown();
        let proof = watching.proof_from(&request.yours, &checkpoint);
        Ok::<_, Fault>((checkpoint, proof, yours))
    });
    let (checkpoint, proof, yours) = compared
        .await
        .map_err(|_| Fault::new(Reason::Internal, "see the node's log"))??;
    caller.keeps_back.store(keeps_back, Ordering::Release);
    caller.greeted.store(true, Ordering::Release);
    Ok(HelloResponse {
        version: PROTOCOL_VERSION,
        origin: closets.origin.to_string(),
        snapshot_version: view.version,
        snapshot: Bytes::copy_from_slice(&view.digest),
        recovering: checkpoint.is_empty(),
        checkpoint,
        yours,
        proof,
    })
}

/// A place for what goes on although its asker goes away.
fn place(closets: &Closets) -> Result<OwnedSemaphorePermit, Fault> {
    let taken = |_| {
        Fault::new(
            Reason::Overloaded,
            "all places for exchanges at the peer door are taken",
        )
    };
    Arc::clone(&closets.places.answered).try_acquire_owned().map_err(taken)
}

/// Runs the corridor in a task of its own: a peer that goes away cancels it, but does not drop it between two statements.
async fn exchange(
    closets: &Arc<Closets>,
    caller: &Caller,
    request: ExchangeRequest,
) -> Result<ExchangeResponse, Fault> {
    let place = place(closets)?;
    let limit = closets.config.limits.body_bytes_max;
    if request.payload.len() > limit {
        return Err(body_fault(&FrameError::TooLarge { limit }, Reason::MalformedFrame));
    }
    let (guard, cancelled) = Cancelled::pair();
    let (closets, node) = (Arc::clone(closets), caller.end.node.clone());
    let task = tokio::spawn(Box::pin(async move {
        closets.counters.open.up();
        let answered = provider::answer(&closets, &node, request, cancelled).await;
        closets.counters.open.down();
        drop(place);
        answered
    }));
    let answered = task.await;
    drop(guard);
    answered.unwrap_or_else(|error| {
        tracing::error!(%error, "an exchange ended in a defect of this program");
        Err(Fault::new(Reason::Internal, "see the node's log"))
    })
}

async fn settle(closets: &Arc<Closets>, caller: &Caller, request: SettleRequest) -> Result<ExchangeResponse, Fault> {
    let view = closets.directory.current(closets.now_us())?;
    let asked = request
        .asked
        .ok_or_else(|| Fault::new(Reason::MalformedStatement, "no statement came along"))?;
    let question = question::verify(closets, &view, &caller.end.node, &asked)?;
    // In a task of its own, as an exchange: an asker that goes away must not leave an id taken that nobody closes.
    let place = place(closets)?;
    let closets = Arc::clone(closets);
    let telling = tokio::spawn(Box::pin(async move {
        let told = settling::tell(&closets, &question).await;
        drop(place);
        told
    }));
    telling.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a settling ended in a defect of this program");
        Err(Fault::new(Reason::Internal, "see the node's log"))
    })
}
