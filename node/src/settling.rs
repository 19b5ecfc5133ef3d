//! How exchanges end that were cut off: the consumer asks, the provider tells, both after a crash too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::Hash;
use jisr_ledger::ledger::{Entry, OpenExchange, Side};
use jisr_ledger::replay::{ReplayError, State};
use jisr_ledger::statement::Draft;
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::peer::{ExchangeResponse, SettleRequest};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind, Seal, Sealed};
use jisr_proto::status::Fault;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::asked::Asked;
use crate::closets::{Closets, code};
use crate::closing;
use crate::directory::NodeRow;
use crate::facts::Facts;
use crate::peers::PeerError;
use crate::provider;
use crate::question::{self, Question};

/// How long a provider lets an asker wait for an exchange that is still running.
const RUNNING_WAIT: Duration = Duration::from_secs(2);
/// Between two looks at a running exchange.
const RUNNING_LOOK: Duration = Duration::from_millis(10);
/// First pause of an asker; doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause of an asker for whom somebody may wait.
const PAUSE_WAITED_MAX: Duration = Duration::from_secs(1);
/// Longest pause between two rounds of the settling after a start.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Lifetime of a question that is far above what any node takes on.
const LIFETIME_US_MAX: u64 = 3_600_000_000;
/// How long an exchange that was closed without an answer is followed for a late one.
const LATE_WAIT: Duration = Duration::from_secs(360);

/// Provider: says how an exchange ended. One that is not known will not be run: that is sealed before it is said.
pub(crate) async fn tell(closets: &Arc<Closets>, question: &Question) -> Result<ExchangeResponse, Fault> {
    let give_up = Instant::now() + RUNNING_WAIT;
    loop {
        let Some(seen) = closets.replay.state(question.exchange) else {
            return tell_from_ledger(closets, question).await;
        };
        if seen.asked != question.asked.statement.leaf() {
            let detail = format!("exchange {} was taken on with other content", question.exchange);
            return Err(Fault::new(Reason::ExchangeIdReused, detail));
        }
        match seen.state {
            State::Closed { .. } => {
                if let Some(kept) = closets.answers.find(&question.exchange, closets.now_us()) {
                    return Ok(kept);
                }
                return tell_from_ledger(closets, question).await;
            }
            State::Running if Instant::now() < give_up => tokio::time::sleep(RUNNING_LOOK).await,
            State::Running => {
                return Ok(ExchangeResponse {
                    pending: true,
                    ..Default::default()
                });
            }
        }
    }
}

async fn tell_from_ledger(closets: &Arc<Closets>, question: &Question) -> Result<ExchangeResponse, Fault> {
    let entries = entries(closets, question.exchange).await?;
    let known = |entry: &&Entry| {
        entry.statement.kind() != Kind::Asked && entry.statement.core().provider_origin == closets.origin.as_str()
    };
    let told: Vec<&Entry> = entries.iter().filter(known).collect();
    let last = |kind: Kind| told.iter().rev().find(|entry| entry.statement.kind() == kind);
    if told.is_empty() {
        return never_received(closets, question).await;
    }
    let same = told.iter().any(|entry| {
        entry
            .statement
            .citation()
            .is_some_and(|cited| cited.leaf == question.asked.statement.leaf().as_slice())
    });
    if !same {
        let detail = format!("exchange {} was taken on with other content", question.exchange);
        return Err(Fault::new(Reason::ExchangeIdReused, detail));
    }
    if let Some(answered) = last(Kind::Answered) {
        return if answered.statement.core().status == 0 {
            answer_gone(closets, question, answered, last(Kind::AnswerGone).copied()).await
        } else {
            Ok(ExchangeResponse {
                closing: Some(sealed(closets, answered)?),
                ..Default::default()
            })
        };
    }
    let closing = told.iter().rev().find(|entry| entry.statement.kind() != Kind::Received);
    match closing {
        Some(closing) => Ok(ExchangeResponse {
            closing: Some(sealed(closets, closing)?),
            ..Default::default()
        }),
        None => Ok(ExchangeResponse {
            pending: true,
            ..Default::default()
        }),
    }
}

/// Whether this node said so as the provider.
fn is_told(closets: &Closets, entry: &Entry, kind: Kind) -> bool {
    entry.statement.kind() == kind && entry.statement.core().provider_origin == closets.origin.as_str()
}

