//! The registry's authorities: a root that signs issuing authorities, an issuing authority that signs everything else.

use jisr_proto::ident::{Code, Instance, NodeId, Origin};
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rustls_pki_types::CertificateDer;

use super::authority::{self, Signer};
use super::template;
use crate::ca_key::CaKey;
use crate::csr;
use crate::error::CertError;
use crate::keys::KeyStore;
use crate::profile::{Authority, KeyKind, check_issuing, check_root};
use crate::stamp::StampKey;
use crate::tls_key::TlsKey;
use crate::validity::{ISSUING_DAYS, ROOT_DAYS, Validity};
use crate::verified::Verified;

const ROOT: &str = "root";
const ISSUING: &str = "issuing";

/// The root of an instance.
pub struct Root(Signer);

/// The issuing authority of an instance.
pub struct Issuing {
    signer: Signer,
    root: Verified<Authority>,
}

impl Root {
    /// Makes key and certificate, valid from now for 20 years, and stores them.
    ///
    /// # Errors
    /// [`CertError::Authority`] where the store has a root; [`CertError::Io`], [`CertError::KeyStore`].
    pub fn create(store: &KeyStore, instance: &Instance, now_us: u64) -> Result<Root, CertError> {
        authority::check_absent(store, ROOT)?;
        let key = CaKey::load_or_make(store, ROOT)?;
        let subject = template::subject(
            instance,
            &instance.registry(),
            &format!("Jisr {} root", instance.as_str()),
        );
        let params = template::authority(subject, 1, Validity::days(now_us, ROOT_DAYS))?;
        let certificate = authority::self_sign(params, &key)?;
        authority::store_certificate(store, ROOT, &certificate)?;
        let certificate = check_root(&certificate, now_us)?;
        Ok(Root(Signer::new(instance, key, certificate)))
    }

    /// As [`Root::open`] where the store has a root, else as [`Root::create`].
    ///
    /// # Errors
    /// As these two.
    pub fn open_or_create(store: &KeyStore, instance: &Instance, now_us: u64) -> Result<Root, CertError> {
        if authority::is_stored(store, ROOT)? {
            return Root::open(store, instance, now_us);
        }
        Root::create(store, instance, now_us)
    }

    /// Opens what [`Root::create`] stored.
    ///
    /// # Errors
    /// [`CertError::KeyStore`] where key or certificate is missing or broken; [`CertError::Refused`] for an expired one.
    pub fn open(store: &KeyStore, instance: &Instance, now_us: u64) -> Result<Root, CertError> {
        let (key, certificate) = authority::load(store, ROOT)?;
        let certificate = check_root(&certificate, now_us)?;
        Ok(Root(Signer::new(instance, key, certificate)))
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Verified<Authority> {
        &self.0.certificate
    }
}

impl Issuing {
    /// Makes key and certificate, valid from now for 5 years, and stores them.
    ///
    /// # Errors
    /// [`CertError::Authority`] where the store has one, or the root expires before; [`CertError::Io`], [`CertError::KeyStore`].
    pub fn create(store: &KeyStore, root: &Root, now_us: u64) -> Result<Issuing, CertError> {
        authority::check_absent(store, ISSUING)?;
        let key = CaKey::load_or_make(store, ISSUING)?;
        let instance = &root.0.instance;
        let name = format!("Jisr {} issuing authority", instance.as_str());
        let subject = template::subject(instance, &instance.registry(), &name);
        let validity = Validity::days(now_us, ISSUING_DAYS);
        let params = template::authority(subject, 0, validity)?;
        let certificate = root.0.issue(params, key.pair(), validity)?;
        authority::store_certificate(store, ISSUING, &certificate)?;
        let certificate = check_issuing(&certificate, root.certificate(), now_us)?;
        Ok(Issuing {
            signer: Signer::new(instance, key, certificate),
            root: root.certificate().clone(),
        })
    }

    /// As [`Issuing::open`] where the store has an issuing authority, else as [`Issuing::create`].
    ///
    /// # Errors
    /// As these two.
    pub fn open_or_create(store: &KeyStore, root: &Root, now_us: u64) -> Result<Issuing, CertError> {
        if authority::is_stored(store, ISSUING)? {
            return Issuing::open(store, &root.0.instance, root.certificate(), now_us);
        }
        Issuing::create(store, root, now_us)
    }

