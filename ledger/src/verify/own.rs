//! Whose ledger it is: its first statement, and what its key must be.

use super::Fault;
use crate::{
    anchor::{Anchor, QuorumClass},
    note::VerifierKey,
    statement::CoreView,
};
use jisr_certs::{
    profile::{SealCertificate, check_seal, root_by_fingerprint},
    validity::Validity,
};
use jisr_proto::{
    ident::Origin,
    statement::{Kind, Started},
};
use rustls_pki_types::CertificateDer;

/// The ledger, as its first statement names it.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) origin: Origin,
    pub(super) key: VerifierKey,
    /// `JO/GOV/mol/`: what the consumer subsystems of this ledger begin with. Empty for the registry's.
    member: String,
    /// Until when the seal certificate vouches for the key, microseconds.
    pub(super) until_us: u64,
}

/// A key with what vouches for it, checked at `at_us`, or at the certificate's first moment where that is later.
pub(super) fn certified(
    certificates: &[&[u8]],
    anchor: &Anchor,
    at_us: u64,
) -> Result<jisr_certs::Verified<SealCertificate>, jisr_certs::CertError> {
    let chain: Vec<CertificateDer<'_>> = certificates.iter().map(|der| CertificateDer::from(*der)).collect();
    let begins = certificates
        .first()
        .and_then(|der| Validity::of(der))
        .map_or(0, |validity| validity.not_before_us);
    let at_us = at_us.max(begins);
    let root = root_by_fingerprint(&chain, &anchor.root, at_us)?;
    check_seal(&chain, &root, at_us)
}

impl Own {
    /// From the first statement.
    pub(super) fn new(started: &Started, created_us: u64, anchor: &Anchor) -> Result<Self, Fault> {
        let wrong = |text: String| Fault::new("started", text);
        let origin: Origin = started
            .origin
            .parse()
            .map_err(|error| wrong(format!("its origin: {error}")))?;
        if origin.instance() != anchor.instance {
            return Err(wrong(format!(
                "{origin} is no ledger of the anchor's instance {}",
                anchor.instance
            )));
        }
        let raw = started
            .seal_key
            .as_ref()
            .try_into()
            .map_err(|_| wrong("its key is not 32 bytes long".into()))?;
        let key = VerifierKey::new_seal(origin.as_str(), raw).map_err(|error| wrong(error.to_string()))?;
        let Some(member) = origin.member() else {
            if origin != anchor.registry_origin || key != anchor.registry_key {
                return Err(wrong(format!(
                    "{origin} is not the registry's ledger that the anchor names"
                )));
            }
            return Ok(Self {
                origin,
                key,
                member: String::new(),
                until_us: u64::MAX,
            });
        };
        let certificates: Vec<&[u8]> = started.certificates.iter().map(AsRef::as_ref).collect();
        let certificate = certified(&certificates, anchor, created_us).map_err(|error| wrong(error.to_string()))?;
        if certificate.origin != origin || *certificate.key.as_bytes() != key.raw() {
            return Err(wrong("its seal certificate is for another origin or key".into()));
        }
        Ok(Self {
            origin,
            key,
            member: format!("{member}/"),
            until_us: certificate.not_after_us,
        })
    }

    /// What a quorum for its checkpoints is.
    pub(super) fn class(&self) -> QuorumClass {
        if self.origin.node().is_none() {
            QuorumClass::Registry
        } else {
            QuorumClass::Standard
        }
    }

    /// Whether a statement of this kind, with this core, can stand in this ledger.
    pub(super) fn holds(&self, kind: Kind, core: &CoreView<'_>) -> bool {
        let by_number = kind as i32;
        if by_number >= Kind::MemberAdmitted as i32 {
            return self.member.is_empty();
        }
        if matches!(kind, Kind::Erased | Kind::Held | Kind::Released) {
            return !self.member.is_empty();
        }
        if by_number >= Kind::Started as i32 {
            return true;
        }
        if self.member.is_empty() {
            return false;
        }
        let is_consumer = core.consumer.starts_with(&self.member);
        let is_provider = core.provider_origin == self.origin.as_str();
        match kind {
            Kind::Asked | Kind::Delivered | Kind::LateAnswer | Kind::NotSent => is_consumer,
            Kind::Received | Kind::Answered => is_provider,
            _ => is_consumer || is_provider,
        }
    }
}
