//! A document as it is read: which act, by form only.

use bytes::Bytes;
use jisr_certs::administrator;
use jisr_certs::digest;
use jisr_proto::canonical;
use jisr_proto::ident::{Code, Instance, MemberId, NodeId};
use jisr_proto::snapshot as wire;

use super::member;
use super::roles::Roles;
use crate::office::SKEW_US;
use crate::refusal::Refusal;
use crate::state::Hash;
use crate::text;

/// Longest document, bytes.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Longest certificate, request or signature, bytes.
const DER_BYTES_MAX: usize = 8 << 10;
/// Members of one admission.
const MEMBERS_MAX: usize = 1000;
/// Certificates of one revocation.
const CERTIFICATES_MAX: usize = 64;
/// Witnesses that a policy may list.
const WITNESSES_MAX: usize = 64;

/// What an administrator wants.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Order {
    /// Members are admitted.
    Admit(Vec<wire::Member>),
    /// A member is removed.
    Remove { member: MemberId, reason: String },
    /// A member's row changes.
    Change(wire::Member),
    /// A token for a node.
    Token { node: NodeId, token: Hash, expires_us: u64 },
    /// Certificates of a node are revoked; none named: those in use.
    Revoke {
        node: NodeId,
        certificates: Vec<Hash>,
        reason: u32,
    },
    /// An administrator's place.
    Appoint { name: Code, roles: Roles, request: Bytes },
    /// Who must cosign what.
    WitnessPolicy(wire::WitnessPolicy),
    /// The second pair of eyes on another act.
    Approve(Hash),
    /// An end to another act.
    Reject { act: Hash, reason: String },
    /// After a start: this head of the ledger is the newest that is known.
    Confirm { size: u64, root: Hash },
}

/// An order with who signed it; the signature is not verified yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Signed {
    /// As it came.
    pub(crate) wire: wire::SignedAct,
    /// Of the document.
    pub(crate) digest: Hash,
    /// When it was signed, by the signer's clock.
    pub(crate) created_us: u64,
    /// SHA-256 of the signer's certificate.
    pub(crate) certificate: Hash,
    /// What it says.
    pub(crate) order: Order,
}

impl Order {
    /// The role that it takes; of an approval, a rejection: that of the act it is about.
    pub(crate) fn role(&self) -> Option<Roles> {
        match self {
            Order::Admit(_) | Order::Remove { .. } | Order::Change(_) => Some(Roles::ADMIT),
            Order::Token { .. } | Order::Revoke { .. } | Order::Appoint { .. } => Some(Roles::CERTIFY),
            Order::WitnessPolicy(_) | Order::Confirm { .. } => Some(Roles::PUBLISH),
            Order::Approve(_) | Order::Reject { .. } => None,
        }
    }

    /// Whether it creates trust, or takes away what others rest on: then a second administrator approves it.
    pub(crate) fn takes_four_eyes(&self) -> bool {
        matches!(
            self,
            Order::Admit(_) | Order::Remove { .. } | Order::Appoint { .. } | Order::WitnessPolicy(_)
        )
    }

    fn read(act: wire::AdministrativeAct, instance: &Instance) -> Result<Order, Refusal> {
        let mut found = Vec::with_capacity(1);
        found.extend(act.admission.map(|it| admission(it, instance)));
        found.extend(act.removal.map(removal));
        found.extend(act.change.map(|it| change(it, instance)));
        found.extend(act.token.map(token));
        found.extend(act.revocation.map(revocation));
        found.extend(act.appointment.map(appointment));
        found.extend(act.witness_policy.map(witness_policy));
        found.extend(act.approval.map(|it| hash(&it.act).map(Order::Approve)));
        found.extend(act.rejection.map(rejection));
        found.extend(act.confirmation.map(confirmation));
        match <[Result<Order, Refusal>; 1]>::try_from(found) {
            Ok([order]) => order,
            Err(found) => Err(Refusal::invalid(format!(
                "the document holds {} acts instead of one",
                found.len()
            ))),
        }
    }
}

impl Signed {
    /// Reads a signed document of this instance.
    ///
    /// # Errors
    /// REQUEST_INVALID with the rule of form that it breaks.
    pub(crate) fn read(wire: wire::SignedAct, instance: &Instance) -> Result<Signed, Refusal> {
        if wire.document.len() > DOCUMENT_BYTES_MAX {
            let rule = format!("a document has at most {DOCUMENT_BYTES_MAX} bytes");
            return Err(Refusal::invalid(rule));
        }
        if wire.certificate.len() > DER_BYTES_MAX || wire.signature.len() > DER_BYTES_MAX {
            let rule = format!("certificate and signature have at most {DER_BYTES_MAX} bytes each");
            return Err(Refusal::invalid(rule));
        }
        let act: wire::AdministrativeAct = canonical::decode(&wire.document)?;
        if act.format != 1 || act.nonce.len() != 16 || act.created_us == 0 {
            return Err(Refusal::invalid(
                "the document lacks format 1, a nonce of 16 bytes or its time",
            ));
        }
        if act.instance != instance.as_str() {
            let rule = format!(
                "the document is for the instance {:?}, not for {instance}",
                act.instance
            );
            return Err(Refusal::invalid(rule));
        }
        Ok(Signed {
            digest: administrator::digest(&wire.document),
            certificate: digest::sha256(&[&wire.certificate]),
            created_us: act.created_us,
            order: Order::read(act, instance)?,
            wire,
        })
    }

