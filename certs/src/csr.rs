//! Signing requests (PKCS#10, RFC 2986): written by nodes, read by the issuing authority.
//!
//! A request shows that its sender holds the key. Of what it asks only the key counts: the authority imposes names and profile.

use jisr_proto::ident::{NodeId, Origin};
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DistinguishedName, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SanType,
    SignatureAlgorithm, SigningKey,
};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::ed25519::PublicKey;
use crate::error::CertError;
use crate::profile::{KeyKind, holds_key, public_key};
use crate::seal::SealKey;
use crate::tls_key::TlsKey;

/// Largest request that is read, bytes.
const REQUEST_BYTES_MAX: usize = 8 << 10;

/// A request (DER) for a node's TLS certificate.
///
/// # Errors
/// [`CertError::Crypto`].
pub fn tls_csr(key: &TlsKey, node: &NodeId) -> Result<Vec<u8>, CertError> {
    write(&node.spiffe(), key.pair())
}

/// A request (DER) for the seal certificate of the key's own origin.
///
/// # Errors
/// [`CertError::Crypto`].
pub fn seal_csr(key: &SealKey) -> Result<Vec<u8>, CertError> {
    key.request()
}

/// The P-256 key that a request (PKCS#10, DER) is for and signed by, as an uncompressed point.
///
/// # Errors
/// [`CertError::Request`].
pub fn p256_key(request: &[u8]) -> Result<Vec<u8>, CertError> {
    read(request, KeyKind::P256).map(|key| key.raw)
}

/// Whether a request (PKCS#10, DER) for a node's TLS certificate is for, and signed by, the key of one that was issued (DER).
///
/// # Errors
/// [`CertError::Request`].
pub fn is_for_tls(request: &[u8], certificate: &[u8]) -> Result<bool, CertError> {
    is_for(request, KeyKind::P256, certificate)
}

/// Whether a request (PKCS#10, DER) for a seal certificate is for, and signed by, the key of one that was issued (DER).
///
/// # Errors
/// [`CertError::Request`].
pub fn is_for_seal(request: &[u8], certificate: &[u8]) -> Result<bool, CertError> {
    is_for(request, KeyKind::Ed25519, certificate)
}

fn is_for(request: &[u8], kind: KeyKind, certificate: &[u8]) -> Result<bool, CertError> {
    read(request, kind).map(|key| holds_key(certificate, &key.raw))
}

/// How a seal certificate names its origin: `jisr://JO/GOV/mol/node1/2026`.
pub(crate) fn seal_uri(origin: &Origin) -> String {
    origin.as_str().replacen('/', "://", 1)
}

/// The origin that a seal certificate names.
pub(crate) fn origin_of_uri(uri: &str) -> Option<Origin> {
    let path = uri.strip_prefix("jisr://")?;
    format!("jisr/{path}").parse().ok()
}

/// Writes a request that names `uri` and is signed by the key it is for.
pub(crate) fn write(uri: &str, key: &impl SigningKey) -> Result<Vec<u8>, CertError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let uri = Ia5String::try_from(uri).expect("identifiers are ASCII");
    params.subject_alt_names = vec![SanType::URI(uri)];
    let request = params
        .serialize_request(key)
        .map_err(|_| CertError::Crypto("signing a request"))?;
    Ok(request.der().to_vec())
}

/// A public key whose owner showed that they hold the private one.
pub(crate) struct RequestedKey {
    kind: KeyKind,
    raw: Vec<u8>,
}

/// The public key (P-256 point, uncompressed) of a request for a TLS certificate whose owner showed that they hold the private one,
/// and which names this node and nothing else.
///
/// # Errors
/// [`CertError::Request`].
pub fn tls_key_of(request: &[u8], node: &NodeId) -> Result<Vec<u8>, CertError> {
    let key = read(request, KeyKind::P256)?;
    let refuse = |rule| CertError::Request { rule };
    let (_, request) =
        X509CertificationRequest::from_der(request).map_err(|_| refuse("it is no PKCS#10 request in DER"))?;
    let names = request.requested_extensions().into_iter().flatten();
    let names: Vec<_> = names
        .filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })
        .flatten()
        .collect();
    match names.as_slice() {
        [GeneralName::URI(uri)] if *uri == node.spiffe() => Ok(key.raw),
        _ => Err(refuse("it names something else than the node that asks")),
    }
}

/// The public key (P-256 point, uncompressed) in a TLS certificate, unchecked; `None` where there is none.
pub fn tls_key_in(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    public_key(certificate.public_key(), KeyKind::P256).ok()
}

/// Reads a request and verifies that it was signed by the key it is for, which is of this kind.
pub(crate) fn read(request: &[u8], kind: KeyKind) -> Result<RequestedKey, CertError> {
    let refuse = |rule| CertError::Request { rule };
    if request.len() > REQUEST_BYTES_MAX {
        return Err(refuse("it is larger than 8 KiB"));
    }
    let (rest, request) =
        X509CertificationRequest::from_der(request).map_err(|_| refuse("it is no PKCS#10 request in DER"))?;
    if !rest.is_empty() {
        return Err(refuse("bytes follow the request"));
    }
    let info = &request.certification_request_info;
    let raw = public_key(&info.subject_pki, kind).map_err(refuse)?;
    if request.signature_algorithm.algorithm != kind.signature_oid() {
        return Err(refuse("it is signed with another algorithm than its key's"));
    }
    if request.signature_value.unused_bits != 0 {
        return Err(refuse("its signature is malformed"));
    }
    let signed = match kind {
        KeyKind::P256 => request.verify_signature().is_ok(),
        KeyKind::Ed25519 => PublicKey::from_slice(&raw)?
            .verify(info.raw, &request.signature_value.data)
            .is_ok(),
    };
    if !signed {
        return Err(refuse("it is not signed by the key it is for"));
    }
    Ok(RequestedKey { kind, raw })
}

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.raw
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.kind {
            KeyKind::P256 => &PKCS_ECDSA_P256_SHA256,
            KeyKind::Ed25519 => &PKCS_ED25519,
        }
    }
}
