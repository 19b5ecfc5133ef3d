//! A member's local authority: names its applications, its officers and its node's local door.

use jisr_proto::ident::{MemberId, OfficerId, SubsystemId};
use rcgen::CertificateParams;
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::authority::{self, Signer};
use super::template;
use crate::ca_key::CaKey;
use crate::error::CertError;
use crate::keys::KeyStore;
use crate::p256::P256Pair;
use crate::pem;
use crate::profile::{Authority, check_local_ca};
use crate::tls_key::TlsKey;
use crate::validity::{LOCAL_CA_DAYS, Validity};
use crate::verified::Verified;

const LOCAL: &str = "local";

/// The local authority of a member.
pub struct LocalCa {
    signer: Signer,
    member: MemberId,
}

/// A fresh key and its certificate, to be handed to an application or an officer. `Debug` shows nothing of the key.
pub struct Credential {
    key: Zeroizing<String>,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Certificate of the local authority.
    pub authority: CertificateDer<'static>,
}

impl LocalCa {
    /// Makes key and certificate, valid from now for 10 years, and stores them.
    ///
    /// # Errors
    /// [`CertError::Authority`] where the store has one; [`CertError::Io`], [`CertError::KeyStore`].
    pub fn create(store: &KeyStore, member: &MemberId, now_us: u64) -> Result<LocalCa, CertError> {
        authority::check_absent(store, LOCAL)?;
        let key = CaKey::load_or_make(store, LOCAL)?;
        let instance = member.instance();
        let subject = template::subject(
            &instance,
            member.as_str(),
            &format!("{} local authority", member.code().as_str()),
        );
        let params = template::authority(subject, 0, Validity::days(now_us, LOCAL_CA_DAYS))?;
        let certificate = authority::self_sign(params, &key)?;
        authority::store_certificate(store, LOCAL, &certificate)?;
        let certificate = check_local_ca(&certificate, now_us)?;
        Ok(LocalCa {
            signer: Signer::new(&instance, key, certificate),
            member: member.clone(),
        })
    }

    /// Opens what [`LocalCa::create`] stored.
    ///
    /// # Errors
    /// [`CertError::KeyStore`] where key or certificate is missing or broken; [`CertError::Refused`] for an expired one.
    pub fn open(store: &KeyStore, member: &MemberId, now_us: u64) -> Result<LocalCa, CertError> {
        let (key, certificate) = authority::load(store, LOCAL)?;
        let certificate = check_local_ca(&certificate, now_us)?;
        Ok(LocalCa {
            signer: Signer::new(&member.instance(), key, certificate),
            member: member.clone(),
        })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Verified<Authority> {
        &self.signer.certificate
    }

    /// Makes a key and a certificate for an application of the member.
    ///
    /// # Errors
    /// [`CertError::Authority`] for a subsystem of another member, or a validity beyond the authority's own.
    pub fn issue_client(&self, subsystem: &SubsystemId, validity: Validity) -> Result<Credential, CertError> {
        self.check_member(&subsystem.member())?;
        let subject = template::subject(&self.member.instance(), self.member.as_str(), subsystem.code().as_str());
        let names = vec![template::uri_name(&subsystem.spiffe())];
        self.credential(template::tls(subject, names, &[ClientAuth], validity)?, validity)
    }

    /// Makes a key and a certificate for an officer of the member.
    ///
    /// # Errors
    /// As [`LocalCa::issue_client`].
    pub fn issue_officer(&self, officer: &OfficerId, validity: Validity) -> Result<Credential, CertError> {
        self.check_member(&officer.member())?;
        let subject = template::subject(&self.member.instance(), self.member.as_str(), officer.code().as_str());
        self.credential(
            template::document_signing(subject, &officer.spiffe(), validity)?,
            validity,
        )
    }

    /// Issues the certificate of the node's local door, for these DNS names and IP addresses.
    ///
    /// # Errors
    /// [`CertError::Authority`] where there is no name or one that is none, or for a validity beyond the authority's own.
    pub fn issue_local_door(
        &self,
        key: &TlsKey,
        hosts: &[String],
        validity: Validity,
    ) -> Result<CertificateDer<'static>, CertError> {
        let names = template::host_names(hosts)?;
        if names.is_empty() {
            return Err(CertError::Authority {
                rule: "the local door has no name".to_owned(),
                remedy: "configure the DNS names or IP addresses that applications call",
            });
        }
        let subject = template::subject(&self.member.instance(), self.member.as_str(), "local door");
        self.signer.issue(
            template::tls(subject, names, &[ServerAuth], validity)?,
            key.pair(),
            validity,
        )
    }

    fn credential(&self, params: CertificateParams, validity: Validity) -> Result<Credential, CertError> {
        let pkcs8 = P256Pair::generate()?;
        let pair = P256Pair::from_pkcs8(&pkcs8).ok_or(CertError::Crypto("making a P-256 key"))?;
        let certificate = self.signer.issue(params, &pair, validity)?;
        Ok(Credential {
            key: pem::key_to_pem(&pkcs8),
            certificate,
            authority: self.signer.certificate.der.clone(),
        })
    }

    fn check_member(&self, member: &MemberId) -> Result<(), CertError> {
        if member == &self.member {
            return Ok(());
        }
        Err(CertError::Authority {
            rule: format!("it names applications and officers of {}, not of {member}", self.member),
            remedy: "ask that member's node",
        })
    }
}

impl Credential {
    /// The private key, PKCS#8 PEM.
    pub fn key_pem(&self) -> &str {
        &self.key
    }

    /// The certificate, PEM.
    pub fn certificate_pem(&self) -> String {
        pem::certificates_to_pem([self.certificate.as_ref()])
    }

    /// The local authority's certificate, PEM.
    pub fn authority_pem(&self) -> String {
        pem::certificates_to_pem([self.authority.as_ref()])
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

impl std::fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalCa({})", self.member)
    }
}
