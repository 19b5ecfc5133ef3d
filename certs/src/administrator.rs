//! The key with which an administrator of the registry signs each act.

use jisr_proto::ident::{Code, Instance};
use ring::signature::ECDSA_P256_SHA256_ASN1;
use zeroize::Zeroizing;

use crate::csr;
use crate::digest::{self, Hash};
use crate::error::CertError;
use crate::p256::P256Pair;
use crate::pem;
use crate::profile::Administrator;
use crate::verified::Verified;

/// Name of the domain digest of an act (docs/formats.md, Administrative acts). It stands before the document in the bytes that are
/// signed, so that the hash that is signed is the document's digest.
const NAME: &str = "jisr.administration";

/// Digest of an act's canonical bytes: what the signature is over.
pub fn digest(document: &[u8]) -> Hash {
    digest::domain(NAME, &[document])
}

fn signed_bytes(document: &[u8]) -> Vec<u8> {
    [NAME.as_bytes(), b"\x01", document].concat()
}

/// A P-256 key of an administrator. Signs administrative acts and the request for its own certificate. `Debug` shows nothing of it.
pub struct AdministratorKey {
    pair: P256Pair,
    pem: Zeroizing<String>,
}

impl AdministratorKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`CertError::Crypto`].
    pub fn generate() -> Result<AdministratorKey, CertError> {
        let pkcs8 = P256Pair::generate()?;
        let pair = P256Pair::from_pkcs8(&pkcs8).ok_or(CertError::Crypto("making a P-256 key"))?;
        let pem = pem::key_to_pem(&pkcs8);
        Ok(AdministratorKey { pair, pem })
    }

    /// Reads the key from the PEM that [`AdministratorKey::pem`] gave.
    ///
    /// # Errors
    /// [`CertError::Pem`] where the text holds no PKCS#8 P-256 key.
    pub fn from_pem(text: &[u8]) -> Result<AdministratorKey, CertError> {
        let pkcs8 = pem::key_from_pem(text)?;
        let pair = P256Pair::from_pkcs8(&pkcs8).ok_or_else(|| CertError::Pem {
            rule: "the key is no P-256 key".to_owned(),
            expected: "PRIVATE KEY",
        })?;
        let pem = pem::key_to_pem(&pkcs8);
        Ok(AdministratorKey { pair, pem })
    }

    /// The private key, PKCS#8 PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A request (PKCS#10, DER) for the certificate of this administrator. The registry takes the key from it and nothing else.
    ///
    /// # Errors
    /// [`CertError::Crypto`].
    pub fn request(&self, instance: &Instance, name: &Code) -> Result<Vec<u8>, CertError> {
        csr::write(&instance.administrator_spiffe(name), &self.pair)
    }

    /// Signs the canonical bytes of an act: ECDSA P-256 with SHA-256, ASN.1.
    ///
    /// # Errors
    /// [`CertError::Crypto`].
    pub fn sign(&self, document: &[u8]) -> Result<Vec<u8>, CertError> {
        self.pair.sign(&signed_bytes(document))
    }
}

impl Verified<Administrator> {
    /// Verifies an administrator's signature over the canonical bytes of an act.
    ///
    /// # Errors
    /// [`CertError::Signature`].
    #[expect(
        clippy::disallowed_methods,
        reason = "an ECDSA key, whose form the profile checked; the rule is for Ed25519"
    )]
    pub fn verify(&self, document: &[u8], signature: &[u8]) -> Result<(), CertError> {
        ring::signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.public_key)
            .verify(&signed_bytes(document), signature)
            .map_err(|_| CertError::Signature)
    }
}

impl std::fmt::Debug for AdministratorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdministratorKey")
    }
}
