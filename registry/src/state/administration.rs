//! The rules for administrators and for what they sign: who may, whether it takes a second one, and what follows when that one says yes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jisr_certs::{csr, profile};
use jisr_proto::ident::{Code, MemberId};
use jisr_proto::reason::Reason;
use jisr_proto::snapshot as wire;
use rustls_pki_types::CertificateDer;

use super::{
    Act, Administrator, ApproveAct, Ground, Hash, MemberAct, Pending, RevokeAgreementAct, RevokeNodeAct, State,
};
use crate::administration::{Order, Roles, Signed};
use crate::office::SKEW_US;
use crate::refusal::Refusal;

/// Acts that may await a second administrator.
const PENDING_MAX: usize = 256;
/// How long an act may wait, microseconds: 30 days.
const PENDING_US: u64 = 30 * 86_400_000_000;
/// Administrators who must hold each role that acts need, so that a second one is there.
const HOLDERS_MIN: usize = 2;
/// RFC 5280 section 5.3.1: cessationOfOperation.
const CESSATION: u32 = 5;

impl State {
    /// Administrators by name.
    pub(crate) fn administrators(&self) -> &BTreeMap<Code, Administrator> {
        &self.administrators
    }

    /// Acts that await a second administrator, by digest.
    pub(crate) fn pending(&self) -> &BTreeMap<Hash, Pending> {
        &self.pending
    }

    /// Whether the proposer of an act may approve it.
    pub(crate) fn is_single(&self) -> bool {
        self.single
    }

    /// Which administrator signed, who holds the role.
    ///
    /// # Errors
    /// ADMINISTRATOR_INVALID where the certificate is not listed or not in force, or the signature is not its; CLOCK_SKEW; ACT_REPLAYED;
    /// ROLE_MISSING.
    pub(crate) fn signer(&self, signed: &Signed, role: Roles, at_us: u64) -> Result<Code, Refusal> {
        let (name, row) = self.authenticate(signed, at_us)?;
        if !row.roles.hold(role) {
            let rule = format!("{name} has the roles {}; this takes {role}", row.roles);
            return Err(Refusal::new(Reason::RoleMissing, rule));
        }
        Ok(name.clone())
    }

    fn authenticate(&self, signed: &Signed, at_us: u64) -> Result<(&Code, &Administrator), Refusal> {
        let invalid = |rule: String| Refusal::new(Reason::AdministratorInvalid, rule);
        let found = self
            .administrators
            .iter()
            .find(|(_, row)| row.certificate.sha256 == signed.certificate);
        let unlisted = || invalid("the certificate is not that of an administrator of this registry now".to_owned());
        let (name, row) = found.ok_or_else(unlisted)?;
        let certificate = &row.certificate;
        if !(certificate.not_before_us..=certificate.not_after_us).contains(&at_us) {
            let rule = format!(
                "the certificate of {name} is valid from {} to {} s since 1970; it is {}",
                certificate.not_before_us / 1_000_000,
                certificate.not_after_us / 1_000_000,
                at_us / 1_000_000
            );
            return Err(invalid(rule));
        }
        certificate
            .verify(&signed.wire.document, &signed.wire.signature)
            .map_err(|e| invalid(format!("{name}: {e}")))?;
        if !signed.is_timely(at_us) {
            let rule = format!(
                "{name} signed at {} s since 1970, the registry's clock says {}; at most {} s apart are allowed",
                signed.created_us / 1_000_000,
                at_us / 1_000_000,
                SKEW_US / 1_000_000
            );
            return Err(Refusal::new(Reason::ClockSkew, rule));
        }
        if self.signed.contains_key(&signed.digest) || self.pending.contains_key(&signed.digest) {
            let rule = format!("this act of {name} was done before");
            return Err(Refusal::new(Reason::ActReplayed, rule));
        }
        Ok((name, row))
    }

    pub(super) fn check_proposal(&self, signed: &Signed, at_us: u64) -> Result<(), Refusal> {
        let role = signed.order.role().filter(|_| signed.order.takes_four_eyes());
        let role = role.ok_or_else(|| Refusal::invalid("this act does not take four eyes"))?;
        self.signer(signed, role, at_us)?;
        if self.pending.values().filter(|row| row.expires_us > at_us).count() >= PENDING_MAX {
            let rule = format!("{PENDING_MAX} acts await a second administrator; approve or reject some");
            return Err(Refusal::new(Reason::Overloaded, rule));
        }
        self.check_order(&signed.order, at_us)
    }

