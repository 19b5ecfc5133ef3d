//! What the holder of a file can do to it offline and without any key: keep parts back, and take one exchange out of a set.
//! Every proof stays as it was, since a part's hash stands for it.

use super::{
    ground::shown,
    rows::{Wanted, listed_in},
    shelf::withheld,
};
use crate::{
    Hash,
    note::{Checkpoint, SignedNote},
    snapshot::Header,
    statement::{Act, Parsed, Shown, Tag},
};
use bytes::Bytes;
use jisr_certs::digest::domain;
use jisr_proto::{
    evidence::{Evidence, EvidenceExchange, EvidenceSet, EvidenceSnapshot, EvidenceStatement, Stamp},
    ident::ExchangeId,
    statement::{Core, Kind, Sealed},
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Why a file cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedactError {
    /// The set does not have the exchange.
    #[error("the set holds no exchange {0}; jisr evidence show lists those it holds")]
    Unknown(ExchangeId),
    /// A part or a statement is out of form.
    #[error("the file is out of form: {0}; jisr evidence verify tells what is wrong with it")]
    Form(String),
}

/// Keeps these parts back in every statement of the exchange: only their hashes remain. CORE always stays.
///
/// # Errors
/// A part is out of form.
pub fn withhold(evidence: &mut Evidence, tags: &[Tag]) -> Result<(), RedactError> {
    withhold_in(&mut evidence.statements, tags)
}

/// As [`withhold`], in every exchange of a set.
///
/// # Errors
/// A part is out of form.
pub fn withhold_in_set(set: &mut EvidenceSet, tags: &[Tag]) -> Result<(), RedactError> {
    for exchange in &mut set.exchanges {
        withhold_in(&mut exchange.statements, tags)?;
    }
    Ok(())
}

fn withhold_in(statements: &mut [EvidenceStatement], tags: &[Tag]) -> Result<(), RedactError> {
    for part in statements.iter_mut().flat_map(|statement| &mut statement.parts) {
        let shown = shown(part).map_err(|error| RedactError::Form(error.to_string()))?;
        if let Shown::Open(open) = shown
            && open.tag != Tag::Core
            && tags.contains(&open.tag)
        {
            *part = withheld(&open.hash);
        }
    }
    Ok(())
}

/// One exchange of a set as a file of its own, with what it rests on and nothing of the others.
///
/// # Errors
/// The set does not have it, or is out of form.
pub fn extract(set: &EvidenceSet, exchange: &ExchangeId) -> Result<Evidence, RedactError> {
    let found = set
        .exchanges
        .iter()
        .find(|one| one.exchange_id == exchange.as_bytes().as_slice())
        .ok_or(RedactError::Unknown(*exchange))?;
    let mut needed = Needed::of(set, found)?;
    let headers = set.snapshots.iter().map(|raw| (raw, Header::parse(&raw.header).ok()));
    let (snapshots, roots): (Vec<EvidenceSnapshot>, BTreeSet<Hash>) = headers
        .filter_map(|(raw, header)| Some((raw, header?)))
        .filter(|(_, header)| needed.versions.contains(&header.version))
        .map(|(raw, header)| (raw.clone(), header.root))
        .unzip();
    let schema = set.schemas.iter().find(|schema| {
        let digest = domain("jisr.schema", &[schema]);
        needed
            .cores
            .iter()
            .any(|core| core.kind == Kind::Asked as i32 && core.schema == digest.as_slice())
    });
    let mut moved = Moved::default();
    let statements = found.statements.iter().map(|entry| moved.entry(entry)).collect();
    let registry = needed.entries.iter().map(|entry| moved.entry(entry)).collect();
    let checkpoints = moved.checkpoints(&set.checkpoints)?;
    checkpoints.iter().for_each(|note| needed.wanted.checkpoint(note));
    let wanted = &needed.wanted;
    let rows = set
        .rows
        .iter()
        .filter(|rows| roots.iter().any(|root| rows.root == root.as_slice()));
    Ok(Evidence {
        format: 1,
        instance: set.instance.clone(),
        exchange_id: found.exchange_id.clone(),
        created_us: set.created_us,
        statements,
        registry,
        certificates: needed.certificates,
        snapshots,
        rows: rows.map(|rows| wanted.of(rows.clone())).collect(),
        schema: schema.cloned().unwrap_or_default(),
        stamps: moved.stamps(&set.stamps),
        checkpoints,
    })
}

/// What one exchange of a set rests on.
struct Needed<'s> {
    cores: Vec<Core>,
    versions: BTreeSet<u64>,
    entries: Vec<&'s EvidenceStatement>,
    certificates: Vec<Bytes>,
    /// Of the snapshots' rows.
    wanted: Wanted,
}

