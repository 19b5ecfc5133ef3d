//! What was verified before, so that material that many files share is computed once. Only what held is remembered, by a hash
//! over all that the computation saw; a full table is emptied. Nothing here changes what a file's verdict is.

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
    profile::{SealCertificate, check_seal, root_by_fingerprint},
};
use jisr_proto::{canonical, snapshot::Snapshot};
use rustls_pki_types::CertificateDer;
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    rc::Rc,
};

/// Signatures remembered.
const SIGNATURES_MAX: usize = 1 << 16;
/// Chains, decoded snapshots, policies and agreements remembered, each.
const OTHERS_MAX: usize = 64;
/// How far around an instant a chain is tried, so that the next file of the same day finds it: microseconds.
const DAY_US: u64 = 86_400_000_000;

/// A chain that was verified at both ends of a time. A leaf, one issuer and one root are valid from one instant to another,
/// so they are in between.
struct Chain {
    from_us: u64,
    until_us: u64,
    leaf: SealCertificate,
}

/// Remembers what held.
#[derive(Default)]
pub(super) struct Cache {
    signatures: RefCell<HashSet<Hash>>,
    chains: RefCell<HashMap<Hash, Chain>>,
    snapshots: RefCell<HashMap<Hash, Rc<Snapshot>>>,
    policies: RefCell<HashMap<Hash, Rc<Policy>>>,
    agreed: RefCell<HashMap<Hash, String>>,
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
    /// The seal certificate `leaf`, once `issuer` and the root with this fingerprint are found to vouch for it at `at_us`.
    pub(super) fn chain(
        &self,
        leaf: &Bytes,
        issuer: &Bytes,
        root: &Bytes,
        at_us: u64,
    ) -> Result<SealCertificate, CertError> {
        let id = sha256(&[&sha256(&[leaf]), &sha256(&[issuer]), &sha256(&[root])]);
        if let Some(known) = self.chains.borrow().get(&id)
            && (known.from_us..=known.until_us).contains(&at_us)
        {
            return Ok(known.leaf.clone());
        }
        let der = [leaf, issuer, root].map(|der| CertificateDer::from(der.as_ref()));
        let fingerprint = sha256(&[root]);
        let holds_at = |us: u64| {
            let root = root_by_fingerprint(&der, &fingerprint, us)?;
            check_seal(&der, &root, us).map(Verified::into_inner)
        };
        let leaf = holds_at(at_us)?;
        let mut ends = [at_us.saturating_sub(DAY_US), at_us.saturating_add(DAY_US)];
        ends = ends.map(|end| if holds_at(end).is_ok() { end } else { at_us });
        let mut chains = self.chains.borrow_mut();
        if chains.len() >= OTHERS_MAX && !chains.contains_key(&id) {
            chains.clear();
        }
        let chain = chains.entry(id).or_insert_with(|| Chain {
            from_us: at_us,
            until_us: at_us,
            leaf: leaf.clone(),
        });
        chain.from_us = chain.from_us.min(ends[0]);
        chain.until_us = chain.until_us.max(ends[1]);
        Ok(leaf)
    }

    /// The snapshot with this digest, decoded.
    pub(super) fn snapshot(&self, digest: Hash, bytes: &Bytes) -> Result<Rc<Snapshot>, canonical::CanonicalError> {
        let read = || canonical::decode(bytes).map(Rc::new);
        recall(&self.snapshots, digest, read)
    }

    /// The policy that `make` would make of these snapshots.
    pub(super) fn policy(&self, snapshots: &[Hash], make: impl FnOnce() -> Policy) -> Rc<Policy> {
        let made = recall(&self.policies, sha256(&[snapshots.as_flattened()]), || {
            Ok::<_, std::convert::Infallible>(Rc::new(make()))
        });
        made.unwrap_or_else(|never| match never {})
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
