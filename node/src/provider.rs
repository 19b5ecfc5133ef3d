//! The provider's corridor: from a peer's question to the sealed answer.
//!
//! 4 verify the seal, permit, not seen before · 5 append RECEIVED · 6 call the backend · 7 append ANSWERED, send.
//! A read waits for the disk once here, since RECEIVED and its closing share a commit; a call with effects waits before
//! and after.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::replay::ReplayError;
use jisr_ledger::statement::{Closed, Draft};
use jisr_proto::ident::NodeId;
use jisr_proto::peer::{ExchangeRequest, ExchangeResponse, Metadata};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind, Sealed};
use jisr_proto::status::Fault;

use crate::agreements::{self, Permit, Wanted};
use crate::backends::{BackendCall, BackendReply};
use crate::cancelled::Cancelled;
use crate::closets::{Closets, code};
use crate::directory::{self, View};
use crate::facts::{Facts, Parties};
use crate::question::{self, Question};
use crate::receipts::Answered;
use crate::settling;

/// Between two attempts to write the end of an exchange.
const ROOM_WAIT: Duration = Duration::from_millis(200);

/// What came with the question beside the statement.
struct Carried {
    metadata: Vec<Metadata>,
    timeout: Duration,
    payload: Bytes,
}

/// Answers one question of the node `peer`. A fault is a refusal without a statement.
pub(crate) async fn answer(
    closets: &Arc<Closets>,
    peer: &NodeId,
    request: ExchangeRequest,
    cancelled: Cancelled,
) -> Result<ExchangeResponse, Fault> {
    let view = closets.directory.current(closets.now_us())?;
    if let Some(from) = view.node(peer) {
        closets.trust.admits(from)?;
    }
    closets.receipts_owed.admits(peer)?;
    let asked = request
        .asked
        .ok_or_else(|| Fault::new(Reason::MalformedStatement, "no statement came along".to_owned()))?;
    let question = question::verify(closets, &view, peer, &asked)?;
    let view = question::up_to_date(closets, view, question.asked.statement.core().snapshot_version).await?;
    question::check_time(closets, question.asked.statement.core())?;
    question::check_id(closets, question.exchange, question.asked.statement.core().created_us)?;
    let core = question.asked.statement.core();
    let until_us = core.expires_us.saturating_add(2 * closets.config.limits.skew_us);
    match closets.replay.enter(
        question.exchange,
        question.asked.statement.leaf(),
        until_us,
        closets.now_us(),
    ) {
        Ok(()) => {}
        Err(ReplayError::Seen(seen)) if seen.asked == question.asked.statement.leaf() => {
            return Box::pin(settling::tell(closets, &question)).await;
        }
        Err(ReplayError::Seen(_)) => {
            let detail = format!("exchange {} was taken on with other content", question.exchange);
            return Err(Fault::new(Reason::ExchangeIdReused, detail));
        }
        Err(error @ ReplayError::Full) => return Err(Fault::new(Reason::Overloaded, error.to_string())),
    }
    let left = core.expires_us.saturating_sub(closets.now_us());
    let carried = Carried {
        metadata: request.metadata,
        timeout: Duration::from_micros(request.timeout_us.min(left)),
        payload: request.payload,
    };
    match permit(closets, &view, &question, &carried.payload) {
        // Where the refusal could not be written nothing stands, and the question may come again.
        Err(denied) => Box::pin(refuse(closets, &view, &question, denied))
            .await
            .inspect_err(|_| closets.replay.withdraw(question.exchange)),
        Ok(permit) if permit.no_side_effects() => read(closets, &view, &question, &permit, carried, cancelled).await,
        Ok(permit) => Box::pin(run_once(closets, &view, &question, &permit, carried)).await,
    }
}

