//! What follows once ASKED stands in the own ledger: the provider's word is verified and closes the exchange.

use std::sync::Arc;

use jisr_ledger::Verified;
use jisr_ledger::seal::Sealed;
use jisr_ledger::statement::{Draft, closes_at_provider};
use jisr_proto::ident::ExchangeId;
use jisr_proto::peer::ExchangeResponse;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind};
use jisr_proto::status::Fault;
use tokio::time::Instant;

use crate::closets::{Closets, code};
use crate::consumer::Answer;
use crate::directory::NodeRow;
use crate::facts::Facts;
use crate::grpc::Status;
use crate::settling;

/// An ASKED that stands in the own ledger.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// What its statements have in common.
    pub facts: Facts,
    /// Exchange id.
    pub exchange: ExchangeId,
    /// How the provider's statements must cite it.
    pub citation: jisr_proto::statement::Citation,
    /// The statement and its seal.
    pub sealed: jisr_proto::statement::Sealed,
}

impl Asked {
    /// Closes the exchange here without a statement of the provider.
    pub(crate) fn close_alone(&self, closets: &Closets, kind: Kind, fault: &Fault) {
        let core = Core {
            status: code(fault),
            rule: fault.reason.as_str().to_owned(),
            ..self.facts.core(kind, closets.now_us())
        };
        closets.append_later(Draft::new(core));
        closets.counters.failed.up();
    }

    /// The connection broke: asks the provider how it ended, for as long as the application waits.
    pub(crate) async fn settle(
        self,
        closets: &Arc<Closets>,
        to: Arc<NodeRow>,
        text: String,
        deadline: Instant,
    ) -> Result<Answer, Fault> {
        match settling::ask_until(closets, &self, &to, deadline).await {
            Some(response) => self.conclude(closets, &to, response).await,
            None => {
                let fault = Fault::new(Reason::PeerUnreachable, text);
                closets.refusals.failed(to.id.as_str(), fault.reason);
                self.close_alone(closets, Kind::Failed, &fault);
                settling::learn_later(closets, self, to);
                Err(fault)
            }
        }
    }

    /// Step 8: verifies what came and closes the exchange with it.
    pub(crate) async fn conclude(
        &self,
        closets: &Closets,
        to: &Arc<NodeRow>,
        response: ExchangeResponse,
    ) -> Result<Answer, Fault> {
        match self.verify(closets, to, &response) {
            Ok(closing) => {
                let kind = closing_kind(closing.statement.kind());
                let theirs = closing.statement.core();
                let core = Core {
                    status: theirs.status,
                    rule: theirs.rule.clone(),
                    ..self.facts.core(kind, closets.now_us())
                };
                let mut draft = Draft::new(core);
                if closing.statement.kind() == Kind::Answered && closets.keeps_messages(theirs) {
                    draft = draft.keep(response.payload.clone());
                }
                let told = outcome(&closing, response);
                closets.append_receipt(draft.citing(closing), to);
                match &told {
                    Ok(_) => closets.counters.answered.up(),
                    Err(_) if kind == Kind::Refused => closets.counters.refused.up(),
                    Err(_) => closets.counters.failed.up(),
                }
                told
            }
            Err(fault) => {
                closets.refusals.count(to.id.as_str(), fault.reason);
                self.close_alone(closets, Kind::Failed, &fault);
                Err(fault)
            }
        }
    }

    /// The provider's closing statement: sealed by the node that was asked, about this very ASKED, with this payload.
    pub(crate) fn verify(
        &self,
        closets: &Closets,
        to: &Arc<NodeRow>,
        response: &ExchangeResponse,
    ) -> Result<Verified<Sealed>, Fault> {
        let misbehaved = |detail: String| Fault::new(Reason::PeerMisbehaved, format!("{}: {detail}", to.id));
        let closing = response
            .closing
            .as_ref()
            .ok_or_else(|| misbehaved("no closing statement came".to_owned()))?;
        let closing = closets.verify_seal(closing, to)?;
        let statement = &closing.statement;
        if !closes_at_provider(statement.kind()) {
            return Err(misbehaved(format!(
                "{:?} closes no exchange at a provider",
                statement.kind()
            )));
        }
        if !self.facts.same_exchange(statement.core()) {
            return Err(Fault::new(
                Reason::AnswerMismatch,
                format!("{} answered another exchange", to.id),
            ));
        }
        let cited = statement.citation().is_some_and(|cited| {
            cited.origin == self.citation.origin
                && cited.index == self.citation.index
                && cited.leaf == self.citation.leaf
        });
        if !cited {
            return Err(Fault::new(
                Reason::AnswerMismatch,
                format!("{} does not cite this question", to.id),
            ));
        }
        if statement.kind() == Kind::Answered && !statement.payload_matches(&response.payload) {
            return Err(Fault::new(
                Reason::PayloadMismatch,
                format!("{} sent another message than it sealed", to.id),
            ));
        }
        Ok(closing)
    }
}

/// How the consumer closes what the provider closed with a statement of this kind.
fn closing_kind(theirs: Kind) -> Kind {
    if theirs == Kind::Answered {
        Kind::Delivered
    } else {
        theirs
    }
}

/// What the application is told.
pub(crate) fn outcome(closing: &Sealed, response: ExchangeResponse) -> Result<Answer, Fault> {
    let core = closing.statement.core();
    let reason = match closing.statement.kind() {
        Kind::Answered => {
            let status = Status {
                code: core.status,
                message: response.status_message,
                details: response.status_details,
            };
            return Ok(Answer {
                initial: response.initial_metadata,
                payload: response.payload,
                trailing: response.trailing_metadata,
                status,
            });
        }
        Kind::NeverReceived => Reason::NeverReceived,
        Kind::OutcomeUnknown => Reason::OutcomeUnknown,
        Kind::AnswerGone => Reason::AnswerGone,
        Kind::Cancelled => Reason::Cancelled,
        _ => core.rule.parse().unwrap_or(Reason::PeerMisbehaved),
    };
    Err(Fault::by_peer(reason, response.status_message))
}
