//! Authorities: the root, the issuing authority below it, and each member's local one.

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::key::KeyKind;
use super::refused::{Refused, Rule};
use super::shape::{Role, Shape};
use crate::digest::Hash;
use crate::error::CertError;
use crate::verified::Verified;

const ROOT: Shape = Shape {
    profile: "root certificate",
    key: KeyKind::P256,
    role: Role::Authority { path_len: 1 },
};
pub(super) const ISSUING: Shape = Shape {
    profile: "issuing authority's certificate",
    key: KeyKind::P256,
    role: Role::Authority { path_len: 0 },
};
const LOCAL: Shape = Shape {
    profile: "local authority's certificate",
    key: KeyKind::P256,
    role: Role::Authority { path_len: 0 },
};

/// A certificate of an authority, as anchor of a chain or part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// SHA-256 of the certificate.
    pub sha256: Hash,
    /// First moment of its validity, microseconds.
    pub not_before_us: u64,
    /// Last moment of its validity, microseconds.
    pub not_after_us: u64,
    profile: &'static str,
}

/// Checks a root certificate: its shape, its own signature. Whether it is the right one, its SHA-256 says.
///
/// # Errors
/// [`CertError::Refused`] with the rule that is broken.
pub fn check_root(der: &[u8], now_us: u64) -> Result<Verified<Authority>, CertError> {
    self_signed(&ROOT, der, now_us)
}

/// Checks the certificate of a member's local authority: its shape, its own signature.
///
/// # Errors
/// [`CertError::Refused`] with the rule that is broken.
pub fn check_local_ca(der: &[u8], now_us: u64) -> Result<Verified<Authority>, CertError> {
    self_signed(&LOCAL, der, now_us)
}

/// Checks the certificate of an issuing authority: its shape, and that the root signed it.
///
/// # Errors
/// [`CertError::Refused`] with the rule that is broken.
pub fn check_issuing(der: &[u8], root: &Verified<Authority>, now_us: u64) -> Result<Verified<Authority>, CertError> {
    let issuing = checked(&ISSUING, der, now_us)?;
    root.check_time(now_us)?;
    if !parsed(&root.der).is_some_and(|root| signed_by(der, &root)) {
        return Err(ISSUING
            .refuse(Rule::Chain, format!("the {} did not sign it", root.profile))
            .into());
    }
    Ok(issuing)
}

/// Finds the root with this SHA-256 in a chain and checks it.
///
/// # Errors
/// [`CertError::Refused`] with [`Rule::Chain`] where it is not there, else with the rule that it breaks.
pub fn root_by_fingerprint(
    chain: &[CertificateDer<'_>],
    fingerprint: &Hash,
    now_us: u64,
) -> Result<Verified<Authority>, CertError> {
    match chain.iter().find(|der| &crate::digest::sha256(&[der]) == fingerprint) {
        Some(der) => check_root(der, now_us),
        None => Err(ROOT
            .refuse(Rule::Chain, "none in the chain has the fingerprint that is trusted")
            .into()),
    }
}

impl Authority {
    /// Whether this is the certificate of an issuing authority.
    pub(super) fn is_issuing(&self) -> bool {
        self.profile == ISSUING.profile
    }

    pub(super) fn profile(&self) -> &'static str {
        self.profile
    }

    pub(super) fn check_time(&self, now_us: u64) -> Result<(), Refused> {
        let refuse = |rule, detail: &str| {
            Err(Refused {
                profile: self.profile,
                rule,
                detail: detail.to_owned(),
            })
        };
        if now_us < self.not_before_us {
            return refuse(Rule::NotYetValid, "it is not valid yet");
        }
        // The certificate speaks in whole seconds and means all of its last one.
        if now_us / 1_000_000 > self.not_after_us / 1_000_000 {
            return refuse(Rule::Expired, "it is not valid any more");
        }
        Ok(())
    }
}

fn self_signed(shape: &Shape, der: &[u8], now_us: u64) -> Result<Verified<Authority>, CertError> {
    let authority = checked(shape, der, now_us)?;
    if !parsed(der).is_some_and(|own| is_signed_by(&own, &own)) {
        return Err(shape.refuse(Rule::Chain, "it is not signed by its own key").into());
    }
    Ok(authority)
}

fn checked(shape: &Shape, der: &[u8], now_us: u64) -> Result<Verified<Authority>, CertError> {
    let seen = shape.check(der, now_us)?;
    Ok(Verified::assertion(Authority {
        der: CertificateDer::from(der.to_vec()),
        sha256: seen.sha256,
        not_before_us: seen.not_before_us,
        not_after_us: seen.not_after_us,
        profile: shape.profile,
    }))
}

fn parsed(der: &[u8]) -> Option<X509Certificate<'_>> {
    Some(X509Certificate::from_der(der).ok()?.1)
}

/// Names match and the signature verifies.
fn signed_by(der: &[u8], issuer: &X509Certificate<'_>) -> bool {
    parsed(der).is_some_and(|certificate| is_signed_by(&certificate, issuer))
}

fn is_signed_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == issuer.subject().as_raw()
        && certificate.verify_signature(Some(issuer.public_key())).is_ok()
}
