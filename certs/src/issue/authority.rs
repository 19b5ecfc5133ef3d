//! What all authorities have: a key, a certificate, and how one signs with them.

use jisr_proto::ident::Instance;
use rcgen::{CertificateParams, Issuer, PublicKeyData};
use rustls_pki_types::CertificateDer;

use super::template;
use crate::ca_key::CaKey;
use crate::error::CertError;
use crate::keys::KeyStore;
use crate::pem;
use crate::profile::Authority;
use crate::validity::Validity;
use crate::verified::Verified;

/// An authority of this machine.
pub(super) struct Signer {
    pub(super) instance: Instance,
    pub(super) certificate: Verified<Authority>,
    key: CaKey,
}

impl Signer {
    /// Takes a key and its certificate, which `check` must accept.
    pub(super) fn new(instance: &Instance, key: CaKey, certificate: Verified<Authority>) -> Signer {
        Signer {
            instance: instance.clone(),
            certificate,
            key,
        }
    }

    /// Issues a leaf or an authority below this one.
    pub(super) fn issue(
        &self,
        params: CertificateParams,
        key: &impl PublicKeyData,
        validity: Validity,
    ) -> Result<CertificateDer<'static>, CertError> {
        if validity.not_after_us > self.certificate.not_after_us {
            return Err(CertError::Authority {
                rule: "it expires before the certificate that it should issue".to_owned(),
                remedy: "renew the authority's certificate, or ask for a shorter validity",
            });
        }
        let issuer = Issuer::from_ca_cert_der(&self.certificate.der, self.key.pair()).map_err(|_| unusable())?;
        let params = template::with_key_identifier(params, key.der_bytes());
        params
            .signed_by(key, &issuer)
            .map(CertificateDer::from)
            .map_err(|_| CertError::Crypto("signing a certificate"))
    }

    /// Refuses what belongs to another network.
    pub(super) fn check_instance(&self, instance: &Instance) -> Result<(), CertError> {
        if instance == &self.instance {
            return Ok(());
        }
        Err(CertError::Authority {
            rule: format!("it issues for instance {}, not for {instance}", self.instance.as_str()),
            remedy: "ask the registry of that instance",
        })
    }
}

/// Signs an authority's own certificate.
pub(super) fn self_sign(params: CertificateParams, key: &CaKey) -> Result<CertificateDer<'static>, CertError> {
    let params = template::with_key_identifier(params, key.pair().public());
    params
        .self_signed(key.pair())
        .map(CertificateDer::from)
        .map_err(|_| CertError::Crypto("signing a certificate"))
}

/// Stores an authority's certificate, once.
pub(super) fn store_certificate(store: &KeyStore, name: &str, certificate: &[u8]) -> Result<(), CertError> {
    store.write(&file(name), pem::certificates_to_pem([certificate]).as_bytes())
}

/// Refuses to make an authority where there is one: its certificates would no longer be believed.
pub(super) fn check_absent(store: &KeyStore, name: &str) -> Result<(), CertError> {
    if !is_stored(store, name)? {
        return Ok(());
    }
    Err(CertError::Authority {
        rule: format!("{} exists already in {}", file(name), store.path().display()),
        remedy: "use it, or choose another directory",
    })
}

/// Whether the store has the certificate of an authority. Its key came before.
pub(super) fn is_stored(store: &KeyStore, name: &str) -> Result<bool, CertError> {
    Ok(store.read(&file(name))?.is_some())
}

/// The stored certificate of an authority and its key, which must belong together.
pub(super) fn load(store: &KeyStore, name: &str) -> Result<(CaKey, CertificateDer<'static>), CertError> {
    let key = CaKey::load(store, name)?;
    let file = file(name);
    let text = store
        .read(&file)?
        .ok_or_else(|| store.broken(&file, "there is no such certificate"))?;
    let certificate = pem::certificates_from_pem(&text)?
        .into_iter()
        .next()
        .ok_or_else(|| store.broken(&file, "it holds no certificate"))?;
    if !crate::profile::holds_key(&certificate, key.pair().public()) {
        return Err(store.broken(&file, "it is for another key than the one beside it"));
    }
    Ok((key, certificate))
}

fn unusable() -> CertError {
    CertError::Authority {
        rule: "its own certificate cannot be read".to_owned(),
        remedy: "restore it from the backup",
    }
}

fn file(name: &str) -> String {
    format!("ca-{name}.crt")
}
