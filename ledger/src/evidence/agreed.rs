//! The agreement: what it allows, and that both parties gave it.

use super::{Case, Doubt, Facts, Outcome, Shared, cache::Cache, lacks, wrong};
use crate::{
    Hash,
    note::VerifierKey,
    statement::{Act, Parsed, Tag},
};
use jisr_certs::{
    digest::sha256,
    profile::{check_local_ca, check_officer},
};
use jisr_proto::{
    ident::{MemberId, SubsystemId},
    snapshot::Node,
    statement::{Agreed, Agreement, Core, Kind, Sealed},
};

/// The agreement that the question cites allows it.
pub(super) fn agreement(case: &Case, facts: &Facts) -> Outcome {
    let Some(entry) = case.asked() else {
        return Ok("not needed: nothing was asked".to_owned());
    };
    let core = entry.parsed.core();
    let Some(registered) = facts.agreement(&core.agreement) else {
        return lacks("the agreement that is cited is not there");
    };
    let agreement = &registered.agreement;
    if agreement.format != 1
        || agreement.instance != core.instance
        || agreement.consumer != core.consumer
        || agreement.provider != core.provider
    {
        return wrong("the agreement is between others");
    }
    let refuses = case.of_kind(Kind::Refused).next().is_some();
    match allows(agreement, core, &entry.parsed) {
        // What was refused for right need not have been allowed.
        Err(Doubt::Wrong(text) | Doubt::Lacks(text)) if refuses => Ok(format!("{text}; the exchange was refused")),
        outcome => outcome,
    }
}

fn allows(agreement: &Agreement, core: &Core, asked: &Parsed) -> Outcome {
    let method = agreement
        .methods
        .iter()
        .find(|method| method.service == core.service && method.method == core.method);
    let Some(method) = method else {
        return wrong(format!("the agreement does not allow {}/{}", core.service, core.method));
    };
    if method.schema != core.schema || method.mask != core.mask || method.no_side_effects != core.no_side_effects {
        return wrong("schema, mask or side effects are not as the agreement pins them");
    }
    if !(agreement.valid_from_us..=agreement.valid_until_us).contains(&core.created_us) {
        return wrong("the question was made outside the time for which the agreement holds");
    }
    if agreement.consent_required && asked.part(Tag::Consent).is_none() {
        return wrong("the agreement demands a consent reference and the question gives none");
    }
    let Some(purpose) = asked.purpose() else {
        return lacks("the purpose is withheld: whether the agreement allows it cannot be seen");
    };
    let Some(agreed) = agreement.purposes.iter().find(|agreed| agreed.code == purpose) else {
        return wrong(format!("the agreement does not allow the purpose {purpose:?}"));
    };
    Ok(format!(
        "allows {}/{} for {purpose} ({})",
        core.service, core.method, agreed.legal_basis
    ))
}

/// An officer of each party gave the agreement, in that party's ledger.
pub(super) fn agreed(case: &Case, shared: &Shared) -> Outcome {
    let Some(core) = case.asked().map(|entry| entry.parsed.core()) else {
        return Ok("not needed: nothing was asked".to_owned());
    };
    let Some(registered) = shared.facts.agreement(&core.agreement) else {
        return lacks("the agreement that is cited is not there");
    };
    let [consumer, provider] = registered.act.agreed.as_slice() else {
        return wrong("the registered agreement does not carry the word of both parties");
    };
    let mut names = Vec::new();
    for (side, sealed, party) in [(0u8, consumer, &core.consumer), (1, provider, &core.provider)] {
        let party: SubsystemId = party
            .parse()
            .map_err(|error| Doubt::Wrong(format!("a party: {error}")))?;
        let given = Given {
            sealed,
            member: party.member(),
            digest: &registered.digest,
        };
        let node = given.node(case, shared)?;
        // The entry's leaf commits to the word itself; key and authority are all that is taken from elsewhere.
        let of = sha256(&[
            &registered.leaf,
            &[side],
            &sha256(&[given.member.as_str().as_bytes()]),
            &sha256(&[node.origin.as_bytes(), b"\n", &node.seal_key]),
            &node.local_ca,
        ]);
        let check = || given.check(node, &registered.act.document, shared.cache);
        names.push(shared.cache.agreed(of, check)?);
    }
    Ok(format!("given by {}", names.join(" and ")))
}