    /// Opens what [`Issuing::create`] stored; the root's key is not needed.
    ///
    /// # Errors
    /// [`CertError::KeyStore`] where key or certificate is missing or broken; [`CertError::Refused`] for an expired one.
    pub fn open(
        store: &KeyStore,
        instance: &Instance,
        root: &Verified<Authority>,
        now_us: u64,
    ) -> Result<Issuing, CertError> {
        let (key, certificate) = authority::load(store, ISSUING)?;
        let certificate = check_issuing(&certificate, root, now_us)?;
        Ok(Issuing {
            signer: Signer::new(instance, key, certificate),
            root: root.clone(),
        })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Verified<Authority> {
        &self.signer.certificate
    }

    /// What follows a leaf in a chain: this authority, then the root.
    pub fn issuers(&self) -> [CertificateDer<'static>; 2] {
        [self.signer.certificate.der.clone(), self.root.der.clone()]
    }

    /// Issues a node's TLS certificate for the key of a request (PKCS#10, DER).
    ///
    /// # Errors
    /// [`CertError::Request`] where the request is not signed by a sound P-256 key; [`CertError::Authority`] for a node of another
    /// instance or a validity beyond the authority's own.
    pub fn issue_node_tls(
        &self,
        request: &[u8],
        node: &NodeId,
        validity: Validity,
    ) -> Result<CertificateDer<'static>, CertError> {
        self.signer.check_instance(&node.instance())?;
        let key = csr::read(request, KeyKind::P256)?;
        let subject = template::subject(&node.instance(), node.member().as_str(), node.code().as_str());
        let names = vec![template::uri_name(&node.spiffe())];
        self.signer.issue(
            template::tls(subject, names, &[ServerAuth, ClientAuth], validity)?,
            &key,
            validity,
        )
    }

    /// Issues the seal certificate of an origin for the key of a request (PKCS#10, DER).
    ///
    /// # Errors
    /// [`CertError::Request`] where the request is not signed by a sound Ed25519 key; [`CertError::Authority`] as above.
    pub fn issue_seal(
        &self,
        request: &[u8],
        origin: &Origin,
        validity: Validity,
    ) -> Result<CertificateDer<'static>, CertError> {
        self.signer.check_instance(&origin.instance())?;
        let key = csr::read(request, KeyKind::Ed25519)?;
        let owner = origin
            .node()
            .map_or_else(|| "registry".to_owned(), |node| node.code().to_string());
        let name = format!("{owner} seal {}", origin.epoch().as_str());
        let subject = template::subject(&origin.instance(), &origin.operator(), &name);
        self.signer.issue(
            template::document_signing(subject, &csr::seal_uri(origin), validity)?,
            &key,
            validity,
        )
    }

    /// Issues the certificate of the built-in time-stamp authority.
    ///
    /// # Errors
    /// [`CertError::Authority`] for a validity beyond the authority's own.
    pub fn issue_time_stamp(&self, key: &StampKey, validity: Validity) -> Result<CertificateDer<'static>, CertError> {
        let instance = &self.signer.instance;
        let subject = template::subject(instance, &instance.registry(), "time-stamp authority");
        let uri = format!("{}/timestamp", instance.registry_spiffe());
        self.signer
            .issue(template::time_stamping(subject, &uri, validity)?, key.pair(), validity)
    }

    /// Issues the certificate of an administrator of the registry for the key of a request (PKCS#10, DER).
    ///
    /// # Errors
    /// [`CertError::Request`] where the request is not signed by a sound P-256 key; [`CertError::Authority`] for a validity beyond
    /// the authority's own.
    pub fn issue_administrator(
        &self,
        request: &[u8],
        name: &Code,
        validity: Validity,
    ) -> Result<CertificateDer<'static>, CertError> {
        let key = csr::read(request, KeyKind::P256)?;
        let instance = &self.signer.instance;
        let subject = template::subject(instance, &instance.registry(), &format!("administrator {name}"));
        let uri = instance.administrator_spiffe(name);
        self.signer
            .issue(template::document_signing(subject, &uri, validity)?, &key, validity)
    }

    /// Issues the registry's own TLS certificate, for these DNS names and IP addresses.
    ///
    /// # Errors
    /// [`CertError::Authority`] for a name that is none, or a validity beyond the authority's own.
    pub fn issue_registry_tls(
        &self,
        key: &TlsKey,
        hosts: &[String],
        validity: Validity,
    ) -> Result<CertificateDer<'static>, CertError> {
        let instance = &self.signer.instance;
        let subject = template::subject(instance, &instance.registry(), "registry");
        let mut names = vec![template::uri_name(&instance.registry_spiffe())];
        names.extend(template::host_names(hosts)?);
        self.signer.issue(
            template::tls(subject, names, &[ServerAuth], validity)?,
            key.pair(),
            validity,
        )
    }
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Root")
    }
}

impl std::fmt::Debug for Issuing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuing")
    }
}
