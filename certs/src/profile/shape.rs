//! One certificate by itself: every field that a profile fixes.

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::{Oid, oid};
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_SIG_ECDSA_WITH_SHA256, OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_EXTENDED_KEY_USAGE, OID_X509_EXT_KEY_USAGE,
    OID_X509_EXT_SUBJECT_ALT_NAME,
};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

use super::key::{KeyKind, public_key};
use super::refused::{Refused, Rule};
use crate::digest::{Hash, sha256};

/// id-kp-documentSigning (RFC 9336).
const DOCUMENT_SIGNING: Oid<'static> = oid!(1.3.6.1.5.5.7.3.36);
/// Largest certificate that is read, bytes.
const CERTIFICATE_BYTES_MAX: usize = 16 << 10;
/// Octets of a serial number (RFC 5280, section 4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;
/// keyUsage as x509-parser shows it: digitalSignature.
const DIGITAL_SIGNATURE: u16 = 1;
/// keyUsage as x509-parser shows it: keyCertSign and cRLSign.
const KEY_CERT_SIGN_AND_CRL_SIGN: u16 = 1 << 5 | 1 << 6;

/// Extended key usages, in the sets that profiles have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    ServerAndClient,
    Server,
    Client,
    DocumentSigning,
    TimeStamping,
}

/// What must stand in subjectAltName.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// One URI, nothing else.
    OneUri,
    /// One URI, and DNS names or IP addresses for callers that match those.
    OneUriAndHosts,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// An authority; so many further authorities may stand below it.
    Authority { path_len: u32 },
    /// A leaf.
    Leaf { usage: Usage, critical: bool, names: Names },
}

/// A profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) profile: &'static str,
    pub(super) key: KeyKind,
    pub(super) role: Role,
}

/// What a well-shaped certificate says.
#[derive(Debug)]
pub(super) struct Seen {
    /// The URI of a leaf; empty for an authority.
    pub(super) uri: String,
    /// Raw public key.
    pub(super) key: Vec<u8>,
    pub(super) sha256: Hash,
    pub(super) not_before_us: u64,
    pub(super) not_after_us: u64,
}

impl Shape {
    pub(super) fn refuse(&self, rule: Rule, detail: impl Into<String>) -> Refused {
        Refused {
            profile: self.profile,
            rule,
            detail: detail.into(),
        }
    }

    /// Checks everything but the signature.
    pub(super) fn check(&self, der: &[u8], now_us: u64) -> Result<Seen, Refused> {
        let certificate = self.parse(der)?;
        self.check_serial(&certificate)?;
        if certificate.signature_algorithm.algorithm != OID_SIG_ECDSA_WITH_SHA256 {
            return Err(self.refuse(
                Rule::SignatureAlgorithm,
                "it is not signed with ECDSA P-256 and SHA-256",
            ));
        }
        let key = public_key(certificate.public_key(), self.key).map_err(|detail| self.refuse(Rule::Key, detail))?;
        let (not_before_us, not_after_us) = self.check_validity(&certificate, now_us)?;
        self.check_extensions(&certificate)?;
        self.check_key_usage(&certificate)?;
        self.check_basic_constraints(&certificate)?;
        self.check_extended_key_usage(&certificate)?;
        let uri = self.check_names(&certificate)?;
        Ok(Seen {
            uri,
            key,
            sha256: sha256(&[der]),
            not_before_us,
            not_after_us,
        })
    }

    /// Like [`Shape::check`], without regard to time: what the certificate says, where that was checked before.
    pub(super) fn uri(&self, der: &[u8]) -> Result<String, Refused> {
        self.check_names(&self.parse(der)?)
    }