async fn answer_gone(
    closets: &Arc<Closets>,
    question: &Question,
    answered: &Entry,
    gone: Option<&Entry>,
) -> Result<ExchangeResponse, Fault> {
    // Of many who ask at once, one writes it down.
    let _alone = closets.telling.wait(question.exchange).await;
    let written = match gone {
        Some(_) => None,
        None => entries(closets, question.exchange)
            .await?
            .into_iter()
            .find(|entry| is_told(closets, entry, Kind::AnswerGone)),
    };
    let closing = match gone.or(written.as_ref()) {
        Some(gone) => sealed(closets, gone)?,
        None => {
            let core = said(
                answered.statement.core(),
                Kind::AnswerGone,
                Reason::AnswerGone,
                closets.now_us(),
            );
            provider::append_sealed(closets, vec![Draft::new(core).peer(&question.asked.citation())])
                .await?
                .0
        }
    };
    let answered = Some(sealed(closets, answered)?);
    Ok(ExchangeResponse {
        closing: Some(closing),
        answered,
        ..Default::default()
    })
}

/// The id is entered in the replay set first, so that a copy of the question that is still on its way finds it taken.
async fn never_received(closets: &Arc<Closets>, question: &Question) -> Result<ExchangeResponse, Fault> {
    let asked = question.asked.statement.core();
    check_made(closets, question.exchange, asked)?;
    let until_us = asked.expires_us.saturating_add(2 * closets.config.limits.skew_us);
    match closets.replay.enter(
        question.exchange,
        question.asked.statement.leaf(),
        until_us,
        closets.now_us(),
    ) {
        Ok(()) => {}
        Err(ReplayError::Seen(_)) => {
            return Ok(ExchangeResponse {
                pending: true,
                ..Default::default()
            });
        }
        Err(error @ ReplayError::Full) => return Err(Fault::new(Reason::Overloaded, error.to_string())),
    }
    let core = said(asked, Kind::NeverReceived, Reason::NeverReceived, closets.now_us());
    let draft = Draft::new(core).citing(question.asked.clone());
    match provider::close(closets, question, vec![draft], Kind::NeverReceived).await {
        Ok(closing) => Ok(ExchangeResponse {
            closing: Some(closing),
            ..Default::default()
        }),
        Err(fault) => {
            closets.replay.withdraw(question.exchange);
            Err(fault)
        }
    }
}

/// What no node could ever have taken on is not worth a statement, nor a place in the replay set.
fn check_made(closets: &Closets, exchange: ExchangeId, asked: &Core) -> Result<(), Fault> {
    let (now, limits) = (closets.now_us(), &closets.config.limits);
    if asked.created_us > now.saturating_add(limits.skew_us) {
        let detail = format!(
            "ASKED was made at {} µs, this node's clock says {now} µs",
            asked.created_us
        );
        return Err(Fault::new(Reason::ClockSkew, detail));
    }
    if asked.expires_us.saturating_sub(asked.created_us) > LIFETIME_US_MAX.max(limits.lifetime_max_us) {
        return Err(Fault::new(
            Reason::LifetimeTooLong,
            "no node takes on a question that lives longer than an hour",
        ));
    }
    question::check_id(closets, exchange, asked.created_us)
}

fn said(of: &Core, kind: Kind, reason: Reason, now_us: u64) -> Core {
    let fault = Fault::new(reason, "");
    Core {
        status: code(&fault),
        rule: reason.as_str().to_owned(),
        ..Facts::of(of).core(kind, now_us)
    }
}

/// Statements of this ledger about an exchange; looked up off the worker's thread, since it may wait for the disk.
pub(crate) async fn entries(closets: &Arc<Closets>, exchange: ExchangeId) -> Result<Vec<Entry>, Fault> {
    let ledger = closets.ledger.clone();
    let found = tokio::task::spawn_blocking(move || ledger.find(exchange)).await;
    match found {
        Ok(Ok(entries)) => Ok(entries),
        Ok(Err(error)) => Err(Fault::new(Reason::LedgerUnavailable, error.to_string())),
        Err(error) => Err(Fault::new(Reason::Internal, error.to_string())),
    }
}

