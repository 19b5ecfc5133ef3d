//! What administrators signed, as this node reads it in the registry's ledger: who may do what, and what that made true. No I/O.
//!
//! The registry keeps the same rules over its own ledger; a node that took its word for them would trust whoever holds its keys. So
//! each entry is judged anew here: an administrator's certificate under the anchor's root, the signature, the role, and a second one
//! where it takes four eyes. An entry that nobody signed is told as invented and has no effect here; a row of a snapshot that rests on
//! it does not stand.

mod signed;

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use jisr_certs::digest::{self, Hash};
use jisr_certs::profile::{self, Administrator, Authority};
use jisr_certs::{Verified, csr};
use jisr_ledger::snapshot::node_key;
use jisr_ledger::statement::{Act, Parsed};
use jisr_proto::ident::Instance;
use jisr_proto::snapshot as wire;
use jisr_proto::statement::Kind;
use prost::Message as _;
use rustls::pki_types::CertificateDer;

/// Bits of roles (docs/formats.md, Administrators).
const ADMIT: u32 = 1;
const CERTIFY: u32 = 2;
const PUBLISH: u32 = 4;
/// RFC 5280 section 5.3.1: superseded.
const SUPERSEDED: u32 = 4;
/// How long an act may wait for a second administrator, microseconds: 30 days.
const PENDING_US: u64 = 30 * 86_400_000_000;

/// Who administers, and what they made true.
pub(crate) struct Founded {
    instance: Instance,
    root: Verified<Authority>,
    administrators: BTreeMap<String, Appointed>,
    /// Whoever proposes may approve: founded so, and each role is not yet held by two.
    single: bool,
    /// Digests of all that was signed: each once.
    seen: HashSet<Hash>,
    pending: HashMap<Hash, Pending>,
    /// What was approved last and has not had all its effects.
    approved: Option<Approved>,
    /// Node and expiry of tokens that were not used.
    tokens: HashMap<Hash, (String, u64)>,
    members: HashMap<String, wire::Member>,
    nodes: HashMap<String, wire::Node>,
    /// SHA-256 of seal certificates of ledgers that were succeeded.
    superseded: HashSet<Hash>,
    /// Witness policies that nobody approved.
    invented_policies: Vec<wire::WitnessPolicy>,
}

/// An administrator.
struct Appointed {
    roles: u32,
    certificate: Verified<Administrator>,
    chain: Vec<Bytes>,
}

struct Pending {
    act: wire::AdministrativeAct,
    by: String,
    certificate: Hash,
    expires_us: u64,
}

struct Approved {
    digest: Hash,
    act: wire::AdministrativeAct,
    /// Certificates that the registry issued with it.
    certificates: Vec<Bytes>,
}

impl Founded {
    /// Nobody has done anything.
    pub(crate) fn new(instance: Instance, root: Verified<Authority>) -> Founded {
        Founded {
            instance,
            root,
            administrators: BTreeMap::new(),
            single: false,
            seen: HashSet::new(),
            pending: HashMap::new(),
            approved: None,
            tokens: HashMap::new(),
            members: HashMap::new(),
            nodes: HashMap::new(),
            superseded: HashSet::new(),
            invented_policies: Vec::new(),
        }
    }

    /// Whether entries with this act are what all later ones rest on, and so are kept.
    pub(crate) fn is_ground(act: &Act) -> bool {
        matches!(
            act,
            Act::Member(_)
                | Act::MemberRemoval(_)
                | Act::Proposed(_)
                | Act::Approved(_)
                | Act::Rejected(_)
                | Act::Administrators(_)
                | Act::WitnessPolicy(_)
                | Act::Token(_)
                | Act::Node(_)
                | Act::CertificateRevocation(_)
        )
    }

    /// Takes the entry at `index`.
    ///
    /// # Errors
    /// No administrator stands behind it, in words; it has no effect then.
    pub(crate) fn take(&mut self, index: u64, statement: &Parsed) -> Result<(), String> {
        let (kind, at_us) = (statement.kind(), statement.core().created_us);
        match statement.act() {
            Some(Act::Proposed(act)) => self.propose(act.signed.as_ref(), at_us),
            Some(Act::Approved(act)) => self.approve(act, at_us),
            Some(Act::Rejected(act)) => self.reject(act.signed.as_ref(), at_us),
            Some(Act::Administrators(act)) if act.act.is_empty() => self.begin(act, at_us),
            Some(Act::Administrators(act)) => self.appoint(act, at_us),
            Some(Act::Member(act)) => self.member(kind, index, act, at_us),
            Some(Act::MemberRemoval(act)) => self.remove(act),
            Some(Act::WitnessPolicy(act)) => self.policy(act),
            Some(Act::Token(act)) => self.token(act, at_us),
            Some(Act::Node(act)) => self.enrol(index, act, at_us),
            Some(Act::CertificateRevocation(act)) => self.revoke(act, at_us),
            _ => Ok(()),
        }
    }

