//! The same exchange id asked again by the application: the same answer, or what became of it; never a second run.

use std::sync::Arc;

use jisr_ledger::ledger::Entry;
use jisr_proto::ident::ExchangeId;
use jisr_proto::reason::Reason;
use jisr_proto::statement::Kind;
use jisr_proto::status::Fault;

use crate::asked::Asked;
use crate::closets::Closets;
use crate::consumer::{Allowed, Answer};
use crate::{closing, settling};

/// What the own ledger holds of an exchange that this node asked.
pub(crate) struct Earlier {
    /// ASKED.
    pub asked: Entry,
    /// What closed it here.
    pub closing: Option<Entry>,
    /// A late answer stands already.
    pub late: bool,
}

/// Looks an id up. `None`: this node never asked it.
pub(crate) async fn earlier(closets: &Arc<Closets>, exchange: ExchangeId) -> Result<Option<Earlier>, Fault> {
    let entries = settling::entries(closets, exchange).await?;
    let mut asked = None;
    let mut closing = None;
    let mut late = false;
    let mut theirs = false;
    for entry in entries {
        let by_us = entry.statement.core().provider_origin != closets.origin.as_str();
        match entry.statement.kind() {
            _ if !by_us => theirs = true,
            Kind::Asked => asked = Some(entry),
            Kind::LateAnswer => late = true,
            _ if closing.is_none() => closing = Some(entry),
            _ => {}
        }
    }
    match (asked, closing) {
        (Some(asked), closing) => Ok(Some(Earlier { asked, closing, late })),
        // Refused at home: nothing was asked, and the refusal stands.
        (None, Some(closing)) => {
            let reason = closing
                .statement
                .core()
                .rule
                .parse()
                .unwrap_or(Reason::ExchangeIdReused);
            Err(Fault::new(
                reason,
                format!("exchange {exchange} was refused before; a new call needs a new id"),
            ))
        }
        (None, None) if theirs => {
            let detail = "another member asked this one under that id; a new call needs a new id";
            Err(Fault::new(Reason::ExchangeIdReused, detail))
        }
        (None, None) => Ok(None),
    }
}

/// Answers a call whose id was asked before.
pub(crate) async fn again(closets: &Arc<Closets>, allowed: &Allowed, earlier: Earlier) -> Result<Answer, Fault> {
    let core = earlier.asked.statement.core();
    let same = core.consumer == allowed.consumer.to_string()
        && core.provider == allowed.provider.to_string()
        && core.service == allowed.call.path.service.as_str()
        && core.method == allowed.call.path.method.as_str()
        && earlier.asked.statement.payload_matches(&allowed.call.payload);
    if !same {
        let detail = "the id was used for another call; a new call needs a new id";
        return Err(Fault::new(Reason::ExchangeIdReused, detail));
    }
    if let Some(closing) = &earlier.closing {
        let never_ran = match closing.statement.kind() {
            Kind::NotSent => Some(Reason::NotSent),
            Kind::NeverReceived => Some(Reason::NeverReceived),
            Kind::Refused => Some(closing.statement.core().rule.parse().unwrap_or(Reason::PeerMisbehaved)),
            _ => None,
        };
        if let Some(reason) = never_ran {
            return Err(Fault::new(
                reason,
                "that is how this exchange ended; a new call needs a new id",
            ));
        }
    }
    let asked = settling::asked_of(closets, &earlier.asked)?;
    fetch(closets, allowed, &asked).await
}

/// Fetches the answer again from the node that gave it.
async fn fetch(closets: &Arc<Closets>, allowed: &Allowed, asked: &Asked) -> Result<Answer, Fault> {
    let to = settling::asked_node(closets, asked)?;
    let told = settling::ask_until(closets, asked, &to, allowed.call.deadline).await;
    let Some(response) = told else {
        return Err(Fault::new(
            Reason::PeerUnreachable,
            format!("{} did not say how it ended", to.id),
        ));
    };
    closing::learn(closets, asked, &to, response).await?
}
