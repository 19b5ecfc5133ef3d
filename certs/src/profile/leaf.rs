//! Leaves: one function for each profile, one type for what each says.

use jisr_proto::ident::{Code, Instance, NodeId, OfficerId, Origin, SubsystemId};
use rustls_pki_types::CertificateDer;
use webpki::KeyUsage;

use super::authority::Authority;
use super::chain;
use super::key::KeyKind;
use super::refused::{Refused, Rule};
use super::shape::{Names, Role, Seen, Shape, Usage};
use crate::csr::origin_of_uri;
use crate::digest::Hash;
use crate::ed25519::PublicKey;
use crate::error::CertError;
use crate::validity::Validity;
use crate::verified::Verified;

const NODE_TLS: Shape = leaf(
    "node TLS certificate",
    KeyKind::P256,
    Usage::ServerAndClient,
    false,
    Names::OneUri,
);
const REGISTRY_TLS: Shape = leaf(
    "registry TLS certificate",
    KeyKind::P256,
    Usage::Server,
    false,
    Names::OneUriAndHosts,
);
const SEAL: Shape = leaf(
    "seal certificate",
    KeyKind::Ed25519,
    Usage::DocumentSigning,
    true,
    Names::OneUri,
);
const CLIENT: Shape = leaf(
    "local client's certificate",
    KeyKind::P256,
    Usage::Client,
    false,
    Names::OneUri,
);
const OFFICER: Shape = leaf(
    "officer's certificate",
    KeyKind::P256,
    Usage::DocumentSigning,
    true,
    Names::OneUri,
);
const ADMINISTRATOR: Shape = leaf(
    "administrator's certificate",
    KeyKind::P256,
    Usage::DocumentSigning,
    true,
    Names::OneUri,
);

const TIME_STAMP: Shape = leaf(
    "time-stamp authority's certificate",
    KeyKind::P256,
    Usage::TimeStamping,
    true,
    Names::OneUri,
);

/// DER content of the object identifiers 1.3.6.1.5.5.7.3.1, .2, .36 and .8. Webpki asks every certificate of the path, and authorities have
/// no usages; that the leaf has its own, the shape sees.
const SERVER_AUTH: KeyUsage = KeyUsage::required_if_present(&[0x2b, 6, 1, 5, 5, 7, 3, 1]);
const CLIENT_AUTH: KeyUsage = KeyUsage::required_if_present(&[0x2b, 6, 1, 5, 5, 7, 3, 2]);
const DOCUMENT_SIGNING: KeyUsage = KeyUsage::required_if_present(&[0x2b, 6, 1, 5, 5, 7, 3, 36]);
const TIME_STAMPING: KeyUsage = KeyUsage::required_if_present(&[0x2b, 6, 1, 5, 5, 7, 3, 8]);

/// What follows the instance in the URI of a time-stamp authority.
const TIME_STAMP_URI: &str = "/registry/timestamp";

const fn leaf(profile: &'static str, key: KeyKind, usage: Usage, critical: bool, names: Names) -> Shape {
    Shape {
        profile,
        key,
        role: Role::Leaf { usage, critical, names },
    }
}

/// A node's TLS certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTls {
    /// The node.
    pub node: NodeId,
    /// SHA-256 of the certificate.
    pub sha256: Hash,
    /// First moment of its validity, microseconds.
    pub not_before_us: u64,
    /// Last moment of its validity, microseconds.
    pub not_after_us: u64,
}

/// The registry's TLS certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryTls {
    /// SHA-256 of the certificate.
    pub sha256: Hash,
    /// First moment of its validity, microseconds.
    pub not_before_us: u64,
    /// Last moment of its validity, microseconds.
    pub not_after_us: u64,
}