/// An own statement that stands already, sealed under the newest own checkpoint.
pub(crate) fn sealed(closets: &Closets, entry: &Entry) -> Result<Sealed, Fault> {
    let checkpoint = closets.ledger.checkpoint();
    let path = closets.ledger.prove(entry.index, checkpoint.size);
    sealed_under(entry, path, checkpoint.note.clone())
}

/// An own statement with the path under that checkpoint.
pub(crate) fn sealed_under(entry: &Entry, path: Option<Vec<Hash>>, checkpoint: Bytes) -> Result<Sealed, Fault> {
    let (statement, path) = entry.statement.to_wire().zip(path).ok_or_else(|| {
        let detail = format!(
            "entry {} cannot be shown: a part of it is erased, or its key is gone",
            entry.index
        );
        Fault::new(Reason::LedgerUnavailable, detail)
    })?;
    let path = path.iter().map(|hash| Bytes::copy_from_slice(hash)).collect();
    Ok(Sealed {
        statement: Some(statement),
        seal: Some(Seal {
            index: entry.index,
            path,
            checkpoint,
        }),
    })
}

/// Consumer: asks how it ended until it is told, or `deadline` has passed.
pub(crate) async fn ask_until(
    closets: &Closets,
    asked: &Asked,
    to: &NodeRow,
    deadline: Instant,
) -> Option<ExchangeResponse> {
    let request = SettleRequest {
        asked: Some(asked.sealed.clone()),
    };
    let mut pause = PAUSE_MIN;
    loop {
        let told = tokio::time::timeout_at(deadline, closets.peers.settle(closets, to, &request))
            .await
            .ok()?;
        match told {
            Ok(response) if !response.pending => return Some(response),
            Ok(_) => {}
            Err(error) => tracing::debug!(exchange = %asked.exchange, peer = %to.id, ?error, "not settled yet"),
        }
        if Instant::now() + pause >= deadline {
            return None;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_WAITED_MAX);
    }
}

/// Consumer: an exchange that was closed here without an answer is followed for a while; an answer that comes is recorded
/// as late.
pub(crate) fn learn_later(closets: &Arc<Closets>, asked: Asked, to: Arc<NodeRow>) {
    let closets = Arc::clone(closets);
    tokio::spawn(async move {
        let Some(response) = ask_until(&closets, &asked, &to, Instant::now() + LATE_WAIT).await else {
            return;
        };
        if let Err(fault) = closing::learn(&closets, &asked, &to, response).await {
            tracing::warn!(exchange = %asked.exchange, %fault, "how an exchange ended could not be recorded");
        }
    });
}

/// After a start, provider: whatever was received and not closed has an unknown outcome. Before the peer door opens.
pub(crate) async fn close_received(closets: &Arc<Closets>, open: &[OpenExchange]) -> Result<(), Fault> {
    for exchange in open.iter().filter(|exchange| exchange.side == Side::Provider) {
        let entry = match exchange.entry(&closets.ledger) {
            Ok(entry) => entry,
            Err(error) => return Err(Fault::new(Reason::LedgerUnavailable, error.to_string())),
        };
        let Some(citation) = entry.statement.citation() else {
            continue;
        };
        let core = said(
            entry.statement.core(),
            Kind::OutcomeUnknown,
            Reason::OutcomeUnknown,
            closets.now_us(),
        );
        let (_, index) = provider::append_sealed(closets, vec![Draft::new(core).peer(citation)]).await?;
        if let Ok(exchange) = ExchangeId::try_from(entry.statement.core().exchange_id.as_ref()) {
            closets.replay.close(exchange, Kind::OutcomeUnknown, index);
            tracing::warn!(%exchange, "this node stopped between calling the backend and answering; the outcome is unknown");
        }
    }
    Ok(())
}

/// After a start, consumer: asks the providers of all open exchanges, for as long as it takes. One that is away holds up
/// nobody else.
pub(crate) async fn settle_asked(closets: Arc<Closets>, open: Vec<OpenExchange>) {
    let mut by_provider: HashMap<String, Vec<Asked>> = HashMap::new();
    for exchange in open.iter().filter(|exchange| exchange.side == Side::Consumer) {
        let asked = exchange
            .entry(&closets.ledger)
            .map_err(|error| Fault::new(Reason::LedgerUnavailable, error.to_string()))
            .and_then(|entry| asked_of(&closets, &entry));
        match asked {
            Ok(asked) => by_provider
                .entry(asked.facts.provider_origin().to_owned())
                .or_default()
                .push(asked),
            Err(fault) => tracing::error!(%fault, "an exchange from before the start cannot be settled"),
        }
    }
    let mut providers: JoinSet<()> = by_provider
        .into_values()
        .map(|open| settle_with(Arc::clone(&closets), open))
        .collect();
    while providers.join_next().await.is_some() {}
}