    pub(super) fn check_approval(&self, act: &ApproveAct, at_us: u64) -> Result<(), Refusal> {
        let Order::Approve(digest) = &act.signed.order else {
            return Err(Refusal::invalid("this is no approval"));
        };
        let pending = self.awaiting(digest, at_us)?;
        let role = pending.signed.order.role().unwrap_or_default();
        let signer = self.signer(&act.signed, role, at_us)?;
        if signer == pending.by && !self.single {
            let rule = format!("{signer} proposed this act; somebody else with the role {role} has to approve it");
            return Err(Refusal::new(Reason::FourEyes, rule));
        }
        let proposer = self.administrators.get(&pending.by);
        if !proposer.is_some_and(|row| row.certificate.sha256 == pending.signed.certificate && row.roles.hold(role)) {
            let rule = format!(
                "{} proposed this act and is not an administrator with the role {role} any more, or has another certificate; reject it, and \
                 propose it anew",
                pending.by
            );
            return Err(Refusal::new(Reason::AdministratorInvalid, rule));
        }
        self.check_order(&pending.signed.order, at_us)?;
        self.check_issued(&pending.signed.order, &act.certificates, at_us)
    }

    /// The act with this digest, if it can still be approved or rejected.
    ///
    /// # Errors
    /// UNKNOWN_ACT.
    pub(crate) fn awaiting(&self, digest: &Hash, at_us: u64) -> Result<&Pending, Refusal> {
        let unknown = || {
            let rule = format!("no act {} awaits a second administrator", crate::text::hex(digest));
            Refusal::new(Reason::UnknownAct, rule)
        };
        let found = self.pending.get(digest).filter(|row| row.expires_us > at_us);
        found.ok_or_else(unknown)
    }

    pub(super) fn check_rejection(&self, signed: &Signed, at_us: u64) -> Result<(), Refusal> {
        let Order::Reject { act, .. } = &signed.order else {
            return Err(Refusal::invalid("this is no rejection"));
        };
        let pending = self.awaiting(act, at_us)?;
        let (name, row) = self.authenticate(signed, at_us)?;
        let role = pending.signed.order.role().unwrap_or_default();
        if *name != pending.by && !row.roles.hold(role) {
            let rule = format!("{name} neither proposed this act nor has the role {role}");
            return Err(Refusal::new(Reason::RoleMissing, rule));
        }
        Ok(())
    }

    /// Whether what an act that takes four eyes wants can be done: when it is proposed, and when it is approved.
    fn check_order(&self, order: &Order, at_us: u64) -> Result<(), Refusal> {
        match order {
            Order::Admit(rows) => rows.iter().try_for_each(|row| self.check_admission(row)),
            Order::Remove { member, .. } => self.admitted(member).map(drop),
            Order::Appoint { name, roles, request } => self.check_appointment(name, *roles, request, at_us),
            Order::WitnessPolicy(policy) => self.check_witness_policy(policy),
            _ => Err(Refusal::invalid("this act does not take four eyes")),
        }
    }

    fn check_admission(&self, row: &wire::Member) -> Result<(), Refusal> {
        let id: MemberId = row.id.parse()?;
        if self.members.contains_key(&id) {
            return Err(Refusal::new(
                Reason::AlreadyAdmitted,
                format!("{id} is a member already"),
            ));
        }
        Ok(())
    }

    fn check_appointment(&self, name: &Code, roles: Roles, request: &Bytes, at_us: u64) -> Result<(), Refusal> {
        if request.is_empty() && !self.administrators.contains_key(name) {
            let rule = format!("{name} is no administrator; a new one comes with a request for a certificate");
            return Err(Refusal::invalid(rule));
        }
        if !request.is_empty() {
            let key = csr::p256_key(request).map_err(|e| Refusal::new(Reason::CsrInvalid, e.to_string()))?;
            self.check_key_is_nobodys(name, &key)?;
        }
        let needed = if self.single { 1 } else { HOLDERS_MIN };
        for role in Roles::NEEDED {
            let in_force = |row: &Administrator| row.roles.hold(role) && row.certificate.not_after_us >= at_us;
            let others = self
                .administrators
                .iter()
                .filter(|(other, row)| *other != name && in_force(row))
                .count();
            let before = others + usize::from(self.administrators.get(name).is_some_and(in_force));
            let after = others + usize::from(roles.hold(role));
            if after < before && after < needed {
                let rule = format!("the role {role} would stay with {after} administrators; {needed} are needed");
                return Err(Refusal::new(Reason::TooFewAdministrators, rule));
            }
        }
        Ok(())
    }

