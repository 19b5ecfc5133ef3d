//! Erasures and legal holds: the documents that officers sign, and whether they did.
//!
//! Pure, like every check: who may approve is an argument. docs/formats.md, Erasure and hold.

use std::collections::BTreeSet;

use bytes::Bytes;
use jisr_certs::error::CertError;
use jisr_certs::officer::Document;
use jisr_certs::profile::{check_local_ca, check_officer};
use jisr_proto::ident::{MemberId, Origin};
use jisr_proto::statement::{Approval, Erased, Erasure, Held, Hold, Release, Released};

use crate::Hash;
use crate::statement::{read_erasure, read_hold, read_release};

/// Officers who must approve an erasure, or the end of a hold.
pub const DUAL_CONTROL: usize = 2;

/// Why an erasure, a hold or a release does not count.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// The document is not as documented.
    #[error("caller: the document {0}; make it with `jisr node erase`, `hold` or `release`")]
    Document(&'static str),
    /// It is about another ledger.
    #[error("caller: the document is for the ledger {found:?}, this is {expected}; make one for this ledger")]
    OtherLedger {
        /// What the document names.
        found: String,
        /// This ledger.
        expected: String,
    },
    /// Too few officers.
    #[error(
        "caller: {found} officers approve, {needed} different ones must; let another officer sign the same document"
    )]
    TooFew {
        /// Different officers.
        found: usize,
        /// How many there must be.
        needed: usize,
    },
    /// One officer, or one key, twice.
    #[error("caller: {0} approves twice; two different officers with two different keys must")]
    Twice(String),
    /// Somebody who is no officer of the ledger's owner.
    #[error("caller: {officer} is no officer of {member}; let that member's own officers approve")]
    NotOurs {
        /// Who signed.
        officer: String,
        /// Whose ledger it is.
        member: String,
    },
    /// The officers' certificates are of different local authorities, or of one that is not listed.
    #[error(
        "caller: an approval is under another local authority; certificates of the one that is listed must be used"
    )]
    OtherAuthority,
    /// A certificate or a signature does not hold.
    #[error("caller: an approval does not hold: {0}")]
    Certificate(#[from] CertError),
}

/// Whose officers may approve.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The ledger.
    pub origin: &'a Origin,
    /// SHA-256 of the member's local authority, where the caller knows which is listed. Where it does not, one and the
    /// same authority must stand behind all approvals of an act.
    pub local_ca: Option<&'a Hash>,
}

/// A document with the approvals that it needs, all checked. Only the functions here make one.
#[derive(Clone, Debug)]
pub struct Approved<T> {
    document: T,
    digest: Hash,
}

impl<T> Approved<T> {
    /// What was approved.
    #[must_use]
    pub fn document(&self) -> &T {
        &self.document
    }

    /// Its domain digest.
    #[must_use]
    pub fn digest(&self) -> &Hash {
        &self.digest
    }
}

/// Checks an erasure as of `at_us`, microseconds.
///
/// # Errors
/// The document is out of form or for another ledger, or not approved by two officers of the owner; none need approve where
/// only stored messages go whose time is over.
pub fn erasure(act: &Erased, owner: Owner<'_>, at_us: u64) -> Result<Approved<Erasure>, ApprovalError> {
    let document = read_erasure(&act.erasure, &act.approvals).map_err(ApprovalError::Document)?;
    for_ledger(&document.origin, owner)?;
    let needed = if act.approvals.is_empty() { 0 } else { DUAL_CONTROL };
    let digest = approved(Document::Erasure, &act.erasure, &act.approvals, (owner, needed), at_us)?;
    Ok(Approved { document, digest })
}

/// Checks a hold as of `at_us`, microseconds.
///
/// # Errors
/// The document is out of form or for another ledger, or no officer of the owner approves it.
pub fn hold(act: &Held, owner: Owner<'_>, at_us: u64) -> Result<Approved<Hold>, ApprovalError> {
    let document = read_hold(&act.hold, &act.approvals).map_err(ApprovalError::Document)?;
    for_ledger(&document.origin, owner)?;
    let digest = approved(Document::Hold, &act.hold, &act.approvals, (owner, 1), at_us)?;
    Ok(Approved { document, digest })
}

/// Checks a release as of `at_us`, microseconds. Whether the hold stands is for the caller to see.
///
/// # Errors
/// The document is out of form, or not approved by two officers of the owner.
pub fn release(act: &Released, owner: Owner<'_>, at_us: u64) -> Result<Approved<Release>, ApprovalError> {
    let document = read_release(&act.release, &act.approvals).map_err(ApprovalError::Document)?;
    let approvals = (owner, DUAL_CONTROL);
    let digest = approved(Document::Release, &act.release, &act.approvals, approvals, at_us)?;
    Ok(Approved { document, digest })
}

fn for_ledger(found: &str, owner: Owner<'_>) -> Result<(), ApprovalError> {
    if found == owner.origin.as_str() {
        return Ok(());
    }
    Err(ApprovalError::OtherLedger {
        found: found.to_owned(),
        expected: owner.origin.to_string(),
    })
}

/// Every approval that is there must hold, and enough different officers with different keys must give them.
fn approved(
    what: Document,
    document: &Bytes,
    approvals: &[Approval],
    (owner, needed): (Owner<'_>, usize),
    at_us: u64,
) -> Result<Hash, ApprovalError> {
    let mut authority = owner.local_ca.copied();
    let (mut officers, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for approval in approvals {
        let [officer, local] = approval.certificates.as_slice() else {
            return Err(ApprovalError::Document("bears an approval out of form"));
        };
        let local = check_local_ca(local, at_us)?;
        if *authority.get_or_insert(local.sha256) != local.sha256 {
            return Err(ApprovalError::OtherAuthority);
        }
        let officer = check_officer(officer, &local, at_us)?;
        let name = officer.officer.to_string();
        if owner.origin.member().as_ref() != Some(&officer.officer.member()) {
            return Err(ApprovalError::NotOurs {
                officer: name,
                member: owner
                    .origin
                    .member()
                    .as_ref()
                    .map_or("the registry", MemberId::as_str)
                    .to_owned(),
            });
        }
        officer.verify(what, document, &approval.signature)?;
        if !officers.insert(name.clone()) || !keys.insert(officer.public_key.clone()) {
            return Err(ApprovalError::Twice(name));
        }
    }
    if officers.len() < needed {
        return Err(ApprovalError::TooFew {
            found: officers.len(),
            needed,
        });
    }
    Ok(what.digest(document))
}
