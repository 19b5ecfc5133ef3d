//! The first reading: whose ledger it is, how far it goes, and what it found itself.

use jisr_proto::statement::Kind;

use crate::archive::{Archive, ArchiveError, Item};
use crate::statement::Act;
use crate::tree::{Frontier, Hash, leaf_hash};

/// One of the ledgers that are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// Its origin.
    pub origin: String,
    /// Statements in it.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// When its newest statement was made, microseconds.
    pub newest_us: u64,
    /// Findings that it holds about other ledgers, whichever they are.
    pub findings: u64,
    /// Whether ENDED stands in it.
    pub is_ended: bool,
    pub(super) exchange_statements: u64,
}

/// Reads the ledger once and ends the archive where that reading ended.
pub(super) fn survey(archive: &mut Archive) -> Result<Whose, ArchiveError> {
    let mut frontier = Frontier::new();
    let mut origin = None;
    let (mut newest_us, mut findings, mut exchange_statements) = (0, 0, 0);
    let mut is_ended = false;
    let mut items = archive.items();
    for item in items.by_ref() {
        let Item::Statement { entry, .. } = item?.1 else {
            continue;
        };
        let statement = &entry.statement;
        frontier.push(leaf_hash(&statement.leaf()));
        newest_us = newest_us.max(statement.core().created_us);
        match statement.act() {
            Some(Act::Started(started)) => origin = origin.or_else(|| Some(started.origin.clone())),
            Some(Act::Finding(_)) => findings += 1,
            _ => {}
        }
        is_ended |= statement.kind() == Kind::Ended;
        exchange_statements += u64::from(!statement.core().exchange_id.is_empty());
    }
    let end = items.place();
    archive.end_at(end);
    let origin = origin.ok_or_else(|| archive.broken(0, "the ledger does not begin with STARTED"))?;
    Ok(Whose {
        origin,
        size: frontier.size(),
        root: frontier.root(),
        newest_us,
        findings,
        is_ended,
        exchange_statements,
    })
}
