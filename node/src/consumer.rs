//! The consumer's corridor: from the application's call to its answer.
//!
//! 1 resolve, permit · 2 append ASKED · 3 send · 8 verify the seal, append DELIVERED, hand over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::statement::{Closed, Draft};
use jisr_proto::ident::{ExchangeId, MethodPath, SubsystemId};
use jisr_proto::metadata::Asserted;
use jisr_proto::peer::{ExchangeRequest, ExchangeResponse, Metadata};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind};
use jisr_proto::status::Fault;
use tokio::time::Instant;

use crate::agreements::{self, Permit, Wanted};
use crate::asked::Asked;
use crate::cancelled::Cancelled;
use crate::closets::{Closets, code};
use crate::directory::{NodeRow, View};
use crate::facts::{Facts, Parties};
use crate::grpc::Status;
use crate::peers::{self, PeerError};
use crate::{asking, question, routes, settling};

/// What an application wants, as it came through the local door.
#[derive(Debug)]
pub(crate) struct Call {
    /// Subsystems that the caller's credential stands for.
    pub callers: Arc<[SubsystemId]>,
    /// Service and method.
    pub path: MethodPath,
    /// What the caller says of purpose, case and so on.
    pub asserted: Asserted,
    /// Metadata that passes through.
    pub metadata: Vec<Metadata>,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// The message.
    pub payload: Bytes,
}

/// What the application gets.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Metadata before the message.
    pub initial: Vec<Metadata>,
    /// The message, where the status is OK.
    pub payload: Bytes,
    /// Metadata after the message.
    pub trailing: Vec<Metadata>,
    /// The backend's status.
    pub status: Status,
}

/// A call, its permit and where it goes: all that the steps after the permit need.
pub(crate) struct Allowed {
    /// The call.
    pub call: Call,
    /// The snapshot it rests on.
    pub view: Arc<View>,
    /// Consumer subsystem.
    pub consumer: SubsystemId,
    /// Provider subsystem.
    pub provider: SubsystemId,
    /// What allows it.
    pub permit: Permit,
}

/// Asks. The exchange id is known as soon as there is one, whatever comes of it.
pub(crate) async fn ask(
    closets: Arc<Closets>,
    call: Call,
    cancelled: Cancelled,
) -> (Option<ExchangeId>, Result<Answer, Fault>) {
    let (exchange, repeated) = match &call.asserted.exchange_id {
        Some(exchange) => (*exchange, true),
        None => match closets.new_exchange_id() {
            Ok(exchange) => (exchange, false),
            Err(fault) => return (None, Err(fault)),
        },
    };
    let newest_ms = closets.now_us().saturating_add(closets.config.limits.skew_us) / 1000;
    if repeated && exchange.time_ms() > newest_ms {
        let detail = format!("exchange id {exchange} was made in the future by this node's clock");
        let fault = Fault::new(Reason::ExchangeIdInvalid, detail);
        count_refused(&closets, &call, &fault);
        return (Some(exchange), Err(fault));
    }
    let Some(_running) = closets.asking.enter(exchange) else {
        let detail = format!("exchange {exchange} is being asked at this moment");
        return (Some(exchange), Err(Fault::new(Reason::ExchangeRunning, detail)));
    };
    let earlier = if repeated {
        Box::pin(asking::earlier(&closets, exchange)).await
    } else {
        Ok(None)
    };
    let earlier = match earlier.inspect_err(|fault| count_refused(&closets, &call, fault)) {
        Ok(earlier) => earlier,
        Err(fault) => return (Some(exchange), Err(fault)),
    };
    if earlier.is_none()
        && let Err(fault) = question::check_id(&closets, exchange, closets.now_us())
    {
        count_refused(&closets, &call, &fault);
        return (Some(exchange), Err(fault));
    }
    let allowed = match allow(&closets, call, exchange, earlier.is_none()).await {
        Ok(allowed) => allowed,
        Err(fault) => return (Some(exchange), Err(fault)),
    };
    if let Some(earlier) = earlier {
        return (
            Some(exchange),
            Box::pin(asking::again(&closets, &allowed, earlier)).await,
        );
    }
    let first = attempt(&closets, &allowed, exchange, None, &cancelled).await;
    match first {
        // A read that provably was not run, or whose answer is lost, is asked again under a new id; what the caller named
        // itself stays under that name.
        Err(fault) if !repeated && !cancelled.gone() && may_repeat(&allowed, &fault) => match closets.new_exchange_id()
        {
            Ok(second) => (
                Some(second),
                Box::pin(attempt(&closets, &allowed, second, Some(exchange), &cancelled)).await,
            ),
            Err(_) => (Some(exchange), Err(fault)),
        },
        outcome => (Some(exchange), outcome),
    }
}

