//! Keys, seals, cosignatures, revocation.

use super::{
    Case, Doubt, Facts, Outcome, Shared,
    cache::Cache,
    ground::{Cited, Entry},
    instant::utc,
    lacks, wrong,
};
use crate::{
    anchor::QuorumClass,
    note::{self, VerifierKey},
    policy::{Cosigned, Parties},
    snapshot::{Standing, revoked_key},
    tree::Hash,
};
use jisr_certs::digest::sha256;
use jisr_proto::{ident::Origin, statement::Core};
use std::collections::BTreeSet;

/// The seal keys of the ledgers, each certified up to the anchor's root at the times of its statements.
pub(super) fn certificates(case: &Case, shared: &Shared) -> Result<(Vec<VerifierKey>, String), Doubt> {
    let mut keys = Vec::new();
    for origin in case.origins() {
        let mut of_ledger: Option<VerifierKey> = None;
        for entry in case.in_ledger(origin) {
            let key = certified(case, shared, entry)?;
            if of_ledger.as_ref().is_some_and(|known| *known != key) {
                return wrong(format!("{origin} has two seal keys"));
            }
            of_ledger = Some(key);
        }
        keys.extend(of_ledger);
    }
    if shared.is_strange {
        return lacks(
            "a certificate in the file is neither the root, nor a node's, nor the authority's that issued a node's",
        );
    }
    let text = format!(
        "{} seal keys, certified up to the anchor's root at the times of their statements",
        keys.len()
    );
    Ok((keys, text))
}

/// The key of the ledger that a statement stands in, certified when the statement was made.
fn certified(case: &Case, shared: &Shared, entry: &Entry) -> Result<VerifierKey, Doubt> {
    let (origin, core) = (&entry.origin, entry.parsed.core());
    let Some(node) = shared.facts.node(origin, core, case.ground) else {
        return lacks(format!("NODE_ENROLLED for {origin} is not there"));
    };
    let leaf = &node.seal_certificate;
    let Some(root) = &shared.root else {
        return lacks("the root certificate that the anchor names is not there");
    };
    let mut refused = None;
    for issuer in &shared.issuers {
        match shared.cache.chain(leaf, issuer, root, core.created_us) {
            Ok(certificate) => {
                if certificate.origin != *origin || node.seal_key != certificate.key.as_bytes().as_slice() {
                    return wrong(format!("the seal certificate of {origin} is for another origin or key"));
                }
                return VerifierKey::seal(origin.as_str(), certificate.key)
                    .map_err(|error| Doubt::Wrong(format!("the key of {origin}: {error}")));
            }
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) => wrong(format!("certificates of {origin}: {error}")),
        None => lacks(format!(
            "the authority that issued the seal certificate of {origin} is not there"
        )),
    }
}

