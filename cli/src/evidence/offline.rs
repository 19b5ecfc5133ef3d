//! `jisr evidence export --ledger`: evidence of directories alone, when there is no node or no registry any more.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::path::Path;

use bytes::Bytes;
use jisr_ledger::anchor::Anchor;
use jisr_ledger::archive::Role;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_ledger::evidence::offline::{Choice, Gathered, OfflineError, gather};
use jisr_ledger::evidence::{AgreedIn, Builder, EvidenceError, Needs, Piece, SetBuilder, encode, encode_set};
use jisr_ledger::policy::Policy;
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::Tag;
use jisr_ledger::vault::Vault;
use jisr_node::archive::{self, Excerpt};
use jisr_node::setup::Layout;
use jisr_proto::admin::ExchangeFilter;
use jisr_proto::ident::{ExchangeId, MemberId};
use jisr_proto::statement::{Kind, Sealed};
use prost::Message;

use super::export::Made;
use crate::archive::{Archive, Data};
use crate::failure::Failure;
use crate::output;

/// Largest kept entry, bytes.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// What the file is to be about.
pub(super) struct Wanted<'a> {
    pub(super) filter: &'a ExchangeFilter,
    /// This exchange alone.
    pub(super) one: Option<ExchangeId>,
    /// On which side the ledger's owner stood; `None`: on either.
    pub(super) role: Option<Role>,
    /// Most exchanges.
    pub(super) limit: usize,
}

/// Makes a file of a ledger directory and of what a node kept in its data directory.
pub(super) fn export(ledger: &Path, data: &Data, wanted: &Wanted<'_>, withheld: &[Tag]) -> Result<Made, Failure> {
    let kept = Kept::open(data)?;
    let gathered = kept.gather(ledger, wanted)?;
    if let Some(exchange) = wanted.one
        && gathered.twofold.contains(&exchange)
    {
        return Err(Failure::usage(
            format!("two exchanges have the id {exchange}: in one the ledger's owner asked, in the other it was asked"),
            "say which one with --role consumer or --role provider",
        ));
    }
    let mut grounds = Grounds::default();
    for piece in gathered.exchanges.values().flatten() {
        grounds.need(&kept, piece);
    }
    let mut lacks = grounds.lacks.clone();
    let mut entries = kept.entries(&grounds, &mut lacks);
    entries.extend(grounds.list_agreeing(&kept, &entries));
    for (exchange, pieces) in &gathered.exchanges {
        lacks.extend(open_ends(exchange, pieces));
    }
    lacks.extend(gathered.twofold.iter().map(|exchange| {
        format!("{exchange}: of two exchanges with this id the file holds the one that was asked here; make another with --role provider")
    }));
    let made_us = SystemClock.now_us();
    let exchanges = u32::try_from(gathered.exchanges.len()).unwrap_or(u32::MAX);
    // The ledger's STARTED holds the chain: its seal certificate, the issuing authority, the root.
    let certificates = grounds
        .needs
        .certificates(gathered.certificates.iter().skip(1))
        .into_iter();
    let file = match wanted.one {
        Some(exchange) => {
            let mut builder = Builder::new(&kept.anchor.instance, &exchange, made_us);
            for piece in gathered.exchanges.into_values().flatten() {
                builder = builder.statement(piece, withheld);
            }
            for (note, token, renewals) in gathered.stamps {
                builder = builder.stamp(&note, token, renewals);
            }
            builder = entries.into_iter().fold(builder, Builder::registry_entry);
            builder = certificates.fold(builder, Builder::certificate);
            for kept in grounds.snapshots.into_values() {
                builder = builder.snapshot(kept.signed.header, kept.signed.note, kept.rows);
            }
            encode(&builder.with_fewer_cosignatures(&kept.anchor).build())
        }
        None => {
            let title = format!(
                "{exchanges} exchanges, from the ledger directory of {}",
                gathered.origin
            );
            let mut builder = SetBuilder::new(&kept.anchor.instance, &title, made_us);
            for (exchange, pieces) in gathered.exchanges {
                for piece in pieces {
                    builder.statement(&exchange, piece, withheld);
                }
            }
            for (note, token, renewals) in gathered.stamps {
                builder.stamp(&note, token, renewals);
            }
            entries.into_iter().for_each(|entry| builder.registry_entry(entry));
            certificates.for_each(|der| builder.certificate(der));
            for kept in grounds.snapshots.into_values() {
                builder.snapshot(kept.signed.header, kept.signed.note, kept.rows);
            }
            encode_set(&builder.build())
        }
    };
    Ok(Made {
        file: file.map_err(too_long)?,
        exchanges,
        lacks,
    })
}