fn may_repeat(allowed: &Allowed, fault: &Fault) -> bool {
    let lost = matches!(
        fault.reason,
        Reason::NeverReceived
            | Reason::OutcomeUnknown
            | Reason::NotSent
            | Reason::PeerUnreachable
            | Reason::AnswerGone
            // The application waits still: the provider's node took a broken connection for its going away.
            | Reason::Cancelled
    );
    lost && allowed.permit.no_side_effects() && Instant::now() < allowed.call.deadline
}

/// Whom the call is from and for.
fn resolve(closets: &Closets, call: &Call, now_us: u64) -> Result<(Arc<View>, SubsystemId, SubsystemId), Fault> {
    let view = closets.directory.current(now_us)?;
    let consumer = routes::consumer(call)?;
    let provider = routes::provider(&view, call, &consumer)?;
    Ok((view, consumer, provider))
}

/// Counts a call that is refused without a statement.
fn count_refused(closets: &Closets, call: &Call, fault: &Fault) {
    let caller = call.callers.first().map(ToString::to_string).unwrap_or_default();
    closets.refusals.count(&caller, fault.reason);
    closets.counters.refused.up();
}

/// Step 1: who asks, whom, and may it. A denial by right is durable in the own ledger before the application hears of it;
/// where the exchange stands there already (not `fresh`) it is counted, since an exchange closes once.
async fn allow(closets: &Closets, call: Call, exchange: ExchangeId, fresh: bool) -> Result<Allowed, Fault> {
    let now = closets.now_us();
    let (view, consumer, provider) =
        resolve(closets, &call, now).inspect_err(|fault| count_refused(closets, &call, fault))?;
    let instance = closets.node.instance();
    let parties = Parties {
        instance: instance.as_str(),
        exchange,
        consumer: &consumer,
        provider: &provider,
        path: &call.path,
    };
    let permit = permit(closets, &view, &call, &parties, now);
    match permit {
        Ok(permit) => Ok(Allowed {
            view,
            consumer,
            provider,
            permit,
            call,
        }),
        Err(denied) if !fresh => {
            count_refused(closets, &call, &denied);
            Err(denied)
        }
        Err(denied) => {
            let core = Core {
                status: code(&denied),
                rule: denied.reason.as_str().to_owned(),
                ..Facts::new(&parties, &view).core(Kind::Refused, now)
            };
            let refused = asserted(Draft::new(core), &call.asserted).close();
            closets
                .append(vec![refused])
                .await
                .inspect_err(|fault| count_refused(closets, &call, fault))?;
            closets.counters.refused.up();
            Err(denied)
        }
    }
}

fn permit(closets: &Closets, view: &View, call: &Call, parties: &Parties<'_>, now_us: u64) -> Result<Permit, Fault> {
    let purpose = call.asserted.purpose.as_deref().ok_or_else(|| {
        let detail = format!(
            "the call of {} states no purpose; send the metadata jisr-purpose",
            call.path
        );
        Fault::new(Reason::PurposeMissing, detail)
    })?;
    let wanted = Wanted {
        consumer: parties.consumer,
        provider: parties.provider,
        path: &call.path,
        purpose,
        consent: call.asserted.consent.is_some(),
        duty: call.asserted.duty.is_some(),
    };
    let permit = agreements::permit(view, &wanted, now_us).map_err(|denied| closer(closets, view, parties, denied))?;
    closets.schemas.check_unary(permit.schema(), &call.path)?;
    closets.away.admits(permit.is_high())?;
    Ok(permit)
}

