//! Agreements that one party has agreed to and the other has not: kept in files until they are registered or expire.
//!
//! A file holds a canonical `AgreementAct` with the AGREED that came so far; its name is the agreement's digest.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jisr_ledger::files::{Disk, create_directory};
use jisr_proto::canonical;
use jisr_proto::ident::MemberId;
use jisr_proto::reason::Reason;
use jisr_proto::snapshot::AgreementAct;
use jisr_proto::statement::Sealed;

use crate::agreement::{Side, Terms};
use crate::error::Error;
use crate::refusal::Refusal;
use crate::schemas::blocking;
use crate::state::Hash;
use crate::text::hex;

/// What came of one agreement so far.
#[derive(Clone)]
pub(crate) struct Proposal {
    /// The agreement.
    pub(crate) terms: Arc<Terms>,
    /// AGREED of the consumer.
    pub(crate) consumer: Option<Sealed>,
    /// AGREED of the provider.
    pub(crate) provider: Option<Sealed>,
}

impl Proposal {
    /// Members that agreed so far.
    pub(crate) fn agreed(&self) -> Vec<MemberId> {
        let consumer = self.consumer.as_ref().map(|_| self.terms.consumer.member());
        consumer
            .into_iter()
            .chain(self.provider.as_ref().map(|_| self.terms.provider.member()))
            .collect()
    }

    /// Both AGREED, the consumer's first.
    pub(crate) fn both(&self) -> Option<[Sealed; 2]> {
        Some([self.consumer.clone()?, self.provider.clone()?])
    }

    fn file(&self) -> Bytes {
        let agreed = self.consumer.iter().chain(&self.provider).cloned().collect();
        canonical::encode(&AgreementAct {
            document: self.terms.document.clone(),
            agreed,
        })
    }
}

/// The open proposals. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Proposals {
    dir: Arc<Path>,
    disk: Arc<dyn Disk>,
    open: Arc<Mutex<BTreeMap<Hash, Proposal>>>,
    per_member_max: usize,
}

impl Proposals {
    /// Opens the directory on the disk and reads what is there; `side` tells whose AGREED a stored one is.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Directory`] for a file that is no proposal.
    pub(crate) fn open(
        (dir, disk): (PathBuf, Arc<dyn Disk>),
        per_member_max: usize,
        read: impl Fn(&AgreementAct) -> Result<Proposal, Refusal>,
    ) -> Result<Proposals, Error> {
        create_directory(&dir).map_err(|e| Error::io("make", &dir, e))?;
        let mut open = BTreeMap::new();
        for entry in std::fs::read_dir(&dir).map_err(|e| Error::io("list", &dir, e))? {
            let path = entry.map_err(|e| Error::io("list", &dir, e))?.path();
            // A `.new` file is a replacement that a crash cut off; nobody was told of it.
            if path.extension().is_none_or(|extension| extension != "pb") {
                continue;
            }
            let bytes = Bytes::from(std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?);
            let wrong = |rule: String| Error::Directory(format!("{}: {rule}; remove the file", path.display()));
            let stored: AgreementAct = canonical::decode(&bytes).map_err(|e| wrong(e.to_string()))?;
            let proposal = read(&stored).map_err(|e| wrong(e.to_string()))?;
            open.insert(proposal.terms.digest, proposal);
        }
        Ok(Proposals {
            dir: dir.into(),
            disk,
            open: Arc::new(Mutex::new(open)),
            per_member_max,
        })
    }

    /// Keeps a party's verified AGREED; durable when it resolves. Returns what came so far.
    ///
    /// # Errors
    /// OVERLOADED where the member has too many proposals open; LEDGER_UNAVAILABLE where the disk refuses.
    pub(crate) async fn put(&self, terms: Arc<Terms>, side: Side, agreed: Sealed) -> Result<Proposal, Refusal> {
        let proposals = self.clone();
        blocking(move || {
            let mut open = proposals.open.lock().unwrap_or_else(PoisonError::into_inner);
            let member = terms.member(side);
            let mine = open.values().filter(|other| other.agreed().contains(&member)).count();
            let known = open.get(&terms.digest);
            if known.is_none() && mine >= proposals.per_member_max {
                return Ok(Err(Refusal::new(
                    Reason::Overloaded,
                    format!("{mine} proposals of {member} wait for the other party already"),
                )));
            }
            let empty = || Proposal {
                terms: Arc::clone(&terms),
                consumer: None,
                provider: None,
            };
            let mut proposal = known.cloned().unwrap_or_else(empty);
            match side {
                Side::Consumer => proposal.consumer = Some(agreed),
                Side::Provider => proposal.provider = Some(agreed),
            }
            proposals
                .disk
                .replace(&proposals.path(&terms.digest), &proposal.file())?;
            open.insert(terms.digest, proposal.clone());
            Ok(Ok(proposal))
        })
        .await?
    }

    /// Forgets proposals: registered, revoked or expired ones.
    ///
    /// # Errors
    /// LEDGER_UNAVAILABLE where the disk refuses.
    pub(crate) async fn forget(&self, gone: impl Fn(&Proposal) -> bool) -> Result<(), Refusal> {
        let find = |open: &BTreeMap<Hash, Proposal>| {
            open.iter()
                .filter(|(_, proposal)| gone(proposal))
                .map(|(digest, _)| *digest)
                .collect::<Vec<_>>()
        };
        let found = find(&self.open.lock().unwrap_or_else(PoisonError::into_inner));
        if found.is_empty() {
            return Ok(());
        }
        let proposals = self.clone();
        blocking(move || {
            let mut open = proposals.open.lock().unwrap_or_else(PoisonError::into_inner);
            for digest in found {
                open.remove(&digest);
                match std::fs::remove_file(proposals.path(&digest)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            proposals.disk.sync_directory(&proposals.dir)
        })
        .await
    }

    /// The proposals that concern a member, by digest.
    pub(crate) fn of(&self, member: &MemberId) -> Vec<Proposal> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values()
            .filter(|proposal| proposal.terms.side(member).is_some())
            .cloned()
            .collect()
    }

    fn path(&self, digest: &Hash) -> PathBuf {
        self.dir.join(format!("{}.pb", hex(digest)))
    }
}