fn too_long(error: EvidenceError) -> Failure {
    Failure::refused(error.to_string(), "you, the caller", "", "choose fewer exchanges")
}

/// What is not there of the exchange itself.
fn open_ends(exchange: &ExchangeId, pieces: &[Piece]) -> Vec<String> {
    let ends = |piece: &&Piece| !matches!(piece.statement.kind(), Kind::Asked | Kind::Received | Kind::LateAnswer);
    let mut closed: Vec<&str> = pieces.iter().filter(ends).map(|piece| piece.origin.as_str()).collect();
    closed.dedup();
    let at_home = pieces.iter().all(|piece| piece.statement.kind() != Kind::Asked);
    match closed.len() {
        0 => vec![format!("{exchange}: no side's closing statement is kept here")],
        1 if !at_home => vec![format!(
            "{exchange}: only {} is known to have closed it",
            closed.concat()
        )],
        _ => Vec::new(),
    }
}

/// What a node kept.
struct Kept {
    layout: Layout,
    anchor: Anchor,
    vault: Option<Vault>,
    seals: SealVerifier,
}

impl Kept {
    fn open(data: &Data) -> Result<Self, Failure> {
        let layout = Layout::new(data.dir());
        let anchor = crate::anchor::read(&layout.anchor())?;
        // A mirror has the keys only sealed under its secret: where that is not named, what is personal stays withheld.
        let vault = data.vault()?;
        if vault.is_none() {
            output::say("no keys are there: what is personal is withheld");
        }
        Ok(Self {
            layout,
            anchor,
            vault,
            seals: SealVerifier::new(),
        })
    }

    fn gather(&self, ledger: &Path, wanted: &Wanted<'_>) -> Result<Gathered, Failure> {
        let filter = wanted.filter;
        let place = ledger.to_string_lossy();
        let fetched = Archive::open(&place)?;
        let unreadable = |error: OfflineError| match error {
            OfflineError::Archive(_) | OfflineError::NotStarted => {
                Failure::unusable(ledger, error, "name a ledger directory")
            }
            OfflineError::NoKeys | OfflineError::TooMany(_) => Failure::usage(error.to_string(), ""),
        };
        let archive = jisr_ledger::archive::Archive::open(fetched.dir());
        let mut archive = archive.map_err(|error| unreadable(error.into()))?;
        if let Some(vault) = &self.vault {
            archive = archive.with_vault(vault.clone());
        }
        let peer = (!filter.peer.is_empty()).then(|| filter.peer.parse::<MemberId>());
        let peer = peer.transpose();
        let peer = peer.map_err(|error| Failure::usage(error.to_string(), "write --peer as JO/GOV/psd"))?;
        let ids = filter.exchanges.iter().map(|id| ExchangeId::try_from(id.as_ref()));
        let ids: Result<BTreeSet<ExchangeId>, _> = ids.collect();
        let exchanges = ids.map_err(|error| Failure::usage(error.to_string(), ""))?;
        let until_us = if filter.until_us == 0 {
            u64::MAX
        } else {
            filter.until_us
        };
        let choice = Choice {
            case: Some(filter.case_reference.as_str()).filter(|case| !case.is_empty()),
            subject: filter.subject.as_ref(),
            peer: peer.as_ref(),
            time_us: filter.from_us..until_us,
            exchanges: &exchanges,
            role: wanted.role,
            vault: self.vault.as_ref(),
        };
        let gathered = gather(&archive, &self.policy(), &choice, wanted.limit).map_err(unreadable)?;
        if gathered.exchanges.is_empty() {
            return Err(Failure::unusable(
                ledger,
                "it holds no exchange for which all of that holds",
                "choose others, or name the ledger of one of their two sides",
            ));
        }
        Ok(gathered)
    }