/// The provider's own judgement, by its own newest snapshot.
fn permit(closets: &Closets, view: &View, question: &Question, payload: &Bytes) -> Result<Permit, Fault> {
    let statement = &question.asked.statement;
    let core = statement.core();
    let purpose = statement
        .purpose()
        .ok_or_else(|| Fault::new(Reason::PurposeMissing, "ASKED holds no purpose".to_owned()))?;
    let wanted = Wanted {
        consumer: &question.consumer,
        provider: &question.provider,
        path: &question.path,
        purpose,
        consent: statement.consent().is_some(),
        duty: statement.duty().is_some(),
    };
    let permit = agreements::permit_cited(view, &core.agreement, &wanted, closets.now_us())?;
    if core.schema != permit.schema().as_slice() {
        let detail = format!("{} asks by another schema than is agreed", question.consumer);
        return Err(Fault::new(Reason::SchemaChanged, detail));
    }
    if core.no_side_effects != permit.no_side_effects() || core.mask != permit.mask() {
        let detail = "ASKED states another mask or other effects than the agreement".to_owned();
        return Err(Fault::new(Reason::MethodNotAgreed, detail));
    }
    let own = closets.own_row(view)?;
    if core.key_set != directory::key_set(&question.from, &own).as_slice() {
        let detail = format!(
            "ASKED rests on other keys or certificates than snapshot {} lists",
            view.version
        );
        return Err(Fault::new(Reason::KeySetChanged, detail));
    }
    if core.payload_bytes != payload.len() as u64 || !statement.payload_matches(payload) {
        return Err(Fault::new(
            Reason::PayloadMismatch,
            "the message is not the one ASKED commits to".to_owned(),
        ));
    }
    if !closets.backends.serves(&question.path.service, &question.provider) {
        let detail = format!(
            "{} has no backend configured for {}",
            closets.node, question.path.service
        );
        return Err(Fault::new(Reason::BackendUnreachable, detail));
    }
    closets.away.admits(permit.is_high())?;
    Ok(permit)
}

fn facts(closets: &Closets, view: &View, question: &Question, permit: Option<&Permit>) -> Result<Facts, Fault> {
    let parties = Parties {
        instance: &question.asked.statement.core().instance,
        exchange: question.exchange,
        consumer: &question.consumer,
        provider: &question.provider,
        path: &question.path,
    };
    let own = closets.own_row(view)?;
    let facts = Facts::new(&parties, view).between(&question.from, &own);
    Ok(match permit {
        Some(permit) => facts.permitted(permit),
        None => facts.citing(question.asked.statement.core()),
    })
}

/// RECEIVED, with the consumer's ASKED kept beside it, and the question itself where the method asks for that.
fn received(closets: &Closets, facts: &Facts, question: &Question, payload: &Bytes) -> Draft {
    let draft = Draft::new(facts.core(Kind::Received, closets.now_us())).citing(question.asked.clone());
    if closets.keeps_messages(question.asked.statement.core()) {
        draft.keep(payload.clone())
    } else {
        draft
    }
}

/// A sealed refusal.
async fn refuse(closets: &Closets, view: &View, question: &Question, denied: Fault) -> Result<ExchangeResponse, Fault> {
    let facts = facts(closets, view, question, None)?;
    let core = Core {
        status: code(&denied),
        rule: denied.reason.as_str().to_owned(),
        ..facts.core(Kind::Refused, closets.now_us())
    };
    let draft = Draft::new(core).citing(question.asked.clone());
    let sealed = close(closets, question, vec![draft], Kind::Refused).await?;
    closets.counters.refused.up();
    Ok(ExchangeResponse {
        closing: Some(sealed),
        status_message: denied.detail.to_owned(),
        ..Default::default()
    })
}

