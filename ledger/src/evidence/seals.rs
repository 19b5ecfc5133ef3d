//! Keys, seals, cosignatures, revocation.

use super::{Case, Doubt, Facts, Outcome, lacks, wrong};
use crate::{
    anchor::{Anchor, QuorumClass},
    note::{self, VerifierKey},
};
use jisr_certs::{
    digest::sha256,
    profile::{check_seal, root_by_fingerprint},
};
use jisr_proto::{ident::Origin, snapshot::Node, statement::Core};
use rustls_pki_types::CertificateDer;

/// The seal keys of the ledgers, each certified up to the anchor's root at the times of its statements.
pub(super) fn certificates(case: &Case, facts: &Facts, anchor: &Anchor) -> Result<(Vec<VerifierKey>, String), Doubt> {
    let mut keys = Vec::new();
    for origin in case.origins() {
        let Some(node) = facts.node(origin) else {
            return lacks(format!("NODE_ENROLLED for {origin} is not there"));
        };
        if !case.body.certificates.contains(&node.seal_certificate) {
            return lacks(format!("the seal certificate of {origin} is not there"));
        }
        let times = case.statements.iter().filter(|entry| entry.origin == *origin);
        for at_us in times.map(|entry| entry.parsed.core().created_us) {
            certified(case, facts, node, origin, anchor, at_us)?;
        }
        let raw = node
            .seal_key
            .as_ref()
            .try_into()
            .map_err(|_| Doubt::Wrong(format!("the key of {origin} is no key")))?;
        let key = VerifierKey::new_seal(origin.as_str(), raw);
        keys.push(key.map_err(|error| Doubt::Wrong(format!("the key of {origin}: {error}")))?);
    }
    let text = format!(
        "{} seal keys, certified up to the anchor's root at the times of their statements",
        keys.len()
    );
    Ok((keys, text))
}

fn certified(
    case: &Case,
    facts: &Facts,
    node: &Node,
    origin: &Origin,
    anchor: &Anchor,
    at_us: u64,
) -> Result<(), Doubt> {
    // What is no node's seal certificate is an issuer or the root.
    let issuers = case.body.certificates.iter();
    let issuers = issuers.filter(|der| facts.nodes.iter().all(|node| node.seal_certificate != **der));
    let chain: Vec<CertificateDer<'_>> = std::iter::once(&node.seal_certificate)
        .chain(issuers)
        .map(|der| CertificateDer::from(der.as_ref()))
        .collect();
    let refused = |error| Doubt::Wrong(format!("certificates of {origin}: {error}"));
    if !chain.iter().any(|der| sha256(&[der]) == anchor.root) {
        return lacks("the root certificate that the anchor names is not there");
    }
    let root = root_by_fingerprint(&chain, &anchor.root, at_us).map_err(refused)?;
    let certificate = check_seal(&chain, &root, at_us).map_err(refused)?;
    if certificate.origin != *origin || node.seal_key != certificate.key.as_bytes().as_slice() {
        return wrong(format!("the seal certificate of {origin} is for another origin or key"));
    }
    Ok(())
}

/// Every statement stands in its ledger under a checkpoint that the ledger's key signed.
pub(super) fn seals(case: &Case, keys: &[VerifierKey]) -> Outcome {
    for entry in &case.statements {
        let place = format!("{:?} at {} of {}", entry.parsed.kind(), entry.index, entry.origin);
        let note = case.note_of(entry)?;
        if !entry.stands_in(&note.checkpoint) {
            return wrong(format!("{place} does not stand in the tree of its checkpoint"));
        }
        let Some(key) = keys.iter().find(|key| key.name() == entry.origin.as_str()) else {
            return lacks(format!("the key of {} is not established", entry.origin));
        };
        note::open(&note.bytes, key).map_err(|error| Doubt::Wrong(format!("the checkpoint of {place}: {error}")))?;
    }
    Ok(format!("{} statements stand in their ledgers", case.statements.len()))
}

