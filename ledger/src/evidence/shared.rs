//! What every exchange of a file rests on, judged once.

use super::{
    Case, Doubt, Facts,
    cache::Cache,
    ground::{Cited, Ground},
    snapshots::signed,
    stamps::Judged,
};
use crate::{
    anchor::{Anchor, QuorumClass},
    policy::Policy,
};
use bytes::Bytes;
use jisr_certs::digest::sha256;
use std::rc::Rc;

/// The judgement on a file's lists.
pub(super) struct Shared<'c> {
    pub(super) cache: &'c Cache,
    /// What the registry's entries say, each shown to stand in its ledger; nothing where one does not.
    pub(super) facts: Facts,
    /// Whether all of them stand there.
    pub(super) entries: Result<(), Doubt>,
    /// Whether each snapshot is the published one, by position.
    snapshots: Vec<Result<(), Doubt>>,
    /// The anchor's witnesses, and those that the proven snapshots list.
    pub(super) policy: Rc<Policy>,
    /// Whether the quorum for the registry's ledger cosigned the checkpoints of its entries.
    pub(super) registry_cosigned: Result<(), Doubt>,
    /// Certificates that may have issued a seal certificate: those in the file, and those that its proven snapshots list.
    pub(super) issuers: Vec<Bytes>,
    /// The root that the anchor names.
    pub(super) root: Option<Bytes>,
    /// A certificate in the file is none of what may stand there.
    pub(super) is_strange: bool,
    /// Time-stamps that were judged.
    pub(super) stamps: Judged,
}

impl<'c> Shared<'c> {
    /// Judges the lists.
    pub(super) fn judge(ground: &Ground, anchor: &Anchor, cache: &'c Cache) -> Self {
        // Facts are taken only from entries that hold; without them the checks that need them find that they lack.
        let (facts, entries) = match Facts::read(ground, anchor, cache) {
            Ok(facts) => (facts, Ok(())),
            Err(doubt) => (Facts::default(), Err(doubt)),
        };
        let snapshots: Vec<Result<(), Doubt>> = ground
            .snapshots
            .iter()
            .map(|cited| signed(cited, &facts, anchor, cache))
            .collect();
        let proven: Vec<&Cited> = ground
            .snapshots
            .iter()
            .zip(&snapshots)
            .filter_map(|(cited, outcome)| outcome.is_ok().then_some(cited))
            .collect();
        let ids: Vec<_> = proven.iter().map(|cited| cited.id).collect();
        let policy = cache.policy(&ids, || {
            let mut policy = Policy::new(anchor);
            proven.iter().for_each(|cited| policy.learn(cited.listed()));
            policy
        });
        let is_root = |der: &&Bytes| sha256(&[der]) == anchor.root;
        let root = ground.certificates.iter().find(is_root).cloned();
        let others = ground.certificates.iter();
        let mut issuers: Vec<Bytes> = others
            .filter(|der| !is_root(der) && !facts.is_seal_certificate(der))
            .cloned()
            .collect();
        let is_strange = has_strange(&issuers, root.as_ref(), &facts, cache);
        for issuer in proven.iter().flat_map(|cited| cited.listed().issuers()) {
            if !issuers.contains(issuer) {
                issuers.push(issuer.clone());
            }
        }
        Self {
            cache,
            stamps: Judged::new(anchor.time_stamp_trust()),
            registry_cosigned: registry_cosigned(ground, &policy, cache),
            issuers,
            root,
            is_strange,
            facts,
            entries,
            snapshots,
            policy,
        }
    }

    /// Whether no snapshot in the file contradicts, and all that the exchange cites are the published ones.
    pub(super) fn signed(&self, case: &Case) -> Result<(), Doubt> {
        let wrong = self
            .snapshots
            .iter()
            .find(|outcome| matches!(outcome, Err(Doubt::Wrong(_))));
        wrong.cloned().unwrap_or(Ok(()))?;
        for cited in case.cited() {
            self.outcome(case.ground, cited).clone()?;
        }
        Ok(())
    }

    /// Whether this snapshot of the file is the published one.
    pub(super) fn is_proven(&self, ground: &Ground, cited: &Cited) -> bool {
        self.outcome(ground, cited).is_ok()
    }

    fn outcome(&self, ground: &Ground, cited: &Cited) -> &Result<(), Doubt> {
        let at = ground.position(cited.header.version);
        at.and_then(|at| self.snapshots.get(at))
            .expect("each snapshot of the file was judged")
    }
}

/// Whether one of these certificates did not issue a seal certificate of some node, under the root, when that was enrolled.
fn has_strange(issuers: &[Bytes], root: Option<&Bytes>, facts: &Facts, cache: &Cache) -> bool {
    let issued = |issuer: &Bytes| {
        let is_of = |root| {
            let mut enrolled = facts.enrolled();
            enrolled.any(|(at_us, node)| cache.chain(&node.seal_certificate, issuer, root, at_us).is_ok())
        };
        root.is_some_and(is_of)
    };
    !issuers.iter().all(issued)
}

/// Whether the quorum cosigned every checkpoint under which an entry of the registry's ledger stands.
fn registry_cosigned(ground: &Ground, policy: &Policy, cache: &Cache) -> Result<(), Doubt> {
    let mut seen = vec![false; ground.notes.len()];
    for entry in &ground.registry {
        let Some(seen) = seen.get_mut(entry.note).filter(|seen| !**seen) else {
            continue;
        };
        *seen = true;
        let note = ground.note_of(entry);
        let place = format!("size {} of {}", note.checkpoint.size, entry.origin);
        let cosigned = policy.cosigned_with(&note.bytes, &entry.origin, QuorumClass::Registry, None, cache);
        let cosigned = cosigned.map_err(|error| Doubt::Wrong(format!("the checkpoint at {place}: {error}")))?;
        if !cosigned.is_quorum() {
            return Err(Doubt::Lacks(format!(
                "{place} was cosigned by {cosigned}, which is too little for REGISTRY"
            )));
        }
    }
    Ok(())
}