    /// Whether the signer's clock agrees with this time.
    pub(crate) fn is_timely(&self, now_us: u64) -> bool {
        self.created_us.abs_diff(now_us) <= SKEW_US
    }
}

fn admission(act: wire::Admission, instance: &Instance) -> Result<Order, Refusal> {
    if act.members.is_empty() || act.members.len() > MEMBERS_MAX {
        let rule = format!(
            "{} members are to be admitted; 1 to {MEMBERS_MAX} are possible",
            act.members.len()
        );
        return Err(Refusal::invalid(rule));
    }
    for row in &act.members {
        member::check(row, instance).map_err(Refusal::invalid)?;
    }
    if !act.members.is_sorted_by(|one, next| one.id < next.id) {
        return Err(Refusal::invalid(
            "members are admitted in the order of their ids, each once",
        ));
    }
    Ok(Order::Admit(act.members))
}

fn removal(act: wire::Removal) -> Result<Order, Refusal> {
    Ok(Order::Remove {
        member: act.member.parse()?,
        reason: reason(&act.reason)?,
    })
}

fn change(act: wire::MemberChange, instance: &Instance) -> Result<Order, Refusal> {
    let row = act
        .member
        .ok_or_else(|| Refusal::invalid("the change names no member"))?;
    member::check(&row, instance).map_err(Refusal::invalid)?;
    Ok(Order::Change(row))
}

fn token(act: wire::TokenOrder) -> Result<Order, Refusal> {
    Ok(Order::Token {
        node: act.node.parse()?,
        token: hash(&act.token)?,
        expires_us: act.expires_us,
    })
}

fn revocation(act: wire::RevocationOrder) -> Result<Order, Refusal> {
    let sorted = act.certificates.is_sorted_by(|one, next| one < next);
    if act.certificates.len() > CERTIFICATES_MAX || !sorted {
        let rule = format!("at most {CERTIFICATES_MAX} certificates are revoked at once, ascending, each once");
        return Err(Refusal::invalid(rule));
    }
    Ok(Order::Revoke {
        node: act.node.parse()?,
        certificates: act.certificates.iter().map(hash).collect::<Result<_, _>>()?,
        reason: act.reason,
    })
}

fn appointment(act: wire::Appointment) -> Result<Order, Refusal> {
    let unknown = || Refusal::invalid("roles are a sum of 1 admit, 2 certify, 4 publish and 8 audit");
    let roles = Roles::from_number(act.roles).ok_or_else(unknown)?;
    if roles.is_empty() && !act.request.is_empty() {
        return Err(Refusal::invalid("who is dismissed gets no certificate"));
    }
    if act.request.len() > DER_BYTES_MAX {
        return Err(Refusal::invalid(format!("a request has at most {DER_BYTES_MAX} bytes")));
    }
    Ok(Order::Appoint {
        name: act.name.parse()?,
        roles,
        request: act.request,
    })
}

fn witness_policy(act: wire::WitnessPolicy) -> Result<Order, Refusal> {
    if act.quorum.len() != 3 || !act.quorum.is_sorted() || act.quorum.iter().any(|count| !(1..=16).contains(count)) {
        let rule =
            "a policy has three counts, of ROUTINE, STANDARD and HIGH, each 1 to 16 and not below the one before";
        return Err(Refusal::invalid(rule));
    }
    let sorted = act.witnesses.is_sorted_by(|one, next| one.name < next.name);
    if act.witnesses.len() > WITNESSES_MAX || !sorted {
        let rule = format!("a policy lists at most {WITNESSES_MAX} witnesses, in the order of their names, each once");
        return Err(Refusal::invalid(rule));
    }
    for witness in &act.witnesses {
        let refuse = |e: &dyn std::fmt::Display| Refusal::invalid(format!("witness {:?}: {e}", witness.name));
        let _: MemberId = witness.operator.parse().map_err(|e| refuse(&e))?;
        jisr_certs::ed25519::PublicKey::from_slice(&witness.key).map_err(|e| refuse(&e))?;
        let raw = hash(&witness.key)?;
        jisr_ledger::note::VerifierKey::new_witness(&witness.name, raw).map_err(|e| refuse(&e))?;
    }
    Ok(Order::WitnessPolicy(act))
}

fn rejection(act: wire::ActRejection) -> Result<Order, Refusal> {
    Ok(Order::Reject {
        act: hash(&act.act)?,
        reason: reason(&act.reason)?,
    })
}

fn confirmation(act: wire::Confirmation) -> Result<Order, Refusal> {
    Ok(Order::Confirm {
        size: act.size,
        root: hash(&act.root)?,
    })
}

fn reason(text: &str) -> Result<String, Refusal> {
    text::remark(text).map_err(|e| Refusal::invalid(format!("reason: {e}")))
}

fn hash(value: &Bytes) -> Result<Hash, Refusal> {
    let wrong = |_| Refusal::invalid(format!("a digest has {} instead of 32 bytes", value.len()));
    value.as_ref().try_into().map_err(wrong)
}