/// The evidence class that the agreement pins for the method; STANDARD where none does.
fn class(core: Option<&Core>, facts: &Facts) -> QuorumClass {
    let pinned = core.and_then(|core| {
        let methods = &facts.agreement(&core.agreement)?.agreement.methods;
        methods
            .iter()
            .find(|method| method.service == core.service && method.method == core.method)
    });
    QuorumClass::from_evidence_class(pinned.map_or(0, |method| method.evidence_class))
}

/// Every checkpoint was cosigned by the quorum.
pub(super) fn cosignatures(case: &Case, facts: &Facts, anchor: &Anchor) -> Outcome {
    let class_of_exchange = class(case.core(), facts);
    let mut short = None;
    for (entry, class) in case
        .statements
        .iter()
        .map(|entry| (entry, class_of_exchange))
        .chain(case.registry.iter().map(|entry| (entry, QuorumClass::Registry)))
    {
        let note = case.note_of(entry)?;
        let place = format!("size {} of {}", note.checkpoint.size, entry.origin);
        let cosigned = anchor.cosigned(&note.bytes, &entry.origin, class);
        let cosigned = cosigned.map_err(|error| Doubt::Wrong(format!("the checkpoint at {place}: {error}")))?;
        if !cosigned.is_quorum() {
            let (has, needs) = (cosigned.operators, cosigned.needed);
            short.get_or_insert(format!("{has} of {needs} operators cosigned {place} ({class})"));
        }
    }
    match short {
        Some(short) => lacks(short),
        None => Ok(format!("the quorum for {class_of_exchange} cosigned every checkpoint")),
    }
}

/// No certificate or agreement that the exchange rests on was revoked before it was fixed by a cosignature.
pub(super) fn revocation(case: &Case, facts: &Facts, anchor: &Anchor) -> Outcome {
    for origin in case.origins() {
        let Some(node) = facts.node(origin) else { continue };
        let own = [sha256(&[&node.seal_certificate]), sha256(&[&node.tls_certificate])];
        let is_own = |listed: &bytes::Bytes| own.iter().any(|own| listed == own.as_slice());
        for cited in &case.snapshots {
            if cited.snapshot.revoked.iter().any(is_own) {
                let version = cited.snapshot.version;
                return wrong(format!(
                    "version {version}, which is cited, lists a certificate of {origin} as revoked"
                ));
            }
        }
        let first = facts
            .revoked
            .iter()
            .filter(|(_, act)| act.certificates.iter().any(is_own));
        let Some(revoked_us) = first.map(|(at_us, _)| *at_us).min() else {
            continue;
        };
        for entry in case.statements.iter().filter(|entry| entry.origin == *origin) {
            if fixed_us(case, entry, anchor)?.is_none_or(|fixed_us| fixed_us >= revoked_us) {
                return wrong(format!(
                    "{:?} of {origin} was not fixed before its key was revoked",
                    entry.parsed.kind()
                ));
            }
        }
    }
    let asked = case.asked().map(|entry| entry.parsed.core());
    let ended = |core: &Core| {
        facts
            .ended
            .iter()
            .any(|(at_us, digest)| *digest == core.agreement && core.created_us >= *at_us)
    };
    if asked.is_some_and(ended) {
        return wrong("the agreement had been revoked when the question was made");
    }
    Ok("none before the exchange, by the entries and snapshots in the file".to_owned())
}

/// When an operator other than the ledger's own first cosigned the entry's checkpoint, microseconds.
fn fixed_us(case: &Case, entry: &super::case::Entry, anchor: &Anchor) -> Result<Option<u64>, Doubt> {
    let note = case.note_of(entry)?;
    let cosigned = anchor.cosigned(&note.bytes, &entry.origin, QuorumClass::Routine);
    let cosigned = cosigned.map_err(|error| Doubt::Wrong(error.to_string()))?;
    Ok(cosigned
        .by
        .iter()
        .map(|cosignature| cosignature.time_s.saturating_mul(1_000_000))
        .min())
}
