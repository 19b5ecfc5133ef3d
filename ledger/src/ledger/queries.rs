//! What is asked of the index: exchanges by peer, by time, by person or case, and pairs for reconciliation.

use std::collections::BTreeMap;
use std::ops::Range;

use jisr_proto::ident::{ExchangeId, MemberId, Origin};
use jisr_proto::statement::Kind;

use super::Ledger;
use super::entry::{Entry, ReadError};
use crate::Hash;

/// Exchanges that were found, in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Each once.
    pub exchanges: Vec<ExchangeId>,
    /// There are more than were asked for.
    pub more: bool,
}

/// One exchange with another ledger, as both sides must hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairRow {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Whether this node asked.
    pub asked_by_us: bool,
    /// Origin of the other side's ledger.
    pub peer: Origin,
    /// Leaf input of ASKED.
    pub asked: Hash,
    /// Leaf input of the provider's ANSWERED: the own one, or the one that the own DELIVERED or LATE_ANSWER cites.
    pub answered: Option<Hash>,
    /// Leaf input of what else the provider said last (REFUSED, FAILED, CANCELLED, NEVER_RECEIVED, OUTCOME_UNKNOWN,
    /// ANSWER_GONE): the own one, or the one that the own closing statement cites.
    pub otherwise: Option<Hash>,
    /// Index of the own statement that was appended last after ASKED or RECEIVED; `None` where this side has not closed it.
    pub closed: Option<u64>,
    /// Provider: the consumer's receipt stands in this ledger.
    pub receipt: bool,
}

impl Ledger {
    /// Exchanges with the nodes of a member that began in this time (microseconds since 1970), at most `limit`. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn by_peer(&self, member: &MemberId, time_us: Range<u64>, limit: usize) -> Result<Found, ReadError> {
        self.select(&time_us, limit, |entry| {
            peer(self, entry).and_then(|peer| peer.member()).as_ref() == Some(member)
        })
    }

    /// Exchanges that began in this time (microseconds since 1970), at most `limit`. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn by_time(&self, time_us: Range<u64>, limit: usize) -> Result<Found, ReadError> {
        self.select(&time_us, limit, |_| true)
    }

    /// Exchanges about a person or a case that began in this time (microseconds since 1970), at most `limit`; the pseudonym is
    /// that of [`crate::vault::Vault::subject`] or [`crate::vault::Vault::case`]. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn by_pseudonym(&self, pseudonym: &Hash, time_us: Range<u64>, limit: usize) -> Result<Found, ReadError> {
        self.select(&time_us, limit, |entry| {
            let statements = std::iter::once(&entry.statement).chain(entry.peer.as_ref().map(|peer| &peer.statement));
            statements
                .flat_map(|statement| self.0.vault.pseudonyms(statement.parts()))
                .any(|found| found == *pseudonym)
        })
    }

    /// Exchanges with other ledgers whose id was made in this time (milliseconds since 1970, the end excluded) and lies between
    /// the two, both included; by id. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn pairs(
        &self,
        from_ms: u64,
        until_ms: u64,
        low: ExchangeId,
        high: ExchangeId,
    ) -> Result<Vec<PairRow>, ReadError> {
        let mut rows: BTreeMap<(ExchangeId, bool), PairRow> = BTreeMap::new();
        for index in 0..self.size() {
            let Some(entry) = self.entry(index)? else { break };
            let core = entry.statement.core();
            let Ok(exchange) = ExchangeId::try_from(core.exchange_id.as_ref()) else {
                continue;
            };
            let in_time = (from_ms..until_ms).contains(&exchange.time_ms());
            let Some(other) = peer(self, &entry).filter(|_| in_time && (low..=high).contains(&exchange)) else {
                continue;
            };
            let cited = entry.statement.citation();
            let cited: Option<Hash> = cited.and_then(|cited| cited.leaf.as_ref().try_into().ok());
            let kind = entry.statement.kind();
            let asked_by_us = core.provider_origin != self.checkpoint().origin.as_ref();
            let asked = match (asked_by_us, kind) {
                (true, Kind::Asked) => Some(entry.statement.leaf()),
                (true, _) => None,
                (false, _) => cited,
            };
            let theirs = if asked_by_us { cited } else { Some(entry.statement.leaf()) };
            let (answered, otherwise) = match kind {
                Kind::Asked | Kind::Received => (None, None),
                Kind::Delivered | Kind::LateAnswer | Kind::Answered => (theirs, None),
                _ => (None, theirs),
            };
            let closed = (!matches!(kind, Kind::Asked | Kind::Received)).then_some(index);
            let row = rows.entry((exchange, asked_by_us)).or_insert_with(|| PairRow {
                exchange,
                asked_by_us,
                peer: other,
                asked: asked.unwrap_or_default(),
                answered,
                otherwise,
                closed,
                receipt: false,
            });
            row.answered = answered.or(row.answered);
            row.otherwise = otherwise.or(row.otherwise);
            row.closed = closed.or(row.closed);
        }
        Ok(rows.into_values().filter(|row| row.asked != Hash::default()).collect())
    }

    fn select(&self, time_us: &Range<u64>, limit: usize, holds: impl Fn(&Entry) -> bool) -> Result<Found, ReadError> {
        let mut found = Found::default();
        for index in 0..self.size() {
            let Some(entry) = self.entry(index)? else { break };
            let core = entry.statement.core();
            let Ok(exchange) = ExchangeId::try_from(core.exchange_id.as_ref()) else {
                continue;
            };
            if !time_us.contains(&core.created_us) || found.exchanges.contains(&exchange) || !holds(&entry) {
                continue;
            }
            if found.exchanges.len() == limit {
                found.more = true;
                break;
            }
            found.exchanges.push(exchange);
        }
        Ok(found)
    }
}

/// Origin of the other side's ledger.
fn peer(ledger: &Ledger, entry: &Entry) -> Option<Origin> {
    let core = entry.statement.core();
    if core.provider_origin == ledger.checkpoint().origin.as_ref() {
        entry.statement.citation().and_then(|cited| cited.origin.parse().ok())
    } else {
        core.provider_origin.parse().ok()
    }
}
