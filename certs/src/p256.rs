//! The P-256 key pair inside the key types that use one. It never leaves the crate.

use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::error::CertError;

/// A key pair that signs with ECDSA P-256 and SHA-256 (ASN.1 signatures).
pub(crate) struct P256Pair {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl P256Pair {
    /// PKCS#8 of a fresh key.
    pub(crate) fn generate() -> Result<Zeroizing<Vec<u8>>, CertError> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map(|document| Zeroizing::new(document.as_ref().to_vec()))
            .map_err(|_| CertError::Crypto("making a P-256 key"))
    }

    /// `None` where the PKCS#8 is malformed, for another algorithm, or its halves do not belong together.
    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Option<P256Pair> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &random).ok()?;
        Some(P256Pair { pair, random })
    }

    /// The uncompressed point, 65 bytes.
    pub(crate) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CertError> {
        self.pair
            .sign(&self.random, message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| CertError::Crypto("signing with P-256"))
    }
}

impl PublicKeyData for P256Pair {
    fn der_bytes(&self) -> &[u8] {
        self.public()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for P256Pair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        P256Pair::sign(self, message).map_err(|_| rcgen::Error::RingUnspecified)
    }
}
