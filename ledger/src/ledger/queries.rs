//! What is asked of the index: exchanges by peer, by time, by person or case, and pairs for reconciliation.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use jisr_proto::ident::{ExchangeId, MemberId, Origin};
use jisr_proto::statement::Kind;

use super::Ledger;
use super::entry::ReadError;
use super::index::{Index, Selection, Statement};
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
        let index = self.index()?;
        let is_of = |origin: &str| {
            let origin = origin.parse::<Origin>().ok();
            origin.and_then(|origin| origin.member()).as_ref() == Some(member)
        };
        let peers = index.origins(is_of).into_iter().map(Selection::Peer);
        select(&index, peers, &time_us, limit)
    }

    /// Exchanges that began in this time (microseconds since 1970), at most `limit`. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn by_time(&self, time_us: Range<u64>, limit: usize) -> Result<Found, ReadError> {
        select(&*self.index()?, [Selection::Time], &time_us, limit)
    }

    /// Exchanges about a person or a case that began in this time (microseconds since 1970), at most `limit`; the pseudonym is
    /// that of [`crate::vault::Vault::subject`] or [`crate::vault::Vault::case`]. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn by_pseudonym(&self, pseudonym: &Hash, time_us: Range<u64>, limit: usize) -> Result<Found, ReadError> {
        select(&*self.index()?, [Selection::Pseudonym(pseudonym)], &time_us, limit)
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
        if low > high {
            return Ok(Vec::new());
        }
        let index = self.index()?;
        let mut statements = Vec::new();
        index.exchanges(&(from_ms..until_ms), &(low..=high), |statement| {
            if statement.peer > 0 {
                statements.push(statement);
            }
        })?;
        statements.sort_unstable_by_key(|found| (found.exchange, found.asked_by_us, found.index));
        let origins = index.numbered();
        let same =
            |one: &Statement, other: &Statement| (one.exchange, one.asked_by_us) == (other.exchange, other.asked_by_us);
        let mut rows = Vec::new();
        for exchange in statements.chunk_by(same) {
            rows.extend(self.pair(&index, exchange, &origins)?);
        }
        Ok(rows)
    }

    /// `None` where the exchange has no ASKED: what was refused at home is nobody else's.
    fn pair(
        &self,
        index: &Index,
        statements: &[Statement],
        origins: &HashMap<u32, String>,
    ) -> Result<Option<PairRow>, ReadError> {
        let Some(first) = statements.first() else {
            return Ok(None);
        };
        let peer = origins.get(&first.peer).and_then(|origin| origin.parse().ok());
        let mut row = PairRow {
            exchange: first.exchange,
            asked_by_us: first.asked_by_us,
            peer: peer.ok_or(ReadError::Index("the origin of a peer"))?,
            asked: Hash::default(),
            answered: None,
            otherwise: None,
            closed: None,
            receipt: false,
        };
        let mut asked = None;
        for statement in statements {
            let cited = Some(statement.cited).filter(|cited| *cited != Hash::default());
            match (statement.asked_by_us, statement.kind) {
                (true, Kind::Asked) => {
                    asked = Some(self.leaf(statement.index)?);
                    continue;
                }
                (false, Kind::Received) => {
                    asked = cited;
                    continue;
                }
                (true, Kind::Delivered | Kind::LateAnswer) => row.answered = cited,
                (true, _) => row.otherwise = cited.or(row.otherwise),
                (false, kind) => {
                    asked = asked.or(cited);
                    let leaf = Some(self.leaf(statement.index)?);
                    let said = match kind {
                        Kind::Answered => &mut row.answered,
                        _ => &mut row.otherwise,
                    };
                    *said = leaf;
                    row.receipt |= index.receipt(statement.index)?.is_some();
                }
            }
            row.closed = Some(statement.index);
        }
        Ok(asked.map(|asked| PairRow { asked, ..row }))
    }

    /// Leaf input of a statement.
    fn leaf(&self, index: u64) -> Result<Hash, ReadError> {
        self.0.tiles.input(index).ok_or(ReadError::Index("a leaf"))
    }
}

/// The exchanges of some selections, each once, by time.
fn select<'a>(
    index: &Index,
    selections: impl IntoIterator<Item = Selection<'a>>,
    time_us: &Range<u64>,
    limit: usize,
) -> Result<Found, ReadError> {
    let mut seen = HashSet::new();
    let mut began = Vec::new();
    for selection in selections {
        let most = began.len().saturating_add(limit);
        index.began(&selection, time_us, |us, exchange| {
            if seen.insert(exchange) {
                began.push((us, exchange));
            }
            began.len() <= most
        })?;
    }
    began.sort_unstable();
    let more = began.len() > limit;
    began.truncate(limit);
    Ok(Found {
        exchanges: began.into_iter().map(|(_, exchange)| exchange).collect(),
        more,
    })
}
