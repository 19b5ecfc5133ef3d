//! The key of a TLS certificate: shows who speaks in a handshake, and signs its own request. Nothing else.

use std::sync::Arc;

use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::error::CertError;
use crate::keys::KeyStore;
use crate::p256::P256Pair;

/// A P-256 key for TLS. `Debug` shows nothing of it.
pub struct TlsKey {
    pair: P256Pair,
    handshake: Arc<dyn rustls::sign::SigningKey>,
}

impl TlsKey {
    /// The key `tls-NAME.pem` of the store; made where there is none.
    ///
    /// # Errors
    /// As [`KeyStore::read`]; [`CertError::KeyStore`] for a file that is no P-256 key.
    pub fn load_or_make(store: &KeyStore, name: &str) -> Result<TlsKey, CertError> {
        let name = format!("tls-{name}");
        let pkcs8 = store.pkcs8(&name, P256Pair::generate)?;
        TlsKey::from_pkcs8(&pkcs8).ok_or_else(|| store.broken(&format!("{name}.pem"), "it is no P-256 key"))
    }

    /// Reads a key from PEM, for a client whose key lies outside a key store.
    ///
    /// # Errors
    /// [`CertError::Pem`] where the text holds no PKCS#8 P-256 key.
    pub fn from_pem(text: &[u8]) -> Result<TlsKey, CertError> {
        TlsKey::from_pkcs8(&crate::pem::key_from_pem(text)?).ok_or_else(|| CertError::Pem {
            rule: "the key is no P-256 key".to_owned(),
            expected: "PRIVATE KEY",
        })
    }

    /// The public key: a P-256 point, uncompressed.
    pub fn public(&self) -> &[u8] {
        self.pair.public()
    }

    fn from_pkcs8(pkcs8: &Zeroizing<Vec<u8>>) -> Option<TlsKey> {
        let pair = P256Pair::from_pkcs8(pkcs8)?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_slice()));
        let handshake = rustls::crypto::ring::sign::any_ecdsa_type(&der).ok()?;
        Some(TlsKey { pair, handshake })
    }

    pub(crate) fn pair(&self) -> &P256Pair {
        &self.pair
    }

    pub(crate) fn handshake(&self) -> Arc<dyn rustls::sign::SigningKey> {
        Arc::clone(&self.handshake)
    }
}

impl std::fmt::Debug for TlsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsKey")
    }
}