/// Every statement stands in its ledger under a checkpoint that the ledger's key signed.
pub(super) fn seals(case: &Case, keys: &[VerifierKey], cache: &Cache) -> Outcome {
    // Statements under one checkpoint are of one ledger, or the checkpoint is not theirs.
    let mut opened = BTreeSet::new();
    for entry in &case.statements {
        let place = format!("{:?} at {} of {}", entry.parsed.kind(), entry.index, entry.origin);
        let note = case.ground.note_of(entry);
        if !entry.stands_in(&note.checkpoint) {
            return wrong(format!("{place} does not stand in the tree of its checkpoint"));
        }
        let Some(key) = keys.iter().find(|key| key.name() == entry.origin.as_str()) else {
            return lacks(format!("the key of {} is not established", entry.origin));
        };
        if !opened.insert(entry.note) {
            continue;
        }
        note::open_with(&note.bytes, key, cache)
            .map_err(|error| Doubt::Wrong(format!("the checkpoint of {place}: {error}")))?;
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

/// Who cosigned the checkpoint of an entry of a ledger.
fn cosigned(
    case: &Case,
    shared: &Shared,
    entry: &Entry,
    class: QuorumClass,
    parties: Option<&Parties>,
) -> Result<Cosigned, Doubt> {
    let note = case.ground.note_of(entry);
    let cosigned = shared
        .policy
        .cosigned_with(&note.bytes, &entry.origin, class, parties, shared.cache);
    cosigned.map_err(|error| Doubt::Wrong(format!("the checkpoint at {}: {error}", place(case, entry))))
}

fn place(case: &Case, entry: &Entry) -> String {
    format!(
        "size {} of {}",
        case.ground.note_of(entry).checkpoint.size,
        entry.origin
    )
}

/// Every checkpoint was cosigned by the quorum.
pub(super) fn cosignatures(case: &Case, shared: &Shared) -> Outcome {
    let class = class(case.core(), &shared.facts);
    let parties = case.core().and_then(Parties::of);
    let mut seen = BTreeSet::new();
    let (mut found, mut short) = (Vec::new(), None);
    for entry in &case.statements {
        if !seen.insert(entry.note) {
            continue;
        }
        let cosigned = cosigned(case, shared, entry, class, parties.as_ref())?;
        if !cosigned.is_quorum() {
            short.get_or_insert_with(|| lacking(case, entry, class, &cosigned));
        }
        found.push(format!("{} {}", place(case, entry), signers(&cosigned)));
    }
    if let Some(short) = short {
        return lacks(short);
    }
    // Said after the exchange's own checkpoints, which are what the reader asks about.
    shared.registry_cosigned.clone()?;
    let beyond = if class == QuorumClass::High {
        ", one of them beyond the registry and both parties"
    } else {
        ""
    };
    let needed = shared.policy.needed(class);
    Ok(format!("{}; {class} needs {needed}{beyond}", found.join("; ")))
}

/// Who cosigned, and when.
fn signers(cosigned: &Cosigned) -> String {
    let one = |by: &crate::policy::CosignedBy| {
        let when = utc(by.time_s.saturating_mul(1_000_000));
        format!("{} ({}) at {when}", by.operator, by.name)
    };
    if cosigned.by.is_empty() {
        return "by nobody, and nobody is needed".to_owned();
    }
    let by: Vec<String> = cosigned.by.iter().map(one).collect();
    format!("by {}", by.join(", "))
}

/// What lacks to the quorum, and since when.
fn lacking(case: &Case, entry: &Entry, class: QuorumClass, cosigned: &Cosigned) -> String {
    let place = place(case, entry);
    if !cosigned.by.is_empty() {
        return format!("{place} was cosigned by {cosigned}, which is too little for {class}");
    }
    let mut of_ledger = case.in_ledger(&entry.origin).filter(|other| other.note == entry.note);
    let since = of_ledger.next().unwrap_or(entry).parsed.core().created_us;
    format!(
        "unwitnessed since {}: nobody who counts cosigned {place}, {} needed for {class}; until then its keeper could replace it",
        utc(since),
        cosigned.needed.max(1),
    )
}

/// No certificate or agreement that the exchange rests on was revoked before it was fixed by a cosignature.
pub(super) fn revocation(case: &Case, shared: &Shared) -> Outcome {
    for entry in &case.statements {
        let (origin, core) = (&entry.origin, entry.parsed.core());
        let Some(node) = shared.facts.node(origin, core, case.ground) else {
            continue;
        };
        let own = [sha256(&[&node.seal_certificate])];
        let is_own = |listed: &bytes::Bytes| own.iter().any(|own| listed == own.as_slice());
        for cited in case.cited() {
            not_listed_as_revoked(cited, origin, &own)?;
        }
        let revoked = shared
            .facts
            .revoked
            .iter()
            .filter(|(_, act)| act.certificates.iter().any(is_own));
        let Some(revoked_us) = revoked.map(|(at_us, _)| *at_us).min() else {
            continue;
        };
        if fixed_us(case, shared, entry)?.is_none_or(|fixed_us| fixed_us >= revoked_us) {
            return wrong(format!(
                "{:?} of {origin} was not fixed before its key was revoked at {}",
                entry.parsed.kind(),
                utc(revoked_us)
            ));
        }
    }
    let asked = case.asked().map(|entry| entry.parsed.core());
    let ended = |core: &Core| {
        let mut ended = shared.facts.ended.iter();
        ended.any(|(at_us, digest)| *digest == core.agreement && core.created_us >= *at_us)
    };
    if asked.is_some_and(ended) {
        return wrong("the agreement had been revoked when the question was made");
    }
    Ok("none before the exchange, by the entries and snapshots in the file".to_owned())
}

/// The snapshot lists none of these certificates of a ledger as revoked, and its rows in the file show so.
fn not_listed_as_revoked(cited: &Cited, origin: &Origin, own: &[Hash]) -> Result<(), Doubt> {
    let version = cited.header.version;
    for certificate in own {
        match cited.find(&revoked_key(certificate)) {
            Standing::Absent => {}
            Standing::Listed(_) | Standing::Withheld => {
                return wrong(format!(
                    "version {version}, which is cited, lists a certificate of {origin} as revoked"
                ));
            }
            Standing::Unknown => {
                return lacks(format!(
                    "no rows show whether version {version}, which is cited, lists a certificate of {origin} as revoked"
                ));
            }
        }
    }
    Ok(())
}

/// When an operator who is no party first cosigned the entry's checkpoint, microseconds. Whoever holds a stolen key and is
/// served by one party could have that party's witness date back what it makes.
fn fixed_us(case: &Case, shared: &Shared, entry: &Entry) -> Result<Option<u64>, Doubt> {
    let mut cosigned = cosigned(case, shared, entry, QuorumClass::Routine, None)?;
    let parties = entry.parsed.core();
    let is_party = |operator: &str| {
        let of = |subsystem: &str| {
            subsystem
                .strip_prefix(operator)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        of(&parties.consumer) || of(&parties.provider)
    };
    cosigned.by.retain(|by| !is_party(&by.operator));
    Ok(cosigned.first_us())
}
