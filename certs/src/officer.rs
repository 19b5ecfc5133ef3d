//! The key with which an officer concludes agreements, and approves what is erased, held and released.

use ring::signature::ECDSA_P256_SHA256_ASN1;

use crate::digest::{self, Hash};
use crate::error::CertError;
use crate::p256::P256Pair;
use crate::pem;
use crate::profile::Officer;
use crate::verified::Verified;

/// What an officer signs. Its name stands before the document in the bytes that are signed, so that a signature for one is
/// none for another, and that their SHA-256 is the document's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// An agreement.
    Agreement,
    /// Parts of statements that are to be erased.
    Erasure,
    /// What may not be erased.
    Hold,
    /// The end of a hold.
    Release,
}

impl Document {
    /// Name of its domain digest (docs/formats.md, Conventions).
    pub fn name(self) -> &'static str {
        match self {
            Document::Agreement => "jisr.agreement",
            Document::Erasure => "jisr.erasure",
            Document::Hold => "jisr.hold",
            Document::Release => "jisr.release",
        }
    }

    /// Digest of its canonical bytes: what the signature is over.
    pub fn digest(self, bytes: &[u8]) -> Hash {
        digest::domain(self.name(), &[bytes])
    }

    fn signed_bytes(self, bytes: &[u8]) -> Vec<u8> {
        [self.name().as_bytes(), b"\x01", bytes].concat()
    }
}

/// A P-256 key of an officer. Signs the documents of [`Document`], nothing else. `Debug` shows nothing of it.
pub struct OfficerKey(P256Pair);

impl OfficerKey {
    /// Reads the key from the PEM that was made with the certificate.
    ///
    /// # Errors
    /// [`CertError::Pem`] where the text holds no PKCS#8 P-256 key.
    pub fn from_pem(text: &[u8]) -> Result<OfficerKey, CertError> {
        P256Pair::from_pkcs8(&pem::key_from_pem(text)?)
            .map(OfficerKey)
            .ok_or_else(|| CertError::Pem {
                rule: "the key is no P-256 key".to_owned(),
                expected: "PRIVATE KEY",
            })
    }

    /// Signs the canonical bytes of an agreement (docs/formats.md, Agreement): ECDSA P-256 with SHA-256, ASN.1.
    ///
    /// # Errors
    /// [`CertError::Crypto`].
    pub fn sign_agreement(&self, document: &[u8]) -> Result<Vec<u8>, CertError> {
        self.sign(Document::Agreement, document)
    }

    /// Signs the canonical bytes of a document: ECDSA P-256 with SHA-256, ASN.1.
    ///
    /// # Errors
    /// [`CertError::Crypto`].
    pub fn sign(&self, what: Document, document: &[u8]) -> Result<Vec<u8>, CertError> {
        self.0.sign(&what.signed_bytes(document))
    }
}

impl Verified<Officer> {
    /// Verifies an officer's signature over the canonical bytes of an agreement.
    ///
    /// # Errors
    /// [`CertError::Signature`].
    pub fn verify_agreement(&self, document: &[u8], signature: &[u8]) -> Result<(), CertError> {
        self.verify(Document::Agreement, document, signature)
    }

    /// Verifies an officer's signature over the canonical bytes of a document.
    ///
    /// # Errors
    /// [`CertError::Signature`].
    #[expect(
        clippy::disallowed_methods,
        reason = "an ECDSA key, whose form the profile checked; the rule is for Ed25519"
    )]
    pub fn verify(&self, what: Document, document: &[u8], signature: &[u8]) -> Result<(), CertError> {
        ring::signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.public_key)
            .verify(&what.signed_bytes(document), signature)
            .map_err(|_| CertError::Signature)
    }
}

impl std::fmt::Debug for OfficerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OfficerKey")
    }
}
