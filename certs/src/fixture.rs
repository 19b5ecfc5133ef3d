//! A small network for tests: authorities as the registry makes them, and authorities that sign whatever a test asks.

use std::path::Path;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use crate::issue::{Issuing, LocalCa, Root};
use crate::keys::{KeySecret, KeyStore};
use crate::profile::{Authority, check_root};
use crate::verified::Verified;

/// 2026-11-23T12:00:00Z.
pub(crate) const NOW_US: u64 = 1_795_435_200_000_000;
pub(crate) const DAY_US: u64 = 86_400_000_000;

/// Under which the key stores of tests lie.
pub(crate) fn secret() -> KeySecret {
    KeySecret::from_bytes(&[7; 32], "a test's secret")
}

/// Registry and member as the product makes them.
pub(crate) struct Network {
    dir: tempfile::TempDir,
    pub(crate) root: Root,
    pub(crate) issuing: Issuing,
    pub(crate) local: LocalCa,
}

impl Network {
    pub(crate) fn new() -> Network {
        let dir = tempfile::tempdir().unwrap();
        let registry = KeyStore::create(dir.path().join("registry"), &secret()).unwrap();
        let node = KeyStore::create(dir.path().join("node"), &secret()).unwrap();
        let root = Root::create(&registry, &"JO".parse().unwrap(), NOW_US).unwrap();
        let issuing = Issuing::create(&registry, &root, NOW_US).unwrap();
        let local = LocalCa::create(&node, &"JO/GOV/mol".parse().unwrap(), NOW_US).unwrap();
        Network {
            dir,
            root,
            issuing,
            local,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn store(&self, name: &str) -> KeyStore {
        KeyStore::create(self.dir.path().join(name), &secret()).unwrap()
    }

    pub(crate) fn chain(&self, leaf: CertificateDer<'static>) -> Vec<CertificateDer<'static>> {
        let [issuing, _] = self.issuing.issuers();
        vec![leaf, issuing]
    }
}

/// An authority whose certificates say what a test wants.
pub(crate) struct Rogue {
    pub(crate) key: KeyPair,
    pub(crate) params: CertificateParams,
    pub(crate) der: CertificateDer<'static>,
}

impl Rogue {
    /// A root; `alter` changes what is right.
    pub(crate) fn root(alter: impl FnOnce(&mut CertificateParams)) -> Rogue {
        let key = KeyPair::generate().unwrap();
        let mut params = authority_params("Rogue root", 1);
        alter(&mut params);
        let der = params.self_signed(&key).unwrap().der().clone();
        Rogue { key, params, der }
    }

    /// An authority below this one; `alter` changes what is right.
    pub(crate) fn below(&self, alter: impl FnOnce(&mut CertificateParams)) -> Rogue {
        let key = KeyPair::generate().unwrap();
        let mut params = authority_params("Rogue issuing authority", 0);
        alter(&mut params);
        let der = self.sign(&params, &key);
        Rogue { key, params, der }
    }

    /// A root and an issuing authority in which everything is right.
    pub(crate) fn pair() -> (Verified<Authority>, Rogue) {
        let root = Rogue::root(|_| ());
        let issuing = root.below(|_| ());
        (check_root(&root.der, NOW_US).unwrap(), issuing)
    }

    pub(crate) fn sign(&self, params: &CertificateParams, key: &impl PublicKeyData) -> CertificateDer<'static> {
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(key, &issuer).unwrap().der().clone()
    }
}

/// A key of which only the public half is said.
pub(crate) struct RawKey(pub(crate) Vec<u8>, pub(crate) &'static rcgen::SignatureAlgorithm);

impl PublicKeyData for RawKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.1
    }
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

/// A leaf's contents in which everything is right for this URI and these usages.
pub(crate) fn leaf_params(name: &str, usages: &[ExtendedKeyUsagePurpose]) -> CertificateParams {
    let mut params = params("leaf", 7);
    params.subject_alt_names = vec![uri(name)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = usages.to_vec();
    params
}

fn authority_params(name: &str, path_len: u8) -> CertificateParams {
    let mut params = params(name, 1000);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_len));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(name: &str, days: i64) -> CertificateParams {
    let now = OffsetDateTime::from_unix_timestamp((NOW_US / 1_000_000).cast_signed()).unwrap();
    let mut params = CertificateParams::default();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(days);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}
