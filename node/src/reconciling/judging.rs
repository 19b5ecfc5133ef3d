//! What it means that the two sides hold an exchange otherwise: by the own ledger, and by what the peer's shows under its seal.
//!
//! Honest sides differ too: an answer came after the consumer gave up, an exchange still runs, a statement was appended between
//! two looks. Only what two honest nodes can never come to is found.

use std::sync::Arc;

use bytes::Bytes;
use jisr_ledger::Verified;
use jisr_ledger::ledger::Entry;
use jisr_ledger::seal::Sealed;
use jisr_proto::ident::ExchangeId;
use jisr_proto::peer::ShowRequest;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Citation, FindingKind, Kind};

use super::asking::away;
use super::comparing::{Difference, Stop};
use crate::closets::Closets;
use crate::directory::NodeRow;
use crate::pairing::Item;
use crate::peers::PeerError;
use crate::{closing, settling};

/// Statements that an exchange can have in one ledger, and some more.
const SHOWN_MAX: usize = 64;

/// An exchange that two honest nodes could not hold so.
#[derive(Debug)]
pub(super) struct Found {
    /// The exchange.
    pub exchange: ExchangeId,
    /// What is wrong with it.
    pub kind: FindingKind,
    /// Signed notes under which it was shown.
    pub notes: Vec<Bytes>,
    /// What it is, in words.
    pub text: String,
}

/// What was come to.
#[derive(Debug)]
enum Judgement {
    /// Two honest nodes can differ so.
    Honest,
    /// It was answered, and this node does not have the answer yet.
    Late(Box<Verified<Sealed>>),
    /// The peer does not show what it said that it holds.
    Unproven,
    /// They cannot.
    Wrong(FindingKind, Vec<Bytes>, &'static str),
}

/// One exchange as both sides show it.
struct Both<'a> {
    /// Statements of the own ledger about the exchange with this peer.
    own: Vec<Entry>,
    /// Statements of the peer's ledger about the exchange with this node.
    shown: Vec<Verified<Sealed>>,
    own_origin: &'a str,
}

/// Judges one difference. `None`: honest nodes can differ so, or the peer does not prove what it says.
pub(super) async fn judge(
    closets: &Arc<Closets>,
    row: &Arc<NodeRow>,
    asked_by_us: bool,
    difference: &Difference,
) -> Result<Option<Found>, Stop> {
    let exchange = difference.exchange;
    let entries = settling::entries(closets, exchange).await;
    let entries = entries.map_err(|fault| Stop::Away(fault.to_string()))?;
    let Some(shown) = show(closets, row, exchange).await? else {
        tracing::warn!(peer = %row.id, %exchange, "an exchange that differs cannot be judged: the peer cannot show it any more");
        return Ok(None);
    };
    let both = Both::new(closets, row, asked_by_us, entries, shown);
    let judgement = if asked_by_us {
        both.as_consumer(difference)
    } else {
        both.as_provider(difference)
    };
    match judgement {
        Judgement::Honest => Ok(None),
        Judgement::Late(answered) => {
            let settled = closing::answered_late(closets, exchange, row, *answered).await;
            settled.map_err(|fault| Stop::Away(fault.to_string()))?;
            closets.reconciling.forget_sums();
            Ok(None)
        }
        Judgement::Unproven => {
            closets.refusals.count(row.id.as_str(), Reason::PeerMisbehaved);
            tracing::error!(peer = %row.id, %exchange, "a peer says that it holds an exchange with this node, and does not show it");
            Ok(None)
        }
        Judgement::Wrong(kind, notes, text) => {
            // What stands in the own tree cannot be invented, whatever the index says.
            if kind == FindingKind::ExchangeInvented && both.stands_here(closets).await? {
                return Err(Stop::Away(format!("the index does not know exchange {exchange}")));
            }
            Ok(Some(Found {
                exchange,
                kind,
                notes,
                text: format!("{} {text}", row.id),
            }))
        }
    }
}

