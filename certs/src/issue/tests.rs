use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData, SigningKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::*;
use crate::csr;
use crate::error::CertError;
use crate::fixture::{DAY_US, NOW_US, Network, RawKey};
use crate::keys::KeyStore;
use crate::profile::check_root;
use crate::seal::SealKey;
use crate::tls_key::TlsKey;
use crate::validity::Validity;
use jisr_proto::ident::{Instance, NodeId, Origin};

fn node() -> NodeId {
    "JO/GOV/mol/node/node1".parse().unwrap()
}

fn origin() -> Origin {
    "jisr/JO/GOV/mol/node1/2026".parse().unwrap()
}

fn week() -> Validity {
    Validity::days(NOW_US, 7)
}

/// A request signed by this key.
fn request(key: &impl SigningKey) -> Vec<u8> {
    CertificateParams::default()
        .serialize_request(key)
        .unwrap()
        .der()
        .to_vec()
}

fn is_request_error<T: std::fmt::Debug>(result: Result<T, CertError>) -> bool {
    matches!(result, Err(CertError::Request { .. } | CertError::WeakKey(_)))
}

#[test]
fn certificates_have_what_rfc_5280_asks() {
    let network = Network::new();
    let store = network.store("node");
    let key = TlsKey::load_or_make(&store, "peer").unwrap();
    let tls = network
        .issuing
        .issue_node_tls(&csr::tls_csr(&key, &node()).unwrap(), &node(), week())
        .unwrap();
    let seal_key = SealKey::load_or_make(&store, &origin()).unwrap();
    let seal = network
        .issuing
        .issue_seal(&csr::seal_csr(&seal_key).unwrap(), &origin(), week())
        .unwrap();
    let [issuing, root] = network.issuing.issuers();
    let mut serials = Vec::new();
    for (der, issuer) in [(&tls, &issuing), (&seal, &issuing), (&issuing, &root), (&root, &root)] {
        let (_, certificate) = X509Certificate::from_der(der).unwrap();
        let (_, issuer) = X509Certificate::from_der(issuer).unwrap();
        assert_eq!(certificate.raw_serial().len(), 16);
        assert!(!serials.contains(&certificate.raw_serial().to_vec()));
        serials.push(certificate.raw_serial().to_vec());
        assert_eq!(certificate.issuer().as_raw(), issuer.subject().as_raw());
        assert_eq!(authority_key_id(&certificate), subject_key_id(&issuer));
        assert!(subject_key_id(&certificate).is_some_and(|id| id.len() == 20));
        let country = certificate.subject().iter_country().next().unwrap();
        assert_eq!(country.as_str().unwrap(), "JO");
        assert_eq!(
            certificate.validity().not_before.timestamp().cast_unsigned(),
            NOW_US / 1_000_000 - 300
        );
    }
    let (_, tls) = X509Certificate::from_der(&tls).unwrap();
    assert_eq!(tls.subject().to_string(), "C=JO, O=JO/GOV/mol, CN=node1");
    assert!(tls.basic_constraints().unwrap().is_none());
}

fn subject_key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        })
}

fn authority_key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => None,
        })
}