    fn propose(&mut self, signed: Option<&wire::SignedAct>, at_us: u64) -> Result<(), String> {
        let read = self.read(signed, at_us)?;
        let role = signed::four_eyes_role(&read.act).ok_or("what is proposed does not take four eyes")?;
        self.holds(&read.by, role)?;
        let pending = Pending {
            by: read.by,
            certificate: read.certificate,
            act: read.act,
            expires_us: at_us.saturating_add(PENDING_US),
        };
        self.seen.insert(read.digest);
        self.pending.insert(read.digest, pending);
        Ok(())
    }

    fn approve(&mut self, approval: &wire::ApprovedAct, at_us: u64) -> Result<(), String> {
        let read = self.read(approval.signed.as_ref(), at_us)?;
        let about = read.act.approval.as_ref().ok_or("what was signed is no approval")?;
        let about = signed::hash(&about.act)?;
        let pending = self.pending.get(&about).filter(|row| row.expires_us > at_us);
        let pending = pending.ok_or("no act awaits that approval")?;
        let role = signed::four_eyes_role(&pending.act).unwrap_or_default();
        self.holds(&read.by, role)?;
        self.holds(&pending.by, role)?;
        if read.by == pending.by && !self.single {
            return Err(format!("{} approved what they proposed themselves", read.by));
        }
        let proposer = self.administrators.get(&pending.by);
        if proposer.is_none_or(|row| row.certificate.sha256 != pending.certificate) {
            return Err(format!("{} proposed it under another certificate", pending.by));
        }
        self.seen.insert(read.digest);
        self.approved = self.pending.remove(&about).map(|pending| Approved {
            digest: about,
            act: pending.act,
            certificates: approval.certificates.clone(),
        });
        Ok(())
    }

    fn reject(&mut self, signed: Option<&wire::SignedAct>, at_us: u64) -> Result<(), String> {
        let read = self.read(signed, at_us)?;
        let about = read.act.rejection.as_ref().ok_or("what was signed is no rejection")?;
        let pending = self.pending.get(&signed::hash(&about.act)?);
        let pending = pending.ok_or("no act awaits that rejection")?;
        if pending.by != read.by {
            self.holds(&read.by, signed::four_eyes_role(&pending.act).unwrap_or_default())?;
        }
        self.seen.insert(read.digest);
        self.pending.remove(&signed::hash(&about.act)?);
        Ok(())
    }

    /// With whom the registry was founded: before anything else, and two for each role unless it says otherwise from the first.
    fn begin(&mut self, act: &wire::AdministratorsAct, at_us: u64) -> Result<(), String> {
        if !self.administrators.is_empty() || !self.seen.is_empty() {
            return Err("administrators whom no administrators appointed".to_owned());
        }
        let mut keys = HashSet::new();
        let mut administrators = BTreeMap::new();
        for row in &act.administrators {
            let certificate = self.certificate(&row.certificates, at_us)?;
            if certificate.name.as_str() != row.name || !keys.insert(certificate.public_key.clone()) {
                return Err(format!("{} was founded with another's certificate or key", row.name));
            }
            let appointed = Appointed {
                roles: row.roles,
                certificate,
                chain: row.certificates.clone(),
            };
            administrators.insert(row.name.clone(), appointed);
        }
        if !act.dangerous_single && !is_twice_held(&administrators) {
            return Err("founders too few for four eyes".to_owned());
        }
        self.administrators = administrators;
        self.single = act.dangerous_single && !is_twice_held(&self.administrators);
        Ok(())
    }