impl<'s> Needed<'s> {
    fn of(set: &'s EvidenceSet, exchange: &EvidenceExchange) -> Result<Self, RedactError> {
        let mut cores = Vec::with_capacity(exchange.statements.len());
        for statement in &exchange.statements {
            cores.push(parsed(statement)?.core().clone());
        }
        let origins: HashSet<&str> = exchange
            .statements
            .iter()
            .map(|statement| statement.origin.as_str())
            .collect();
        let mut needed = Self {
            versions: cores.iter().map(|core| core.snapshot_version).collect(),
            cores,
            entries: Vec::new(),
            certificates: Vec::new(),
            wanted: Wanted::default(),
        };
        for (statement, core) in exchange.statements.iter().zip(&needed.cores) {
            needed.wanted.statement(&statement.origin, core);
        }
        let mut acts = Vec::with_capacity(set.registry.len());
        for entry in &set.registry {
            acts.push((entry, parsed(entry)?.act().cloned()));
        }
        needed.add_ledgers_that_agreed(set, &acts);
        let mut of_others = HashSet::new();
        let mut own = HashSet::new();
        for (entry, act) in &acts {
            if let Some(Act::Node(act)) = act
                && let Some(node) = &act.node
            {
                let kept = origins.contains(node.origin.as_str());
                let set = if kept { &mut own } else { &mut of_others };
                set.insert(node.seal_certificate.clone());
            }
            if let Some(act) = act.as_ref().filter(|act| needed.rests_on(act, &origins)) {
                needed.wanted.act(act);
                needed.entries.push(entry);
            }
        }
        let certificates = set.certificates.iter();
        needed.certificates = certificates
            .filter(|der| own.contains(*der) || !of_others.contains(*der))
            .cloned()
            .collect();
        Ok(needed)
    }

    /// Adds, where the cited snapshots do not list a ledger in which a party agreed, the first snapshot that does.
    fn add_ledgers_that_agreed(&mut self, set: &EvidenceSet, acts: &[(&EvidenceStatement, Option<Act>)]) {
        let of_cited = |digest: &[u8]| self.cores.iter().any(|core| core.agreement == digest);
        let agreed = acts.iter().filter_map(|(_, act)| match act {
            Some(Act::Agreement(act)) if of_cited(&domain("jisr.agreement", &[&act.document])) => Some(&act.agreed),
            _ => None,
        });
        let wanted: Vec<String> = agreed.flatten().filter_map(origin_of).collect();
        if wanted.is_empty() {
            return;
        }
        let headers = set.snapshots.iter().filter_map(|raw| Header::parse(&raw.header).ok());
        let listing: Vec<(u64, HashSet<String>)> = headers
            .map(|header| {
                let rows = set.rows.iter().filter(|rows| rows.root == header.root.as_slice());
                let nodes = rows.flat_map(|rows| listed_in(rows).nodes);
                (header.version, nodes.map(|node| node.origin).collect())
            })
            .collect();
        for origin in wanted {
            let mut lists = listing.iter().filter(|(_, origins)| origins.contains(&origin));
            if lists.clone().all(|(version, _)| !self.versions.contains(version))
                && let Some((version, _)) = lists.next()
            {
                self.versions.insert(*version);
            }
        }
    }

    /// Whether the exchange rests on what this entry of the registry's ledger says.
    fn rests_on(&self, act: &Act, origins: &HashSet<&str>) -> bool {
        let is_cited = |digest: &[u8]| self.cores.iter().any(|core| core.agreement == digest);
        match act {
            Act::Node(act) => act
                .node
                .as_ref()
                .is_some_and(|node| origins.contains(node.origin.as_str())),
            Act::Service(act) => act.service.as_ref().is_some_and(|service| {
                let is_asked = |core: &Core| core.service == service.name && core.provider == service.provider;
                self.cores.iter().any(is_asked)
            }),
            Act::Agreement(act) => is_cited(&domain("jisr.agreement", &[&act.document])),
            Act::AgreementRevocation(act) => is_cited(&act.digest),
            Act::Snapshot(act) => self.versions.contains(&act.version),
            // Whose they were, their bytes say only to who has them: each is kept.
            Act::CertificateRevocation(_) => true,
            _ => false,
        }
    }
}

/// The checkpoints that are used, in the order of their first use.
#[derive(Default)]
struct Moved {
    order: Vec<u32>,
    positions: BTreeMap<u32, u32>,
}

impl Moved {
    fn entry(&mut self, entry: &EvidenceStatement) -> EvidenceStatement {
        let next = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
        let checkpoint = *self.positions.entry(entry.checkpoint).or_insert(next);
        if checkpoint == next {
            self.order.push(entry.checkpoint);
        }
        EvidenceStatement {
            checkpoint,
            ..entry.clone()
        }
    }

    fn checkpoints(&self, all: &[Bytes]) -> Result<Vec<Bytes>, RedactError> {
        let at = |at: &u32| usize::try_from(*at).ok().and_then(|at| all.get(at)).cloned();
        let taken: Option<Vec<Bytes>> = self.order.iter().map(at).collect();
        taken.ok_or_else(|| RedactError::Form("a statement points at no checkpoint".to_owned()))
    }

    fn stamps(&self, all: &[Stamp]) -> Vec<Stamp> {
        let moved = |stamp: &Stamp| {
            let checkpoint = *self.positions.get(&stamp.checkpoint)?;
            Some(Stamp {
                checkpoint,
                ..stamp.clone()
            })
        };
        all.iter().filter_map(moved).collect()
    }
}

fn parsed(entry: &EvidenceStatement) -> Result<Parsed, RedactError> {
    let parts = entry.parts.iter();
    let shown: Result<Vec<Shown>, _> = parts.map(shown).collect();
    shown
        .and_then(Parsed::from_shown)
        .map_err(|error| RedactError::Form(format!("entry {} of {:?}: {error}", entry.index, entry.origin)))
}

/// The ledger in which a statement was sealed, by the checkpoint in its seal.
fn origin_of(sealed: &Sealed) -> Option<String> {
    let note = SignedNote::parse(&sealed.seal.as_ref()?.checkpoint).ok()?.text;
    Checkpoint::parse(note).ok().map(|checkpoint| checkpoint.origin)
}