/// What the peer's ledger shows of an exchange; `None` where it says that it cannot.
async fn show(
    closets: &Arc<Closets>,
    row: &Arc<NodeRow>,
    exchange: ExchangeId,
) -> Result<Option<Vec<Verified<Sealed>>>, Stop> {
    let request = ShowRequest {
        exchange_id: Bytes::copy_from_slice(exchange.as_bytes()),
    };
    let response = match closets.peers.show(closets.as_ref(), row, &request).await {
        Ok(response) => response,
        Err(PeerError::Refused(fault)) if is_gone(fault.reason) => return Ok(None),
        Err(error) => return Err(away(error)),
    };
    let contradiction = |text: String| Stop::Contradiction(format!("{}: {text}", row.id));
    if response.statements.len() > SHOWN_MAX {
        return Err(contradiction(format!(
            "exchange {exchange} has more statements than it can"
        )));
    }
    let mut verified = Vec::with_capacity(response.statements.len());
    for sealed in &response.statements {
        let sealed = closets.verify_seal(sealed, row);
        let sealed = sealed.map_err(|fault| contradiction(fault.to_string()))?;
        if sealed.statement.core().exchange_id != exchange.as_bytes().as_slice() {
            return Err(contradiction(format!("another exchange is shown than {exchange}")));
        }
        verified.push(sealed);
    }
    Ok(Some(verified))
}

/// A part of it was erased there, or its key is gone.
fn is_gone(reason: Reason) -> bool {
    matches!(reason, Reason::LedgerUnavailable | Reason::PartErased)
}