    fn appoint(&mut self, act: &wire::AdministratorsAct, at_us: u64) -> Result<(), String> {
        let approved = self.approved(&act.act)?;
        let order = approved
            .act
            .appointment
            .clone()
            .ok_or("what was approved is no appointment")?;
        let [row] = act.administrators.as_slice() else {
            return Err("an appointment is of one administrator".to_owned());
        };
        if (&row.name, row.roles) != (&order.name, order.roles) {
            return Err("another appointment was approved".to_owned());
        }
        if row.roles == 0 {
            self.administrators.remove(&row.name);
        } else if order.request.is_empty() {
            let kept = self.administrators.get_mut(&row.name);
            let kept = kept.filter(|kept| kept.chain == row.certificates);
            kept.ok_or("an administrator got another certificate without a request")?
                .roles = row.roles;
        } else {
            if row.certificates != approved.certificates {
                return Err("the certificate is not that of the approval".to_owned());
            }
            let certificate = self.certificate(&row.certificates, at_us)?;
            let key = csr::p256_key(&order.request).map_err(|error| error.to_string())?;
            if certificate.name.as_str() != row.name || certificate.public_key != key {
                return Err("the certificate is not for the key of the request".to_owned());
            }
            let appointed = Appointed {
                roles: row.roles,
                certificate,
                chain: row.certificates.clone(),
            };
            self.administrators.insert(row.name.clone(), appointed);
        }
        self.single &= !is_twice_held(&self.administrators);
        self.approved = None;
        Ok(())
    }

    fn member(&mut self, kind: Kind, index: u64, act: &wire::MemberAct, at_us: u64) -> Result<(), String> {
        let row = act.member.as_ref().ok_or("it names no member")?;
        if kind == Kind::MemberChanged {
            let read = self.read(act.signed.as_ref(), at_us)?;
            self.holds(&read.by, ADMIT)?;
            if read.act.change.as_ref().and_then(|change| change.member.as_ref()) != Some(row) {
                return Err(format!("{} signed another change", read.by));
            }
            if !self.members.contains_key(&row.id) {
                return Err("who was never admitted cannot change".to_owned());
            }
            self.seen.insert(read.digest);
        } else {
            let admission = self.approved_mut(&act.act)?.act.admission.as_mut();
            let rows = &mut admission.ok_or("what was approved is no admission")?.members;
            let at = rows.iter().position(|wanted| wanted == row);
            // Each once: an old approval admits nobody again who was removed.
            rows.remove(at.ok_or("another member's admission was approved")?);
        }
        let row = wire::Member {
            entry: index,
            ..row.clone()
        };
        self.members.insert(row.id.clone(), row);
        Ok(())
    }

    fn remove(&mut self, act: &wire::MemberRemovalAct) -> Result<(), String> {
        let removal = self.approved(&act.act)?.act.removal.as_ref();
        if removal.is_none_or(|removal| removal.member != act.member) {
            return Err("no removal of this member was approved".to_owned());
        }
        self.members.remove(&act.member);
        self.approved = None;
        Ok(())
    }

    fn policy(&mut self, act: &wire::WitnessPolicyAct) -> Result<(), String> {
        let approved = self
            .approved(&act.act)
            .map(|approved| approved.act.witness_policy.clone());
        if let (Ok(Some(wanted)), Some(policy)) = (&approved, &act.policy)
            && wanted == policy
        {
            self.invented_policies.retain(|invented| invented != wanted);
            self.approved = None;
            return Ok(());
        }
        self.invented_policies.extend(act.policy.clone());
        approved.map(drop)?;
        Err("another policy was approved".to_owned())
    }

    fn token(&mut self, act: &wire::TokenAct, at_us: u64) -> Result<(), String> {
        let read = self.read(act.signed.as_ref(), at_us)?;
        self.holds(&read.by, CERTIFY)?;
        let wanted = wire::TokenOrder {
            node: act.node.clone(),
            token: act.token.clone(),
            expires_us: act.expires_us,
        };
        if read.act.token.as_ref() != Some(&wanted) {
            return Err(format!("{} signed another token", read.by));
        }
        self.seen.insert(read.digest);
        self.tokens.retain(|_, (_, expires_us)| *expires_us > at_us);
        self.tokens
            .insert(signed::hash(&act.token)?, (act.node.clone(), act.expires_us));
        Ok(())
    }

    fn enrol(&mut self, index: u64, act: &wire::NodeAct, at_us: u64) -> Result<(), String> {
        let row = act.node.as_ref().ok_or("it names no node")?;
        let token = signed::hash(&act.token)?;
        let (node, expires_us) = self.tokens.get(&token).ok_or("no administrator ordered its token")?;
        if *node != row.id || *expires_us <= at_us {
            return Err("its token is another node's, or had expired".to_owned());
        }
        self.tokens.remove(&token);
        let row = wire::Node {
            entry: index,
            ..row.clone()
        };
        let before = self.nodes.insert(row.id.clone(), row);
        self.superseded
            .extend(before.map(|row| digest::sha256(&[&row.seal_certificate])));
        Ok(())
    }