/// A method that no agreement names because the service does not have it is told as just that.
fn closer(closets: &Closets, view: &View, parties: &Parties<'_>, denied: Fault) -> Fault {
    let row = view
        .publishers(&parties.path.service)
        .iter()
        .find(|row| row.provider == *parties.provider);
    let unknown = row.and_then(|row| closets.schemas.check_unary(&row.schema, parties.path).err());
    match unknown {
        Some(fault) if denied.reason == Reason::MethodNotAgreed && fault.reason == Reason::UnknownMethod => fault,
        _ => denied,
    }
}

/// The parts that the caller asserted.
fn asserted(mut draft: Draft, asserted: &Asserted) -> Draft {
    if let Some(purpose) = &asserted.purpose {
        draft = draft.purpose(purpose);
    }
    if let Some(case) = &asserted.case {
        draft = draft.case(case);
    }
    if let Some(officer) = &asserted.officer {
        draft = draft.officer(officer);
    }
    if let Some(consent) = &asserted.consent {
        draft = draft.consent(consent);
    }
    if let Some(duty) = &asserted.duty {
        draft = draft.duty(duty);
    }
    draft
}

/// One ASKED and what comes of it.
async fn attempt(
    closets: &Arc<Closets>,
    allowed: &Allowed,
    exchange: ExchangeId,
    repeats: Option<ExchangeId>,
    cancelled: &Cancelled,
) -> Result<Answer, Fault> {
    let counted = |fault: &Fault| count_refused(closets, &allowed.call, fault);
    let to = routes::node(closets, allowed, exchange).inspect_err(counted)?;
    closets.trust.admits(&to).inspect_err(counted)?;
    let (facts, closed) = asked(closets, allowed, exchange, repeats, &to).inspect_err(counted)?;
    let stands = closets.append(vec![closed.clone()]).await.inspect_err(counted)?;
    let stands = stands.first().expect("the one statement appended stands somewhere");
    let own = Asked {
        facts,
        exchange,
        citation: stands.citation(&closed),
        sealed: stands.sealed(&closed),
    };
    let request = ExchangeRequest {
        asked: Some(own.sealed.clone()),
        metadata: allowed.call.metadata.clone(),
        timeout_us: left(allowed.call.deadline).as_micros().try_into().unwrap_or(u64::MAX),
        payload: allowed.call.payload.clone(),
    };
    let sent = tokio::select! {
        sent = send(closets, &to, request, allowed.call.deadline) => Some(sent),
        () = tokio::time::sleep_until(allowed.call.deadline) => None,
        () = cancelled.wait() => {
            own.close_alone(closets, Kind::Cancelled, &Fault::new(Reason::Cancelled, ""));
            settling::learn_later(closets, own, to);
            return Err(Fault::new(Reason::Cancelled, "the application gave up".to_owned()));
        }
    };
    match sent.map(|sent| sent.map_err(|error| cut_off(closets, &to, error))) {
        Some(Ok(response)) => own.conclude(closets, &to, response).await,
        Some(Err(PeerError::Unsent(text))) => {
            let fault = Fault::new(Reason::NotSent, text);
            closets.refusals.failed(to.id.as_str(), Reason::PeerUnreachable);
            own.close_alone(closets, Kind::NotSent, &fault);
            Err(fault)
        }
        // It had perhaps begun: only a sealed statement can say how that ended.
        Some(Err(PeerError::Refused(fault))) if may_have_begun(&fault) => {
            Box::pin(own.settle(closets, to, fault.to_string(), allowed.call.deadline)).await
        }
        Some(Err(PeerError::Refused(fault))) => {
            closets.refusals.failed(to.id.as_str(), fault.reason);
            own.close_alone(closets, Kind::Failed, &fault);
            Err(fault)
        }
        Some(Err(PeerError::Broken(text))) => Box::pin(own.settle(closets, to, text, allowed.call.deadline)).await,
        // Asking again would not make it smaller; that it was answered is still recorded.
        Some(Err(PeerError::TooLarge(fault))) => {
            own.close_alone(closets, Kind::Failed, &fault);
            settling::learn_later(closets, own, to);
            Err(fault)
        }
        None => {
            let fault = Fault::new(Reason::DeadlineExceeded, format!("{} did not answer in time", to.id));
            own.close_alone(closets, Kind::Failed, &fault);
            settling::learn_later(closets, own, to);
            Err(fault)
        }
    }
}