    /// The anchor's witnesses and those of the newest snapshot that is kept.
    fn policy(&self) -> Policy {
        let newest = self.versions().max().and_then(|version| self.snapshot(version));
        newest.map_or_else(|| Policy::new(&self.anchor), |kept| self.anchor.with(&kept.listed))
    }

    /// Versions of the snapshots that are kept.
    fn versions(&self) -> impl Iterator<Item = u64> + use<> {
        let versions = std::fs::read_dir(self.layout.snapshots()).into_iter().flatten();
        versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok())
    }

    fn snapshot(&self, version: u64) -> Option<Excerpt> {
        archive::read(&self.layout.snapshots(), version)
    }

    fn entry(&self, sealed: &Sealed) -> Option<Piece> {
        let verified = self.seals.verify(sealed, &self.anchor.registry_key).ok()?;
        Some(Piece {
            origin: self.anchor.registry_origin.clone(),
            index: verified.index,
            statement: verified.statement.clone(),
            path: verified.path.clone(),
            checkpoint: verified.note().clone(),
        })
    }

    /// The entries of the registry's ledger that are needed and kept.
    fn entries(&self, grounds: &Grounds, lacks: &mut Vec<String>) -> Vec<Piece> {
        let published = grounds.snapshots.values().filter_map(|kept| kept.signed.entry.as_ref());
        let mut entries: Vec<Piece> = published.filter_map(|sealed| self.entry(sealed)).collect();
        for index in &grounds.needs.entries {
            let path = self.layout.registry_entries().join(index.to_string());
            let sealed = output::read(&path, KEPT_BYTES_MAX).ok();
            let sealed = sealed.and_then(|bytes| Sealed::decode(Bytes::from(bytes)).ok());
            match sealed
                .and_then(|sealed| self.entry(&sealed))
                .filter(|entry| entry.index == *index)
            {
                Some(entry) => entries.push(entry),
                None => lacks.push(format!("entry {index} of the registry's ledger is not kept here")),
            }
        }
        entries
    }
}

/// What the statements rest on.
#[derive(Default)]
struct Grounds {
    needs: Needs,
    snapshots: std::collections::BTreeMap<u64, Excerpt>,
    missing: BTreeSet<u64>,
    lacks: Vec<String>,
}

impl Grounds {
    /// Adds snapshots that list the ledgers in which the parties agreed, where those were succeeded since. Returns the entries that
    /// go with them.
    fn list_agreeing(&mut self, kept: &Kept, entries: &[Piece]) -> Vec<Piece> {
        let mut published = Vec::new();
        for agreed in entries.iter().flat_map(AgreedIn::of) {
            if self.snapshots.values().any(|kept| agreed.is_listed(&kept.listed)) {
                continue;
            }
            let found = std::iter::once(agreed.snapshot_version)
                .chain(kept.versions())
                .filter_map(|version| Some((version, kept.snapshot(version)?)))
                .find(|(_, excerpt)| agreed.is_listed(&excerpt.listed));
            let Some((version, excerpt)) = found else {
                continue;
            };
            if let Some(entry) = excerpt.signed.entry.as_ref().and_then(|sealed| kept.entry(sealed)) {
                published.push(entry);
                self.snapshots.insert(version, excerpt);
            }
        }
        published
    }

    fn need(&mut self, kept: &Kept, piece: &Piece) {
        let core = piece.statement.core();
        let version = core.snapshot_version;
        if version == 0 || self.missing.contains(&version) {
            return;
        }
        if let Entry::Vacant(vacant) = self.snapshots.entry(version) {
            match kept.snapshot(version) {
                Some(found) => {
                    vacant.insert(found);
                }
                None => {
                    self.missing.insert(version);
                    self.lacks.push(format!("snapshot {version} is not kept here"));
                    return;
                }
            }
        }
        if let Some(excerpt) = self.snapshots.get(&version) {
            self.needs.add(&excerpt.listed, core);
        }
    }
}
