//! The key with which an officer concludes agreements.

use ring::signature::ECDSA_P256_SHA256_ASN1;

use crate::error::CertError;
use crate::p256::P256Pair;
use crate::pem;
use crate::profile::Officer;
use crate::verified::Verified;

/// What stands before the document in the bytes that are signed, so that their SHA-256 is the agreement's digest.
const DOMAIN: &[u8] = b"jisr.agreement\x01";

/// A P-256 key of an officer. Signs agreements, nothing else. `Debug` shows nothing of it.
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
        self.0.sign(&signed_bytes(document))
    }
}

impl Verified<Officer> {
    /// Verifies an officer's signature over the canonical bytes of an agreement.
    ///
    /// # Errors
    /// [`CertError::Signature`].
    #[expect(
        clippy::disallowed_methods,
        reason = "an ECDSA key, whose form the profile checked; the rule is for Ed25519"
    )]
    pub fn verify_agreement(&self, document: &[u8], signature: &[u8]) -> Result<(), CertError> {
        ring::signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.public_key)
            .verify(&signed_bytes(document), signature)
            .map_err(|_| CertError::Signature)
    }
}

impl std::fmt::Debug for OfficerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OfficerKey")
    }
}

fn signed_bytes(document: &[u8]) -> Vec<u8> {
    [DOMAIN, document].concat()
}
