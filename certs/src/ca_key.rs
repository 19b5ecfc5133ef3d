//! The key of an authority: signs certificates. Used only by [`crate::issue`].

use crate::error::CertError;
use crate::keys::KeyStore;
use crate::p256::P256Pair;

/// A P-256 key of an authority.
pub(crate) struct CaKey(P256Pair);

impl CaKey {
    /// The key `ca-NAME.pem` of the store; made where there is none.
    pub(crate) fn load_or_make(store: &KeyStore, name: &str) -> Result<CaKey, CertError> {
        let name = format!("ca-{name}");
        store.pkcs8(&name, P256Pair::generate)?;
        CaKey::load_file(store, &name)
    }

    /// The key `ca-NAME.pem` of the store.
    pub(crate) fn load(store: &KeyStore, name: &str) -> Result<CaKey, CertError> {
        CaKey::load_file(store, &format!("ca-{name}"))
    }

    fn load_file(store: &KeyStore, name: &str) -> Result<CaKey, CertError> {
        let pkcs8 = store.existing_pkcs8(name)?;
        let pair = P256Pair::from_pkcs8(&pkcs8);
        pair.map(CaKey)
            .ok_or_else(|| store.broken(&format!("{name}.pem"), "it is no P-256 key"))
    }

    pub(crate) fn pair(&self) -> &P256Pair {
        &self.0
    }
}
