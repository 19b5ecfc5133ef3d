//! What the authorities issue is believed, each kind for itself only.

use jisr_proto::ident::MemberId;

use super::*;
use crate::administrator::AdministratorKey;
use crate::csr;
use crate::fixture::{DAY_US, Network};
use crate::officer::OfficerKey;
use crate::seal::SealKey;
use crate::tls_key::TlsKey;
use crate::validity::{LOCAL_DAYS, NODE_TLS_DAYS, SEAL_DAYS, Validity};

#[test]
fn what_the_authorities_issue_is_accepted() {
    let network = Network::new();
    let root = network.root.certificate();
    let store = network.store("node");
    let node = "JO/GOV/mol/node/node1".parse().unwrap();
    let tls = TlsKey::load_or_make(&store, "peer").unwrap();
    let request = csr::tls_csr(&tls, &node).unwrap();
    let leaf = network
        .issuing
        .issue_node_tls(&request, &node, Validity::days(NOW_US, NODE_TLS_DAYS))
        .unwrap();
    let found = check_node_tls(&network.chain(leaf), root, NOW_US).unwrap();
    assert_eq!(found.node, node);
    assert_eq!(found.not_after_us, NOW_US + NODE_TLS_DAYS * DAY_US);

    let origin = "jisr/JO/GOV/mol/node1/2026".parse().unwrap();
    let seal = SealKey::load_or_make(&store, &origin).unwrap();
    let request = csr::seal_csr(&seal).unwrap();
    let leaf = network
        .issuing
        .issue_seal(&request, &origin, Validity::days(NOW_US, SEAL_DAYS))
        .unwrap();
    let found = check_seal(&network.chain(leaf), root, NOW_US).unwrap();
    assert_eq!((&found.origin, found.key), (&origin, seal.public()));

    let hosts = ["registry.example.jo".to_owned(), "127.0.0.1".to_owned()];
    let leaf = network
        .issuing
        .issue_registry_tls(&tls, &hosts, Validity::days(NOW_US, 90))
        .unwrap();
    let chain = network.chain(leaf);
    check_registry_tls(&chain, root, &"JO".parse().unwrap(), NOW_US).unwrap();
    assert_eq!(
        rule(check_registry_tls(&chain, root, &"SY".parse().unwrap(), NOW_US)),
        Rule::Identity
    );

    let validity = Validity::days(NOW_US, LOCAL_DAYS);
    let local = network.local.certificate();
    let client = network
        .local
        .issue_client(&"JO/GOV/mol/permits".parse().unwrap(), validity)
        .unwrap();
    let found = check_client(&[client.certificate], local, NOW_US).unwrap();
    assert_eq!(found.subsystem.as_str(), "JO/GOV/mol/permits");
    let member: MemberId = "JO/GOV/mol".parse().unwrap();
    let officer = member.officer(&"rania".parse().unwrap());
    let credential = network.local.issue_officer(&officer, validity).unwrap();
    let found = check_officer(&credential.certificate, local, NOW_US).unwrap();
    assert_eq!(found.officer, officer);
}

#[test]
fn an_officers_signature_is_for_one_document() {
    let network = Network::new();
    let member: MemberId = "JO/GOV/mol".parse().unwrap();
    let officer = member.officer(&"rania".parse().unwrap());
    let credential = network
        .local
        .issue_officer(&officer, Validity::days(NOW_US, LOCAL_DAYS))
        .unwrap();
    let key = OfficerKey::from_pem(credential.key_pem().as_bytes()).unwrap();
    let found = check_officer(&credential.certificate, network.local.certificate(), NOW_US).unwrap();
    let signature = key.sign_agreement(b"document").unwrap();
    assert!(found.verify_agreement(b"document", &signature).is_ok());
    assert!(found.verify_agreement(b"documens", &signature).is_err());
    assert!(found.verify_agreement(b"document", &signature[1..]).is_err());
}