/// Settles what is open with one provider, in rounds: what cannot be settled yet comes again in the next one.
async fn settle_with(closets: Arc<Closets>, mut open: Vec<Asked>) {
    let mut pause = PAUSE_MIN;
    for round in 0_u32.. {
        let mut left = Vec::new();
        for asked in open {
            if let Err(fault) = settle_one(&closets, &asked).await {
                if round.is_multiple_of(10) {
                    tracing::warn!(exchange = %asked.exchange, %fault, "an exchange from before the start is not settled yet");
                }
                left.push(asked);
            }
        }
        if left.is_empty() {
            return;
        }
        open = left;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// An ASKED of this ledger, as the steps after it need it.
pub(crate) fn asked_of(closets: &Closets, entry: &Entry) -> Result<Asked, Fault> {
    let core = entry.statement.core();
    let checkpoint = closets.ledger.checkpoint();
    let path = closets.ledger.prove(entry.index, checkpoint.size);
    let sealed = sealed_under(entry, path, checkpoint.note.clone())?;
    let exchange = ExchangeId::try_from(core.exchange_id.as_ref());
    Ok(Asked {
        facts: Facts::of(core),
        exchange: exchange.map_err(|error| Fault::new(Reason::ExchangeIdInvalid, error.to_string()))?,
        citation: jisr_proto::statement::Citation {
            origin: closets.origin.to_string(),
            index: entry.index,
            leaf: entry.statement.leaf().to_vec().into(),
            tree_size: checkpoint.size,
            root: checkpoint.root.to_vec().into(),
        },
        sealed,
    })
}

/// The row of the node that was asked.
pub(crate) fn asked_node(closets: &Closets, asked: &Asked) -> Result<Arc<NodeRow>, Fault> {
    let origin: Result<Origin, _> = asked.facts.provider_origin().parse();
    let view = closets.directory.current(closets.now_us())?;
    origin
        .ok()
        .and_then(|origin| view.node_of_origin(&origin).cloned())
        .ok_or_else(|| {
            let detail = format!(
                "snapshot {} no longer lists {}",
                view.version,
                asked.facts.provider_origin()
            );
            Fault::new(Reason::OriginUnlisted, detail)
        })
}

/// Whether the node that was asked is listed with another ledger now: it succeeded the one that the question names, and nobody
/// will ever say from that one how the exchange ended.
fn is_succeeded(closets: &Closets, asked: &Asked) -> bool {
    let origin: Result<Origin, _> = asked.facts.provider_origin().parse();
    let listed = || {
        let origin = origin.ok()?;
        let view = closets.directory.current(closets.now_us()).ok()?;
        let row = view.node(&origin.node()?)?;
        Some(row.origin != origin)
    };
    listed().unwrap_or(false)
}

async fn settle_one(closets: &Arc<Closets>, asked: &Asked) -> Result<(), Fault> {
    let to = match asked_node(closets, asked) {
        Err(_) if is_succeeded(closets, asked) => return closing::close_unknown(closets, asked).await,
        to => to?,
    };
    let request = SettleRequest {
        asked: Some(asked.sealed.clone()),
    };
    let response = match closets.peers.settle(&**closets, &to, &request).await {
        Ok(response) if response.pending => {
            return Err(Fault::new(
                Reason::ExchangeRunning,
                format!("{} still works on it", to.id),
            ));
        }
        Ok(response) => response,
        Err(PeerError::Refused(fault) | PeerError::TooLarge(fault)) => return Err(fault),
        Err(PeerError::Unsent(text) | PeerError::Broken(text)) => {
            return Err(Fault::new(Reason::PeerUnreachable, text));
        }
    };
    // Whatever it says closes the exchange; what the application would have been told has no hearer any more.
    let told = closing::learn(closets, asked, &to, response).await?;
    tracing::info!(exchange = %asked.exchange, answered = told.is_ok(), "an exchange from before the start is settled");
    Ok(())
}
