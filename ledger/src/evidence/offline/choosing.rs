//! Which exchanges of a ledger directory are meant.

use super::OfflineError;
use crate::{
    Hash,
    archive::{Archive, Item, Role},
    statement::{Parsed, Part},
    vault::Vault,
};
use jisr_proto::{
    ident::{ExchangeId, MemberId, SubsystemId},
    statement::SubjectIdentifier,
};
use std::{
    collections::{BTreeSet, HashSet},
    ops::Range,
};

/// Which exchanges. Of several conditions all must hold.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    /// Reference of the case, as the question gave it.
    pub case: Option<&'a str>,
    /// An identifier of the person, as the question gave it.
    pub subject: Option<&'a SubjectIdentifier>,
    /// A member on either side.
    pub peer: Option<&'a MemberId>,
    /// When they began, microseconds since 1970.
    pub time_us: Range<u64>,
    /// These exchanges; all, where it is empty.
    pub exchanges: &'a BTreeSet<ExchangeId>,
    /// On which side the ledger's owner stood; on either, where it is `None`.
    pub role: Option<Role>,
    /// The node's keys: they name persons and cases.
    pub vault: Option<&'a Vault>,
}

/// The ids of the exchanges for which all holds.
pub(super) fn chosen(
    archive: &Archive,
    choice: &Choice<'_>,
    limit: usize,
) -> Result<BTreeSet<ExchangeId>, OfflineError> {
    let pseudonyms = choice.pseudonyms()?;
    let mut candidates = Candidates {
        choice,
        pseudonyms,
        seen: HashSet::new(),
        chosen: BTreeSet::new(),
        last: None,
    };
    for item in archive.items() {
        match item?.1 {
            Item::Statement { entry, .. } => candidates.own(&entry.statement),
            Item::PeerStatement(shown) => candidates.attached(&shown.entry.statement),
            _ => {}
        }
        if candidates.chosen.len() > limit {
            return Err(OfflineError::TooMany(limit));
        }
    }
    Ok(candidates.chosen)
}

impl Choice<'_> {
    fn pseudonyms(&self) -> Result<Vec<Hash>, OfflineError> {
        if self.case.is_none() && self.subject.is_none() {
            return Ok(Vec::new());
        }
        let vault = self.vault.ok_or(OfflineError::NoKeys)?;
        let case = self.case.map(|case| vault.case(case));
        let subject = self.subject.map(|subject| vault.subject(subject.kind, &subject.value));
        Ok(case.into_iter().chain(subject).collect())
    }
}

/// Exchanges as their statements are met.
struct Candidates<'a> {
    choice: &'a Choice<'a>,
    pseudonyms: Vec<Hash>,
    /// Exchanges whose first statement does what can be told without persons and cases.
    seen: HashSet<ExchangeId>,
    chosen: BTreeSet<ExchangeId>,
    /// The exchange of the last own statement, where it is a candidate.
    last: Option<ExchangeId>,
}

impl Candidates<'_> {
    fn own(&mut self, statement: &Parsed) {
        self.last = None;
        let core = statement.core();
        let Ok(id) = ExchangeId::try_from(core.exchange_id.as_ref()) else {
            return;
        };
        if !self.seen.contains(&id) && !self.begins_as_chosen(&id, statement) {
            return;
        }
        self.seen.insert(id);
        self.last = Some(id);
        self.take(id, statement.parts());
    }

    /// The question, as the provider keeps it.
    fn attached(&mut self, statement: &Parsed) {
        if let Some(id) = self.last {
            self.take(id, statement.parts());
        }
    }

    fn begins_as_chosen(&self, id: &ExchangeId, statement: &Parsed) -> bool {
        let core = statement.core();
        let is_side = |subsystem: &str, member: &MemberId| {
            let subsystem: Result<SubsystemId, _> = subsystem.parse();
            subsystem.is_ok_and(|subsystem| subsystem.member() == *member)
        };
        let is_named = self.choice.exchanges.is_empty() || self.choice.exchanges.contains(id);
        let is_peers = |peer| is_side(&core.consumer, peer) || is_side(&core.provider, peer);
        is_named && self.choice.time_us.contains(&core.created_us) && self.choice.peer.is_none_or(is_peers)
    }

    fn take(&mut self, id: ExchangeId, parts: &[Part]) {
        let found = match self.choice.vault {
            Some(vault) if !self.pseudonyms.is_empty() => vault.pseudonyms(parts),
            _ => Vec::new(),
        };
        if self.pseudonyms.iter().all(|wanted| found.contains(wanted)) {
            self.chosen.insert(id);
        }
    }
}
