//! The two keys of the node's TLS certificates on disk: the one in use, and the one that takes its place.
//!
//! The next certificate takes the place of the old one first, its key after it; a start that finds the one done and the other not
//! finishes it.

use jisr_certs::CertError;
use jisr_certs::keys::KeyStore;
use jisr_certs::tls_key::TlsKey;
use jisr_certs::{csr, pem};
use jisr_ledger::files::Disk;
use rustls::pki_types::CertificateDer;

use crate::closets::Closets;
use crate::setup::Layout;

/// File of the key in use.
const KEY: &str = "tls-tls.pem";
/// Name of the key that takes its place, and its file.
const NEXT: (&str, &str) = ("next", "tls-next.pem");

/// Finishes a change of keys that a crash broke off.
///
/// # Errors
/// A file of this machine cannot be read or written.
pub(crate) fn finish(layout: &Layout, store: &KeyStore) -> Result<(), CertError> {
    let Some(next) = kept_next(store)? else {
        return Ok(());
    };
    let text = std::fs::read(layout.tls_chain()).unwrap_or_default();
    let chain = pem::certificates_from_pem(&text).unwrap_or_default();
    if is_for(&chain, &next) { take(store) } else { Ok(()) }
}

/// The next key; made where there is none.
pub(super) fn load_next(store: &KeyStore) -> Result<TlsKey, CertError> {
    TlsKey::load_or_make(store, NEXT.0)
}

/// The next key, where there is one.
pub(super) fn kept_next(store: &KeyStore) -> Result<Option<TlsKey>, CertError> {
    let kept = store.read(NEXT.1)?;
    kept.map(|_| load_next(store)).transpose()
}

/// The next chain, where the registry has issued it for the next key, and it is in force.
pub(super) fn next(store: &KeyStore, closets: &Closets) -> Result<Option<Vec<CertificateDer<'static>>>, String> {
    let text = |error: CertError| error.to_string();
    let Ok(found) = std::fs::read(Layout::new(&closets.config.data).tls_chain_next()) else {
        return Ok(None);
    };
    let Some(key) = kept_next(store).map_err(text)? else {
        return Ok(None);
    };
    let chain = pem::certificates_from_pem(&found).unwrap_or_default();
    let is_good = is_for(&chain, &key) && closets.identity.check(&chain).is_ok_and(|node| node == closets.node);
    Ok(Some(chain).filter(|_| is_good))
}

/// Puts the next chain down.
pub(super) fn keep_next(closets: &Closets, chain: &[CertificateDer<'_>]) -> Result<(), String> {
    replace(
        &*closets.disk,
        &Layout::new(&closets.config.data).tls_chain_next(),
        chain,
    )
}

/// The next chain and key take the places of those in use; the old key is destroyed.
pub(super) fn use_next(closets: &Closets, chain: &[CertificateDer<'_>]) -> Result<(), String> {
    let layout = Layout::new(&closets.config.data);
    replace(&*closets.disk, &layout.tls_chain(), chain)?;
    take(&closets.renewing.store).map_err(|error| error.to_string())?;
    let next = layout.tls_chain_next();
    let removed = closets.disk.remove(&next).map(drop);
    removed.map_err(|error| format!("own node: cannot remove {}: {error}", next.display()))
}

fn replace(disk: &dyn Disk, path: &std::path::Path, chain: &[CertificateDer<'_>]) -> Result<(), String> {
    let text = pem::certificates_to_pem(chain.iter().map(AsRef::as_ref));
    disk.replace(path, text.as_bytes())
        .map_err(|error| format!("own node: cannot write {}: {error}", path.display()))
}

fn take(store: &KeyStore) -> Result<(), CertError> {
    if let Some(key) = store.read(NEXT.1)? {
        store.destroy(KEY)?;
        store.write(KEY, &key)?;
        store.destroy(NEXT.1)?;
    }
    Ok(())
}

fn is_for(chain: &[CertificateDer<'_>], key: &TlsKey) -> bool {
    let named = chain.first().and_then(|leaf| csr::tls_key_in(leaf));
    named.as_deref() == Some(key.public())
}
