//! The consumer's exchange is closed once, whoever is the first to learn how it ended: the call itself, the application that
//! asks again with the same id, the one who follows it for a late answer, or the settling after a start.

use std::sync::Arc;

use jisr_ledger::Verified;
use jisr_ledger::seal::Sealed;
use jisr_ledger::statement::Draft;
use jisr_proto::peer::ExchangeResponse;
use jisr_proto::statement::{Core, Kind};
use jisr_proto::status::Fault;

use crate::asked::{self, Asked};
use crate::asking;
use crate::closets::{Closets, append_fault};
use crate::consumer::Answer;
use crate::directory::NodeRow;

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
        let core = Core {
            status: answered.statement.core().status,
            ..asked.facts.core(Kind::LateAnswer, closets.now_us())
        };
        closets.append_later(Draft::new(core).citing(answered));
    }
    Ok(asked::outcome(&verified, response))
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