    fn revoke(&mut self, act: &wire::CertificateRevocationAct, at_us: u64) -> Result<(), String> {
        if act.signed.is_some() {
            let read = self.read(act.signed.as_ref(), at_us)?;
            self.holds(&read.by, CERTIFY)?;
            let order = read.act.revocation.as_ref().ok_or("what was signed is no revocation")?;
            let named = order.certificates.is_empty() || order.certificates == act.certificates;
            if (&order.node, order.reason, named) != (&act.node, act.reason, true) {
                return Err(format!("{} signed another revocation", read.by));
            }
            self.seen.insert(read.digest);
        } else if act.act.is_empty() {
            let hashes = act
                .certificates
                .iter()
                .map(signed::hash)
                .collect::<Result<Vec<_>, _>>()?;
            if act.reason != SUPERSEDED || !hashes.iter().all(|hash| self.superseded.remove(hash)) {
                return Err("a revocation that nobody ordered, of what was not succeeded".to_owned());
            }
        } else {
            let removal = self.approved(&act.act)?.act.removal.as_ref();
            if removal.is_none_or(|removal| !act.node.starts_with(&format!("{}/", removal.member))) {
                return Err("no removal of this node's member was approved".to_owned());
            }
        }
        let is_out = |row: &wire::Node| {
            act.certificates
                .contains(&Bytes::copy_from_slice(&digest::sha256(&[&row.seal_certificate])))
        };
        if self.nodes.get(&act.node).is_some_and(is_out) {
            self.nodes.remove(&act.node);
        }
        Ok(())
    }

    fn approved(&self, digest: &Bytes) -> Result<&Approved, String> {
        let approved = self
            .approved
            .as_ref()
            .filter(|approved| *digest == approved.digest.as_slice());
        approved.ok_or_else(|| "no two administrators approved it just before".to_owned())
    }

    fn approved_mut(&mut self, digest: &Bytes) -> Result<&mut Approved, String> {
        let approved = self
            .approved
            .as_mut()
            .filter(|approved| *digest == approved.digest.as_slice());
        approved.ok_or_else(|| "no two administrators approved it just before".to_owned())
    }

    fn certificate(&self, chain: &[Bytes], at_us: u64) -> Result<Verified<Administrator>, String> {
        let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_ref())).collect();
        let checked = profile::check_administrator(&chain, &self.root, &self.instance, at_us);
        checked.map_err(|error| error.to_string())
    }

    /// Whether a row of a snapshot rests on entries that were judged here. Other kinds of rows do not rest on administrators' acts.
    ///
    /// # Errors
    /// What it rests on, in words.
    pub(crate) fn stands(&self, row: &wire::Row) -> Result<(), String> {
        if let Some(member) = &row.member
            && self.members.get(&member.id) != Some(member)
        {
            return Err(format!("member/{}: no act of administrators lists it so", member.id));
        }
        if let Some(node) = &row.node {
            let found = self.nodes.get(&node.id).filter(|found| {
                // TLS certificates are renewed without administrators: the node itself watches over its own.
                let one = (&found.origin, &found.seal_key, &found.seal_certificate);
                let other = (&node.origin, &node.seal_key, &node.seal_certificate);
                one == other && (&found.witness_key, &found.local_ca) == (&node.witness_key, &node.local_ca)
            });
            if found.is_none() {
                return Err(format!(
                    "{}: no enrolment in the registry's ledger lists it so",
                    node_key(&node.id)
                ));
            }
        }
        let invented = |counts: &wire::Quorum| {
            let counts = [counts.routine, counts.standard, counts.high];
            self.invented_policies.iter().any(|policy| policy.quorum == counts)
        };
        if row.quorum.as_ref().is_some_and(invented) {
            return Err("quorum: no two administrators approved this witness policy".to_owned());
        }
        if let Some(witness) = &row.witness
            && self
                .invented_policies
                .iter()
                .any(|policy| policy.witnesses.contains(witness))
        {
            return Err(format!(
                "witness/{}: no two administrators approved this witness policy",
                witness.name
            ));
        }
        Ok(())
    }

    /// The first of these rows that does not stand.
    ///
    /// # Errors
    /// Which, and why.
    pub(crate) fn all_stand<'r>(&self, rows: impl Iterator<Item = &'r Bytes>) -> Result<(), String> {
        for row in rows.filter(|row| !row.is_empty()) {
            let row = wire::Row::decode(row.clone()).map_err(|error| error.to_string())?;
            self.stands(&row)?;
        }
        Ok(())
    }
}

/// Whether two hold each role without which acts could not be done.
fn is_twice_held(administrators: &BTreeMap<String, Appointed>) -> bool {
    [ADMIT, CERTIFY, PUBLISH]
        .iter()
        .all(|role| administrators.values().filter(|row| row.roles & role != 0).count() >= 2)
}

#[cfg(test)]
mod tests;