    /// Two names with one key would be four eyes in one head.
    fn check_key_is_nobodys(&self, name: &Code, key: &[u8]) -> Result<(), Refusal> {
        let other = self
            .administrators
            .iter()
            .find(|(other, row)| *other != name && row.certificate.public_key == key);
        match other {
            Some((other, _)) => {
                let rule = format!("the key is that of {other}; each administrator makes a key of their own");
                Err(Refusal::new(Reason::CsrInvalid, rule))
            }
            None => Ok(()),
        }
    }

    fn check_witness_policy(&self, policy: &wire::WitnessPolicy) -> Result<(), Refusal> {
        let listed = policy.witnesses.iter().map(|witness| witness.operator.clone());
        let nodes = self.nodes.keys().map(|node| node.member().to_string());
        // The registry's own witness counts for one more.
        let operators = listed.chain(nodes).collect::<BTreeSet<_>>().len() + 1;
        match policy
            .quorum
            .iter()
            .find(|count| usize::try_from(**count).is_ok_and(|count| count > operators))
        {
            Some(count) => Err(Refusal::invalid(format!(
                "{count} cosigners are asked for, and there are {operators} operators of witnesses"
            ))),
            None => Ok(()),
        }
    }

    /// The certificate of an appointment must be for the key of its request, and for that name.
    fn check_issued(&self, order: &Order, certificates: &[Bytes], at_us: u64) -> Result<(), Refusal> {
        let wanted = match order {
            Order::Appoint { name, request, .. } if !request.is_empty() => Some((name, request)),
            _ => None,
        };
        let Some((name, request)) = wanted else {
            return if certificates.is_empty() {
                Ok(())
            } else {
                Err(Refusal::invalid("certificates stand where none was asked for"))
            };
        };
        let found = self.verified(certificates, at_us)?;
        let key = csr::p256_key(request).map_err(|e| Refusal::new(Reason::CsrInvalid, e.to_string()))?;
        if found.name != *name || found.public_key != key {
            let rule = format!("the certificate is not for {name} and the key of the request");
            return Err(Refusal::new(Reason::AdministratorInvalid, rule));
        }
        Ok(())
    }

