//! The key of a time-stamp authority: signs tokens, nothing else.

use crate::error::CertError;
use crate::keys::KeyStore;
use crate::p256::P256Pair;

/// Name of the key in a key store.
const NAME: &str = "timestamp";

/// A P-256 key that signs time-stamps. `Debug` shows nothing of it.
pub struct StampKey(P256Pair);

impl StampKey {
    /// The key `timestamp.pem` of the store; made where there is none.
    ///
    /// # Errors
    /// As [`KeyStore::read`]; [`CertError::KeyStore`] for a file that is no P-256 key.
    pub fn load_or_make(store: &KeyStore) -> Result<StampKey, CertError> {
        let pkcs8 = store.pkcs8(NAME, P256Pair::generate)?;
        let pair = P256Pair::from_pkcs8(&pkcs8);
        pair.map(StampKey)
            .ok_or_else(|| store.broken(&format!("{NAME}.pem"), "it is no P-256 key"))
    }

    pub(crate) fn pair(&self) -> &P256Pair {
        &self.0
    }
}

impl std::fmt::Debug for StampKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StampKey")
    }
}