/// One party's word.
struct Given<'a> {
    sealed: &'a Sealed,
    member: MemberId,
    digest: &'a [u8; 32],
}

impl Given<'_> {
    /// Checks seal, act, officer and signature; returns who gave it.
    fn check(&self, node: &Node, document: &[u8], cache: &Cache) -> Outcome {
        let member = &self.member;
        let bad = |why: String| Doubt::Wrong(format!("AGREED of {member}: {why}"));
        let raw = node.seal_key.as_ref().try_into();
        let raw = raw.map_err(|_| bad("its node's key is no key".into()))?;
        let key = cache.key(raw).map_err(|error| bad(error.to_string()))?;
        let key = VerifierKey::seal(&node.origin, key).map_err(|error| bad(error.to_string()))?;
        let sealed = cache
            .seals
            .verify(self.sealed, &key)
            .map_err(|error| bad(error.to_string()))?;
        let Some(Act::Agreed(act)) = sealed.statement.act() else {
            return Err(bad("it is a statement of another kind".into()));
        };
        if act.agreement != self.digest.as_slice() || act.member != member.as_str() {
            return Err(bad("it is for another agreement or member".into()));
        }
        self.officer(act, node, document, sealed.statement.core().created_us)
    }

    /// The node of the party in whose ledger the word stands: a row of a proven snapshot in the file; of several, the one that names
    /// the local authority that the word carries.
    fn node<'c>(&self, case: &'c Case, shared: &Shared) -> Result<&'c Node, Doubt> {
        let note = self
            .sealed
            .seal
            .as_ref()
            .map(|seal| seal.checkpoint.as_ref())
            .unwrap_or_default();
        let origin = note.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let authority = self.authority();
        let prefix = format!("{}/node/", self.member);
        let mut first = None;
        for cited in &case.ground.snapshots {
            let mut rows = cited.listed().nodes.iter();
            let row = rows.find(|node| node.origin.as_bytes() == origin && node.id.starts_with(&prefix));
            let Some(row) = row.filter(|_| shared.is_proven(case.ground, cited)) else {
                continue;
            };
            if authority.is_some_and(|authority| row.local_ca == authority.as_slice()) {
                return Ok(row);
            }
            first.get_or_insert(row);
        }
        first.ok_or_else(|| {
            Doubt::Lacks(format!(
                "the proven snapshots in the file do not list the ledger in which {} agreed",
                self.member
            ))
        })
    }

    /// SHA-256 of the local authority's certificate that the word carries.
    fn authority(&self) -> Option<Hash> {
        let statement = Parsed::parse(self.sealed.statement.as_ref()?).ok()?;
        let Some(Act::Agreed(act)) = statement.act() else {
            return None;
        };
        act.certificates.get(1).map(|der| sha256(&[der]))
    }

    fn officer(&self, act: &Agreed, node: &Node, document: &[u8], at_us: u64) -> Outcome {
        let member = &self.member;
        let bad = |why: String| Doubt::Wrong(format!("AGREED of {member}: {why}"));
        let [officer, authority] = act.certificates.as_slice() else {
            return Err(bad(
                "it does not carry the officer's certificate and its authority's".into()
            ));
        };
        let authority = check_local_ca(authority, at_us).map_err(|error| bad(error.to_string()))?;
        if node.local_ca != authority.sha256.as_slice() {
            return Err(bad(
                "the officer's authority is not the one that the snapshot lists".into()
            ));
        }
        let officer = check_officer(officer, &authority, at_us).map_err(|error| bad(error.to_string()))?;
        if officer.officer.member() != *member {
            return Err(bad(format!("{} is an officer of others", officer.officer)));
        }
        officer
            .verify_agreement(document, &act.signature)
            .map_err(|error| bad(error.to_string()))?;
        Ok(officer.officer.to_string())
    }
}