    fn verified(&self, chain: &[Bytes], at_us: u64) -> Result<jisr_certs::Verified<profile::Administrator>, Refusal> {
        let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_ref())).collect();
        profile::check_administrator(&chain, &self.root, &self.instance, at_us)
            .map_err(|e| Refusal::new(Reason::AdministratorInvalid, e.to_string()))
    }

    /// The first administrators: before anything else has happened, and enough of them.
    pub(super) fn check_founding(&self, act: &wire::AdministratorsAct, at_us: u64) -> Result<(), Refusal> {
        if *self != State::new(self.instance.clone(), self.root.clone()) || !act.act.is_empty() {
            return Err(unapproved("administrators"));
        }
        if !act.administrators.is_sorted_by(|one, next| one.name < next.name) {
            return Err(Refusal::invalid(
                "administrators stand in the order of their names, each once",
            ));
        }
        let mut keys = BTreeSet::new();
        for row in &act.administrators {
            let found = self.verified(&row.certificates, at_us)?;
            let roles = Roles::from_number(row.roles).filter(|roles| !roles.is_empty());
            if roles.is_none() || found.name.as_str() != row.name || !keys.insert(found.public_key.clone()) {
                let rule = format!("{:?} has no roles, another's certificate, or another's key", row.name);
                return Err(Refusal::invalid(rule));
            }
        }
        let needed = if act.dangerous_single { 1 } else { HOLDERS_MIN };
        for role in Roles::NEEDED {
            let holds =
                |row: &&wire::Administrator| Roles::from_number(row.roles).is_some_and(|roles| roles.hold(role));
            let holders = act.administrators.iter().filter(holds).count();
            if holders < needed {
                let rule = format!(
                    "a registry is founded with {needed} or more administrators with the role {role}, not {holders}"
                );
                return Err(Refusal::new(Reason::TooFewAdministrators, rule));
            }
        }
        Ok(())
    }

    pub(super) fn set_administrators(&mut self, act: &wire::AdministratorsAct, at_us: u64) -> Result<(), Refusal> {
        for row in &act.administrators {
            let name: Code = row.name.parse()?;
            let roles = Roles::from_number(row.roles).unwrap_or_default();
            if roles.is_empty() {
                self.administrators.remove(&name);
                continue;
            }
            let kept = self
                .administrators
                .get(&name)
                .filter(|kept| kept.chain == row.certificates);
            // One that only gets other roles keeps its certificate, which may be older than its issuer's successor.
            let certificate = match kept {
                Some(kept) => kept.certificate.clone(),
                None => self.verified(&row.certificates, at_us)?,
            };
            let row = Administrator {
                roles,
                certificate,
                chain: row.certificates.clone(),
            };
            self.administrators.insert(name, row);
        }
        self.single |= act.dangerous_single;
        let held = |role| self.administrators.values().filter(|row| row.roles.hold(role)).count() >= HOLDERS_MIN;
        self.single &= !Roles::NEEDED.into_iter().all(held);
        Ok(())
    }

    pub(super) fn propose(&mut self, index: u64, at_us: u64, signed: &Signed) {
        self.pending.retain(|_, row| row.expires_us > at_us);
        let by = self
            .administrators
            .iter()
            .find(|(_, row)| row.certificate.sha256 == signed.certificate);
        if let Some((by, _)) = by {
            let row = Pending {
                signed: signed.clone(),
                by: by.clone(),
                entry: index,
                expires_us: at_us.saturating_add(PENDING_US),
            };
            self.pending.insert(signed.digest, row);
        }
    }

    /// Remembers what was signed for as long as its time would let it pass again.
    pub(super) fn remember(&mut self, signed: &Signed, at_us: u64) {
        self.signed
            .retain(|_, created_us| created_us.saturating_add(SKEW_US) >= at_us);
        self.signed.insert(signed.digest, signed.created_us);
    }

    /// What follows an act in the same commit: of an approval, all that the approved act does.
    pub(crate) fn effects(&self, act: &Act) -> Vec<Act> {
        let Act::Approve(approval) = act else { return Vec::new() };
        let Order::Approve(digest) = approval.signed.order else {
            return Vec::new();
        };
        let Some(pending) = self.pending.get(&digest) else {
            return Vec::new();
        };
        match &pending.signed.order {
            Order::Admit(rows) => {
                let admit = |row: &wire::Member| {
                    Act::Admit(MemberAct {
                        row: row.clone(),
                        act: digest,
                    })
                };
                rows.iter().map(admit).collect()
            }
            Order::Remove { member, reason } => self.removal(member, reason, digest),
            Order::Appoint { name, roles, request } => {
                let kept = self
                    .administrators
                    .get(name)
                    .filter(|_| request.is_empty() && !roles.is_empty());
                let row = wire::Administrator {
                    name: name.to_string(),
                    roles: roles.number(),
                    certificates: kept.map_or_else(|| approval.certificates.clone(), |row| row.chain.clone()),
                };
                vec![Act::Administrators(wire::AdministratorsAct {
                    administrators: vec![row],
                    act: Bytes::copy_from_slice(&digest),
                    dangerous_single: false,
                })]
            }
            Order::WitnessPolicy(policy) => vec![Act::WitnessPolicy(wire::WitnessPolicyAct {
                policy: Some(policy.clone()),
                act: Bytes::copy_from_slice(&digest),
            })],
            _ => Vec::new(),
        }
    }

    /// A member leaves: its agreements, then its nodes, then itself.
    fn removal(&self, member: &MemberId, reason: &str, digest: Hash) -> Vec<Act> {
        let party = |row: &super::AgreementRow| row.consumer.member() == *member || row.provider.member() == *member;
        let agreements = self
            .agreements
            .iter()
            .filter(|(_, row)| party(row))
            .map(|(agreement, _)| {
                Act::RevokeAgreement(RevokeAgreementAct {
                    digest: *agreement,
                    member: member.clone(),
                    reason: reason.to_owned(),
                })
            });
        let nodes = self.nodes.keys().filter(|node| node.member() == *member).map(|node| {
            Act::RevokeNode(RevokeNodeAct {
                certificates: self.certificates_of(node),
                reason: CESSATION,
                node: node.clone(),
                ground: Ground::Removed(digest),
            })
        });
        let last = Act::Remove(wire::MemberRemovalAct {
            member: member.to_string(),
            reason: reason.to_owned(),
            act: Bytes::copy_from_slice(&digest),
        });
        agreements.chain(nodes).chain([last]).collect()
    }
}

/// An effect that no approval stands before.
pub(super) fn unapproved(what: &str) -> Refusal {
    let rule = format!("no administrators approved this entry about {what}: the registry's word alone does not do");
    Refusal::new(Reason::AdministratorInvalid, rule)
}