#[test]
fn a_request_must_be_signed_by_a_sound_key_of_the_right_kind() {
    let network = Network::new();
    let issuing = &network.issuing;
    let p256 = request(&KeyPair::generate().unwrap());
    let p384 = request(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
    let ed25519 = request(&KeyPair::generate_for(&PKCS_ED25519).unwrap());
    assert!(issuing.issue_node_tls(&p256, &node(), week()).is_ok());
    assert!(issuing.issue_seal(&ed25519, &origin(), week()).is_ok());
    for wrong in [&p384, &ed25519] {
        assert!(is_request_error(issuing.issue_node_tls(wrong, &node(), week())));
    }
    for wrong in [&p384, &p256] {
        assert!(is_request_error(issuing.issue_seal(wrong, &origin(), week())));
    }
    for wrong in [
        &[][..],
        b"\x30\x00",
        &[0x30; 9000],
        &[ed25519.as_slice(), &[0]].concat(),
    ] {
        assert!(is_request_error(issuing.issue_seal(wrong, &origin(), week())));
    }
}

#[test]
fn an_altered_request_is_refused() {
    let network = Network::new();
    let key = SealKey::load_or_make(&network.store("node"), &origin()).unwrap();
    let good = key.request().unwrap();
    // Before the signature (67 bytes) stands the name of its algorithm (7 bytes), which nobody signs and which is compared.
    let algorithm = good.len() - 74..good.len() - 67;
    for place in (0..good.len()).filter(|place| !algorithm.contains(place)) {
        let mut altered = good.clone();
        altered[place] ^= 1;
        assert!(
            network.issuing.issue_seal(&altered, &origin(), week()).is_err(),
            "byte {place}"
        );
    }
}

/// A key pair whose public half is said to be another.
struct Lying(KeyPair, RawKey);

impl PublicKeyData for Lying {
    fn der_bytes(&self) -> &[u8] {
        self.1.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.1.algorithm()
    }
}

impl SigningKey for Lying {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        // Under the neutral element, R = neutral element and S = 0 satisfy the equation for every message.
        if self.1.0.first() == Some(&1) {
            return Ok([&[1], [0; 63].as_slice()].concat());
        }
        self.0.sign(message)
    }
}

#[test]
fn nobody_gets_a_certificate_for_a_key_they_do_not_hold() {
    let network = Network::new();
    let other = SealKey::load_or_make(&network.store("other"), &origin()).unwrap();
    let pair = || KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let stolen = Lying(pair(), RawKey(other.public().as_bytes().to_vec(), &PKCS_ED25519));
    assert!(is_request_error(network.issuing.issue_seal(
        &request(&stolen),
        &origin(),
        week()
    )));
    let mut neutral = vec![0; 32];
    neutral[0] = 1;
    let small = Lying(pair(), RawKey(neutral, &PKCS_ED25519));
    assert!(is_request_error(network.issuing.issue_seal(
        &request(&small),
        &origin(),
        week()
    )));
}

#[test]
fn names_come_from_the_authority_not_from_the_request() {
    let network = Network::new();
    let key = TlsKey::load_or_make(&network.store("node"), "peer").unwrap();
    let other: NodeId = "JO/GOV/gid/node/node9".parse().unwrap();
    let asks_for_other = csr::tls_csr(&key, &other).unwrap();
    let leaf = network
        .issuing
        .issue_node_tls(&asks_for_other, &node(), week())
        .unwrap();
    assert_eq!(crate::tls::peer_identity(&[leaf]).unwrap(), node());
}

#[test]
fn what_a_request_asks_for_besides_its_key_is_not_granted() {
    use rcgen::{CustomExtension, DnType, ExtendedKeyUsagePurpose, SanType};
    let network = Network::new();
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "JO/GOV/psd/node/node1");
    params.subject_alt_names = vec![
        SanType::URI("spiffe://jo/GOV/psd/node/node1".try_into().unwrap()),
        SanType::DnsName("*.example.jo".try_into().unwrap()),
        SanType::IpAddress([10, 0, 0, 1].into()),
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping, ExtendedKeyUsagePurpose::Any];
    // Basic constraints, critical: cA TRUE.
    let mut authority = CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 3, 1, 1, 0xff]);
    authority.set_criticality(true);
    params.custom_extensions.push(authority);
    let request = params.serialize_request(&key).unwrap();
    let leaf = network.issuing.issue_node_tls(request.der(), &node(), week()).unwrap();
    let text = String::from_utf8_lossy(&leaf);
    assert!(!text.contains("psd") && !text.contains("example.jo"), "{text}");
    let [issuing, root] = network.issuing.issuers();
    let chain = [leaf, issuing, root];
    let checked = crate::profile::check_node_tls(&chain, network.root.certificate(), NOW_US).unwrap();
    assert_eq!(
        checked.node,
        node(),
        "the profile is exact: names, usages and constraints"
    );
}

