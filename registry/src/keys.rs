//! The registry's keys and certificates, and what follows from them.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jisr_certs::issue::{Issuing, Root};
use jisr_certs::keys::{KeyFiles, KeyStore};
use jisr_certs::profile::Authority;
use jisr_certs::seal::{SealKey, SnapshotKey, WitnessKey};
use jisr_certs::tls::Identity;
use jisr_certs::tls_key::TlsKey;
use jisr_certs::validity::{REGISTRY_TLS_DAYS, SEAL_DAYS, Validity};
use jisr_certs::{Verified, pem};
use jisr_ledger::anchor::{Anchor, AnchorWitness, Quorum};
use jisr_ledger::note::VerifierKey;
use jisr_proto::statement::Started;

use crate::config::Config;
use crate::error::Error;

/// File of the seal certificate in the key store.
const SEAL_CERTIFICATE: &str = "seal.crt";

/// What the registry signs and issues with. `Debug` of the keys shows nothing of them.
pub(crate) struct Keys {
    pub(crate) store: KeyStore,
    pub(crate) root: Verified<Authority>,
    pub(crate) issuing: Arc<Issuing>,
    pub(crate) tls: TlsKey,
    pub(crate) seal: SealKey,
    pub(crate) witness: WitnessKey,
    pub(crate) snapshot: SnapshotKey,
    seal_certificate: Bytes,
}

impl Keys {
    /// Makes, on `files`, all keys and the certificates of the authorities and of the ledger's key, as far as they are not there.
    ///
    /// # Errors
    /// [`Error::Certificates`].
    pub(crate) fn create(dir: &Path, config: &Config, now_us: u64, files: Arc<dyn KeyFiles>) -> Result<Keys, Error> {
        let store = KeyStore::create_from(dir, &config.secret_source(), files)?.0;
        let root = Root::open_or_create(&store, &config.instance, now_us)?;
        let issuing = Issuing::open_or_create(&store, &root, now_us)?;
        let seal = SealKey::load_or_make(&store, &config.origin())?;
        let certificate = issuing.issue_seal(&seal.request()?, &config.origin(), Validity::days(now_us, SEAL_DAYS))?;
        store.write(
            SEAL_CERTIFICATE,
            pem::certificates_to_pem([certificate.as_ref()]).as_bytes(),
        )?;
        Keys::load(store, config, now_us)
    }

    /// Opens what [`Keys::create`] made.
    ///
    /// # Errors
    /// [`Error::Certificates`] where a key or certificate is missing, broken or expired.
    pub(crate) fn open(dir: &Path, config: &Config, now_us: u64, files: Arc<dyn KeyFiles>) -> Result<Keys, Error> {
        let store = KeyStore::open_from(dir, &config.secret_source())?.on(files);
        Keys::load(store, config, now_us)
    }

    fn load(store: KeyStore, config: &Config, now_us: u64) -> Result<Keys, Error> {
        let root = Root::open(&store, &config.instance, now_us)?.certificate().clone();
        let issuing = Issuing::open(&store, &config.instance, &root, now_us)?;
        let text = store.read(SEAL_CERTIFICATE)?.unwrap_or_default();
        let certificate = pem::certificates_from_pem(&text)?.into_iter().next();
        let missing = || {
            Error::Directory(format!(
                "{SEAL_CERTIFICATE} is missing among the keys; restore the backup"
            ))
        };
        let certificate = certificate.ok_or_else(missing)?;
        Ok(Keys {
            tls: TlsKey::load_or_make(&store, "registry")?,
            seal: SealKey::load_or_make(&store, &config.origin())?,
            witness: WitnessKey::of_registry(&store, &config.instance)?,
            snapshot: SnapshotKey::load_or_make(&store, &config.instance)?,
            seal_certificate: Bytes::copy_from_slice(&certificate),
            issuing: Arc::new(issuing),
            root,
            store,
        })
    }

    /// The act that begins the ledger.
    pub(crate) fn started(&self) -> Started {
        let issuers = self.issuing.issuers();
        let issuers = issuers.iter().map(|der| Bytes::copy_from_slice(der));
        Started {
            origin: self.seal.origin().to_string(),
            certificates: std::iter::once(self.seal_certificate.clone()).chain(issuers).collect(),
            seal_key: Bytes::copy_from_slice(self.seal.public().as_bytes()),
            succeeds: Vec::new(),
        }
    }

    /// What verifiers trust to begin with.
    ///
    /// # Errors
    /// [`Error::Directory`] where an own key is none, which the key store prevents.
    pub(crate) fn anchor(&self, config: &Config) -> Result<Anchor, Error> {
        let key = |vkey: String| {
            vkey.parse::<VerifierKey>()
                .map_err(|e| Error::Directory(format!("an own key cannot be read: {e}")))
        };
        Ok(Anchor {
            instance: config.instance.clone(),
            root: self.root.sha256,
            registry_origin: config.origin(),
            registry_key: key(self.seal.vkey())?,
            snapshot_key: key(self.snapshot.vkey())?,
            witnesses: vec![AnchorWitness {
                key: key(self.witness.vkey())?,
                operator: config.instance.registry(),
            }],
            quorum: Quorum {
                routine: 1,
                standard: 1,
                high: 1,
                registry: 0,
            },
            time_stamps: Vec::new(),
        })
    }
}

/// Issues a fresh TLS certificate of the registry for these names.
///
/// # Errors
/// [`Error::Certificates`] for a name that is none.
pub(crate) fn identity(key: &TlsKey, issuing: &Issuing, names: &[String], now_us: u64) -> Result<Identity, Error> {
    let validity = Validity::days(now_us, REGISTRY_TLS_DAYS);
    let leaf = issuing.issue_registry_tls(key, names, validity)?;
    // The root goes along, so that a newcomer who knows its fingerprint finds it.
    let chain = std::iter::once(leaf).chain(issuing.issuers()).collect();
    Ok(Identity::new(key, chain)?)
}
