//! Calls to backends.

use rcgen::ExtendedKeyUsagePurpose::ServerAuth;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, SanType};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;

use super::*;
use crate::fixture::{Rogue, leaf_params};
use crate::pem;

#[test]
fn a_backend_is_known_by_its_name_under_the_agencys_own_authority() {
    let (authority, other) = (Rogue::root(|_| ()), Rogue::root(|_| ()));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let mut params = leaf_params("https://backend.mol.example/", &[ServerAuth]);
    params.subject_alt_names = vec![SanType::DnsName("backend.mol.example".try_into().unwrap())];
    let leaf = authority.sign(&params, &key);
    let clock = clock_at(NOW_US);
    let mut server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let server = Arc::new(server);
    let name = |host: &'static str| ServerName::try_from(host).unwrap();
    let client =
        |trusted: &Rogue| backend_client(pem::certificates_to_pem([trusted.der.as_ref()]).as_bytes(), &clock).unwrap();
    let pair = handshake(&client(&authority), &server, name("backend.mol.example")).unwrap();
    assert_eq!(pair.client.alpn_protocol(), Some(b"h2".as_slice()));
    assert!(handshake(&client(&authority), &server, name("other.mol.example")).is_err());
    assert!(handshake(&client(&other), &server, name("backend.mol.example")).is_err());
    assert!(backend_client(b"no certificate", &clock).is_err());
}