/// What a broken connection means where the node that was asked is off the network since: there is nobody to ask how it ended.
fn cut_off(closets: &Closets, to: &NodeRow, error: PeerError) -> PeerError {
    let listed = closets.directory.newest();
    let listed = listed.is_some_and(|view| view.node(&to.id).is_some_and(|row| row.origin == to.origin));
    match error {
        PeerError::Broken(_) if !listed => {
            let detail = format!(
                "{} was taken off the network while the call was under way; whether it was carried out is not known",
                to.id
            );
            PeerError::Refused(Fault::new(Reason::CertificateRevoked, detail))
        }
        error => error,
    }
}

/// Whether a refusal without a statement leaves open that the exchange was taken on.
fn may_have_begun(fault: &Fault) -> bool {
    matches!(
        fault.reason,
        Reason::LedgerUnavailable | Reason::NodeStopping | Reason::Internal
    )
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Makes ASKED.
fn asked(
    closets: &Closets,
    allowed: &Allowed,
    exchange: ExchangeId,
    repeats: Option<ExchangeId>,
    to: &NodeRow,
) -> Result<(Facts, Closed), Fault> {
    let instance = closets.node.instance();
    let parties = Parties {
        instance: instance.as_str(),
        exchange,
        consumer: &allowed.consumer,
        provider: &allowed.provider,
        path: &allowed.call.path,
    };
    let own = closets.own_row(&allowed.view)?;
    let facts = Facts::new(&parties, &allowed.view)
        .permitted(&allowed.permit)
        .between(&own, to);
    let now = closets.now_us();
    let lifetime = u64::try_from(left(allowed.call.deadline).as_micros()).unwrap_or(u64::MAX);
    let core = Core {
        expires_us: now.saturating_add(lifetime.clamp(1, closets.config.limits.lifetime_max_us)),
        repeats: repeats
            .map(|id| Bytes::copy_from_slice(id.as_bytes()))
            .unwrap_or_default(),
        ..facts.core(Kind::Asked, now)
    };
    let mut draft = asserted(Draft::new(core), &allowed.call.asserted).payload(&allowed.call.payload);
    let subject = closets
        .schemas
        .subject(allowed.permit.schema(), &allowed.call.path, &allowed.call.payload)?;
    if let Some(subject) = subject {
        draft = draft.subject(&subject);
    }
    if closets.schemas.keep_days(allowed.permit.schema(), &allowed.call.path) > 0 {
        draft = draft.keep(allowed.call.payload.clone());
    }
    Ok((facts, draft.close()))
}

/// Sends, and sends again on a new connection while provably nothing has left: the statement is the same.
async fn send(
    closets: &Closets,
    to: &NodeRow,
    request: ExchangeRequest,
    deadline: Instant,
) -> Result<ExchangeResponse, PeerError> {
    let give_up = deadline.min(Instant::now() + closets.config.limits.connect_timeout);
    let mut pause = Duration::from_millis(20);
    let question = peers::split_payload(request);
    loop {
        let outcome = closets.peers.exchange(closets, to, question.clone()).await;
        match outcome {
            Err(PeerError::Unsent(_)) if Instant::now() + pause < give_up => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(500));
            }
            outcome => return outcome,
        }
    }
}