impl<'a> Both<'a> {
    fn new(
        closets: &'a Closets,
        row: &NodeRow,
        asked_by_us: bool,
        mut own: Vec<Entry>,
        mut shown: Vec<Verified<Sealed>>,
    ) -> Both<'a> {
        let (own_origin, theirs) = (closets.origin.as_str(), row.origin.as_str());
        if asked_by_us {
            own.retain(|entry| entry.statement.core().provider_origin == theirs);
            shown.retain(|sealed| {
                sealed.statement.core().provider_origin == theirs
                    && cites_origin(sealed.statement.citation(), own_origin)
            });
        } else {
            own.retain(|entry| {
                entry.statement.core().provider_origin == own_origin && cites_origin(entry.statement.citation(), theirs)
            });
            shown.retain(|sealed| sealed.statement.core().provider_origin == own_origin);
        }
        Both { own, shown, own_origin }
    }

    /// This node asked: its ASKED stands here, the provider's statements there.
    fn as_consumer(&self, difference: &Difference) -> Judgement {
        if let Some(closing) = closing_of(difference.theirs.as_ref()) {
            let Some(said) = self.shown.iter().find(|sealed| sealed.statement.leaf() == closing) else {
                return self.unproven(closing);
            };
            match self.what_was_said(said) {
                Judgement::Honest => {}
                judgement => return judgement,
            }
        }
        let Some(cited) = closing_of(difference.ours.as_ref()) else {
            return Judgement::Honest;
        };
        if self.shown.iter().any(|sealed| sealed.statement.leaf() == cited) {
            return Judgement::Honest;
        }
        if self.shown.is_empty() {
            let text = "does not hold the statement of its ledger that this ledger cites";
            return Judgement::Wrong(FindingKind::ExchangeLacking, self.own_notes(), text);
        }
        let text = "shows another statement than the one that this ledger cites";
        Judgement::Wrong(FindingKind::ExchangeDiffers, self.all_notes(), text)
    }

    /// A closing statement of the provider, against what this node asked and holds.
    fn what_was_said(&self, said: &Verified<Sealed>) -> Judgement {
        let asked = self.own.iter().find(|entry| entry.statement.kind() == Kind::Asked);
        let Some(asked) = asked else {
            let text = "holds an exchange that this node never asked";
            return Judgement::Wrong(FindingKind::ExchangeInvented, notes(&self.shown), text);
        };
        if !cites_leaf(said.statement.citation(), &asked.statement.leaf()) {
            let text = "holds an exchange that this node asked with other content";
            return Judgement::Wrong(FindingKind::ExchangeDiffers, self.all_notes(), text);
        }
        let leaf = said.statement.leaf();
        let mut others = false;
        for entry in &self.own {
            if cites_leaf(entry.statement.citation(), &leaf) {
                return Judgement::Honest;
            }
            others |= entry.statement.citation().is_some() && entry.statement.kind() != Kind::AnswerGone;
        }
        let is_answered = said.statement.kind() == Kind::Answered;
        let is_closed = self.own.iter().any(|entry| entry.statement.kind() != Kind::Asked);
        match (is_answered, others) {
            // One exchange, closed by the provider in two ways.
            (true, true) => {
                let text = "answered an exchange that it had closed otherwise towards this node";
                Judgement::Wrong(FindingKind::ExchangeDiffers, self.all_notes(), text)
            }
            (true, false) if is_closed => Judgement::Late(Box::new(said.clone())),
            // Still open: it is being settled. Or it was given up, and how it ended has no statement here.
            _ => Judgement::Honest,
        }
    }

    /// This node was asked: ASKED and what the consumer made of the answer stand there.
    fn as_provider(&self, difference: &Difference) -> Judgement {
        if let Some(closing) = closing_of(difference.theirs.as_ref()) {
            let said = self.shown.iter().find(|sealed| {
                let citation = sealed.statement.citation();
                cites_origin(citation, self.own_origin) && cites_leaf(citation, &closing)
            });
            if said.is_none() {
                return self.unproven(closing);
            }
            if !self.own.iter().any(|entry| entry.statement.leaf() == closing) {
                return if self.own.is_empty() {
                    let text = "holds a statement of this node about an exchange that this node never had";
                    Judgement::Wrong(FindingKind::ExchangeInvented, notes(&self.shown), text)
                } else {
                    let text = "holds another statement of this node than this ledger";
                    Judgement::Wrong(FindingKind::ExchangeDiffers, self.all_notes(), text)
                };
            }
        }
        let Some(ours) = &difference.ours else {
            return Judgement::Honest;
        };
        let asked = self.shown.iter().find(|sealed| sealed.statement.kind() == Kind::Asked);
        match asked {
            None => {
                let text = "does not hold the question that this ledger cites";
                Judgement::Wrong(FindingKind::ExchangeLacking, self.own_notes(), text)
            }
            Some(asked) if asked.statement.leaf() == ours.asked => Judgement::Honest,
            Some(_) => {
                let text = "shows another question than the one that this ledger cites";
                Judgement::Wrong(FindingKind::ExchangeDiffers, self.all_notes(), text)
            }
        }
    }

    /// The peer listed what it does not show. Where nothing of it is here either, that is only its word.
    fn unproven(&self, closing: jisr_ledger::Hash) -> Judgement {
        let stands = self
            .own
            .iter()
            .any(|entry| entry.statement.leaf() == closing || cites_leaf(entry.statement.citation(), &closing));
        if stands { Judgement::Honest } else { Judgement::Unproven }
    }

    /// Whether what the peer cites of this ledger stands in its tree after all.
    async fn stands_here(&self, closets: &Arc<Closets>) -> Result<bool, Stop> {
        for citation in self.shown.iter().filter_map(|sealed| sealed.statement.citation()) {
            if citation.origin != self.own_origin {
                continue;
            }
            let (ledger, index) = (closets.ledger.clone(), citation.index);
            let entry = tokio::task::spawn_blocking(move || ledger.entry(index)).await;
            let entry = entry.map_err(|error| Stop::Away(error.to_string()))?;
            let entry = entry.map_err(|error| Stop::Away(error.to_string()))?;
            if entry.is_some_and(|entry| cites_leaf(Some(citation), &entry.statement.leaf())) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Checkpoints of the peer under which it sealed what stands here.
    fn own_notes(&self) -> Vec<Bytes> {
        let notes = self.own.iter().filter_map(|entry| entry.peer.as_ref());
        notes.map(|peer| peer.note.clone()).collect()
    }

    fn all_notes(&self) -> Vec<Bytes> {
        let mut all = self.own_notes();
        all.extend(notes(&self.shown));
        all
    }
}

fn notes(shown: &[Verified<Sealed>]) -> Vec<Bytes> {
    let mut notes: Vec<Bytes> = shown.iter().map(|sealed| sealed.note().clone()).collect();
    notes.dedup();
    notes
}

fn closing_of(item: Option<&Item>) -> Option<jisr_ledger::Hash> {
    item.and_then(|item| item.closing)
}

fn cites_origin(citation: Option<&Citation>, origin: &str) -> bool {
    citation.is_some_and(|citation| citation.origin == origin)
}

fn cites_leaf(citation: Option<&Citation>, leaf: &jisr_ledger::Hash) -> bool {
    citation.is_some_and(|citation| citation.leaf == leaf.as_slice())
}