    fn parse<'a>(&self, der: &'a [u8]) -> Result<X509Certificate<'a>, Refused> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(self.refuse(Rule::Malformed, "it is larger than 16 KiB"));
        }
        let (rest, certificate) = X509Certificate::from_der(der)
            .map_err(|_| self.refuse(Rule::Malformed, "it is no X.509 certificate in DER"))?;
        if !rest.is_empty() {
            return Err(self.refuse(Rule::Malformed, "bytes follow the certificate"));
        }
        if certificate.version() != X509Version::V3 {
            return Err(self.refuse(Rule::Malformed, "it is not of version 3"));
        }
        Ok(certificate)
    }

    fn check_serial(&self, certificate: &X509Certificate<'_>) -> Result<(), Refused> {
        let serial = certificate.raw_serial();
        let positive = serial.first().is_some_and(|byte| byte & 0x80 == 0) && serial.iter().any(|byte| *byte != 0);
        if !positive || serial.len() > SERIAL_BYTES_MAX {
            return Err(self.refuse(
                Rule::Serial,
                "its serial number is not positive or longer than 20 octets",
            ));
        }
        Ok(())
    }

    fn check_validity(&self, certificate: &X509Certificate<'_>, now_us: u64) -> Result<(u64, u64), Refused> {
        let validity = certificate.validity();
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let not_before = seconds(validity.not_before.timestamp());
        let not_after = seconds(validity.not_after.timestamp());
        let now = now_us / 1_000_000;
        if now < not_before {
            let detail = format!("it is valid from {}, in {} s", validity.not_before, not_before - now);
            return Err(self.refuse(Rule::NotYetValid, detail));
        }
        if now > not_after {
            let detail = format!("it was valid until {}, {} s ago", validity.not_after, now - not_after);
            return Err(self.refuse(Rule::Expired, detail));
        }
        Ok((
            not_before.saturating_mul(1_000_000),
            not_after.saturating_mul(1_000_000),
        ))
    }

    fn check_extensions(&self, certificate: &X509Certificate<'_>) -> Result<(), Refused> {
        let known = [
            OID_X509_EXT_BASIC_CONSTRAINTS,
            OID_X509_EXT_KEY_USAGE,
            OID_X509_EXT_EXTENDED_KEY_USAGE,
            OID_X509_EXT_SUBJECT_ALT_NAME,
        ];
        let mut seen = Vec::new();
        for extension in certificate.extensions() {
            if seen.contains(&&extension.oid) {
                return Err(self.refuse(Rule::Malformed, format!("extension {} appears twice", extension.oid)));
            }
            if matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. }) {
                return Err(self.refuse(Rule::Malformed, format!("extension {} is malformed", extension.oid)));
            }
            if extension.critical && !known.contains(&extension.oid) {
                let detail = format!("its critical extension {} is in no profile", extension.oid);
                return Err(self.refuse(Rule::CriticalExtension, detail));
            }
            seen.push(&extension.oid);
        }
        Ok(())
    }

    fn check_key_usage(&self, certificate: &X509Certificate<'_>) -> Result<(), Refused> {
        let (flags, text) = match self.role {
            Role::Authority { .. } => (KEY_CERT_SIGN_AND_CRL_SIGN, "keyCertSign and cRLSign"),
            Role::Leaf { .. } => (DIGITAL_SIGNATURE, "digitalSignature"),
        };
        let usage = certificate.key_usage().ok().flatten();
        if usage.is_some_and(|usage| usage.critical && usage.value.flags == flags) {
            return Ok(());
        }
        Err(self.refuse(Rule::KeyUsage, format!("its keyUsage is not {text} alone, critical")))
    }

    fn check_basic_constraints(&self, certificate: &X509Certificate<'_>) -> Result<(), Refused> {
        let constraints = certificate.basic_constraints().ok().flatten();
        match (self.role, constraints) {
            (Role::Leaf { .. }, None) => Ok(()),
            (Role::Leaf { .. }, Some(leaf)) if !leaf.value.ca && leaf.value.path_len_constraint.is_none() => Ok(()),
            (Role::Leaf { .. }, Some(_)) => Err(self.refuse(Rule::BasicConstraints, "it says that it is an authority")),
            (Role::Authority { path_len }, Some(ca))
                if ca.critical && ca.value.ca && ca.value.path_len_constraint == Some(path_len) =>
            {
                Ok(())
            }
            (Role::Authority { path_len }, _) => {
                let detail = format!("its basicConstraints are not critical, cA true and pathLenConstraint {path_len}");
                Err(self.refuse(Rule::BasicConstraints, detail))
            }
        }
    }

    fn check_extended_key_usage(&self, certificate: &X509Certificate<'_>) -> Result<(), Refused> {
        let found = certificate.extended_key_usage().ok().flatten();
        let right = match (self.role, &found) {
            (Role::Authority { .. }, None) => true,
            (Role::Leaf { usage, critical, .. }, Some(found)) => {
                usage.is_exactly(found.value) && (found.critical || !critical)
            }
            _ => false,
        };
        if right {
            return Ok(());
        }
        let detail = match self.role {
            Role::Authority { .. } => "an authority has no extKeyUsage".to_owned(),
            Role::Leaf { usage, critical, .. } => {
                format!(
                    "its extKeyUsage is not {}{}",
                    usage.text(),
                    if critical { ", critical" } else { "" }
                )
            }
        };
        Err(self.refuse(Rule::ExtendedKeyUsage, detail))
    }

    fn check_names(&self, certificate: &X509Certificate<'_>) -> Result<String, Refused> {
        let refuse = |detail| Err(self.refuse(Rule::SubjectAltName, detail));
        let found = certificate.subject_alternative_name().ok().flatten();
        let (names, found) = match (self.role, found) {
            (Role::Authority { .. }, None) => return Ok(String::new()),
            (Role::Authority { .. }, Some(_)) => return refuse("an authority has no subjectAltName"),
            (Role::Leaf { .. }, None) => return refuse("it has no subjectAltName"),
            (Role::Leaf { names, .. }, Some(found)) => (names, found),
        };
        let mut uris = Vec::new();
        for name in &found.value.general_names {
            match (name, names) {
                (GeneralName::URI(uri), _) => uris.push(*uri),
                (GeneralName::DNSName(_) | GeneralName::IPAddress(_), Names::OneUriAndHosts) => {}
                _ => return refuse("its subjectAltName holds a name of a kind that the profile does not have"),
            }
        }
        match uris.as_slice() {
            [uri] => Ok((*uri).to_owned()),
            _ => refuse("its subjectAltName does not hold exactly one URI"),
        }
    }
}

impl Usage {
    fn is_exactly(self, found: &ExtendedKeyUsage<'_>) -> bool {
        let other: &[Oid<'_>] = match self {
            Usage::DocumentSigning => &[DOCUMENT_SIGNING],
            _ => &[],
        };
        let none_else = !(found.any || found.code_signing || found.email_protection || found.ocsp_signing);
        none_else
            && found.server_auth == matches!(self, Usage::ServerAndClient | Usage::Server)
            && found.client_auth == matches!(self, Usage::ServerAndClient | Usage::Client)
            && found.time_stamping == (self == Usage::TimeStamping)
            && found.other == other
    }

    fn text(self) -> &'static str {
        match self {
            Usage::ServerAndClient => "serverAuth and clientAuth alone",
            Usage::Server => "serverAuth alone",
            Usage::Client => "clientAuth alone",
            Usage::DocumentSigning => "id-kp-documentSigning alone",
            Usage::TimeStamping => "timeStamping alone",
        }
    }
}