/// The certificate of a ledger's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealCertificate {
    /// Origin of the ledger.
    pub origin: Origin,
    /// The key that signs its checkpoints.
    pub key: PublicKey,
    /// SHA-256 of the certificate.
    pub sha256: Hash,
    /// First moment of its validity, microseconds.
    pub not_before_us: u64,
    /// Last moment of its validity, microseconds.
    pub not_after_us: u64,
}

/// A local application's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The subsystem that the application is.
    pub subsystem: SubsystemId,
    /// SHA-256 of the certificate.
    pub sha256: Hash,
    /// Last moment of its validity, microseconds.
    pub not_after_us: u64,
}

/// An officer's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Officer {
    /// The officer.
    pub officer: OfficerId,
    /// The P-256 key, uncompressed point.
    pub public_key: Vec<u8>,
    /// SHA-256 of the certificate.
    pub sha256: Hash,
    /// First moment of its validity, microseconds.
    pub not_before_us: u64,
    /// Last moment of its validity, microseconds.
    pub not_after_us: u64,
}

/// The certificate of an administrator of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administrator {
    /// Who it is.
    pub name: Code,
    /// The P-256 key, uncompressed point.
    pub public_key: Vec<u8>,
    /// SHA-256 of the certificate.
    pub sha256: Hash,
    /// First moment of its validity, microseconds.
    pub not_before_us: u64,
    /// Last moment of its validity, microseconds.
    pub not_after_us: u64,
}