/// A method without side effects: the backend first, then one commit for RECEIVED and the closing.
async fn read(
    closets: &Arc<Closets>,
    view: &View,
    question: &Question,
    permit: &Permit,
    carried: Carried,
    cancelled: Cancelled,
) -> Result<ExchangeResponse, Fault> {
    let facts = facts(closets, view, question, Some(permit))?;
    if let Err(error) = closets.ledger.admits() {
        closets.replay.withdraw(question.exchange);
        return Err(crate::closets::append_fault(&error));
    }
    let received = received(closets, &facts, question, &carried.payload);
    let outcome = tokio::select! {
        outcome = ask_backend(closets, question, carried) => Some(outcome),
        () = cancelled.wait() => None,
    };
    let Some(outcome) = outcome else {
        let core = Core {
            status: Reason::Cancelled.code() as u32,
            rule: Reason::Cancelled.as_str().to_owned(),
            ..facts.core(Kind::Cancelled, closets.now_us())
        };
        close(
            closets,
            question,
            vec![received, Draft::new(core).peer(&question.asked.citation())],
            Kind::Cancelled,
        )
        .await
        .inspect_err(|_| closets.replay.withdraw(question.exchange))?;
        closets.counters.failed.up();
        return Err(Fault::new(Reason::Cancelled, "the consumer gave up".to_owned()));
    };
    // All of it or nothing stands: where it is nothing, the question may come again.
    finish(closets, &facts, question, Some(received), outcome)
        .await
        .inspect_err(|_| closets.replay.withdraw(question.exchange))
}

/// A method with effects: RECEIVED is durable before the backend hears of it, and it is called once whatever happens to
/// the caller.
async fn run_once(
    closets: &Arc<Closets>,
    view: &View,
    question: &Question,
    permit: &Permit,
    carried: Carried,
) -> Result<ExchangeResponse, Fault> {
    let facts = facts(closets, view, question, Some(permit))?;
    let received = received(closets, &facts, question, &carried.payload).close();
    if let Err(fault) = closets.append(vec![received]).await {
        closets.replay.withdraw(question.exchange);
        return Err(fault);
    }
    let outcome = ask_backend(closets, question, carried).await;
    finish(closets, &facts, question, None, outcome).await
}

async fn ask_backend(closets: &Closets, question: &Question, carried: Carried) -> Result<BackendReply, Fault> {
    let call = BackendCall {
        path: &question.path,
        exchange: question.exchange,
        consumer: &question.consumer,
        purpose: question.asked.statement.purpose().unwrap_or_default(),
        metadata: &carried.metadata,
        timeout: carried.timeout,
        payload: carried.payload,
    };
    tokio::time::timeout(carried.timeout, closets.backends.call(call))
        .await
        .unwrap_or_else(|_| {
            let detail = format!(
                "the backend of {} did not answer within {} ms",
                question.path,
                carried.timeout.as_millis()
            );
            Err(Fault::new(Reason::BackendTimeout, detail))
        })
}

/// ANSWERED, or FAILED where no well-formed answer came.
async fn finish(
    closets: &Arc<Closets>,
    facts: &Facts,
    question: &Question,
    received: Option<Draft>,
    outcome: Result<BackendReply, Fault>,
) -> Result<ExchangeResponse, Fault> {
    let now = closets.now_us();
    let (kind, core, response) = match outcome {
        Ok(reply) => {
            closets.counters.answered.up();
            let core = Core {
                status: reply.status.code,
                ..facts.core(Kind::Answered, now)
            };
            (Kind::Answered, core, answered(reply))
        }
        Err(fault) => {
            closets.counters.failed.up();
            let core = Core {
                status: code(&fault),
                rule: fault.reason.as_str().to_owned(),
                ..facts.core(Kind::Failed, now)
            };
            let response = ExchangeResponse {
                status_message: fault.detail.to_owned(),
                ..Default::default()
            };
            (Kind::Failed, core, response)
        }
    };
    let mut closing = Draft::new(core).peer(&question.asked.citation());
    if kind == Kind::Answered {
        closing = closing.payload(&response.payload);
        if closets.keeps_messages(question.asked.statement.core()) {
            closing = closing.keep(response.payload.clone());
        }
    }
    let has_run = received.is_none();
    let drafts: Vec<Draft> = received.into_iter().chain([closing]).collect();
    if has_run {
        return Box::pin(close_at_last(closets, question, drafts, kind, response)).await;
    }
    Ok(ExchangeResponse {
        closing: Some(close(closets, question, drafts, kind).await?),
        ..response
    })
}

