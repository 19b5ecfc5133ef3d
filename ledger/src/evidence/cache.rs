//! What was verified before, so that material that many files share is computed once. Only what held is remembered, by a hash
//! over all that the computation saw; a full table is emptied. Nothing here changes what a file's verdict is.

use super::ground::CitedRows;
use crate::{
    Hash,
    note::{VerifierKey, Verifies},
    policy::Policy,
    seal::SealVerifier,
};
use bytes::Bytes;
use jisr_certs::{
    CertError, Verified,
    digest::sha256,
    ed25519::PublicKey,
    profile::{Authority, SealCertificate, check_issuing, check_root, check_seal_under},
};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
    rc::Rc,
};

/// Signatures remembered.
const SIGNATURES_MAX: usize = 1 << 16;
/// Chains, rows of snapshots, policies and agreements remembered, each.
const OTHERS_MAX: usize = 64;

/// A chain that was verified, and from when to when it holds: as long as its leaf, its one issuer and its root are all valid.
struct Chain {
    valid_us: RangeInclusive<u64>,
    leaf: SealCertificate,
}

/// Remembers what held.
#[derive(Default)]
pub(super) struct Cache {
    signatures: RefCell<HashSet<Hash>>,
    chains: RefCell<HashMap<Hash, Chain>>,
    authorities: RefCell<HashMap<Hash, Rc<Verified<Authority>>>>,
    rows: RefCell<HashMap<Hash, Rc<CitedRows>>>,
    policies: RefCell<HashMap<Hash, Rc<Policy>>>,
    agreed: RefCell<HashMap<Hash, String>>,
    keys: RefCell<HashMap<Hash, PublicKey>>,
    /// Verifies the AGREED statements that stand in registered agreements.
    pub(super) seals: SealVerifier,
}

impl Verifies for Cache {
    fn holds(&self, key: &VerifierKey, message: &[u8], signature: &[u8]) -> bool {
        let Ok(length) = u64::try_from(message.len()) else {
            return false;
        };
        let seen = sha256(&[&key.raw(), &length.to_be_bytes(), message, signature]);
        if self.signatures.borrow().contains(&seen) {
            return true;
        }
        let holds = key.verifies(message, signature);
        if holds {
            let mut signatures = self.signatures.borrow_mut();
            if signatures.len() >= SIGNATURES_MAX {
                signatures.clear();
            }
            signatures.insert(seen);
        }
        holds
    }
}

impl Cache {
    /// The seal certificate `leaf`, once `issuer` and `root`, which the caller trusts, are found to vouch for it at `at_us`.
    pub(super) fn chain(
        &self,
        leaf: &Bytes,
        issuer: &Bytes,
        root: &Bytes,
        at_us: u64,
    ) -> Result<SealCertificate, CertError> {
        let id = sha256(&[&sha256(&[leaf]), &sha256(&[issuer]), &sha256(&[root])]);
        if let Some(known) = self.chains.borrow().get(&id)
            && known.valid_us.contains(&at_us)
        {
            return Ok(known.leaf.clone());
        }
        let root_authority = self.root(root, at_us)?;
        let issuing = self.issuing(issuer, root, at_us)?;
        let leaf = check_seal_under(leaf, &issuing, at_us)?.into_inner();
        let ends = [
            (leaf.not_before_us, leaf.not_after_us),
            (issuing.not_before_us, issuing.not_after_us),
            (root_authority.not_before_us, root_authority.not_after_us),
        ];
        let from = ends.iter().map(|(from, _)| *from).max().unwrap_or(u64::MAX);
        let until = ends.iter().map(|(_, until)| *until).min().unwrap_or(0);
        let mut chains = self.chains.borrow_mut();
        if chains.len() >= OTHERS_MAX {
            chains.clear();
        }
        let chain = Chain {
            valid_us: from..=until,
            leaf: leaf.clone(),
        };
        chains.insert(id, chain);
        Ok(leaf)
    }

    /// The certificate of an issuing authority, once the root is found to vouch for it at `at_us`.
    fn issuing(&self, issuer: &Bytes, root: &Bytes, at_us: u64) -> Result<Rc<Verified<Authority>>, CertError> {
        let of = sha256(&[&sha256(&[issuer]), &sha256(&[root])]);
        self.authority(of, at_us, || check_issuing(issuer, &*self.root(root, at_us)?, at_us))
    }

    fn root(&self, root: &Bytes, at_us: u64) -> Result<Rc<Verified<Authority>>, CertError> {
        self.authority(sha256(&[root]), at_us, || check_root(root, at_us))
    }

    /// The authority that is remembered and valid at `at_us`, else the one that `check` finds.
    fn authority(
        &self,
        of: Hash,
        at_us: u64,
        check: impl FnOnce() -> Result<Verified<Authority>, CertError>,
    ) -> Result<Rc<Verified<Authority>>, CertError> {
        if let Some(known) = self.authorities.borrow().get(&of)
            && (known.not_before_us..=known.not_after_us).contains(&at_us)
        {
            return Ok(Rc::clone(known));
        }
        let checked = Rc::new(check()?);
        let mut authorities = self.authorities.borrow_mut();
        if authorities.len() >= OTHERS_MAX {
            authorities.clear();
        }
        authorities.insert(of, Rc::clone(&checked));
        Ok(checked)
    }

    /// Rows that were found by `check` to stand in the tree of a header: for exactly what `of` is the hash of.
    pub(super) fn rows(
        &self,
        of: Hash,
        check: impl FnOnce() -> Result<CitedRows, String>,
    ) -> Result<Rc<CitedRows>, String> {
        recall(&self.rows, of, || check().map(Rc::new))
    }

    /// The policy that `make` would make of these snapshots.
    pub(super) fn policy(&self, snapshots: &[Hash], make: impl FnOnce() -> Policy) -> Rc<Policy> {
        let made = recall(&self.policies, sha256(&[snapshots.as_flattened()]), || {
            Ok::<_, std::convert::Infallible>(Rc::new(make()))
        });
        made.unwrap_or_else(|never| match never {})
    }

    /// The key of these bytes.
    pub(super) fn key(&self, raw: Hash) -> Result<PublicKey, CertError> {
        recall(&self.keys, raw, || PublicKey::from_raw(raw))
    }

    /// Who gave an agreement: found by `check` for exactly what `of` is the hash of.
    pub(super) fn agreed<E>(&self, of: Hash, check: impl FnOnce() -> Result<String, E>) -> Result<String, E> {
        recall(&self.agreed, of, check)
    }
}

/// What the table has under the hash, or what `make` makes, which is then kept.
fn recall<V: Clone, E>(
    table: &RefCell<HashMap<Hash, V>>,
    hash: Hash,
    make: impl FnOnce() -> Result<V, E>,
) -> Result<V, E> {
    if let Some(known) = table.borrow().get(&hash) {
        return Ok(known.clone());
    }
    let made = make()?;
    let mut table = table.borrow_mut();
    if table.len() >= OTHERS_MAX {
        table.clear();
    }
    table.insert(hash, made.clone());
    Ok(made)
}
