//! The consumer's exchange is closed once, whoever is the first to learn how it ended: the call itself, the application that
//! asks again with the same id, the one who follows it for a late answer, or the settling after a start.

use std::sync::Arc;

use jisr_ledger::Verified;
use jisr_ledger::seal::Sealed;
use jisr_ledger::statement::Draft;
use jisr_proto::ident::ExchangeId;
use jisr_proto::peer::ExchangeResponse;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind};
use jisr_proto::status::Fault;

use crate::asked::{self, Asked};
use crate::asking;
use crate::closets::{Closets, append_fault, code};
use crate::consumer::Answer;
use crate::directory::NodeRow;
use crate::facts::Facts;

/// Takes what the provider told of an exchange from an earlier call: closes it if it is open, records a late answer if it
/// was closed without one, and does nothing where all that is known. Returns what the application is to be told.
///
/// # Errors
/// The own ledger cannot say how the exchange stands; nothing is appended then.
pub(crate) async fn learn(
    closets: &Arc<Closets>,
    asked: &Asked,
    to: &Arc<NodeRow>,
    response: ExchangeResponse,
) -> Result<Result<Answer, Fault>, Fault> {
    let _alone = closets.closing.wait(asked.exchange).await;
    // What was queued before stands in the ledger before it is looked at.
    closets.ledger.flush().await.map_err(|error| append_fault(&error))?;
    let Some(earlier) = asking::earlier(closets, asked.exchange).await? else {
        return Ok(asked.conclude(closets, to, response).await);
    };
    let Some(closing) = &earlier.closing else {
        return Ok(asked.conclude(closets, to, response).await);
    };
    let verified = match asked.verify(closets, to, &response) {
        Ok(verified) => verified,
        Err(fault) => return Ok(Err(fault)),
    };
    let closed_without = matches!(closing.statement.kind(), Kind::Failed | Kind::Cancelled);
    if closed_without
        && !earlier.late
        && let Some(answered) = answered(closets, asked, to, &verified, &response)
    {
        record_late(closets, &asked.facts, to, answered);
    }
    Ok(asked::outcome(&verified, response))
}

/// Closes an exchange of which nobody can say any more how it ended, in this node's own name; does nothing where it is closed.
///
/// # Errors
/// The own ledger cannot say how the exchange stands, or takes nothing.
pub(crate) async fn close_unknown(closets: &Arc<Closets>, asked: &Asked) -> Result<(), Fault> {
    let _alone = closets.closing.wait(asked.exchange).await;
    closets.ledger.flush().await.map_err(|error| append_fault(&error))?;
    let earlier = asking::earlier(closets, asked.exchange).await?;
    if earlier.is_some_and(|earlier| earlier.closing.is_some()) {
        return Ok(());
    }
    let detail = format!("the ledger {} ended without it", asked.facts.provider_origin());
    let fault = Fault::new(Reason::OutcomeUnknown, detail);
    let core = Core {
        status: code(&fault),
        rule: fault.reason.as_str().to_owned(),
        ..asked.facts.core(Kind::OutcomeUnknown, closets.now_us())
    };
    closets.append(vec![Draft::new(core).close()]).await?;
    tracing::warn!(exchange = %asked.exchange, %fault, "an exchange from before the start is closed");
    Ok(())
}

/// Records an ANSWERED that the provider showed of an exchange that was closed here without it; nothing where that is known,
/// or the exchange is still open.
///
/// # Errors
/// The own ledger cannot say how the exchange stands.
pub(crate) async fn answered_late(
    closets: &Arc<Closets>,
    exchange: ExchangeId,
    to: &Arc<NodeRow>,
    answered: Verified<Sealed>,
) -> Result<(), Fault> {
    let _alone = closets.closing.wait(exchange).await;
    closets.ledger.flush().await.map_err(|error| append_fault(&error))?;
    let Some(earlier) = asking::earlier(closets, exchange).await? else {
        return Ok(());
    };
    let facts = Facts::of(earlier.asked.statement.core());
    let closed_without = earlier
        .closing
        .is_some_and(|closing| closing.statement.kind() != Kind::Delivered);
    if closed_without && !earlier.late && facts.same_exchange(answered.statement.core()) {
        tracing::info!(%exchange, peer = %to.id, "an exchange that was closed without its answer was answered");
        record_late(closets, &facts, to, answered);
        closets.ledger.flush().await.map_err(|error| append_fault(&error))?;
    }
    Ok(())
}

fn record_late(closets: &Closets, facts: &Facts, to: &Arc<NodeRow>, answered: Verified<Sealed>) {
    let core = Core {
        status: answered.statement.core().status,
        ..facts.core(Kind::LateAnswer, closets.now_us())
    };
    closets.append_receipt(Draft::new(core).citing(answered), to);
}

/// The ANSWERED that came: the closing itself, or beside an ANSWER_GONE the statement of it.
fn answered(
    closets: &Closets,
    asked: &Asked,
    to: &Arc<NodeRow>,
    closing: &Verified<Sealed>,
    response: &ExchangeResponse,
) -> Option<Verified<Sealed>> {
    if closing.statement.kind() == Kind::Answered {
        return Some(closing.clone());
    }
    let shown = closets.verify_seal(response.answered.as_ref()?, to);
    match shown {
        Ok(shown) if shown.statement.kind() == Kind::Answered && asked.facts.same_exchange(shown.statement.core()) => {
            Some(shown)
        }
        Ok(_) => {
            tracing::warn!(exchange = %asked.exchange, "the provider showed a statement of another exchange");
            None
        }
        Err(fault) => {
            tracing::warn!(exchange = %asked.exchange, %fault, "what the provider showed does not hold");
            None
        }
    }
}