/// Checks a node's TLS certificate: leaf first, then the issuing authority; further certificates are ignored.
///
/// # Errors
/// [`CertError::Refused`] with the rule that is broken.
pub fn check_node_tls(
    chain: &[CertificateDer<'_>],
    root: &Verified<Authority>,
    now_us: u64,
) -> Result<Verified<NodeTls>, CertError> {
    // One key usage for the path; that both are there, and nothing else, the shape has seen.
    let seen = chain::check(chain, 1, root, &NODE_TLS, CLIENT_AUTH, now_us)?;
    let node = node_of(&seen.uri)?;
    let Seen {
        sha256,
        not_before_us,
        not_after_us,
        ..
    } = seen;
    Ok(Verified::assertion(NodeTls {
        node,
        sha256,
        not_before_us,
        not_after_us,
    }))
}

/// Checks the TLS certificate of the registry of this instance.
///
/// # Errors
/// [`CertError::Refused`] with the rule that is broken.
pub fn check_registry_tls(
    chain: &[CertificateDer<'_>],
    root: &Verified<Authority>,
    instance: &Instance,
    now_us: u64,
) -> Result<Verified<RegistryTls>, CertError> {
    let seen = chain::check(chain, 1, root, &REGISTRY_TLS, SERVER_AUTH, now_us)?;
    let expected = instance.registry_spiffe();
    if seen.uri != expected {
        let detail = format!("it names {:?}, expected was {expected:?}", seen.uri);
        return Err(REGISTRY_TLS.refuse(Rule::Identity, detail).into());
    }
    let Seen {
        sha256,
        not_before_us,
        not_after_us,
        ..
    } = seen;
    Ok(Verified::assertion(RegistryTls {
        sha256,
        not_before_us,
        not_after_us,
    }))
}

/// Checks a seal certificate: leaf first, then the issuing authority; further certificates are ignored.
///
/// # Errors
/// [`CertError::Refused`] with the rule that is broken.
pub fn check_seal(
    chain: &[CertificateDer<'_>],
    root: &Verified<Authority>,
    now_us: u64,
) -> Result<Verified<SealCertificate>, CertError> {
    seal(chain::check(chain, 1, root, &SEAL, DOCUMENT_SIGNING, now_us)?)
}

/// Checks a seal certificate under an issuing authority that [`super::check_issuing`] checked at the same time: for whoever has
/// many of one authority, whose certificate is then computed once.
///
/// # Errors
/// [`CertError::Refused`] with the rule that is broken.
pub fn check_seal_under(
    certificate: &[u8],
    issuing: &Verified<Authority>,
    now_us: u64,
) -> Result<Verified<SealCertificate>, CertError> {
    if !issuing.is_issuing() {
        let detail = format!("a {} does not issue it", issuing.profile());
        return Err(SEAL.refuse(Rule::Chain, detail).into());
    }
    let chain = [CertificateDer::from(certificate)];
    seal(chain::check(&chain, 0, issuing, &SEAL, DOCUMENT_SIGNING, now_us)?)
}

/// What a seal certificate says.
fn seal(seen: Seen) -> Result<Verified<SealCertificate>, CertError> {
    let Some(origin) = origin_of_uri(&seen.uri) else {
        return Err(unnamed(&SEAL, &seen.uri, "an origin, for example jisr://JO/GOV/mol/node1/2026").into());
    };
    let key = PublicKey::from_slice(&seen.key)?;
    let Seen {
        sha256,
        not_before_us,
        not_after_us,
        ..
    } = seen;
    Ok(Verified::assertion(SealCertificate {
        origin,
        key,
        sha256,
        not_before_us,
        not_after_us,
    }))
}

/// Checks a local application's certificate, issued by the local authority itself.
///
/// # Errors
/// [`CertError::Refused`] with the rule that is broken.
pub fn check_client(
    chain: &[CertificateDer<'_>],
    local_ca: &Verified<Authority>,
    now_us: u64,
) -> Result<Verified<Client>, CertError> {
    let seen = chain::check(chain, 0, local_ca, &CLIENT, CLIENT_AUTH, now_us)?;
    let subsystem = subsystem_of(&seen.uri)?;
    Ok(Verified::assertion(Client {
        subsystem,
        sha256: seen.sha256,
        not_after_us: seen.not_after_us,
    }))
}

/// Checks an officer's certificate, issued by the local authority itself.
///
/// # Errors
/// [`CertError::Refused`] with the rule that is broken.
pub fn check_officer(
    certificate: &[u8],
    local_ca: &Verified<Authority>,
    now_us: u64,
) -> Result<Verified<Officer>, CertError> {
    let chain = [CertificateDer::from(certificate)];
    let seen = chain::check(&chain, 0, local_ca, &OFFICER, DOCUMENT_SIGNING, now_us)?;
    let officer = OfficerId::from_spiffe(&seen.uri).map_err(|_| {
        unnamed(
            &OFFICER,
            &seen.uri,
            "an officer, for example spiffe://jo/gov/mol/officer/rania",
        )
    })?;
    let Seen {
        key: public_key,
        sha256,
        not_before_us,
        not_after_us,
        ..
    } = seen;
    Ok(Verified::assertion(Officer {
        officer,
        public_key,
        sha256,
        not_before_us,
        not_after_us,
    }))
}

/// Checks the certificate of the registry's time-stamp authority, at the time that its token says: leaf first, then the issuing
/// authority. Yields the last moment at which all of them and the root are valid.
///
/// # Errors
/// [`CertError::Refused`] with the rule that is broken.
pub(crate) fn check_time_stamp(
    chain: &[CertificateDer<'_>],
    root: &Verified<Authority>,
    time_us: u64,
) -> Result<u64, CertError> {
    let seen = chain::check(chain, 1, root, &TIME_STAMP, TIME_STAMPING, time_us)?;
    if !names_time_stamping(&seen.uri) {
        return Err(unnamed(
            &TIME_STAMP,
            &seen.uri,
            "a registry's, for example spiffe://jo/registry/timestamp",
        )
        .into());
    }
    let ends = chain
        .iter()
        .filter_map(|der| Validity::of(der))
        .map(|validity| validity.not_after_us);
    Ok(ends.fold(root.not_after_us, u64::min))
}

/// Whether it is `spiffe://INSTANCE/registry/timestamp`; which instance that is, the root says.
fn names_time_stamping(uri: &str) -> bool {
    let instance = uri
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.strip_suffix(TIME_STAMP_URI));
    instance.is_some_and(|name| {
        let named = name.to_ascii_uppercase().parse::<Instance>();
        named.is_ok_and(|instance| instance.as_str().to_ascii_lowercase() == name)
    })
}

/// Checks the certificate of an administrator of the registry of this instance: leaf first, then the issuing authority; further
/// certificates are ignored.
///
/// # Errors
/// [`CertError::Refused`] with the rule that is broken.
pub fn check_administrator(
    chain: &[CertificateDer<'_>],
    root: &Verified<Authority>,
    instance: &Instance,
    now_us: u64,
) -> Result<Verified<Administrator>, CertError> {
    let seen = chain::check(chain, 1, root, &ADMINISTRATOR, DOCUMENT_SIGNING, now_us)?;
    let name = instance.administrator_of_spiffe(&seen.uri).map_err(|_| {
        let expected = format!(
            "an administrator of {instance}, {}/administrator/NAME",
            instance.registry_spiffe()
        );
        unnamed(&ADMINISTRATOR, &seen.uri, &expected)
    })?;
    let Seen {
        key: public_key,
        sha256,
        not_before_us,
        not_after_us,
        ..
    } = seen;
    Ok(Verified::assertion(Administrator {
        name,
        public_key,
        sha256,
        not_before_us,
        not_after_us,
    }))
}

/// The instance and the administrator that an administrator's certificate names, unchecked: for the owner of the key beside it.
///
/// # Errors
/// [`CertError::Refused`] where it names none.
pub fn named_administrator(certificate: &[u8]) -> Result<(Instance, Code), CertError> {
    let uri = ADMINISTRATOR.uri(certificate)?;
    let named = || {
        let (front, _) = uri.strip_prefix("spiffe://")?.split_once('/')?;
        let instance: Instance = front.to_ascii_uppercase().parse().ok()?;
        let name = instance.administrator_of_spiffe(&uri).ok()?;
        Some((instance, name))
    };
    named().ok_or_else(|| {
        let expected = "an administrator, for example spiffe://jo/registry/administrator/huda";
        unnamed(&ADMINISTRATOR, &uri, expected).into()
    })
}

/// The node that a certificate names which a handshake has checked.
pub(crate) fn node_identity(chain: &[CertificateDer<'_>]) -> Result<NodeId, CertError> {
    node_of(&NODE_TLS.uri(first(chain, &NODE_TLS)?)?)
}

/// The subsystem that a certificate names which a handshake has checked.
pub(crate) fn client_identity(chain: &[CertificateDer<'_>]) -> Result<SubsystemId, CertError> {
    subsystem_of(&CLIENT.uri(first(chain, &CLIENT)?)?)
}

/// The refusal of a certificate that is sound, but another's than expected, or not listed.
pub(crate) fn refuse_node(rule: Rule, detail: String) -> CertError {
    NODE_TLS.refuse(rule, detail).into()
}

fn first<'a>(chain: &'a [CertificateDer<'_>], shape: &Shape) -> Result<&'a [u8], CertError> {
    match chain.first() {
        Some(leaf) => Ok(leaf),
        None => Err(shape.refuse(Rule::Chain, "there is no certificate").into()),
    }
}

fn node_of(uri: &str) -> Result<NodeId, CertError> {
    NodeId::from_spiffe(uri)
        .map_err(|_| unnamed(&NODE_TLS, uri, "a node, for example spiffe://jo/gov/mol/node/node1").into())
}

fn subsystem_of(uri: &str) -> Result<SubsystemId, CertError> {
    SubsystemId::from_spiffe(uri).map_err(|_| {
        unnamed(
            &CLIENT,
            uri,
            "a subsystem, for example spiffe://jo/gov/mol/subsystem/permits",
        )
        .into()
    })
}

fn unnamed(shape: &Shape, uri: &str, expected: &str) -> Refused {
    shape.refuse(
        Rule::SubjectAltName,
        format!("its subjectAltName {uri:?} does not name {expected}"),
    )
}