fn answered(reply: BackendReply) -> ExchangeResponse {
    ExchangeResponse {
        initial_metadata: reply.initial,
        trailing_metadata: reply.trailing,
        status_message: reply.status.message,
        status_details: reply.status.details,
        payload: reply.payload,
        ..Default::default()
    }
}

/// Appends the drafts, of which the last closes the exchange, and returns that one sealed.
pub(crate) async fn close(
    closets: &Closets,
    question: &Question,
    drafts: Vec<Draft>,
    kind: Kind,
) -> Result<Sealed, Fault> {
    let statements: Vec<Closed> = drafts.into_iter().map(Draft::close).collect();
    let leaf = statements.last().map(Closed::leaf);
    let (sealed, index) = append_closed(closets, statements).await?;
    owes_receipt(closets, question, kind, leaf.map(|leaf| Answered { index, leaf }));
    closets.replay.close(question.exchange, kind, index);
    Ok(sealed)
}

/// From now on the consumer's node owes the receipt of an answer.
fn owes_receipt(closets: &Closets, question: &Question, kind: Kind, answered: Option<Answered>) {
    if let Some(answered) = answered.filter(|_| kind == Kind::Answered && question.from.origin != closets.origin) {
        closets
            .receipts_owed
            .note(&question.from, question.exchange, answered, closets.now_us());
    }
}

/// The same for an exchange that has run: its end is written as soon as there is room, however long that takes. The reply
/// is kept before the replay set says that the exchange is closed, so that nobody who asks meanwhile finds it gone.
async fn close_at_last(
    closets: &Closets,
    question: &Question,
    drafts: Vec<Draft>,
    kind: Kind,
    response: ExchangeResponse,
) -> Result<ExchangeResponse, Fault> {
    let statements: Vec<Closed> = drafts.into_iter().map(Draft::close).collect();
    loop {
        match append_closed(closets, statements.clone()).await {
            Err(fault) if matches!(fault.reason, Reason::Overloaded | Reason::LedgerFull) => {
                tracing::warn!(exchange = %question.exchange, %fault, "the end of an exchange waits for room in the ledger");
                tokio::time::sleep(ROOM_WAIT).await;
            }
            outcome => {
                let (sealed, index) = outcome?;
                let response = ExchangeResponse {
                    closing: Some(sealed),
                    ..response
                };
                let expires_us = question.asked.statement.core().expires_us;
                let until_us = expires_us.saturating_add(closets.config.limits.skew_us);
                closets
                    .answers
                    .keep(question.exchange, &response, until_us, closets.now_us());
                let leaf = statements.last().map(Closed::leaf);
                owes_receipt(closets, question, kind, leaf.map(|leaf| Answered { index, leaf }));
                closets.replay.close(question.exchange, kind, index);
                return Ok(response);
            }
        }
    }
}

/// Appends the drafts in one commit and returns the last one sealed, with its index.
pub(crate) async fn append_sealed(closets: &Closets, drafts: Vec<Draft>) -> Result<(Sealed, u64), Fault> {
    append_closed(closets, drafts.into_iter().map(Draft::close).collect()).await
}

async fn append_closed(closets: &Closets, statements: Vec<Closed>) -> Result<(Sealed, u64), Fault> {
    let last = statements.last().expect("a draft was given").statement();
    let stands = closets.append(statements).await?;
    let stands = stands.last().expect("each statement appended stands somewhere");
    Ok((
        Sealed {
            statement: Some(last),
            seal: Some(stands.seal()),
        },
        stands.index,
    ))
}