#[test]
fn profiles_do_not_stand_for_one_another() {
    let network = Network::new();
    let validity = Validity::days(NOW_US, 7);
    let store = network.store("node");
    let node = "JO/GOV/mol/node/node1".parse().unwrap();
    let request = csr::tls_csr(&TlsKey::load_or_make(&store, "peer").unwrap(), &node).unwrap();
    let chain = network.chain(network.issuing.issue_node_tls(&request, &node, validity).unwrap());
    let root = network.root.certificate();
    assert_eq!(
        rule(check_registry_tls(&chain, root, &"JO".parse().unwrap(), NOW_US)),
        Rule::ExtendedKeyUsage
    );
    assert_eq!(rule(check_seal(&chain, root, NOW_US)), Rule::Key);
    let local = network.local.certificate();
    let client = network
        .local
        .issue_client(&"JO/GOV/mol/permits".parse().unwrap(), validity)
        .unwrap()
        .certificate;
    assert_eq!(rule(check_officer(&client, local, NOW_US)), Rule::ExtendedKeyUsage);
    assert_eq!(rule(check_node_tls(&[client], local, NOW_US)), Rule::ExtendedKeyUsage);
    let [issuing, root_der] = network.issuing.issuers();
    assert_eq!(
        rule(check_node_tls(std::slice::from_ref(&issuing), root, NOW_US)),
        Rule::KeyUsage
    );
    assert_eq!(rule(check_root(&issuing, NOW_US)), Rule::BasicConstraints);
    assert_eq!(rule(check_local_ca(&root_der, NOW_US)), Rule::BasicConstraints);
    assert_eq!(rule(check_local_ca(&issuing, NOW_US)), Rule::Chain);
}

#[test]
fn the_registrys_ledger_has_a_seal_certificate_too() {
    let network = Network::new();
    let origin = "jisr/JO/registry/2026".parse().unwrap();
    let key = SealKey::load_or_make(&network.store("registry"), &origin).unwrap();
    let request = csr::seal_csr(&key).unwrap();
    let leaf = network
        .issuing
        .issue_seal(&request, &origin, Validity::days(NOW_US, SEAL_DAYS))
        .unwrap();
    let found = check_seal(&network.chain(leaf), network.root.certificate(), NOW_US).unwrap();
    assert_eq!(found.origin, origin);
}

#[test]
fn an_administrator_signs_acts_and_is_nobody_else() {
    let network = Network::new();
    let (instance, name) = ("JO".parse().unwrap(), "huda".parse().unwrap());
    let key = AdministratorKey::generate().unwrap();
    let request = key.request(&instance, &name).unwrap();
    let issue = |validity| network.issuing.issue_administrator(&request, &name, validity).unwrap();
    let chain = network.chain(issue(Validity::days(NOW_US, LOCAL_DAYS)));
    let root = network.root.certificate();
    let found = check_administrator(&chain, root, &instance, NOW_US).unwrap();
    assert_eq!(found.name, name);
    assert_eq!(
        named_administrator(&chain[0]).unwrap(),
        (instance.clone(), name.clone())
    );
    let signature = key.sign(b"act").unwrap();
    found.verify(b"act", &signature).unwrap();
    assert!(found.verify(b"another", &signature).is_err());
    let read = AdministratorKey::from_pem(key.pem().as_bytes()).unwrap();
    found.verify(b"act", &read.sign(b"act").unwrap()).unwrap();
    assert_eq!(
        rule(check_administrator(&chain, root, &"SY".parse().unwrap(), NOW_US)),
        Rule::SubjectAltName
    );
    assert_eq!(rule(check_node_tls(&chain, root, NOW_US)), Rule::ExtendedKeyUsage);
    assert!(check_seal(&chain, root, NOW_US).is_err(), "its key seals nothing");
    let late = NOW_US + 400 * 86_400_000_000;
    assert_eq!(rule(check_administrator(&chain, root, &instance, late)), Rule::Expired);
}