#[test]
fn an_authority_stays_in_its_network_and_time() {
    let network = Network::new();
    let key = request(&KeyPair::generate().unwrap());
    let abroad: NodeId = "SY/GOV/mol/node/node1".parse().unwrap();
    let authority = |result: Result<_, CertError>| matches!(result, Err(CertError::Authority { .. }));
    assert!(authority(network.issuing.issue_node_tls(&key, &abroad, week())));
    assert!(authority(network.issuing.issue_node_tls(
        &key,
        &node(),
        Validity::days(NOW_US, 3650)
    )));
    let backwards = Validity {
        not_before_us: NOW_US,
        not_after_us: NOW_US,
    };
    assert!(authority(network.issuing.issue_node_tls(&key, &node(), backwards)));
    let validity = week();
    assert!(
        network
            .local
            .issue_client(&"JO/GOV/gid/border".parse().unwrap(), validity)
            .is_err()
    );
    let gid: jisr_proto::ident::MemberId = "JO/GOV/gid".parse().unwrap();
    assert!(
        network
            .local
            .issue_officer(&gid.officer(&"rania".parse().unwrap()), validity)
            .is_err()
    );
}

#[test]
fn hosts_are_dns_names_or_addresses() {
    let network = Network::new();
    let key = TlsKey::load_or_make(&network.store("node"), "local").unwrap();
    let issue = |hosts: &[&str]| {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        network.local.issue_local_door(&key, &hosts, week())
    };
    assert!(issue(&["localhost", "node1.mol.example", "127.0.0.1", "::1", "localhost"]).is_ok());
    for wrong in [
        "",
        "a b",
        "node.",
        "under_score",
        "http://x",
        "127.0.0.1:80",
        "*.example.jo",
        "وزارة",
    ] {
        assert!(issue(&[wrong]).is_err(), "{wrong}");
    }
    assert!(issue(&[]).is_err());
}

#[test]
fn authorities_are_made_once_and_open_again() {
    let network = Network::new();
    let instance: Instance = "JO".parse().unwrap();
    let store = network.store("registry");
    assert!(Root::create(&store, &instance, NOW_US).is_err());
    assert!(Issuing::create(&store, &network.root, NOW_US).is_err());
    let root = Root::open(&store, &instance, NOW_US).unwrap();
    assert_eq!(root.certificate().sha256, network.root.certificate().sha256);
    let issuing = Issuing::open(&store, &instance, root.certificate(), NOW_US).unwrap();
    assert_eq!(issuing.issuers(), network.issuing.issuers());
    assert_eq!(root.certificate().not_after_us, NOW_US + 7305 * DAY_US);
    assert!(Root::open(&store, &instance, NOW_US + 7306 * DAY_US).is_err());
    let node = network.store("node");
    assert!(LocalCa::create(&node, &"JO/GOV/mol".parse().unwrap(), NOW_US).is_err());
    let local = LocalCa::open(&node, &"JO/GOV/mol".parse().unwrap(), NOW_US).unwrap();
    assert_eq!(local.certificate().sha256, network.local.certificate().sha256);
}

#[test]
fn key_and_certificate_of_an_authority_belong_together() {
    let network = Network::new();
    let store = network.store("registry");
    let instance = "JO".parse().unwrap();
    let key = store.read("ca-issuing.pem").unwrap().unwrap();
    store.write("ca-root.pem", &key).unwrap();
    assert!(matches!(
        Root::open(&store, &instance, NOW_US),
        Err(CertError::KeyStore { .. })
    ));
    store.destroy("ca-root.pem").unwrap();
    assert!(matches!(
        Root::open(&store, &instance, NOW_US),
        Err(CertError::KeyStore { .. })
    ));
    let empty = KeyStore::create(network.path().join("empty"), &crate::fixture::secret()).unwrap();
    assert!(Root::open(&empty, &instance, NOW_US).is_err());
}

#[test]
fn dates_beyond_2050_are_generalized_time() {
    let network = Network::new();
    let store = network.store("later");
    let in_30_years = NOW_US + 30 * 365 * DAY_US;
    let root = Root::create(&store, &"JO".parse().unwrap(), in_30_years).unwrap();
    assert!(check_root(&root.certificate().der, in_30_years).is_ok());
    let (_, parsed) = X509Certificate::from_der(&root.certificate().der).unwrap();
    assert!(parsed.validity().not_before.is_generalizedtime());
    let (_, now) = X509Certificate::from_der(&network.root.certificate().der).unwrap();
    assert!(now.validity().not_before.is_utctime() && now.validity().not_after.is_utctime());
}
