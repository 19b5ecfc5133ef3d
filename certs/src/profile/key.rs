//! The public keys that certificates and requests are for.

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::Oid;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ED25519};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::ed25519::PublicKey;

/// Kinds of key that profiles know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    P256,
    Ed25519,
}

impl KeyKind {
    /// OID of signatures by keys of this kind.
    pub(crate) fn signature_oid(self) -> Oid<'static> {
        match self {
            KeyKind::P256 => OID_SIG_ECDSA_WITH_SHA256,
            KeyKind::Ed25519 => OID_SIG_ED25519,
        }
    }
}

/// The raw public key, where it is a sound one of this kind; otherwise what is wrong.
pub(crate) fn public_key(info: &SubjectPublicKeyInfo<'_>, kind: KeyKind) -> Result<Vec<u8>, &'static str> {
    let raw = &info.subject_public_key;
    let parameters = info.algorithm.parameters.as_ref();
    if raw.unused_bits != 0 {
        return Err("its public key is malformed");
    }
    match kind {
        KeyKind::P256 => {
            let curve = parameters.and_then(|any| any.as_oid().ok());
            if info.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY || curve != Some(OID_EC_P256) {
                return Err("its key is no P-256 key");
            }
            if raw.data.len() != 65 || raw.data.first() != Some(&4) {
                return Err("its P-256 key is no uncompressed point");
            }
        }
        KeyKind::Ed25519 => {
            if info.algorithm.algorithm != OID_SIG_ED25519 || parameters.is_some() {
                return Err("its key is no Ed25519 key");
            }
            if PublicKey::from_slice(&raw.data).is_err() {
                return Err("its Ed25519 key is not canonical or has small order");
            }
        }
    }
    Ok(raw.data.to_vec())
}

/// Whether a certificate is for this key.
pub(crate) fn holds_key(der: &[u8], key: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, found)| *found.public_key().subject_public_key.data == *key)
}
